import numpy as np
import pytest

from deepcuts.artifacts import Lineage, Vocabulary
from deepcuts.errors import InputError, SettingError
from deepcuts.predict import EncoderSettings
from deepcuts.predict.scaling import channel_scaling
from deepcuts.predict.targets import make_training_set, target_scaling


def lessons_of(features, factors, settings=None, validation=None):
    settings = settings or EncoderSettings(validation=0.0)
    return make_training_set("linear", features, factors, settings, validation, np.random.default_rng(settings.seed))


def test_sound_and_factors_meet_by_id_not_by_place(make_features, make_factors):
    features = make_features([np.full((4, 1), i, np.float32) for i in range(3)], ids=["c", "a", "x"])
    factors = make_factors(np.array([[10.0], [20.0], [30.0]]), ids=["a", "b", "c"])
    training_set = lessons_of(features, factors)
    provenance = training_set.provenance
    assert training_set.train.songs.tolist() == [0, 1]
    back = training_set.train.targets[:, 0] * provenance.target_scale + provenance.target_mean
    assert back.tolist() == [30, 10]


def test_targets_are_centred_and_share_one_scale():
    mean, scale = target_scaling(np.array([[1.0, 10.0], [3.0, 10.0]]))
    assert mean.tolist() == [2, 10]
    assert scale == pytest.approx(np.sqrt(0.5))


def test_unit_targets_have_length_one_and_songs_without_length_are_left_out(make_features, make_factors):
    features = make_features([np.zeros((2, 1), np.float32)] * 3)
    training_set = lessons_of(
        features, make_factors(np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]])), EncoderSettings("unit", validation=0.0)
    )
    provenance = training_set.provenance
    assert training_set.train.songs.tolist() == [0, 2]
    back = training_set.train.targets * provenance.target_scale + provenance.target_mean
    np.testing.assert_allclose(back, [[0.6, 0.8], [0, -1]], atol=1e-6)


def test_weights_grow_with_listeners_up_to_enough(make_features, make_factors):
    features = make_features([np.zeros((2, 1), np.float32)] * 4)
    factors = make_factors(np.eye(4), n_listeners=np.array([0, 3, 30, 300]))
    weighted = lessons_of(features, factors, EncoderSettings(weight_listeners=30, validation=0.0)).train
    assert weighted.songs.tolist() == [1, 2, 3]
    np.testing.assert_allclose(weighted.weights, [0.1, 1, 1])
    assert lessons_of(features, factors).train.weights.tolist() == [1, 1, 1, 1]
    with pytest.raises(InputError, match="n_listeners"):
        lessons_of(features, make_factors(np.eye(4)), EncoderSettings(weight_listeners=30))


def test_nothing_in_common_is_refused_with_examples_of_both(make_features, make_factors):
    features = make_features([np.zeros((2, 1), np.float32)], ids=["TRA"])
    with pytest.raises(InputError, match=r"no song in common.*'TRA'.*'SOB'"):
        lessons_of(features, make_factors(np.ones((1, 2)), ids=["SOB"]))


def test_a_song_without_frames_is_refused_by_name(make_features, make_factors):
    features = make_features([np.ones((2, 1), np.float32), np.zeros((0, 1), np.float32)], ids=["full", "silent"])
    with pytest.raises(InputError, match="'silent': no frames"):
        lessons_of(features, make_factors(np.eye(2), ids=["full", "silent"]))


def test_a_tenth_is_held_out_the_same_for_the_same_seed(world):
    features, factors = world
    one, two, other = (lessons_of(features, factors, EncoderSettings(seed=s)) for s in (1, 1, 2))
    assert len(one.validation) == 4
    assert not set(one.validation.songs) & set(one.train.songs)
    assert one.validation.songs.tolist() == two.validation.songs.tolist() != other.validation.songs.tolist()


def test_named_validation_songs_are_held_out_and_at_least_one_must_be_there(world):
    features, factors = world
    training_set = lessons_of(features, factors, validation=Vocabulary(["song3", "elsewhere", "song1"]))
    assert training_set.validation.songs.tolist() == [1, 3]
    with pytest.raises(InputError, match="none of its 1 songs"):
        lessons_of(features, factors, validation=Vocabulary(["elsewhere"]))
    with pytest.raises(InputError, match="none is left"):
        lessons_of(features, factors, validation=features.songs)


def test_the_songs_behind_the_factors_are_remembered_too(world, make_factors):
    features, factors = world
    factors = make_factors(factors.vectors, lineage=Lineage("a space", Vocabulary(["unheard", "song0"]), "clean"))
    learned_from = lessons_of(features, factors).provenance.lineage.learned_from
    assert "unheard" in learned_from
    assert len(learned_from) == 41


def test_validation_songs_shape_neither_scale_of_targets_nor_of_sound(world, make_factors, make_features):
    features, factors = world
    validation = Vocabulary(["song5"])
    poisoned_frames = [np.full_like(features[i], 99) if i == 5 else features[i] for i in range(40)]
    poisoned_rows = factors.vectors.copy()
    poisoned_rows[5] = 1e4
    clean = lessons_of(features, factors, validation=validation)
    poisoned = lessons_of(make_features(poisoned_frames), make_factors(poisoned_rows), validation=validation)
    np.testing.assert_array_equal(clean.train.targets, poisoned.train.targets)
    for a, b in zip(
        channel_scaling(clean.features, clean.train.songs),
        channel_scaling(poisoned.features, poisoned.train.songs),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_streamed_channel_scaling_is_that_of_all_frames_at_once(make_features):
    rng = np.random.default_rng(3)
    songs = [1e4 + rng.normal(size=(n, 3)) * [1, 0.1, 0] for n in (1, 7, 400)]
    mean, scale = channel_scaling(make_features(songs), np.array([2, 0, 1]))
    together = np.concatenate(songs)
    np.testing.assert_allclose(mean, together.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scale[:2], together.std(axis=0)[:2], rtol=1e-9)
    assert scale[2] == np.inf


@pytest.mark.parametrize("wrong", [{"target": "log"}, {"weight_listeners": -1}, {"validation": 1.0}, {"seed": -1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        EncoderSettings(**wrong)
