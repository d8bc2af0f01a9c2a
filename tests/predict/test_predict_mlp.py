"""The perceptron: it learns what a line cannot, stops in time, and hears nothing of songs set aside."""

import dataclasses

import numpy as np
import pytest
import torch

from deepcuts.artifacts import Features, Lineage, SongFactors, Vocabulary
from deepcuts.errors import ArtifactError, InputError, SettingError
from deepcuts.predict.encoder import Provenance
from deepcuts.predict.fit import ENCODERS, fit_encoder
from deepcuts.predict.linear import LinearSettings
from deepcuts.predict.losses import Mse
from deepcuts.predict.mlp import MlpEncoder, MlpSettings, build_mlp
from deepcuts.predict.mlp_torch import fit_mlp, train_mlp
from deepcuts.predict.targets import make_training_set
from deepcuts.predict.training_set import Examples

QUICK = MlpSettings(n_hidden=64, n_epochs=60, batch=64, device="cpu", validation=0.2)


def one_frame_features(vectors, kind="bagofwords", **settings):
    songs = Vocabulary([f"song-{i}" for i in range(len(vectors))])
    return Features(songs, vectors.astype(np.float32), np.arange(len(vectors) + 1), kind, settings)


def make_factors(targets, songs=None):
    songs = Vocabulary([f"song-{i}" for i in range(len(targets))]) if songs is None else songs
    return SongFactors(songs, targets.astype(np.float32), n_listeners=np.full(len(targets), 9))


def fit(features, factors, settings=QUICK, validation=None):
    rng = np.random.default_rng(settings.seed)
    return fit_mlp(make_training_set("mlp", features, factors, settings, validation, rng), settings)


