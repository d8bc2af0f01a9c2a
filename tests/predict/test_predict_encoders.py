"""What every encoder of ENCODERS promises."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepcuts.artifacts import Features, Lineage, SongFactors, Vocabulary
from deepcuts.errors import ArtifactError, InputError, SettingError
from deepcuts.predict import ENCODERS, LinearSettings, fit_encoder, load_encoder, predict_songs
from deepcuts.store import read_meta, write_meta


def test_an_encoder_learns_something(world, encoder_name, small):
    features, factors = world
    predicted = predict_songs(fit_encoder(encoder_name, features, factors, small), features)
    assert predicted.vectors.dtype == np.float32
    error = np.mean((predicted.vectors - factors.vectors) ** 2)
    assert error < np.mean((factors.vectors - factors.vectors.mean(axis=0)) ** 2)


def test_a_saved_encoder_predicts_identically(world, encoder_name, small, tmp_path: Path):
    features, factors = world
    encoder = fit_encoder(encoder_name, features, factors, small)
    encoder.save(tmp_path / "encoder")
    loaded = load_encoder(tmp_path / "encoder")
    songs = np.arange(40)
    np.testing.assert_array_equal(loaded.predict(features, songs), encoder.predict(features, songs))
    assert loaded.fingerprint == encoder.fingerprint
    assert loaded.provenance.lineage.learned_from == encoder.provenance.lineage.learned_from
    assert ENCODERS[encoder_name].settings(**loaded.provenance.settings) == small


def test_the_same_seed_gives_the_same_folder(world, encoder_name, small, tmp_path: Path):
    for name in ("one", "two"):
        fit_encoder(encoder_name, *world, small).save(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_the_order_of_factors_does_not_matter(world, encoder_name, small):
    features, factors = world
    order = np.random.default_rng(0).permutation(40)
    shuffled = SongFactors(factors.songs.take(order), factors.vectors[order])
    one, two = (fit_encoder(encoder_name, features, f, small) for f in (factors, shuffled))
    assert one.fingerprint == two.fingerprint


def test_sound_of_songs_without_factors_changes_nothing(world, encoder_name, small, make_features):
    features, factors = world
    songs = factors.songs.take(np.arange(30))
    seen = SongFactors(songs, factors.vectors[:30], Lineage("a fit", songs, "clean"))
    poisoned = make_features([np.full_like(features[i], 77) if i >= 30 else features[i] for i in range(40)])
    one, two = (fit_encoder(encoder_name, f, seen, small) for f in (features, poisoned))
    assert one.fingerprint == two.fingerprint
    assert not {f"song{i}" for i in range(30, 40)} & set(one.provenance.lineage.learned_from.ids)


def test_songs_are_predicted_in_the_order_asked_for_and_alone_as_together(world, encoder_name, small):
    features, factors = world
    encoder = fit_encoder(encoder_name, features, factors, small)
    together = predict_songs(encoder, features)
    asked = Vocabulary(["song7", "song31", "song0"])
    some = predict_songs(encoder, features, asked)
    assert some.songs == asked
    np.testing.assert_allclose(some.vectors, together.vectors[[7, 31, 0]], atol=1e-5)
    with pytest.raises(InputError, match="nosong"):
        predict_songs(encoder, features, Vocabulary(["nosong"]))
    assert predict_songs(encoder, features, Vocabulary([])).vectors.shape == (0, 3)


def test_predicted_factors_say_where_they_come_from(world, encoder_name, small):
    features, factors = world
    joint = SongFactors(factors.songs, factors.vectors, Lineage("a space", factors.songs, "joint"))
    encoder = fit_encoder(encoder_name, features, joint, small)
    predicted = predict_songs(encoder, features, unit_norm=True)
    assert predicted.lineage.space == "a space"
    assert set(predicted.lineage.learned_from.ids) == set(factors.songs.ids)
    assert predicted.lineage.protocol == "joint"
    assert predicted.settings["encoder"] == encoder_name
    assert predicted.lineage.parents == {"encoder": encoder.fingerprint, "features": features.fingerprint}
    np.testing.assert_allclose(np.linalg.norm(predicted.vectors, axis=1), 1, atol=1e-5)


def test_features_of_another_recipe_are_refused_by_the_setting_that_differs(world, encoder_name, small):
    features, factors = world
    encoder = fit_encoder(encoder_name, features, factors, small)

    def remade(kind="logmel", channels=6, **settings):
        return Features(features.songs, features.frames[:, :channels], features.starts, kind, settings)

    with pytest.raises(ArtifactError, match="kind 'mfcc'"):
        predict_songs(encoder, remade("mfcc", frame_rate=43.0))
    with pytest.raises(ArtifactError, match=r"frame_rate = 86.0.*frame_rate = 43.0"):
        predict_songs(encoder, remade(frame_rate=86.0))
    with pytest.raises(ArtifactError, match="hop = 512"):
        predict_songs(encoder, remade(frame_rate=43.0, hop=512))
    with pytest.raises(ArtifactError, match="5 channels"):
        predict_songs(encoder, remade(channels=5, frame_rate=43.0))


def test_nothing_in_common_is_refused(world, encoder_name, small, make_factors):
    with pytest.raises(InputError, match="no song in common"):
        fit_encoder(encoder_name, world[0], make_factors(np.ones((2, 3)), ids=["x", "y"]), small)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_frames_that_are_not_numbers_are_refused_by_song(world, encoder_name, small, bad, make_features):
    features, factors = world
    encoder = fit_encoder(encoder_name, features, factors, small)
    songs = [features[i].copy() for i in range(40)]
    songs[4][3, 2] = bad
    with pytest.raises(InputError, match="song4"):
        fit_encoder(encoder_name, make_features(songs), factors, small)
    with pytest.raises(InputError, match="song4"):
        predict_songs(encoder, make_features(songs))


def test_a_song_without_frames_is_refused_when_predicting(world, encoder_name, small, make_features):
    features, factors = world
    encoder = fit_encoder(encoder_name, features, factors, small)
    with pytest.raises(InputError, match="'empty': no frames"):
        predict_songs(encoder, make_features([features[0], features[0][:0]], ids=["full", "empty"]))


def test_one_song_is_enough_and_is_predicted_as_itself(encoder_name, small, make_features, make_factors):
    features = make_features([np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)])
    predicted = predict_songs(
        fit_encoder(encoder_name, features, make_factors(np.array([[2.0, -3.0]])), small), features
    )
    np.testing.assert_allclose(predicted.vectors, [[2, -3]], atol=0.2)


def test_sound_that_never_changes_gives_the_mean(encoder_name, small, make_features, make_factors):
    features = make_features([np.full((40, 4), 1e4, np.float32)] * 12)
    factors = make_factors(np.random.default_rng(0).normal(size=(12, 2)))
    predicted = predict_songs(fit_encoder(encoder_name, features, factors, small), features).vectors
    assert np.isfinite(predicted).all()
    np.testing.assert_allclose(predicted, np.tile(predicted[0], (12, 1)), atol=1e-4)


def test_a_channel_that_never_changed_stays_unheard_when_it_does(encoder_name, small, make_features, make_factors):
    rng = np.random.default_rng(5)
    songs = [rng.normal(rng.normal(size=4), 0.3, size=(40, 4)).astype(np.float32) for _ in range(12)]
    for frames in songs:
        frames[:, 2] = 7
    encoder = fit_encoder(encoder_name, make_features(songs), make_factors(rng.normal(size=(12, 2))), small)
    before = predict_songs(encoder, make_features(songs)).vectors
    for frames in songs:
        frames[:, 2] = np.linspace(-100, 100, 40)
    np.testing.assert_allclose(predict_songs(encoder, make_features(songs)).vectors, before, atol=1e-4)


def test_factors_all_alike_are_predicted_alike(world, encoder_name, small, make_factors):
    predicted = predict_songs(fit_encoder(encoder_name, world[0], make_factors(np.ones((40, 2))), small), world[0])
    np.testing.assert_allclose(predicted.vectors, 1, atol=0.5)


def test_a_damaged_folder_is_refused(world, encoder_name, small, tmp_path: Path):
    folder = tmp_path / "encoder"
    fit_encoder(encoder_name, *world, small).save(folder)
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 0x55
    weights.write_bytes(bytes(content))
    with pytest.raises(ArtifactError):
        load_encoder(folder)
    weights.write_bytes(bytes(content[:50]))
    with pytest.raises(ArtifactError, match="Half-written"):
        load_encoder(folder)


def test_an_encoder_unknown_here_is_refused(world, tmp_path: Path):
    folder = tmp_path / "encoder"
    fit_encoder("linear", *world).save(folder)
    known = read_meta(folder)
    write_meta(folder, replace(known, settings={**known.settings, "encoder": "liner"}))
    with pytest.raises(ArtifactError, match="Did you mean 'linear'"):
        load_encoder(folder)


def test_a_misspelt_name_and_settings_of_another_encoder_are_refused(world):
    with pytest.raises(SettingError, match="Did you mean 'trees'"):
        fit_encoder("tree", *world)
    with pytest.raises(SettingError, match="takes TreesSettings"):
        fit_encoder("trees", *world, LinearSettings())
