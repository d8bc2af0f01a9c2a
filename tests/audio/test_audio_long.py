"""Long sound: frames leave by blocks, limits hold, and a decoder that never ends is ended."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from deepcuts.artifacts import Features
from deepcuts.audio import FEATURES, LogMelSettings, MfccSettings, mfcc, spool, workers
from deepcuts.audio.decode import BadSound
from deepcuts.audio.extract import extract
from deepcuts.audio.extractors import LIMITS, recipe_settings
from deepcuts.audio.logmel import extract_logmel
from deepcuts.audio.mfcc import mfcc_frames
from deepcuts.audio.shards import Outcome, Shelf
from deepcuts.errors import ResourceError

SMALL = LogMelSettings(rate=8000, n_bands=20, window=512, hop=512, min_seconds=0.5)


def noise(seed, seconds=2.0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * 8000)).astype(np.float32)


@pytest.fixture
def music(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    for seed in range(3):
        soundfile.write(folder / f"{seed}.wav", noise(seed), 8000)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_frames_written_by_the_worker_make_the_same_artifact(music, tmp_path, monkeypatch):
    extract(music, "logmel", SMALL, tmp_path / "memory", jobs=1)
    monkeypatch.setattr(spool, "MOST_IN_MEMORY", 100)  # bytes: less than one frame
    extract(music, "logmel", SMALL, tmp_path / "disk", jobs=1)
    assert contents(tmp_path / "memory") == contents(tmp_path / "disk")
    assert not (tmp_path / ".disk.work").exists()


def test_frames_that_a_killed_run_wrote_are_found_again(music, tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "MOST_IN_MEMORY", 100)
    recipe = Features(extract_vocabulary(), np.zeros((0, 1)), np.zeros(1, np.int64), "logmel", recipe_settings(SMALL))
    job = workers.Job("logmel", SMALL, frozenset(), tmp_path / ".mel.work", recipe.recipe)
    done = workers.extract_file(music / "0.wav", job)
    assert done.path is not None
    (tmp_path / f".mel.work/{recipe.recipe}-half.npy.1.partial").write_bytes(b"half")
    report = extract(music, "logmel", SMALL, tmp_path / "mel", jobs=1)
    assert (report.n_songs, report.n_reused) == (3, 1)


def extract_vocabulary():
    from deepcuts.artifacts import Vocabulary

    return Vocabulary([])


def test_a_damaged_file_of_frames_is_removed_and_the_sound_heard_again(tmp_path):
    held = spool.Spool(tmp_path / "r-1", 2)
    held.add(np.ones((3, 2), np.float16))
    held._write_held()
    outcome = Outcome("1", n_frames=3)
    frames, path = held.close(outcome)
    assert frames is None
    np.testing.assert_array_equal(np.load(path), np.ones((3, 2)))
    assert Shelf(tmp_path, "r").known["1"][0] == outcome
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ResourceError, match="Run the same command again"), (tmp_path / "out").open("wb") as into:
        spool.copy_rows(path, 0, 3, into)
    assert Shelf(tmp_path, "r").known == {}


def test_a_bad_file_leaves_no_frames_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "MOST_IN_MEMORY", 100)
    samples = np.concatenate([noise(0, 30), np.full(8000, np.nan, np.float32)])
    soundfile.write(tmp_path / "a.wav", samples, 8000, "FLOAT")
    job = workers.Job("logmel", SMALL, frozenset(), tmp_path / "work", "r")
    assert workers.extract_file(tmp_path / "a.wav", job).outcome.reason == "not finite"
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("differences", ["simple", "regression", "none"])
def test_mfcc_by_blocks_are_those_of_the_whole(tmp_path, monkeypatch, differences):
    settings = MfccSettings(rate=8000, window=512, hop=256, n_bands=40, differences=differences, min_seconds=0.5)
    samples = np.concatenate([noise(0, 3), 1e-5 * noise(1, 3)])  # the floor hangs on the loud half
    soundfile.write(tmp_path / "a.wav", samples, 8000, "FLOAT")
    whole = mfcc_frames(samples, settings)
    for size in (7, 50, 10**6):
        monkeypatch.setattr(mfcc, "FRAMES_AT_ONCE", size)
        np.testing.assert_allclose(mfcc.extract_mfcc(tmp_path / "a.wav", settings)[0], whole, atol=2e-3)


def test_a_longer_file_than_allowed_is_set_aside_by_its_header(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(0, 8), 8000)
    limited = dataclasses.replace(SMALL, max_hours=0.001)  # 3.6 s
    with pytest.raises(BadSound, match=r"too long.*max_hours") as refused:
        extract_logmel(tmp_path / "a.wav", limited)
    assert refused.value.reason == "too long"
    part = dataclasses.replace(limited, max_seconds=2.0)
    assert extract_logmel(tmp_path / "a.wav", part)[1] == 2.0


def test_a_longer_file_than_allowed_is_set_aside_without_a_header_too(tmp_path):
    soundfile.write(tmp_path / "a.mp3", np.tile(noise(0, 8), 4), 8000)
    data = (tmp_path / "a.mp3").read_bytes().replace(b"Xing", b"none").replace(b"Info", b"none")
    (tmp_path / "a.mp3").write_bytes(data)
    with pytest.raises(BadSound, match="too long"):
        extract_logmel(tmp_path / "a.mp3", dataclasses.replace(SMALL, max_hours=0.001))


def test_a_file_that_was_too_long_is_heard_when_the_limit_is_raised(music, tmp_path):
    soundfile.write(music / "long.wav", noise(9, 8), 8000)
    limited = dataclasses.replace(SMALL, max_hours=0.001)
    assert extract(music, "logmel", limited, tmp_path / "mel", jobs=1).n_quarantined == 1
    assert extract(music, "logmel", SMALL, tmp_path / "mel", jobs=1).n_songs == 4


def test_limits_are_no_part_of_the_recipe():
    for extractor in FEATURES.values():
        assert not set(recipe_settings(extractor.settings())) & set(LIMITS)


def test_a_lower_rate_may_be_allowed_for_the_middle_of_a_file_too(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(0, 80), 800)
    settings = dataclasses.replace(SMALL, min_rate=500, max_seconds=2.0, clip="middle")
    assert extract_logmel(tmp_path / "a.wav", settings)[1] == pytest.approx(2.0)


@pytest.mark.slow
def test_a_decoder_that_never_ends_is_ended(music, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from deepcuts.audio import workers\n"
        "from deepcuts.audio.extractors import FEATURES, Extractor\n"
        "from deepcuts.audio.logmel import LogMelSettings\n"
        "workers.STALL_SECONDS = 1.0\n"
        "extractor = FEATURES['logmel']\n"
        "def hear(path, settings):\n"
        "    while True: pass\n"
        "FEATURES['logmel'] = Extractor(extractor.settings, extractor.suffixes, hear)\n"
        "if __name__ == '__main__':\n"
        "    job = workers.Job('logmel', LogMelSettings(), frozenset())\n"
        "    outcome = workers.extract_alone(Path(sys.argv[1]), job).outcome\n"
        "    print(outcome.reason, outcome.detail)\n"
    )
    command = [sys.executable, script, music / "1.wav"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "unreadable no sound came in 1 s of computing", done.stderr


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path):
    """Five and twenty minutes, by one process each; frames of small hops, which leave by the disk."""
    peaks = []
    for minutes in (5, 20):
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16") as file:
            for _ in range(minutes):
                file.write(np.tile(noise(0, 1), 60))
        script = (
            "import re, sys\n"
            "from pathlib import Path\n"
            "from deepcuts.audio import LogMelSettings\n"
            "from deepcuts.audio.workers import Job, extract_file\n"
            "settings = LogMelSettings(rate=8000, window=256, hop=64)\n"
            "job = Job('logmel', settings, frozenset(), Path(sys.argv[2]), 'r')\n"
            "result = extract_file(Path(sys.argv[1]), job)\n"
            # The program's own peak: ru_maxrss would also count that of the parent before the exec.
            "peak = re.search('VmHWM: *.([0-9]+)', Path('/proc/self/status').read_text().replace(chr(9), ' '))[1]\n"
            "print(result.outcome.n_frames, int(peak) / 1024)\n"
        )
        command = [sys.executable, "-c", script, path, tmp_path / "work"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        n_frames, peak = done.stdout.split()
        assert int(n_frames) == 1 + (minutes * 60 * 8000 - 256) // 64
        peaks.append(float(peak))
    assert peaks[1] < peaks[0] + 12  # the frames of twenty minutes are 38 MB
    assert peaks[1] < 300
