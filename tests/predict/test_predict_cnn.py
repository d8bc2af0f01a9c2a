import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deepcuts.artifacts import Features, SongFactors, Vocabulary
from deepcuts.errors import SettingError
from deepcuts.predict import CnnSettings, LinearSettings, fit_encoder, load_encoder, predict_songs
from deepcuts.predict import train as train_module
from deepcuts.predict.cnn_settings import SCHEDULES, frames_left
from deepcuts.predict.losses import weighted_mse
from deepcuts.predict.network import build_network
from deepcuts.predict.train import in_bfloat16, lr_fraction, predict_windows
from deepcuts.predict.windows import consecutive_starts

SMALL = CnnSettings(
    width=8, kernel=4, pool=2, dense=16, window=32, n_epochs=4, batch=16, device="cpu", precision="float32"
)


def set_of(encoder):
    return {name: tensor.clone() for name, tensor in encoder.network.state_dict().items()}


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


def test_the_network_is_the_one_described():
    network = build_network(CnnSettings(), np.zeros(128), np.ones(128), 50)
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv1d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size) for c in convolutions] == [
        (128, 256, (8,)),
        (256, 256, (8,)),
    ]
    dense = [layer for layer in network if isinstance(layer, nn.Linear)]
    assert [(d.in_features, d.out_features) for d in dense] == [(256 * 5, 1024), (1024, 50)]
    assert network(torch.zeros(2, 128, 128, dtype=torch.float16)).shape == (2, 50)


def test_the_output_layer_is_linear_with_nothing_after_it():
    network = build_network(SMALL, np.zeros(3), np.ones(3), 2)
    last = network[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.bias.copy_(torch.tensor([5.0, -7.0]))
        last.weight.zero_()
    assert network(torch.randn(1, 32, 3)).tolist() == [[5, -7]]


def test_a_song_is_heard_through_all_its_windows():
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(75, 3)).astype(np.float32)
    features = Features(Vocabulary(["a"]), frames, np.array([0, 75]), "logmel")
    network = build_network(SMALL, np.zeros(3), np.ones(3), 2)
    starts = consecutive_starts(75, 32)
    assert starts.tolist() == [0, 32, 43]
    with torch.no_grad():
        each = [network(torch.from_numpy(frames[s : s + 32])[None]).numpy()[0] for s in starts]
    np.testing.assert_allclose(
        predict_windows(network, features, np.array([0]), 32)[0], np.mean(each, axis=0), atol=1e-6
    )


