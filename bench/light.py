"""What serving costs before the first answer: with torch, and with onnxruntime in its place.

    python bench/light.py [-o docs/results/light.json]

A network of the paper's size (128 bands, two convolutions of 256, dense 1,024, 50 factors; fresh weights) is
saved, then loaded and asked for one 30-second clip by processes that do nothing else, in turn. Their wall time, from
start to answer, and their peak resident memory are compared; so is importing the server. Writes a page beside them.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts.artifacts import Features, Lineage, Vocabulary
from deepcuts.kernels import native
from deepcuts.predict import CnnSettings
from deepcuts.predict.cnn import CnnEncoder
from deepcuts.predict.encoder import Provenance
from deepcuts.predict.network import build_network
from deepcuts.store import write_file

N_BANDS, N_FACTORS, N_FRAMES, REPEATS = 128, 50, 1292, 7
LOAD = """
import sys, time
began = time.perf_counter()
import numpy as np
from deepcuts.artifacts import Features
from deepcuts.predict import load_encoder
encoder = load_encoder(sys.argv[1], light=sys.argv[3] == "light")
answer = encoder.predict(Features.load(sys.argv[2]), np.array([0]))
peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
print(time.perf_counter() - began, peak, "torch" in sys.modules, *answer[0][:3])
"""
IMPORT = """
import sys, time
began = time.perf_counter()
if sys.argv[1] == "with torch":
    import torch
import deepcuts.serve.app, deepcuts.serve.state
peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
print(time.perf_counter() - began, peak, "torch" in sys.modules)
"""


def make(folder: Path) -> None:
    """An encoder and the features of one clip."""
    settings, rng = CnnSettings(device="cpu"), np.random.default_rng(0)
    network = build_network(settings, np.zeros(N_BANDS), np.ones(N_BANDS), N_FACTORS)
    record, recipe = dataclasses.asdict(settings), {"frame_rate": 43.07}
    provenance = Provenance("cnn", record, "logmel", recipe, N_BANDS, np.zeros(N_FACTORS), 1.0, Lineage())
    CnnEncoder(provenance, network, settings.window).save(folder / "encoder")
    frames = rng.normal(size=(N_FRAMES, N_BANDS)).astype(np.float16)
    Features(Vocabulary(["clip"]), frames, np.array([0, N_FRAMES]), "logmel", recipe).save(folder / "mel")


def measured(code: str, *words: str) -> tuple[float, float, list[str]]:
    """Seconds, MB at the peak, and what else a process printed."""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    seconds, peak, *rest = done.stdout.split()
    return float(seconds), float(peak), rest


def compare(code: str, given: tuple[str, ...], sides: tuple[str, str], repeats: int) -> dict[str, Any]:
    """Medians of both sides, run in turn."""
    found = [[measured(code, *given, side) for side in sides] for _ in range(repeats)]
    for light, heavy in found:
        if light[2][0] == "True" or heavy[2][0] == "False":
            raise SystemExit(f"torch was loaded: {light[2][0]} {heavy[2][0]}, expected False True")
    numbers = np.array([[one[:2] for one in pair] for pair in found])
    medians, ratios = np.median(numbers, axis=0), numbers[:, 0] / numbers[:, 1]
    return {
        **{f"seconds {side}": round(float(medians[at, 0]), 2) for at, side in enumerate(sides)},
        **{f"MB {side}": round(float(medians[at, 1])) for at, side in enumerate(sides)},
        "ratio of seconds": [round(float(one), 3) for one in np.quantile(ratios[:, 0], [0.5, 0, 1])],
        "ratio of memory": [round(float(one), 3) for one in np.quantile(ratios[:, 1], [0.5, 0, 1])],
        "n": repeats,
    }


def page(rows: dict[str, dict[str, Any]]) -> str:
    """The numbers as a table."""
    lines = [
        "# Serving without torch",
        "",
        "Written by `python bench/light.py`; not edited by hand. Each number is the median of n processes, both",
        "sides in turn; in brackets the least and greatest ratio of a pair; lower is better.",
        "",
        f"{native.n_cores()} cores. Network of the paper's size: {N_BANDS} bands, {N_FACTORS} factors, one 30 s clip.",
        "",
        "| | without torch | with torch | ratio | n |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        for what in ("seconds", "MB"):
            one, two = (row[f"{what} {side}"] for side in ("light", "with torch"))
            ratio, low, high = row["ratio of seconds" if what == "seconds" else "ratio of memory"]
            unit = "s" if what == "seconds" else "MB at the peak"
            lines.append(f"| {name} | {one} {unit} | {two} {unit} | **{ratio}** ({low}–{high}) | {row['n']} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one pair each")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/results/light.json"))
    given = parser.parse_args()
    repeats, sides = 1 if given.quick else REPEATS, ("light", "with torch")
    with tempfile.TemporaryDirectory() as scratch:
        make(Path(scratch))
        folders = (f"{scratch}/encoder", f"{scratch}/mel")
        rows = {
            "load the encoder, predict one clip": compare(LOAD, folders, sides, repeats),
            "import the server": compare(IMPORT, (), sides, repeats),
        }
    write_file(given.output, json.dumps(rows, indent=1) + "\n")
    write_file(given.output.with_suffix(".md"), page(rows))
    print(page(rows))


if __name__ == "__main__":
    main()
