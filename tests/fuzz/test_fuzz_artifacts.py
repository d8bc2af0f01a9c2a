"""Damaged artifacts: the next stage refuses them by name or gives what it gave before; no crash, no foreign exception.

`make fuzz` runs more than 4,000 mutants, CI some 120. A failure names the kind and the number of its mutant.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from damaged import add_unlisted, contents, damage, files_of, reseal
from fuzz_share import keep_counts, n_of

from deepcuts import store
from deepcuts.store import read_meta

N_DAMAGED = n_of(2_000, 60)  # over all kinds
N_UNLISTED = n_of(200, 12)
N_SEALED = n_of(2_000, 50)
# Kind → where it lies in the house, and the commands that read it: @ is the damaged folder, a name after a colon
# is another artifact.
EVALUATE = "-o OUT --set n_bootstrap=20"
STAGES: dict[str, tuple[str, list[str]]] = {
    "plays": ("world/plays", ["data split @ -o OUT", "factors @ -o OUT --set n_factors=4 --set n_sweeps=2",
                              "recommend :factors --plays @ --which warm", "match @ :library -o OUT",
                              f"evaluate @ :split :factors --system a=:predicted {EVALUATE}"]),
    "split": ("split", ["factors :world/plays --split @ -o OUT --set n_factors=4 --set n_sweeps=2",
                        "predict songs :linear :logmel --split @ -o OUT",
                        "audio words :logmel --split @ -o OUT --set n_words=8",
                        f"evaluate :world/plays @ :factors --system a=:predicted {EVALUATE}"]),
    "factors": ("factors", ["recommend @ --which warm", "recommend @ --predicted :predicted", "similar @ SONG",
                            "predict fit :logmel @ --encoder linear -o OUT", "bundle @ --plays :world/plays -o OUT",
                            f"evaluate :world/plays :split @ --system a=:predicted {EVALUATE}"]),
    "song-factors": ("predicted", ["recommend :factors --predicted @ --which cold",
                                   "bundle :factors --predicted @ -o OUT", "predict average @ :predicted -o OUT",
                                   "explore factors @ --plays :world/plays --set n_artists=2",
                                   f"evaluate :world/plays :split :factors --system a=@ {EVALUATE}"]),
    "features": ("logmel", ["predict songs :linear @ -o OUT", "audio pool @ -o OUT", "audio bag @ :words -o OUT",
                            "predict fit @ :factors --encoder linear -o OUT",
                            "data split :world/plays --only @ -o OUT"]),
    "features of one frame": ("pooled", ["predict songs :trees @ -o OUT", "predict songs :mlp @ -o OUT"]),
    "linear encoder": ("linear", ["predict songs @ :logmel -o OUT", "bundle :factors --encoder @ -o OUT"]),
    "mlp encoder": ("mlp", ["predict songs @ :pooled -o OUT"]),
    "trees encoder": ("trees", ["predict songs @ :pooled -o OUT"]),
    "words": ("words", ["audio bag :logmel @ -o OUT"]),
    "songs": ("library", ["match :world/plays @ -o OUT", "bundle :factors --songs @ -o OUT"]),
    "tags": ("world/plays/tags", ["explore factors :predicted --plays :world/plays --tags @ --set n_artists=2"]),
    "features as an example": ("logmel", ["audio logmel :world/sounds --like @ -o OUT -j 1"]),
    "bundle": ("model", ["for-user @ USER", "audience @ SONG", "playlist @ SONG", "for-user @ --like SONG --json"]),
    "truth": ("world/truth", [f"evaluate :world/plays :split :factors --system a=:predicted --truth @ {EVALUATE}"]),
    "ranking": ("ranking", ["show @"]),
    "report": ("report", ["show @"]),
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What a command gave: exit code, stdout and files; or the foreign exception that came out of it."""

    code: int
    out: str
    err: str
    files: dict[str, bytes]
    foreign: str = ""

    def same_as(self, other: "Result") -> bool:
        return (self.code, self.out, self.files) == (other.code, other.out, other.files)