def test_dropout_is_off_when_predicting(world):
    features, factors = world
    encoder = fit_encoder("cnn", features, factors, dataclasses.replace(SMALL, dropout=0.5, n_epochs=1))
    assert any(isinstance(layer, nn.Dropout) and layer.p == 0.5 for layer in encoder.network)
    encoder.network.train()
    one, two = (encoder.predict(features, np.arange(40)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_eight_songs_can_be_learnt_by_heart(make_features, make_factors):
    rng = np.random.default_rng(1)
    features = make_features([rng.normal(size=(32, 5)).astype(np.float32) for _ in range(8)])
    factors = make_factors(rng.normal(size=(8, 3)))
    settings = dataclasses.replace(SMALL, n_epochs=150, validation=0.0, lr=5e-3, dense=32)
    predicted = predict_songs(fit_encoder("cnn", features, factors, settings), features).vectors
    assert np.abs(predicted - factors.vectors).max() < 0.05


def test_the_network_hears_the_order_of_events_that_pooled_statistics_cannot(make_features, make_factors):
    """Every second song is another one played backwards: same frames, same changes, other direction."""
    rng = np.random.default_rng(2)
    songs, direction = [], []
    for _ in range(60):
        sweep = np.eye(6, dtype=np.float32)[(np.arange(64) + rng.integers(6)) % 6] * 3
        sweep += rng.normal(0, 0.3, size=sweep.shape).astype(np.float32)
        songs += [sweep, sweep[::-1].copy()]
        direction += [1.0, -1.0]
    features, factors = make_features(songs), make_factors(np.array(direction)[:, None])
    seen = SongFactors(factors.songs.take(np.arange(80)), factors.vectors[:80])
    settings = dataclasses.replace(SMALL, n_epochs=15, lr=5e-3)
    heard = predict_songs(fit_encoder("cnn", features, seen, settings), features).vectors[80:, 0]
    pooled = predict_songs(fit_encoder("linear", features, seen, LinearSettings(n_cov=6)), features).vectors[80:, 0]
    truth = np.array(direction)[80:]
    assert np.corrcoef(heard, truth)[0, 1] > 0.9
    assert abs(np.cov(pooled, truth)[0, 1]) < 1e-4  # pairs get the same prediction, so it may be constant


@pytest.mark.parametrize("more", [{}, {"batch_norm": True, "dropout": 0.3}, {"optimiser": "sgd", "schedule": "step"}])
def test_a_resumed_run_ends_with_the_same_weights_as_an_undisturbed_one(world, tmp_path: Path, monkeypatch, more):
    features, factors = world
    settings = dataclasses.replace(SMALL, **more)
    undisturbed = fit_encoder("cnn", features, factors, settings)
    real, n_calls = train_module.judge, []

    def killed(*arguments):
        n_calls.append(1)
        if len(n_calls) == 3:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(train_module, "judge", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_encoder("cnn", features, factors, settings, checkpoint=tmp_path / "run")
    monkeypatch.setattr(train_module, "judge", real)
    resumed = fit_encoder("cnn", features, factors, settings, checkpoint=tmp_path / "run")
    assert same(set_of(undisturbed), set_of(resumed))
    again = fit_encoder("cnn", features, factors, settings, checkpoint=tmp_path / "run")
    assert same(set_of(undisturbed), set_of(again))


def test_a_checkpoint_of_another_run_is_named_and_training_starts_over(world, tmp_path: Path, caplog):
    features, factors = world
    fit_encoder("cnn", features, factors, SMALL, checkpoint=tmp_path / "run")
    other = dataclasses.replace(SMALL, seed=1)
    again = fit_encoder("cnn", features, factors, other, checkpoint=tmp_path / "run")
    assert "other settings, songs or targets; starting over" in caplog.text
    assert again.fingerprint == fit_encoder("cnn", features, factors, other).fingerprint


def test_a_damaged_checkpoint_is_named_and_training_starts_over(world, tmp_path: Path, caplog):
    features, factors = world
    sound = fit_encoder("cnn", features, factors, SMALL, checkpoint=tmp_path / "run")
    state = tmp_path / "run" / "state.safetensors"
    data = bytearray(state.read_bytes())
    data[-5] ^= 64
    state.write_bytes(bytes(data))
    again = fit_encoder("cnn", features, factors, SMALL, checkpoint=tmp_path / "run")
    assert "starting over" in caplog.text
    assert again.fingerprint == sound.fingerprint


def test_other_seeds_give_other_weights_and_torchs_own_numbers_are_left_alone(world):
    features, factors = world
    torch.manual_seed(123)
    before = torch.get_rng_state()
    one = fit_encoder("cnn", features, factors, SMALL)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(456)
    two, other = (fit_encoder("cnn", features, factors, dataclasses.replace(SMALL, seed=s)) for s in (0, 1))
    assert same(set_of(one), set_of(two))
    assert not same(set_of(one), set_of(other))


def test_the_best_weights_are_kept_not_the_last(world, monkeypatch):
    features, factors = world
    losses = iter([3.0, 1.0, 2.0, 2.5])
    kept = []

    def scripted(network, *_):
        kept.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return next(losses)

    monkeypatch.setattr(train_module, "validation_loss", scripted)
    encoder = fit_encoder("cnn", features, factors, SMALL)
    assert same(kept[1], set_of(encoder))
    assert not same(kept[3], set_of(encoder))


def test_training_stops_when_patience_runs_out(world, monkeypatch):
    features, factors = world
    losses = iter([3.0, 1.0, 2.0, 2.5])
    monkeypatch.setattr(train_module, "validation_loss", lambda *_: next(losses))
    fit_encoder("cnn", features, factors, dataclasses.replace(SMALL, n_epochs=50, patience=2))
    assert next(losses, None) is None


def test_an_exploding_run_is_refused(world):
    features, factors = world
    with pytest.raises(SettingError, match="Lower lr"):
        fit_encoder("cnn", features, factors, dataclasses.replace(SMALL, optimiser="sgd", lr=1e30))


def test_bfloat16_learns_too_and_predicts_in_float32(world):
    features, factors = world
    many = dataclasses.replace(SMALL, n_epochs=15, lr=5e-3)
    encoder = fit_encoder("cnn", features, factors, dataclasses.replace(many, precision="bfloat16"))
    assert all(tensor.dtype == torch.float32 for tensor in set_of(encoder).values())
    predicted = encoder.predict(features, np.arange(40))
    assert np.corrcoef(predicted.ravel(), factors.vectors.ravel())[0, 1] > 0.8
    assert not in_bfloat16("float32", torch.device("cpu"))


def test_any_number_of_channels_and_short_songs_will_do(make_features, make_factors):
    rng = np.random.default_rng(3)
    features = make_features([rng.normal(size=(n, 26)).astype(np.float32) for n in (1, 5, 31, 32, 200)])
    settings = dataclasses.replace(SMALL, global_pool=True)
    predicted = predict_songs(fit_encoder("cnn", features, make_factors(np.eye(5)), settings), features)
    assert predicted.vectors.shape == (5, 5)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"window": 20}, "no frame is left after layer 2"),
        ({"kernel": 200}, "no frame is left after layer 1"),
        ({"optimiser": "adam"}, "optimiser"),
        ({"loss": "mae"}, "loss"),
        ({"lr": 0.0}, "lr"),
        ({"dropout": 1.0}, "dropout"),
        ({"n_epochs": 0}, "n_epochs"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, words):
    with pytest.raises(SettingError, match=words):
        CnnSettings(**wrong)


def test_a_three_second_window_leaves_five_frames():
    assert frames_left(CnnSettings()) == 5


def test_cuda_is_refused_where_there_is_none(world, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match="cuda"):
        fit_encoder("cnn", *world, dataclasses.replace(SMALL, device="cuda"))


def test_the_loss_is_eq_4_with_weights_worked_by_hand():
    predicted = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    target = torch.tensor([[0.0, 0.0], [3.0, 1.0]])
    # errors 1 + 4 and 9 + 1, by halves 2.5 and 5; weights 1 and 1/4: (2.5 + 1.25) / 1.25
    assert float(weighted_mse(predicted, target, torch.tensor([1.0, 0.25]))) == pytest.approx(3.0)


def test_learning_rates_follow_their_schedules():
    done = np.linspace(0, 0.999, 200)
    rates = {name: np.array([lr_fraction(name, d) for d in done]) for name in SCHEDULES}
    assert all((rate > 0).all() and rate.max() <= 1 for rate in rates.values())
    assert done[np.argmax(rates["onecycle"])] == pytest.approx(0.3, abs=0.01)
    assert (np.diff(rates["cosine"]) < 0).all()
    assert sorted(set(rates["step"])) == [0.01, 0.1, 1]
    assert set(rates["constant"]) == {1}


@pytest.mark.gpu
def test_cuda_predicts_what_the_cpu_does(world, tmp_path: Path):
    features, factors = world
    encoder = fit_encoder("cnn", features, factors, dataclasses.replace(SMALL, device="cuda", n_epochs=15, lr=5e-3))
    on_gpu = encoder.predict(features, np.arange(40))
    assert np.corrcoef(on_gpu.ravel(), factors.vectors.ravel())[0, 1] > 0.8
    encoder.save(tmp_path / "encoder")
    loaded = load_encoder(tmp_path / "encoder")
    loaded.network.to("cpu")
    np.testing.assert_allclose(loaded.predict(features, np.arange(40)), on_gpu, atol=1e-2)


@pytest.mark.gpu
def test_a_resumed_run_on_cuda_goes_on_where_it_stood(world, tmp_path: Path):
    features, factors = world
    settings = dataclasses.replace(SMALL, device="cuda")
    one = fit_encoder("cnn", features, factors, settings, checkpoint=tmp_path / "run")
    two = fit_encoder("cnn", features, factors, settings, checkpoint=tmp_path / "run")
    assert same(set_of(one), set_of(two))
