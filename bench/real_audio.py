"""Features of real tracks in every format: throughput, every failure explained, and 20 kills survived.

    python bench/real_audio.py [FOLDER] [--work work/real_audio] [--kills 20] [-o docs/results/real_audio.json]

FOLDER holds any sound files; without it Debian's free music is fetched (`apt-get download`, some 600 MB unpacked).
Some tracks are converted to the formats Debian does not ship, and a few bad files are planted beside them.
"""

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import polars as pl
import soundfile

from deepcuts.audio.decode import decode
from deepcuts.audio.extract import extract
from deepcuts.audio.logmel import LogMelSettings
from deepcuts.store import write_file

PACKAGES = ("gunroar-data", "torus-trooper-data", "supertux-data", "hyperrogue-music", "wesnoth-1.16-music")
SUFFIXES = (".ogg", ".mp3", ".flac", ".wav", ".m4a", ".opus", ".aac", ".wma")
CODECS = {"m4a": ("aac", "mp4", 44_100), "opus": ("libopus", "ogg", 48_000), "mp3": ("libmp3lame", "mp3", 44_100)}
CONVERTED_SECONDS = 90.0


def fetch(folder: Path) -> Path:
    """Debian's free music, unpacked."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if not list(folder.glob(f"{package}_*.deb")):
            subprocess.run(["apt-get", "download", "-q", package], cwd=folder, check=True)
        archive = next(folder.glob(f"{package}_*.deb"))
        subprocess.run(["dpkg", "-x", archive.name, package], cwd=folder, check=True)
    return folder


def collect(source: Path, sounds: Path) -> list[Path]:
    """Copies of all sound files, under names that tell where they come from."""
    for path in sorted(source.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file() and path.stat().st_size > 50_000:
            name = "_".join(path.relative_to(source).parts[-3:])
            if not (sounds / name).exists():
                shutil.copyfile(path, sounds / name)
    return sorted(sounds.iterdir())


def convert(path: Path, out: Path, kind: str) -> None:
    """A minute and a half of a track in another format."""
    rate = CODECS[kind][2] if kind in CODECS else 44_100
    samples = decode(path, rate=rate, seconds=CONVERTED_SECONDS)
    if kind not in CODECS:
        soundfile.write(out, samples, rate, format=kind.upper())
        return
    codec, container, rate = CODECS[kind]
    with av.open(str(out), "w", format=container) as file:
        stream = cast(av.AudioStream, file.add_stream(codec, rate=rate, layout="stereo"))
        for first in range(0, len(samples), rate):
            both = np.stack([samples[first : first + rate]] * 2).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(both, "fltp", "stereo")
            frame.sample_rate, frame.pts = rate, first
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def plant_bad_files(sounds: Path, good: Path) -> dict[str, str]:
    """Files that must be set aside, and why."""
    (sounds / "bad-empty.mp3").write_bytes(b"")
    (sounds / "bad-text.flac").write_text("This is not music.\n" * 100)
    (sounds / "bad-half.ogg").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    soundfile.write(sounds / "bad-silent.wav", np.zeros(220_500, np.float32), 22_050)
    soundfile.write(sounds / "bad-short.wav", np.sin(np.arange(22_050) / 10), 22_050)
    return {
        "bad-empty.mp3": "zero bytes",
        "bad-text.flac": "not audio",
        "bad-half.ogg": "truncated",
        "bad-silent.wav": "silent",
        "bad-short.wav": "too short",
    }


def prepare(source: Path, sounds: Path) -> dict[str, str]:
    """The folder to extract; returns the bad files planted in it."""
    sounds.mkdir(parents=True, exist_ok=True)
    tracks = collect(source, sounds)
    spread = tracks[:: max(len(tracks) // 20, 1)]
    for number, track in enumerate(spread):
        kind = ("m4a", "flac", "opus", "wav", "mp3")[number % 5]
        out = sounds / f"converted-{track.stem}.{kind}"
        if not out.exists():
            convert(track, out, kind)
    oggs = [track for track in tracks if track.suffix == ".ogg"]
    return plant_bad_files(sounds, oggs[0])


def formats(out: Path) -> list[dict[str, Any]]:
    """Files and hours by format."""
    files = pl.read_parquet(out / "files.parquet").with_columns(
        format=pl.col("file").str.extract(r"\.(\w+)$").str.to_lowercase()
    )
    table = files.group_by("format").agg(files=pl.len(), hours=(pl.col("seconds").sum() / 3600).round(2)).sort("format")
    return table.to_dicts()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("--work", type=Path, default=Path("work/real_audio"))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/results/real_audio.json"))
    given = parser.parse_args()
    sounds, out = given.work / "sounds", given.work / "logmel"
    planted = prepare(given.source or fetch(given.work / "debian"), sounds)
    shutil.rmtree(out, ignore_errors=True)
    report = extract(sounds, "logmel", LogMelSettings(), out, jobs=given.jobs, ids="path")
    reasons = {row["file"]: row["reason"] for row in report.quarantine.iter_rows(named=True)}
    told = run_kills(sounds, given.work / "kills", given.kills, given.jobs)
    content = {
        "title": "Real tracks: features of Debian's free music",
        "about_text": f"{report.n_files} files, {report.seconds / 3600:.2f} h, on {platform.machine()}, {given.jobs} "
        f"processes of one thread each. {report.n_quarantined} files set aside, of which {len(planted)} were planted. "
        f"Then the same extraction was killed (SIGKILL) at random moments and restarted: {told}",
        "tables": {
            "Throughput": [
                {
                    "hours of sound": round(report.seconds_heard / 3600, 2),
                    "CPU seconds": round(report.cpu_seconds, 1),
                    "× real time per core": round(report.times_real_time),
                    "CPU hours for 382,410 clips of 29 s": round(382_410 * 29 / report.times_real_time / 3600, 1),
                    "GB for them (fp16, 1,247 frames × 128)": round(382_410 * 1_247 * 128 * 2 / 1e9),
                }
            ],
            "Formats": formats(out),
            "Set aside": [
                {"file": file, "reason": reason, "planted as": planted.get(file, "(found)")}
                for file, reason in sorted(reasons.items())
            ],
        },
    }
    write_file(given.output, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(content, indent=1, ensure_ascii=False))
    missed = {file: why for file, why in planted.items() if reasons.get(file) != why}
    return 1 if missed or "identical" not in told else 0


def run_kills(sounds: Path, work: Path, kills: int, jobs: int) -> str:
    """The verdict of bench/kill_extract.py."""
    shutil.rmtree(work, ignore_errors=True)
    script = Path(__file__).with_name("kill_extract.py")
    command = [
        sys.executable,
        str(script),
        str(sounds),
        "--kills",
        str(kills),
        "--jobs",
        str(jobs),
        "--work",
        str(work),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout)
    verdict = done.stdout.strip().splitlines()[-1]
    shutil.rmtree(work, ignore_errors=True)
    return re.sub(r"\s+", " ", verdict) + "."


if __name__ == "__main__":
    sys.exit(main())
