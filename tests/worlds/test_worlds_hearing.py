"""Every audible latent can be heard, and half of them only by one who hears order: the point of the planted world."""

import numpy as np
import pytest
from scipy.fft import rfft
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepcuts.artifacts import Features, SongFactors, Vocabulary
from deepcuts.predict import RelevanceSettings, fit_encoder, predict_songs
from deepcuts.worlds.synth import SPECTRAL, TEMPORAL, controls_from_latents, song_sound

N_SONGS, N_BANDS, WINDOW, HOP = 300, 64, 1024, 512


def mel_bands() -> np.ndarray:
    """Triangles [n_bins, N_BANDS] evenly spaced in mel, for this test only."""
    mel = np.linspace(0, 2595 * np.log10(1 + 11_025 / 700), N_BANDS + 2)
    corners = 700 * (10 ** (mel / 2595) - 1)
    bins = np.linspace(0, 11_025, WINDOW // 2 + 1)[:, None]
    up = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    down = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    bands = np.clip(np.minimum(up, down), 0, None)
    return (bands / np.maximum(bands.sum(axis=0), 1e-9)).astype(np.float32)


@pytest.fixture(scope="module")
def heard() -> tuple[np.ndarray, np.ndarray]:
    """Latents [N_SONGS, 12] and log-mel frames [N_SONGS, n_frames, N_BANDS] of songs with independent latents."""
    latents = np.random.default_rng(0).standard_normal((N_SONGS, 12))
    bands, window = mel_bands(), np.hanning(WINDOW).astype(np.float32)
    frames = []
    for song, row in enumerate(latents):
        rng = np.random.default_rng(song)
        sound = song_sound(controls_from_latents(row), 8.0, rng, snr_db=(10, 30), gain_db=6)
        cut = np.lib.stride_tricks.sliding_window_view(sound.astype(np.float32) / 32_768, WINDOW)[::HOP]
        frames.append(np.log(1e-2 + np.abs(rfft(cut * window, axis=1)) @ bands))
    return latents, np.stack(frames)


def explained(features: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """R² of ridge on held-out songs, for each latent."""
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(1, 4, 4)))
    guessed = np.stack([cross_val_predict(model, features, column, cv=4) for column in wanted.T], axis=1)
    return 1 - ((guessed - wanted) ** 2).mean(axis=0) / wanted.var(axis=0)


def onsets(frames: np.ndarray) -> np.ndarray:
    """How much each of 16 groups of bands rises from frame to frame, scaled for each song."""
    rises = np.maximum(np.diff(frames, axis=1), 0).reshape(len(frames), -1, 16, N_BANDS // 16).mean(axis=3)
    return rises / np.sqrt((rises**2).mean(axis=1, keepdims=True))


def test_a_bag_of_frames_hears_the_spectral_latents_and_none_of_the_temporal_ones(
    heard: tuple[np.ndarray, np.ndarray],
) -> None:
    latents, frames = heard
    bag = np.concatenate([frames.mean(axis=1), frames.std(axis=1)], axis=1)
    found = dict(zip([*SPECTRAL, *TEMPORAL], explained(bag, latents), strict=True))
    assert np.mean([found[name] for name in SPECTRAL]) > 0.6
    assert min(found[name] for name in SPECTRAL) > 0.3
    assert max(found[name] for name in TEMPORAL) < 0.1


def test_spacing_is_heard_in_what_recurs_after_a_lag(heard: tuple[np.ndarray, np.ndarray]) -> None:
    latents, frames = heard
    rises = onsets(frames)
    rises = rises - rises.mean(axis=1, keepdims=True)
    recurs = [(rises[:, :-lag] * rises[:, lag:]).mean(axis=1) for lag in range(4, 32)]
    for name in ("swing", "roll", "restless"):
        column = 6 + TEMPORAL.index(name)
        assert explained(np.concatenate(recurs, axis=1), latents[:, [column]])[0] > 0.35, name


def test_direction_is_heard_in_what_goes_before_what(heard: tuple[np.ndarray, np.ndarray]) -> None:
    """Band i before band j, less band j before band i, at the lags of one and two notes."""
    latents, frames = heard
    low = frames[:, :, :14] - frames[:, :, :14].mean(axis=1, keepdims=True)
    low = low / low.std(axis=1, keepdims=True)
    pairs = np.triu_indices(14, 1)
    order = []
    for lag in (11, 22):
        ahead = np.swapaxes(low[:, :-lag], 1, 2) @ low[:, lag:] / low.shape[1]
        order.append((ahead - np.swapaxes(ahead, 1, 2))[:, pairs[0], pairs[1]])
    for name in ("rise", "sweep"):
        column = 6 + TEMPORAL.index(name)
        assert explained(np.concatenate(order, axis=1), latents[:, [column]])[0] > 0.35, name


def test_an_echo_is_heard_in_how_soon_its_band_follows_that_of_the_clap(
    heard: tuple[np.ndarray, np.ndarray],
) -> None:
    """Claps lie from 4.4 to 6.3 kHz, their answers from 3.05 to 4.05 kHz."""
    latents, frames = heard
    centre = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 11_025 / 700), N_BANDS + 2)[1:-1] / 2595) - 1)
    rises = np.maximum(np.diff(frames, axis=1), 0)
    claps = rises[:, :, (centre > 4_400) & (centre < 6_300)].mean(axis=2)
    answers = rises[:, :, (centre > 3_050) & (centre < 4_050)].mean(axis=2)
    strength = np.sqrt((claps**2).mean(axis=1) * (answers**2).mean(axis=1))
    ahead = [(claps[:, :-lag] * answers[:, lag:]).mean(axis=1) / strength for lag in range(3, 20)]
    column = 6 + TEMPORAL.index("echo")
    assert explained(np.stack(ahead, axis=1), latents[:, [column]])[0] > 0.6


def test_an_encoder_told_the_latents_hears_each_of_them_in_new_songs(heard: tuple[np.ndarray, np.ndarray]) -> None:
    """A latent that direct supervision cannot hear is not audible; 210 songs are few, so .5 is asked here."""
    latents, frames = heard
    songs = Vocabulary([f"s{i}" for i in range(N_SONGS)])
    starts = np.arange(N_SONGS + 1) * frames.shape[1]
    features = Features(songs, frames.reshape(-1, N_BANDS), starts, "logmel", {})
    told = SongFactors(songs, latents.astype(np.float32)).take(np.arange(210))
    encoder = fit_encoder("relevance", features, told, RelevanceSettings(target="raw"))
    guessed = predict_songs(encoder, features, songs.take(np.arange(210, N_SONGS))).vectors
    left = ((guessed - latents[210:]) ** 2).mean(axis=0) / latents[210:].var(axis=0)
    found = dict(zip([*SPECTRAL, *TEMPORAL], np.round(1 - left, 2).tolist(), strict=True))
    assert min(found.values()) > 0.5, found
