"""Damaged and joined sound files: no crash, no hang, no foreign exception, bounded memory, nothing lost in silence.

`make fuzz` runs 10,000 mutants, CI a hundred. A failure names the mutant; its seed is its number, so
`mutant(originals, number)` makes it again.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from fuzz_share import keep_counts, n_of

from deepcuts.audio.decode import REASONS

N_MUTANTS = n_of(10_000, 100)
BATCH = 500  # mutants on the disk at a time
SECONDS = 3.0  # of each original
MOST_MEGABYTES, MOST_SECONDS = 300, 10  # of a worker, and of computing for a file
SNIPPETS = [b"\0" * 4, b"\xff" * 4, b"OggS", b"RIFF", b"ID3\4\0\0\0\0\x0f\x7f", b"fLaC", b"\xff\xfb\x90\x64", b"moov",
            b"data"]  # fmt: skip
# Suffix, codec (None: libsndfile writes it), rate, channels.
KINDS = [
    ("wav", None, 8_000, 1), ("wav", None, 44_100, 2), ("aiff", None, 22_050, 1), ("flac", None, 44_100, 2),
    ("flac", None, 16_000, 1), ("ogg", None, 44_100, 2), ("ogg", None, 22_050, 1), ("mp3", "libmp3lame", 44_100, 2),
    ("mp3", "libmp3lame", 22_050, 1), ("m4a", "aac", 44_100, 1), ("opus", "libopus", 48_000, 2),
    ("ac3", "ac3", 44_100, 1),
    ("aac", "aac", 44_100, 2), ("mka", "libopus", 48_000, 1), ("mp2", "mp2", 48_000, 2), ("tta", "tta", 44_100, 2),
    ("wv", "wavpack", 44_100, 1), ("caf", None, 44_100, 1), ("au", None, 8_000, 1), ("w64", None, 22_050, 2),
]  # fmt: skip
# These state their length, or say where they end: what is missing at their end must be noticed.
TELL_THEIR_LENGTH = ("wav", "aiff", "flac", "ogg", "mp3", "m4a", "opus", "mka", "tta", "wv", "w64", "caf", "au")
JOIN_WELL = ("wav", "flac", "ogg", "opus", "mp3", "m4a", "aac", "ac3", "mp2")
CHILD = """
import json, re, sys
from pathlib import Path
from deepcuts.audio import LogMelSettings
from deepcuts.audio.workers import Job, extract_file
settings = LogMelSettings(rate=8000, window=256, hop=256, n_bands=16, min_seconds=0.1, max_hours=1)
for path in sorted(Path(sys.argv[1]).iterdir()):
    print(path.name, file=sys.stderr, flush=True)
    result = extract_file(path, Job("logmel", settings, frozenset(), Path(sys.argv[1] + ".work"), "r"))
    # The peak of this program's own memory: ru_maxrss would also count that of the parent before the exec.
    outcome, status = result.outcome, Path("/proc/self/status").read_text()
    megabytes = int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024
    print(json.dumps([path.name, outcome.reason, outcome.detail, outcome.seconds, outcome.n_frames,
                      result.cpu_seconds, megabytes]), flush=True)
