import librosa
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from deepcuts.audio.decode import BadSound
from deepcuts.audio.logmel import (
    LogMelSettings,
    extract_logmel,
    hz_to_mel,
    logmel,
    mel_blocks,
    mel_filters,
    mel_spectrogram,
    mel_spectrogram_slowly,
    mel_to_hz,
)
from deepcuts.errors import SettingError

VARIANTS = [
    LogMelSettings(),
    LogMelSettings(n_bands=40, window=2048, hop=300),
    LogMelSettings(rate=16_000, low_hz=50, high_hz=7000, n_bands=64),
    LogMelSettings(power=1, hop=1024),
]


def noise(seconds, rate=22_050, seed=0):
    return np.random.default_rng(seed).uniform(-0.7, 0.7, round(seconds * rate)).astype(np.float32)


@pytest.mark.parametrize("settings", VARIANTS)
def test_the_filters_are_those_of_librosa(settings):
    theirs = librosa.filters.mel(
        sr=settings.rate,
        n_fft=settings.window,
        n_mels=settings.n_bands,
        fmin=settings.low_hz,
        fmax=settings.top_hz,
        htk=False,
        norm="slaney",
    )
    np.testing.assert_allclose(mel_filters(settings), theirs, atol=1e-7 * theirs.max())


@pytest.mark.parametrize("settings", VARIANTS)
def test_the_spectrogram_is_that_of_librosa(settings):
    samples = noise(4, settings.rate)
    theirs = librosa.feature.melspectrogram(
        y=samples,
        sr=settings.rate,
        n_fft=settings.window,
        hop_length=settings.hop,
        n_mels=settings.n_bands,
        fmin=settings.low_hz,
        fmax=settings.top_hz,
        center=False,
        htk=False,
        norm="slaney",
        power=settings.power,
    ).T
    ours = mel_spectrogram(samples, settings)
    assert ours.dtype == np.float32
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * theirs.max())


@pytest.mark.parametrize("settings", VARIANTS)
def test_the_fast_spectrogram_is_its_readable_twin(settings):
    samples = noise(1.5, settings.rate)
    slow = mel_spectrogram_slowly(samples, settings)
    np.testing.assert_allclose(mel_spectrogram(samples, settings), slow, atol=1e-6 * slow.max(), rtol=1e-4)


@pytest.mark.parametrize("settings", [*VARIANTS, LogMelSettings(n_bands=7), LogMelSettings(n_bands=1, window=4096)])
def test_the_bits_do_not_depend_on_the_threads_of_blas(settings):
    samples = noise(2, settings.rate)
    found = []
    for n_threads in (1, 4):
        with threadpool_limits(n_threads):
            found.append(mel_spectrogram(samples, settings))
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(found[0], mel_spectrogram_slowly(samples, settings), rtol=1e-4)


@pytest.mark.parametrize(("seconds", "n_frames"), [(3, 128), (29, 1247), (0.04, 0), (1024 / 22_050, 1)])
def test_three_seconds_are_128_frames_and_29_are_1247(seconds, n_frames):
    assert logmel(noise(seconds)).shape == (n_frames, 128)


@pytest.mark.parametrize("settings", VARIANTS)
@pytest.mark.parametrize("size", [1, 333, 33_280, 100_000])
def test_blocks_of_samples_give_exactly_the_frames_of_the_whole(settings, size):
    samples = noise(0.2 if size == 1 else 6, settings.rate)
    blocks = [samples[start : start + size] for start in range(0, len(samples), size)]
    joined = np.concatenate(list(mel_blocks(blocks, settings)))
    np.testing.assert_array_equal(joined, mel_spectrogram(samples, settings))


@pytest.mark.parametrize("hz", [100, 440, 3000, 9000])
def test_a_tone_lights_its_band(tone, hz):
    settings = LogMelSettings()
    centres = mel_to_hz(np.linspace(0, hz_to_mel(np.array(11_025.0)), 130))[1:-1]
    lit = np.argmax(logmel(tone(hz, 3)).mean(axis=0))
    # A window of 1024 samples tells frequencies 21.5 Hz apart.
    assert abs(centres[lit] - hz) <= max(np.diff(centres)[min(lit, 126)], settings.rate / settings.window)