@dataclass(frozen=True)
class House:
    """Artifacts of all kinds, whose files damage each other, and what the commands give while they are whole."""

    home: Path
    work: Path
    run_command: Callable
    donors: list[Path]
    good: dict[tuple[str, str], Result]

    def copy(self, kind: str) -> Path:
        """A fresh copy of an artifact, to be damaged."""
        shutil.rmtree(self.work, ignore_errors=True)
        folder = self.work / "damaged"
        shutil.copytree(self.home / STAGES[kind][0], folder)
        return folder

    def run(self, command: str, folder: Path) -> Result:
        """Run a command over a folder."""
        out, foreign, told = self.work / "out", "", None
        places = {"@": folder, "a=@": f"a={folder}", "OUT": out, "SONG": "song-00001", "USER": "listener-00001"}
        words = [places.get(word, re.sub("(^|=):", rf"\g<1>{self.home}/", word)) for word in command.split()]
        try:
            told = self.run_command(*words)
        except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001 - what it looks for
            foreign = f"{type(error).__name__}: {error}"
        return Result(told.code if told else 1, told.out if told else "", told.err if told else "", contents(out),
                      foreign)  # fmt: skip

    def expected(self, kind: str, command: str) -> Result:
        """What a command gives with the whole artifact."""
        if (kind, command) not in self.good:
            self.good[kind, command] = self.run(command, self.copy(kind))
            assert self.good[kind, command].code == 0, self.good[kind, command]
        return self.good[kind, command]


@pytest.fixture(scope="module")
def house(deepcuts: Callable, home: Path, tmp_path_factory: pytest.TempPathFactory) -> House:
    donors = [path for path in files_of(home) if path.suffix != ".wav" and "serve" not in path.parts]
    return House(home, tmp_path_factory.mktemp("work"), deepcuts, donors, {})


def mutants(n: int, stream: int) -> Iterator[tuple[str, str, np.random.Generator, int]]:
    """(kind, command, random numbers, number) of each mutant: kinds in turn, commands at random."""
    for number in range(n):
        kind = list(STAGES)[number % len(STAGES)]
        rng = np.random.default_rng((stream, number))
        commands = STAGES[kind][1]
        yield kind, commands[rng.integers(len(commands))], rng, number


def complaint(result: Result, good: Result, folder: Path, name: str) -> str:
    """What is wrong with how a damaged artifact was met; "" when nothing is."""
    if result.foreign or result.code == 1:
        return f"a foreign exception: {result.foreign} {result.err[-300:]}"
    if result.code == 0:
        return "" if result.same_as(good) else "another result at exit 0"
    if not 2 <= result.code <= 7:
        return f"exit code {result.code}"
    if str(folder) not in result.err or not (name in result.err or name == store.META):
        return f"refused without naming {name}: {result.err[-300:]}"
    return "refused, and yet wrote its output" if result.files else ""


def test_a_damaged_artifact_is_refused_by_name_or_changes_nothing(house: House) -> None:
    wrong, n_refused = [], 0
    for kind, command, rng, number in mutants(N_DAMAGED, 1):
        good, folder = house.expected(kind, command), house.copy(kind)
        name, how = damage(folder, house.donors, rng)
        result = house.run(command, folder)
        n_refused += result.code != 0
        if told := complaint(result, good, folder, name):
            wrong.append(f"{number} {kind} {name} ({how}) · {command}: {told}")
    keep_counts("artifacts, then the next stage", N_DAMAGED, N_DAMAGED - n_refused, len(wrong))
    assert not wrong, f"{len(wrong)} of {N_DAMAGED}: " + "\n".join(wrong[:40])
    assert n_refused > N_DAMAGED * 0.9


def test_a_file_that_does_not_belong_there_changes_nothing(house: House) -> None:
    wrong = []
    for kind, command, rng, number in mutants(N_UNLISTED, 2):
        good, folder = house.expected(kind, command), house.copy(kind)
        name = add_unlisted(folder, house.donors, rng)
        result = house.run(command, folder)
        if result.foreign or not result.same_as(good):
            wrong.append(f"{number} {kind} {name} · {command}: {result}")
    keep_counts("artifacts with a file of another", N_UNLISTED, N_UNLISTED - len(wrong), len(wrong))
    assert not wrong, f"{len(wrong)} of {N_UNLISTED}: " + "\n".join(wrong[:20])


def test_content_that_no_hash_gives_away_ends_in_words(house: House) -> None:
    """What another program wrote with right hashes: it may be read as it stands, and never ends in a traceback."""
    wrong, n_read = [], 0
    for kind, command, rng, number in mutants(N_SEALED, 3):
        folder = house.copy(kind)
        listed = [*read_meta(folder).files, store.META]
        name = listed[rng.integers(len(listed))]
        how = reseal(folder, name, house.donors, rng)
        result = house.run(command, folder)
        n_read += result.code == 0
        if result.foreign or result.code not in (0, *range(2, 8)):
            wrong.append(f"{number} {kind} {name} ({how}) · {command}: {result.foreign} {result.code} {result.err}")
    note = "no hash can tell, so only a foreign exception or a crash is wrong"
    keep_counts("artifacts damaged with right hashes", N_SEALED, n_read, len(wrong), note)
    assert not wrong, f"{len(wrong)} of {N_SEALED}: " + "\n".join(wrong[:40])
