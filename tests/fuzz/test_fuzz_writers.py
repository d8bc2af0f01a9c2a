"""Two and three writers at once to one folder: each waits or is told who holds it, and what is there is whole."""

import os
import subprocess
import sys
from pathlib import Path

from damaged import contents
from fuzz_share import keep_counts, n_of

import deepcuts as package

N_ROUNDS = n_of(30, 3)
# Loads everything, then waits for the word to go: so that all writers begin at one moment.
CHILD = """
import sys
from deepcuts.cli.main import main, make_app
if __name__ == "__main__":
    make_app(sys.argv[1:2])
    print("ready", flush=True)
    sys.stdin.readline()
    main()
"""
# Stage → its command; N is 0, 1 or 2, another for each writer, and changes the result.
STAGES = {
    "factors": "factors :world/plays -o OUT --set n_factors=16 --set n_sweeps=30 --set seed=N",
    "split": "data split :world/plays -o OUT --set seed=N",
    "mlp": "predict fit :pooled :factors --encoder mlp -o OUT --set n_epochs=8 --set batch=8 --set seed=N",
    "recommend": "recommend :factors --predicted :predicted -o OUT -k 1N",
    "words": "audio words :logmel -o OUT --set n_words=8 --set seed=N",
    "evaluate": "evaluate :world/plays :split :factors --system a=:predicted -o OUT --set n_bootstrap=2N",
}


def words_of(name: str, number: int, home: Path, out: Path) -> list[str]:
    """The command of one writer."""
    words = STAGES[name].replace(":", f"{home}/").split()
    return [str(out) if word == "OUT" else word.replace("=N", f"={number}").replace("1N", f"1{number}")
            .replace("=2N", f"=2{number}") for word in words]  # fmt: skip


def start(words: list[str], script: Path) -> subprocess.Popen:
    """A writer that is ready to go."""
    where = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, script, *words], env=where, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def let_go(writers: list[subprocess.Popen]) -> list[tuple[int, str]]:
    """Exit code and stderr of each, after all began at once."""
    for one in writers:
        assert one.stdout is not None
        one.stdout.readline()
    for one in writers:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    return [(one.wait(timeout=300), one.communicate()[1]) for one in writers]


def test_writers_of_one_folder_wait_or_are_told_and_leave_the_work_of_one(home: Path, tmp_path: Path) -> None:
    script, wrong, n_told = tmp_path / "writer.py", [], 0
    script.write_text(CHILD)
    calm: dict[tuple[str, int], dict[str, bytes]] = {}
    for number in range(N_ROUNDS):
        name, n_writers = list(STAGES)[number % len(STAGES)], 2 + number // len(STAGES) % 2
        for one in range(n_writers):
            if (name, one) not in calm:
                out = tmp_path / f"calm-{name}-{one}"
                assert let_go([start(words_of(name, one, home, out), script)])[0][0] == 0
                calm[name, one] = contents(out)
        out = tmp_path / str(number) / "out"
        out.parent.mkdir()
        ended = let_go([start(words_of(name, one, home, out), script) for one in range(n_writers)])
        told = [code == 4 and "is being written by process" in said for code, said in ended]
        n_told += sum(told)
        done = [one for one in range(n_writers) if ended[one][0] == 0]
        if not done or not all(code == 0 or one for (code, _), one in zip(ended, told, strict=True)):
            wrong.append(f"{number} {name}: {ended}")
        if contents(out) not in [calm[name, one] for one in done]:
            wrong.append(f"{number} {name}: what is there is the work of none of {done}")
        litter = sorted(path.name for path in out.parent.iterdir() if path != out)
        if litter:
            wrong.append(f"{number} {name}: {litter} left behind")
    note = f"{n_told} writers were told who held the folder; the others waited"
    keep_counts("two and three writers of one folder", N_ROUNDS, N_ROUNDS - len(wrong), len(wrong), note)
    assert not wrong, f"{len(wrong)} of {N_ROUNDS}: " + "\n".join(wrong)
