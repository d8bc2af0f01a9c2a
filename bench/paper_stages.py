"""The paper's subset at its own size (9,330 songs × 20,000 users, 29 s clips), stage by stage: time and memory of each.

    python bench/paper_stages.py [--work work/paper-stages] [-o docs/results/paper_stages.json]

What needs the night (all epochs, all systems) is `deepcuts reproduce --scale paper`; here the network learns one epoch.
"""

import argparse
import json
from pathlib import Path

from deepcuts.kernels import native
from deepcuts.store import write_file
from stages import Stage, run, table

WORLD = ("n_songs=9330", "n_users=20000", "seconds=29", "mean_listeners=100")


def stages(work: Path) -> list[Stage]:
    """What is done, in order."""
    world, split, mel, factors = work / "world", work / "split", work / "logmel", work / "factors"
    make = ["data", "world", "-o", str(world), *(f"--set={one}" for one in WORLD)]
    cut = ["data", "split", f"{world}/plays", "-o", str(split), "--set=by=artist", "--set=test=0.2016"]
    factorise = ["factors", f"{world}/plays", "--split", str(split), "-o", str(factors)]
    predict = ["predict", "songs", f"{work}/cnn", str(mel), "--split", str(split), "-o", f"{work}/predicted"]
    score = ["evaluate", f"{world}/plays", str(split), str(factors), "--system", f"cnn={work}/predicted"]
    return [
        Stage("world: sounds and plays", make),
        Stage("split", cut),
        Stage("factors: f = 50, 20 sweeps", factorise),
        Stage("audio: log-mel of 75 h", ["audio", "logmel", f"{world}/sounds", "-o", str(mel)]),
        Stage("predict: linear", fit(mel, factors, split, work, "linear", [])),
        Stage("predict: the paper's network, one epoch", fit(mel, factors, split, work, "cnn", ["--set=n_epochs=1"])),
        Stage("predict: all test songs", predict),
        Stage("evaluate: all rows, 200 replicates", [*score, "--truth", f"{world}/truth", "-o", f"{work}/report"]),
    ]


def fit(mel: Path, factors: Path, split: Path, work: Path, encoder: str, more: list[str]) -> list[str]:
    words = ["predict", "fit", str(mel), str(factors), "--encoder", encoder, "--split", str(split)]
    return [*words, "-o", str(work / encoder), *more]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("work/paper-stages"))
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/results/paper_stages.json"))
    given = parser.parse_args()
    chain = stages(given.work)
    rows = table(chain, run(chain, given.work))
    content = {
        "title": "The paper's subset at its own size, stage by stage",
        "about_text": f"9,330 songs × 20,000 users, 29 s, no GPU, {native.n_cores()} cores. One epoch "
        "of the network. Not run at this size: other epochs and seeds, bags of words, MLR, WPE, tags and the map.",
        "tables": {"Time and memory": rows},
    }
    write_file(given.output, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
