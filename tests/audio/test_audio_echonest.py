import h5py
import numpy as np
import pytest

from deepcuts.audio.decode import BadSound
from deepcuts.audio.echonest import EchonestSettings, extract_echonest, lay_on_grid, lay_on_grid_slowly, turn_pitches
from deepcuts.errors import SettingError

SEGMENTS = EchonestSettings(frame_rate=0.0)


def write_analysis(path, starts, duration, timbre=None):
    n, rng = len(starts), np.random.default_rng(0)
    song = np.zeros(1, [("duration", "f8"), ("analysis_sample_rate", "i4")])
    song["duration"], song["analysis_sample_rate"] = duration, 22_050
    with h5py.File(path, "w") as file:
        file["analysis/songs"] = song
        file["analysis/segments_start"] = np.asarray(starts, float)
        file["analysis/segments_timbre"] = rng.normal(0, 50, (n, 12)) if timbre is None else timbre
        file["analysis/segments_pitches"] = rng.uniform(0, 1, (n, 12))
        file["analysis/segments_loudness_max"] = rng.uniform(-60, 0, n)
    return path


def reason_of(path):
    with pytest.raises(BadSound) as caught:
        extract_echonest(path, EchonestSettings())
    return caught.value.reason


def test_a_segment_is_12_timbre_12_pitch_loudness_and_log_duration(tmp_path):
    path = write_analysis(tmp_path / "a.h5", [0.0, 1.0, 3.0], 3.5)
    frames, seconds, facts = extract_echonest(path, SEGMENTS)
    with h5py.File(path) as file:
        analysis = file["analysis"]
        np.testing.assert_allclose(frames[:, :12], analysis["segments_timbre"], rtol=1e-6)
        np.testing.assert_allclose(frames[:, 12:24], analysis["segments_pitches"], rtol=1e-6)
        np.testing.assert_allclose(frames[:, 24], analysis["segments_loudness_max"], rtol=1e-6)
    np.testing.assert_allclose(frames[:, 25], np.log([1.0, 2.0, 0.5]), rtol=1e-6)
    assert (seconds, facts.rate) == (3.5, 22_050)


def test_a_grid_worked_by_hand():
    # 10 sounds for 0.5 s, 20 for 1 s, 40 for 1 s; frames of 1 s; the last half second makes no whole frame.
    values = np.array([[10.0], [20.0], [40.0]])
    frames = lay_on_grid(values, np.array([0.0, 0.5, 1.5]), 2.5, 1.0)
    np.testing.assert_allclose(frames, [[15.0], [30.0]])


def test_what_sounds_before_the_first_segment_is_the_first_segment():
    frames = lay_on_grid(np.array([[1.0], [5.0]]), np.array([0.7, 1.0]), 2.0, 1.0)
    np.testing.assert_allclose(frames, [[1.0], [5.0]])


def test_the_fast_grid_is_its_readable_twin():
    rng = np.random.default_rng(1)
    starts = np.concatenate([[0.0], np.cumsum(rng.uniform(0.06, 1.5, 60))])
    values = rng.normal(0, 100, (61, 5))
    for frame_rate in (0.3, 4.0, 21.5):
        slow = lay_on_grid_slowly(values, starts, starts[-1] + 0.4, frame_rate)
        np.testing.assert_allclose(lay_on_grid(values, starts, starts[-1] + 0.4, frame_rate), slow, atol=1e-8)


def test_the_mean_over_the_grid_is_the_mean_over_time():
    rng = np.random.default_rng(2)
    starts = np.concatenate([[0.0], np.sort(rng.uniform(0, 30, 80))])
    values = rng.normal(0, 1, (81, 3))
    over_time = np.diff(np.append(starts, 30.0)) @ values / 30
    np.testing.assert_allclose(lay_on_grid(values, starts, 30.0, 4.0).mean(axis=0), over_time, atol=1e-12)


def test_bad_analyses_say_what_is_wrong(tmp_path):
    good = write_analysis(tmp_path / "good.h5", np.arange(2000) / 4, 500.0)
    content = good.read_bytes()
    (tmp_path / "half.h5").write_bytes(content[: len(content) // 2])
    assert reason_of(tmp_path / "half.h5") == "truncated"
    (tmp_path / "empty.h5").write_bytes(b"")
    assert reason_of(tmp_path / "empty.h5") == "zero bytes"
    (tmp_path / "text.h5").write_bytes(b"not an analysis" * 1000)
    assert reason_of(tmp_path / "text.h5") == "not audio"
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = np.arange(3)
    assert reason_of(tmp_path / "other.h5") == "not audio"
    assert reason_of(tmp_path / "missing.h5") == "unreadable"
    assert reason_of(write_analysis(tmp_path / "short.h5", [0.0, 1.0], 2.0)) == "too short"
    assert reason_of(write_analysis(tmp_path / "none.h5", [], 200.0)) == "too short"
    assert reason_of(write_analysis(tmp_path / "back.h5", [0.0, 2.0, 1.0], 5.0)) == "unreadable"
    not_numbers = np.full((4, 12), np.nan)
    assert reason_of(write_analysis(tmp_path / "nan.h5", [0, 1, 2, 3], 5.0, not_numbers)) == "not finite"


def test_settings_out_of_range_are_refused():
    for settings in ({"frame_rate": -1.0}, {"frame_rate": 0.1}, {"min_seconds": 0.0}):
        with pytest.raises(SettingError):
            EchonestSettings(**settings)


@pytest.mark.realdata
def test_real_analyses_are_heard_whole(real_data):
    files = sorted((real_data / "msd_h5").glob("*.h5"))[::8]
    assert len(files) > 20
    for path in files:
        frames, seconds, _ = extract_echonest(path, EchonestSettings())
        segments = extract_echonest(path, SEGMENTS)[0]
        assert frames.shape == (int(seconds * 4), 26)
        assert np.isfinite(frames).all()
        assert 1 < len(segments) / seconds < 8
        assert -70 < frames[:, 24].min() <= frames[:, 24].max() < 10
        assert 0 <= frames[:, 12:24].min() <= frames[:, 12:24].max() <= 1 + 1e-5


def test_relative_pitch_forgets_the_key_and_nothing_else() -> None:
    rng = np.random.default_rng(5)
    values, seconds = rng.random((40, 25)), rng.random(40)
    other_key = values.copy()
    other_key[:, 12:24] = np.roll(values[:, 12:24], 5, axis=1)
    turned = turn_pitches(values, seconds)
    assert turned == pytest.approx(turn_pitches(other_key, seconds))
    assert (turned[:, :12] == values[:, :12]).all()
    assert (turned[:, 24] == values[:, 24]).all()
    assert int((seconds[:, None] * turned[:, 12:24]).sum(axis=0).argmax()) == 0