def test_a_tone_above_the_highest_band_vanishes(tone):
    settings = LogMelSettings(high_hz=5000.0)
    assert mel_spectrogram(tone(8000, 3), settings).max() < 1e-6 * mel_spectrogram(tone(4000, 3), settings).max()


def test_a_gain_of_x_raises_energies_x_squared_times_and_magnitudes_x_times():
    samples = noise(3)
    for power in (1.0, 2.0):
        settings = LogMelSettings(power=power)
        louder = mel_spectrogram(3 * samples, settings)
        np.testing.assert_allclose(louder, 3**power * mel_spectrogram(samples, settings), rtol=1e-4)


def test_the_compression_is_a_logarithm_of_one_plus_10_000_times_the_energy():
    samples = noise(3)
    np.testing.assert_allclose(logmel(samples), np.log(1 + 10_000.0 * mel_spectrogram(samples)), rtol=1e-5)
    assert (logmel(np.zeros(66_150, np.float32)) == 0).all()


def test_1000_hz_is_15_mel_and_6400_hz_is_42():
    np.testing.assert_allclose(hz_to_mel(np.array([0.0, 200.0, 1000.0, 6400.0])), [0, 3, 15, 42])
    hz = np.geomspace(10, 11_000, 50)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz)), hz)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hop", 0),
        ("hop", 2000),
        ("n_bands", 0),
        ("power", 3.0),
        ("high_hz", 12_000.0),
        ("low_hz", -1.0),
        ("compression", 0.0),
        ("min_seconds", 0.01),
        ("max_seconds", 1.0),
        ("clip", "end"),
        ("rate", 5),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(SettingError, match=f"{name} = "):
        LogMelSettings(**{name: value})


def test_more_bands_than_the_window_can_tell_apart_are_refused():
    with pytest.raises(SettingError, match="Take fewer bands"):
        mel_spectrogram(noise(3), LogMelSettings(n_bands=500))


def test_a_file_gives_the_frames_of_its_samples(tmp_path, write_sound):
    samples = noise(5)
    frames, seconds, facts = extract_logmel(write_sound(tmp_path / "a.wav", samples, subtype="FLOAT"), LogMelSettings())
    np.testing.assert_array_equal(frames, logmel(samples))
    assert (seconds, facts.rate, facts.channels) == (5.0, 22_050, 1)


@pytest.mark.parametrize("clip", ["start", "middle"])
@pytest.mark.parametrize("length_known", [True, False])
def test_a_clip_is_taken_from_the_start_or_the_middle(tmp_path, write_sound, clip, length_known):
    samples = noise(10)
    samples[: 3 * 22_050] *= 0.01
    samples[7 * 22_050 :] *= 0.01
    path = write_sound(tmp_path / "a.wav", samples, subtype="FLOAT")
    if not length_known:
        path = write_sound(tmp_path / "a.aac", samples)
    settings = LogMelSettings(max_seconds=4.0, clip=clip)
    frames, seconds, _ = extract_logmel(path, settings)
    assert seconds == pytest.approx(4.0)
    start = 0 if clip == "start" else 3 * 22_050
    if length_known:
        np.testing.assert_array_equal(frames, logmel(samples[start : start + 4 * 22_050]))
    else:
        loud = frames.mean(axis=1) > 6
        assert len(loud) == 171
        assert loud[5:-5].all() if clip == "middle" else not loud[:125].any() and loud[135:].all()


def test_short_and_silent_files_are_bad_sound(tmp_path, write_sound, tone):
    for name, samples, reason in (
        ("short", noise(2.9), "too short"),
        ("silent", np.zeros(100_000), "silent"),
        ("opposite", np.stack([tone(), -tone()], 1), "silent"),
        ("nothing", np.zeros(0), "too short"),
    ):
        with pytest.raises(BadSound) as caught:
            extract_logmel(write_sound(tmp_path / f"{name}.wav", samples), LogMelSettings())
        assert caught.value.reason == reason
