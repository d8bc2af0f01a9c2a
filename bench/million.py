"""The Million Song rehearsal: the Taste Profile's size from a text file to scores of songs nobody has played.

    python bench/million.py [--share 1.0] [--work work/million] [-o docs/results/million.json]

1,019,318 users × 384,546 songs × 48,373,586 plays are made with the skew of the real file and in its format; read;
split (46,728 test songs); factorised (f = 400, 10 sweeps); the songs' content is learned and the test songs predicted;
every test song is ranked for every user. Run the same again after a kill, at any stage, and it goes on.
`--share .01` rehearses the rehearsal. Needs 12 GB of disk.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Any

from deepcuts.kernels import native
from deepcuts.store import write_file
from stages import Stage, run, table

N_USERS, N_SONGS, N_PLAYS, N_TEST = 1_019_318, 384_546, 48_373_586, 46_728
N_FACTORS, N_SWEEPS = 400, 10


def stages(work: Path, share: float) -> list[Stage]:
    """What is done, in order."""
    made, plays, split, factors = work / "made", work / "plays", work / "split", work / "factors"
    encoder, predicted = work / "encoder", work / "predicted"
    size = [f"--set={name}={round(share * n)}" for name, n in sizes().items()]
    cut = [f"--set=test={N_TEST / N_SONGS}", "--set=validation=0"]
    shape = [f"--set=n_factors={N_FACTORS}", f"--set=n_sweeps={N_SWEEPS}"]
    learn = [f"{made}/features", str(factors), "--encoder", "linear", "--split", str(split)]
    score = [str(plays), str(split), str(factors), "--system", f"content={predicted}", "--set=bootstrap_users=2000"]
    commands = {
        "make users, songs and plays, as the real file": ["data", "taste", "-o", str(made), *size],
        "read the file": ["data", "msd", f"{made}/train_triplets.txt", "-o", str(plays)],
        "hide the plays of the test songs": ["data", "split", str(plays), "-o", str(split), *cut],
        "factorise": ["factors", str(plays), "--split", str(split), "-o", str(factors), *shape],
        "learn factors from content": ["predict", "fit", *learn, "-o", str(encoder)],
        "predict the test songs": [
            *("predict", "songs", str(encoder), f"{made}/features", "--split", str(split), "-o", str(predicted)),
        ],
        "rank all test songs for all users": ["evaluate", *score, "-o", f"{work}/report"],
    }
    return [Stage(name, command) for name, command in commands.items()]


def sizes() -> dict[str, int]:
    return {"n_users": N_USERS, "n_songs": N_SONGS, "n_plays": N_PLAYS}


def content(work: Path, share: float, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything the page shows."""
    report = json.loads((work / "report" / "report.json").read_text())
    with (work / "factors" / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    songs = [half for half in history if half["half"] == "songs"]
    users = [half for half in history if half["half"] == "users"]
    objective = [
        {
            "sweep": int(s["sweep"]),
            "objective": f"{float(s['objective']):.6g}",
            "users s": round(float(u["seconds"]), 1),
            "songs s": round(float(s["seconds"]), 1),
        }
        for u, s in zip(users, songs, strict=True)
    ]
    size = ", ".join(f"{round(share * n):,} {name.removeprefix('n_')}" for name, n in sizes().items())
    about = (
        f"{size}; f = {N_FACTORS}, {N_SWEEPS} sweeps; {native.n_cores()} cores, no GPU. Plays are made, "
        "with the Taste Profile's skew, and content tells a part of taste by construction: this rehearses the size, "
        f"it is no evidence of quality. Intervals rest on {report['n_bootstrap_users']:,} users. Wall time counts all "
        "attempts of a stage that was killed; CPU and memory are of the last one."
    )
    return {
        "title": "The Million Song rehearsal",
        "about_text": about,
        "share": share,
        **{name: report[name] for name in ("protocol", "seed", "settings", "rows", "comparisons") if name in report},
        "tables": {"Time and memory": rows, "Objective after each sweep": objective},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of all sizes; 1 is the real one")
    parser.add_argument("--work", type=Path, default=Path("work/million"))
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/results/million.json"))
    given = parser.parse_args()
    chain = stages(given.work, given.share)
    rows = table(chain, run(chain, given.work))
    write_file(given.output, json.dumps(content(given.work, given.share, rows), indent=1, ensure_ascii=False) + "\n")
    print(f"{given.output} written")
    print(*(f"{row['stage']}: {row['wall s']} s, {row['peak GB']} GB" for row in rows), sep="\n")


if __name__ == "__main__":
    main()
