"""How much of a fuzz test runs: a few mutants with every change, all of them by `make fuzz`, which keeps the counts."""

import fcntl
import json
import os
from pathlib import Path

# Of the whole, up to 1; above 1 it is how many mutants of each test; 0 for what CI runs.
SHARE = float(os.environ.get("DEEPCUTS_FUZZ", "0"))
ABOUT = (
    "Every input is damaged by a seeded mutation, then read as a person would have it read. It must be read right or "
    "refused in words: a crash, a hang, a foreign exception, another result at exit 0 or something lost in silence "
    "counts as wrong."
)


def n_of(whole: int, in_ci: int) -> int:
    """How many of `whole` mutants to run."""
    if SHARE > 1:
        return round(SHARE)
    return max(round(whole * SHARE), 1) if SHARE else in_ci


def keep_counts(what: str, n: int, unharmed: int, wrong: int, note: str = "") -> None:
    """Write what a whole run found into the results file that DEEPCUTS_FUZZ_COUNTS names.

    Args:
        n: mutants; unharmed: of them read, or with the result of a whole input; the others were refused in words.
    """
    if SHARE != 1 or "DEEPCUTS_FUZZ_COUNTS" not in os.environ:
        return
    path = Path(os.environ["DEEPCUTS_FUZZ_COUNTS"])
    with path.with_suffix(".lock").open("w") as lock:  # workers of pytest write one after the other
        fcntl.flock(lock, fcntl.LOCK_EX)
        held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"tables": {"Counts": []}}
        rows = [row for row in held["tables"]["Counts"] if row["input"] != what]
        rows.append({"input": what, "mutants": f"{n:,}", "read, or the same result": f"{unharmed:,}",
                     "refused in words": f"{n - unharmed - wrong:,}", "wrong": wrong, "note": note})  # fmt: skip
        content = {"title": "Damaged inputs", "about_text": ABOUT,
                   "tables": {"Counts": sorted(rows, key=lambda row: row["input"])}}  # fmt: skip
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    path.with_suffix(".lock").unlink(missing_ok=True)
