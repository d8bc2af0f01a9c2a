"""MFCC against librosa, and their differences against sums worked by hand."""

import dataclasses

import librosa
import numpy as np
import pytest
import soundfile
from scipy.fft import idct

from deepcuts.audio.decode import BadSound
from deepcuts.audio.mfcc import (
    MfccSettings,
    extract_mfcc,
    mfcc,
    mfcc_frames,
    regression_difference,
    simple_difference,
)
from deepcuts.errors import InputError, SettingError

RATE = 22_050


def some_sound(seconds=2.0, seed=0):
    """A chord that swells, with noise, then faint noise alone: loud and quiet frames."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * hz * time) for hz in (220.0, 554.4, 1318.5)) * (1 - np.cos(2 * np.pi * time)) / 10
    sound = chord + 0.01 * rng.standard_normal(len(time))
    sound[len(sound) * 3 // 4 :] *= 1e-5
    return sound.astype(np.float32)


def oracle_mfcc(samples, **changes):
    wanted = {"n_mfcc": 13, "n_fft": 1024, "hop_length": 512, "n_mels": 128, "center": False, **changes}
    return librosa.feature.mfcc(y=samples, sr=RATE, **wanted).T


@pytest.mark.parametrize("changes", [{}, {"n_mfcc": 20, "n_mels": 40}, {"n_fft": 2048, "hop_length": 256}])
def test_coefficients_are_those_of_librosa(changes):
    settings = MfccSettings(
        n_mfcc=changes.get("n_mfcc", 13),
        n_bands=changes.get("n_mels", 128),
        window=changes.get("n_fft", 1024),
        hop=changes.get("hop_length", 512),
        differences="none",
    )
    oracle = oracle_mfcc(some_sound(), **changes)
    ours = mfcc_frames(some_sound(), settings)
    assert ours.shape == oracle.shape
    np.testing.assert_allclose(ours, oracle, atol=1e-4, rtol=2e-7)  # float32 of values up to 700


def test_without_a_floor_they_are_librosas_without_a_floor():
    sound = some_sound()
    mel = librosa.feature.melspectrogram(y=sound, sr=RATE, n_fft=1024, hop_length=512, center=False)
    oracle = librosa.feature.mfcc(S=librosa.power_to_db(mel, top_db=None), n_mfcc=13).T
    np.testing.assert_allclose(mfcc(mel.T, 13, top_db=None), oracle, atol=1e-3)
    assert np.abs(mfcc(mel.T, 13, top_db=80.0) - oracle).max() > 1  # the floor does something here


@pytest.mark.parametrize("width", [3, 9, 15])
def test_regression_differences_are_those_of_librosa(width):
    frames = np.random.default_rng(0).standard_normal((30, 5)).astype(np.float32)
    for order in (1, 2):
        oracle = librosa.feature.delta(frames.T, width=width, order=order).T
        np.testing.assert_allclose(regression_difference(frames, width, order), oracle, atol=1e-5)


@pytest.mark.parametrize("order", [1, 2])
def test_as_many_frames_as_the_fit_is_wide_share_one_polynomial(order):
    time = np.arange(9.0)[:, None]
    parabola = 1.5 * time**2 - 4 * time  # slope of the best line over all nine: 1.5 * 8 - 4
    np.testing.assert_allclose(regression_difference(parabola, 9, order), {1: 8.0, 2: 3.0}[order], rtol=1e-5)


def test_a_straight_line_has_its_slope_everywhere():
    line = np.arange(20.0)[:, None] * [2.0, -3.0]
    np.testing.assert_allclose(regression_difference(line, 9, 1), np.tile([2.0, -3.0], (20, 1)), atol=1e-5)
    np.testing.assert_allclose(regression_difference(line, 9, 2), 0, atol=1e-5)


def test_simple_differences_are_those_worked_by_hand():
    frames = np.array([[5.0, 0.0], [6.0, 1.0], [8.0, 3.0], [11.0, 2.0]])
    first = simple_difference(frames)
    assert first.tolist() == [[0, 0], [1, 1], [2, 2], [3, -1]]
    assert simple_difference(first).tolist() == [[0, 0], [1, 1], [1, 1], [1, -3]]


def test_a_frame_is_coefficients_then_first_then_second_differences():
    frames = mfcc_frames(some_sound(), MfccSettings())
    assert frames.shape == (1 + (2 * RATE - 1024) // 512, 39)
    assert frames.dtype == np.float32
    np.testing.assert_array_equal(frames[:, :13], mfcc_frames(some_sound(), MfccSettings(differences="none")))
    np.testing.assert_array_equal(frames[1:, 13:26], np.diff(frames[:, :13], axis=0))
    np.testing.assert_array_equal(frames[1:, 26:], np.diff(frames[:, 13:26], axis=0))
    fitted = mfcc_frames(some_sound(), MfccSettings(differences="regression"))
    oracle = librosa.feature.delta(frames[:, :13].T, width=9, order=2).T
    np.testing.assert_allclose(fitted[:, 26:], oracle, atol=1e-3)


def test_all_coefficients_give_the_decibels_back():
    rng = np.random.default_rng(1)
    decibels = rng.uniform(-60, 0, (7, 16))
    back = idct(mfcc(10 ** (decibels / 10), n_mfcc=16, top_db=None), norm="ortho", axis=1)
    np.testing.assert_allclose(back, decibels, atol=1e-4)


def test_twice_as_loud_moves_only_the_first_coefficient():
    sound = 0.3 * np.random.default_rng(2).standard_normal(RATE).astype(np.float32)
    quiet, loud = (mfcc_frames(gain * sound, MfccSettings(differences="none")) for gain in (1, 2))
    np.testing.assert_allclose((loud - quiet)[:, 0], 10 * np.log10(4) * 128**0.5, rtol=1e-4)
    np.testing.assert_allclose(loud[:, 1:], quiet[:, 1:], atol=1e-3)


def test_digital_silence_is_finite():
    assert np.isfinite(mfcc_frames(np.zeros(RATE, np.float32), MfccSettings())).all()


def test_less_than_a_window_gives_no_frame():
    assert mfcc_frames(np.zeros(1023, np.float32), MfccSettings()).shape == (0, 39)
    assert mfcc_frames(np.zeros(1024, np.float32), MfccSettings()).shape == (1, 39)


def test_a_file_gives_the_frames_of_its_samples(tmp_path):
    sound = some_sound(4.0)
    soundfile.write(tmp_path / "song.wav", sound, RATE, subtype="FLOAT")
    frames, seconds, facts = extract_mfcc(tmp_path / "song.wav", MfccSettings())
    np.testing.assert_allclose(frames, mfcc_frames(sound, MfccSettings()), atol=2e-3)
    assert seconds == pytest.approx(4.0)
    assert facts.rate == RATE
    assert len(extract_mfcc(tmp_path / "song.wav", MfccSettings(max_seconds=3.0))[0]) == 128


def test_a_file_too_short_is_set_aside_with_its_reason(tmp_path):
    soundfile.write(tmp_path / "short.wav", some_sound(1.0), RATE)
    with pytest.raises(BadSound) as caught:
        extract_mfcc(tmp_path / "short.wav", MfccSettings())
    assert caught.value.reason == "too short"
    soundfile.write(tmp_path / "tiny.wav", some_sound(0.1), RATE)
    with pytest.raises(BadSound, match="regression differences need 9") as caught:
        extract_mfcc(tmp_path / "tiny.wav", MfccSettings(min_seconds=0.05, differences="regression"))
    assert caught.value.reason == "too short"


def test_too_few_frames_for_a_fit_are_refused():
    with pytest.raises(InputError, match="clip has 3 frames: regression differences need 9"):
        mfcc_frames(np.zeros(1024 + 2 * 512, np.float32), MfccSettings(differences="regression"))


def test_settings_tell_the_channels_and_the_frame_rate():
    assert MfccSettings().n_channels == 39
    assert MfccSettings(n_mfcc=20, differences="none").n_channels == 20
    assert MfccSettings().frame_rate == pytest.approx(43.07, abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_mfcc": 0}, "n_mfcc = 0"),
        ({"n_mfcc": 200}, "n_mfcc = 200: expected 1 to n_bands = 128"),
        ({"top_db": 0.0}, "top_db = 0.0"),
        ({"differences": "third"}, "differences = 'third'"),
        ({"width": 4}, "width = 4: expected an odd number"),
        ({"rate": 10}, "rate = 10"),
        ({"hop": 0}, "hop = 0"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(SettingError, match=message):
        dataclasses.replace(MfccSettings(), **change)