"""


def make_original(path, codec, rate, channels):
    """Three seconds of a rising tone in noise, so that every second of it differs."""
    n = round(SECONDS * rate)
    times = np.arange(n) / rate
    noise = np.random.default_rng(rate + channels).normal(0, 0.02, (n, channels))
    samples = (0.2 * np.sin(2 * np.pi * (300 + 100 * times) * times)[:, None] + noise).astype(np.float32)
    if codec is None:
        soundfile.write(str(path), samples, rate)
        return
    container = {"aac": "adts", "mka": "matroska"}.get(path.suffix[1:])
    with av.open(str(path), "w", format=container) as out:
        layout = "stereo" if channels == 2 else "mono"
        stream = out.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout=layout)
        frame.sample_rate = rate
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate, frame_size=size)
        for made in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(made))
        out.mux(stream.encode(None))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """(suffix, bytes) of a good file of each kind."""
    folder = tmp_path_factory.mktemp("originals")
    made = []
    for number, (suffix, codec, rate, channels) in enumerate(KINDS):
        path = folder / f"{number}.{suffix}"
        make_original(path, codec, rate, channels)
        made.append((suffix, path.read_bytes()))
    return made


def mutant(originals, number):
    """The mutant of a number: suffix, bytes, and the least seconds it must have when it is heard (None: unknown)."""
    rng = np.random.default_rng(number)
    suffix, data = originals[rng.integers(len(originals))]
    how = rng.integers(6)
    if how == 0:  # joined to another: of one kind of file, everything is heard
        other, more = originals[rng.integers(len(originals))]
        known = suffix == other and suffix in JOIN_WELL
        return suffix, data + more, 2 * SECONDS - 0.7 if known else None
    if how == 1:  # the end is missing
        cut = data[: int(rng.integers(1, len(data)))]
        return suffix, cut, SECONDS - 0.5 if suffix in TELL_THEIR_LENGTH else None
    if how == 2 and suffix not in ("wav", "aiff", "w64", "au", "caf", "tta"):  # the end was never written
        kept = int(rng.integers(len(data) // 4, len(data) * 3 // 4))
        return suffix, data[:kept] + bytes(len(data) - kept), SECONDS - 0.5 if suffix in TELL_THEIR_LENGTH else None
    for _ in range(rng.integers(1, 5)):
        data = edit(data, rng, near_start=how == 3)
    return suffix, data, None


def edit(data, rng, near_start):
    """Flip, overwrite, insert, delete or double a few bytes."""
    at = int(rng.integers(0, min(len(data), 200) if near_start else len(data)))
    length = int(rng.integers(1, 200))
    kind = rng.integers(5)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + rng.bytes(4) + data[at + 4 :]
    if kind == 2:
        return data[:at] + SNIPPETS[rng.integers(len(SNIPPETS))] + data[at:]
    if kind == 3:
        return data[:at] + data[at + length :]
    return data[: at + length] + data[at:]


def hear_all(folder):
    """(name, reason, detail, seconds, n_frames, computing seconds, peak megabytes) of each file, by one process."""
    command = [sys.executable, "-c", CHILD, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600, check=False)
    begun = [line for line in done.stderr.splitlines() if re.fullmatch(r"\d+\.\w+", line)]
    assert done.returncode == 0, f"the process died at {begun[-1:]}: {done.stderr[-500:]}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def complaint(heard, least):
    """What is wrong with how a file was heard; "" when nothing is."""
    _, reason, detail, seconds, n_frames, computing, megabytes = heard
    if reason not in ("", *REASONS):
        return f"unknown reason {reason!r}"
    if re.match(r"\w*(Error|Exception|Interrupt): ", detail):
        return f"a foreign exception: {detail}"
    if computing > MOST_SECONDS or megabytes > MOST_MEGABYTES:
        return f"{computing:.1f} s and {megabytes:.0f} MB"
    if reason == "" and n_frames != round(seconds * 8000) // 256:
        return f"{n_frames} frames of {seconds} s"
    if reason == "" and least is not None and seconds < least:
        return f"only {seconds:.2f} s of {least:.2f} s were heard, without a reason"
    return ""


def test_originals_are_heard_whole(originals, tmp_path):
    for number, (suffix, data) in enumerate(originals):
        (tmp_path / f"{number:06d}.{suffix}").write_bytes(data)
    wrong = [(heard, told) for heard in hear_all(tmp_path) if (told := complaint(heard, SECONDS - 0.3) or heard[1])]
    assert not wrong


def test_mutants_are_heard_or_set_aside_with_a_reason(originals, tmp_path):
    wrong, n_heard, most_seconds, most_megabytes = [], 0, 0.0, 0.0
    for first in range(0, N_MUTANTS, BATCH):
        folder, least = tmp_path / str(first), {}
        folder.mkdir()
        for number in range(first, min(first + BATCH, N_MUTANTS)):
            suffix, data, least[number] = mutant(originals, number)
            (folder / f"{number:06d}.{suffix}").write_bytes(data)
        for heard in hear_all(folder):
            told = complaint(heard, least[int(Path(heard[0]).stem)])
            n_heard += heard[1] == ""
            most_seconds, most_megabytes = max(most_seconds, heard[5]), max(most_megabytes, heard[6])
            if told:
                wrong.append(f"{heard[0]}: {told}")
        for path in folder.iterdir():
            path.unlink()
    note = f"at most {most_megabytes:.0f} MB and {most_seconds:.1f} s of computing for a file"
    keep_counts("sound files (20 kinds, joined, cut, edited)", N_MUTANTS, n_heard, len(wrong), note)
    assert not wrong, f"{len(wrong)} of {N_MUTANTS}: " + "\n".join(wrong[:20])
    assert n_heard > N_MUTANTS // 10