def bent_world(n_songs=500, seed=0):
    """Factors that depend on the sizes of sounds, not on their signs: invisible to a line."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n_songs, 4))
    mixing = rng.standard_normal((4, 3))
    return one_frame_features(vectors), make_factors(np.abs(vectors) @ mixing), np.abs(vectors) @ mixing


def explained(predicted, truth):
    return 1 - np.sum((predicted - truth) ** 2) / np.sum((truth - truth.mean(axis=0)) ** 2)


def test_it_learns_what_a_line_cannot():
    features, factors, truth = bent_world()
    known = Vocabulary(features.songs.ids[:400])
    learned_from = make_factors(factors.vectors[:400], known)
    new = np.arange(400, 500)
    bent = fit(features, learned_from, dataclasses.replace(QUICK, lr=3e-3)).predict(features, new)
    line = fit_encoder("linear", features, learned_from, LinearSettings()).predict(features, new)
    assert explained(bent, truth[new]) > 0.85
    assert explained(line, truth[new]) < 0.1


def test_the_answer_is_the_formula_worked_by_hand():
    layers = {
        "hidden.weight": np.array([[1.0, 0.0], [-1.0, 2.0]], np.float32),
        "hidden.bias": np.array([0.0, -1.0], np.float32),
        "out.weight": np.array([[3.0, 1.0]], np.float32),
        "out.bias": np.array([0.5], np.float32),
    }
    features = one_frame_features(np.array([[1.0, 3.0], [-1.0, 1.0]]))
    provenance = Provenance(
        "mlp", {"n_cov": 0}, "bagofwords", {}, 2, np.array([10.0]), 2.0, Lineage("a fit", features.songs)
    )
    encoder = MlpEncoder(provenance, 0, np.array([0, 1]), np.zeros(2, np.float32), np.ones(2, np.float32), layers)
    # song 0: hidden = relu(1, -1 + 6 - 1) = (1, 4), out = 3 + 4 + .5 = 7.5; song 1: relu(-1, 1 + 2 - 1) = (0, 2), 2.5
    np.testing.assert_allclose(encoder.predict(features, np.arange(2)), [[10 + 2 * 7.5], [10 + 2 * 2.5]])


def test_the_last_layer_is_linear_and_answers_have_no_bounds():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((300, 2))
    truth = 50 * vectors[:, :1] - 400
    encoder = fit(one_frame_features(vectors), make_factors(truth))
    predicted = encoder.predict(one_frame_features(vectors), np.arange(300))
    assert explained(predicted, truth) > 0.95
    assert predicted.min() < -480


def test_same_seed_same_answers_another_seed_others():
    features, factors, _ = bent_world(100)
    settings = dataclasses.replace(QUICK, n_epochs=3, dropout=0.3)
    first, again = fit(features, factors, settings), fit(features, factors, settings)
    other = fit(features, factors, dataclasses.replace(settings, seed=1))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_dropout_is_off_when_it_predicts():
    features, factors, _ = bent_world(100)
    encoder = fit(features, factors, dataclasses.replace(QUICK, n_epochs=3, dropout=0.9))
    first, again = (encoder.predict(features, np.arange(100)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(encoder.layers["out.weight"])) > 64  # all hidden units speak


def test_the_best_weights_are_kept_and_it_stops_when_validation_gets_no_better():
    rng = np.random.default_rng(0)
    noise, targets = rng.standard_normal((40, 30)), rng.standard_normal((40, 2))
    held_out = Vocabulary([f"song-{i}" for i in range(30, 40)])
    settings = dataclasses.replace(QUICK, n_epochs=80, patience=0)
    late = fit(one_frame_features(noise), make_factors(targets), settings, held_out)
    early = fit(one_frame_features(noise), make_factors(targets), dataclasses.replace(settings, patience=5), held_out)
    assert late.fingerprint == early.fingerprint  # noise is learned best in the first epochs
    fitted = fit(one_frame_features(noise), make_factors(targets), settings, Vocabulary([]))
    known = np.arange(30)
    assert explained(fitted.predict(one_frame_features(noise), known), targets[known]) > 0.9  # no stop: by heart
    assert explained(late.predict(one_frame_features(noise), known), targets[known]) < 0.5


def test_songs_set_aside_change_nothing():
    features, factors, _ = bent_world(120)
    known = Vocabulary(features.songs.ids[:100])
    learned_from = make_factors(factors.vectors[:100], known)
    poisoned = np.array(features.frames)
    poisoned[100:] = 1e6
    good, same = (fit(f, learned_from, QUICK) for f in (features, one_frame_features(poisoned)))
    np.testing.assert_array_equal(good.predict(features, np.arange(100)), same.predict(features, np.arange(100)))


def test_validation_songs_do_not_reach_the_scaling():
    features, factors, _ = bent_world(120)
    held_out = Vocabulary(features.songs.ids[100:])
    loud = np.array(features.frames)
    loud[100:] *= 1000
    for other in (features, one_frame_features(loud)):
        encoder = fit(other, factors, dataclasses.replace(QUICK, n_epochs=1), held_out)
        np.testing.assert_allclose(encoder.mean, features.frames[:100].mean(axis=0), rtol=1e-4, atol=1e-6)


def test_what_never_changed_in_training_is_not_heard():
    features, factors, _ = bent_world(100)
    constant = np.column_stack([features.frames, np.full(100, 5.0)])
    encoder = fit(one_frame_features(constant), factors, dataclasses.replace(QUICK, n_epochs=2))
    other = constant.copy()
    other[:, 4] = 5000
    songs = np.arange(100)
    np.testing.assert_array_equal(
        encoder.predict(one_frame_features(constant), songs), encoder.predict(one_frame_features(other), songs)
    )
    assert encoder.kept.tolist() == [0, 1, 2, 3]  # spread and change of one frame are zero: not kept either


@pytest.mark.parametrize("n_songs", [1, 3])
def test_songs_that_are_all_alike_get_the_mean(n_songs):
    targets = np.arange(2.0 * n_songs).reshape(n_songs, 2)
    features = one_frame_features(np.ones((n_songs, 4)))
    settings = dataclasses.replace(QUICK, validation=0.0, lr=0.01, n_epochs=200)
    predicted = fit(features, make_factors(targets), settings).predict(features, np.arange(n_songs))
    np.testing.assert_allclose(predicted, np.tile(targets.mean(axis=0), (n_songs, 1)), atol=0.05)


def test_songs_of_many_frames_are_pooled():
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.5, 2, (200, 1))  # no frame shows it, only many together
    clips = spread[:, None] * rng.standard_normal((200, 60, 2))
    songs = Vocabulary([f"song-{i}" for i in range(200)])
    features = Features(songs, clips.reshape(-1, 2).astype(np.float32), 60 * np.arange(201), "logmel", {})
    encoder = fit(features, make_factors(spread), dataclasses.replace(QUICK, n_cov=2, lr=0.01))
    assert explained(encoder.predict(features, np.arange(200)), spread) > 0.85


def test_songs_with_more_listeners_count_more():
    targets = np.repeat([0.0, 1.0], 20)[:, None]
    factors = dataclasses.replace(make_factors(targets), n_listeners=np.repeat([90, 10], 20))
    features = one_frame_features(np.zeros((40, 1)))
    settings = dataclasses.replace(QUICK, weight_listeners=100, validation=0.0, lr=0.01, n_epochs=400, n_hidden=4)
    predicted = fit(features, factors, settings).predict(features, np.arange(1))
    assert predicted[0, 0] == pytest.approx(0.9 * 0 + 0.1 * 1, abs=0.01)


def test_saved_arrays_build_the_same_encoder(tmp_path):
    features, factors, _ = bent_world(60)
    encoder = fit(features, factors, dataclasses.replace(QUICK, n_epochs=2))
    again = build_mlp(encoder.provenance, encoder.arrays())
    assert again.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(again.predict(features, np.arange(60)), encoder.predict(features, np.arange(60)))
    encoder.save(tmp_path / "encoder")
    assert (tmp_path / "encoder" / "weights.safetensors").exists()


@pytest.mark.parametrize("name", ["linear", "trees"])
def test_the_other_encoders_take_one_frame_songs_too(name):
    features, factors, _ = bent_world(60)
    encoder = fit_encoder(name, features, factors, ENCODERS[name].settings())
    assert np.isfinite(encoder.predict(features, np.arange(60))).all()


def test_features_of_other_words_are_refused():
    features, factors, _ = bent_world(60)
    encoder = fit(features, factors, dataclasses.replace(QUICK, n_epochs=1))
    with pytest.raises(ArtifactError, match="words"):
        encoder.predict(one_frame_features(features.frames, words="others"), np.arange(3))


def test_a_frame_that_is_not_a_number_names_its_song():
    features, factors, _ = bent_world(60)
    spoiled = np.array(features.frames)
    spoiled[7, 1] = np.nan
    with pytest.raises(InputError, match="song-7"):
        fit(one_frame_features(spoiled), factors)


def test_a_diverging_run_is_refused():
    features, factors, _ = bent_world(60)
    with pytest.raises(SettingError, match=r"lr = 1e\+20: the error is"):
        fit(features, factors, dataclasses.replace(QUICK, lr=1e20))


def test_torchs_own_random_numbers_are_left_alone():
    features, factors, _ = bent_world(60)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    fit(features, factors, dataclasses.replace(QUICK, n_epochs=1, dropout=0.5))
    assert torch.equal(before, torch.random.get_rng_state())


def test_batches_that_do_not_divide_the_songs_leave_none_out():
    seen = []

    class Spy(torch.nn.Linear):
        def forward(self, inputs):
            if self.training:
                seen.extend(inputs[:, 0].tolist())
            return super().forward(inputs)

    songs = torch.arange(101.0)[:, None]
    settings = dataclasses.replace(QUICK, n_epochs=2, batch=25)
    examples = Examples(np.arange(101), (songs / 100).numpy(), np.ones(101, np.float32))
    train_mlp(Spy(1, 1), Mse(1), (songs / 100, examples), None, settings)
    for epoch in (seen[:101], seen[101:]):
        np.testing.assert_allclose(sorted(epoch), np.arange(101) / 100, rtol=1e-6)
    assert seen[:101] != seen[101:]


@pytest.mark.gpu
def test_it_learns_the_same_on_cuda():
    features, factors, _ = bent_world()
    here, there = (fit(features, factors, dataclasses.replace(QUICK, n_epochs=5, device=d)) for d in ("cpu", "cuda"))
    songs = np.arange(500)
    np.testing.assert_allclose(there.predict(features, songs), here.predict(features, songs), atol=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_hidden": 0}, "n_hidden = 0"),
        ({"dropout": 1.0}, "dropout = 1.0"),
        ({"lr": 0.0}, "lr = 0.0"),
        ({"batch": 0}, "batch = 0"),
        ({"patience": -1}, "patience = -1"),
        ({"device": "tpu"}, "device = 'tpu'"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(SettingError, match=message):
        MlpSettings(**change)
