"""Kill an extraction at random moments, restart it, and compare the artifact with an undisturbed run, byte for byte.

    python bench/kill_extract.py FOLDER_OF_SOUNDS [--kills 20] [--jobs 2] [--work DIR] [--seed 0]

Prints one line a kill and a verdict; leaves with 1 when the bytes differ. Kills fall between the start of a run and the
expected end of the whole work, so some come while workers start, some midway and some while the artifact is written.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deepcuts.audio.extract import extract
from deepcuts.audio.logmel import LogMelSettings


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def start(source: Path, out: Path, jobs: int) -> subprocess.Popen:
    command = [sys.executable, __file__, str(source), "--once", str(out), "--jobs", str(jobs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(child: subprocess.Popen) -> str:
    told = child.communicate()[0].strip()
    if child.returncode != 0:
        sys.exit("the extraction failed, so there is nothing to compare")
    return told


def run_once(source: Path, out: Path, jobs: int) -> None:
    report = extract(source, "logmel", LogMelSettings(), out, jobs=jobs, ids="path")
    print(
        f"{report.n_songs} songs, {report.n_quarantined} set aside, {report.n_reused} reused, "
        f"{report.seconds / 3600:.2f} h, {report.times_real_time:.0f} x real time a core"
    )


def kill_often(source: Path, out: Path, jobs: int, kills: int, seconds: float, rng: random.Random) -> int:
    """Kill runs into `out` at random moments; returns how many kills hit a run that was still going."""
    hit = 0
    for number in range(kills):
        child = start(source, out, jobs)
        wait = rng.uniform(0.0, max(2.0 * seconds / kills, 4.0))
        time.sleep(wait)
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            hit += 1
            child.communicate()
        else:
            finish(child)
        n_shards = len(list(out.with_name(f".{out.name}.work").glob("*.npz")))
        state = "the artifact is whole" if out.exists() else f"{n_shards} shards"
        print(f"kill {number + 1}/{kills} after {wait:.1f} s: {state}", flush=True)
        if out.exists():  # the work is done: begin again from nothing, so that every kill hits something
            shutil.rmtree(out)
    return hit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.once is not None:
        run_once(given.source, given.once, given.jobs)
        return 0
    work = given.work or Path(tempfile.mkdtemp())
    began = time.monotonic()
    print("undisturbed:", finish(start(given.source, work / "calm", given.jobs)), flush=True)
    seconds = time.monotonic() - began
    hit = kill_often(given.source, work / "killed", given.jobs, given.kills, seconds, random.Random(given.seed))
    print("last run:", finish(start(given.source, work / "killed", given.jobs)))
    calm, killed = contents(work / "calm"), contents(work / "killed")
    same = calm == killed and "frames.npy" in calm
    verdict = "identical" if same else "DIFFERENT"
    print(f"{hit} of {given.kills} kills hit a running extraction; the artifacts are {verdict}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
