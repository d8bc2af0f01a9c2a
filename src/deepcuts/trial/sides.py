"""What `compare` takes: anything that ranks songs for users, as one kind of thing.

song-factors   predictions from sound; their users are the factors of the same space
factors        users and songs
bundle         a model
ranking        the lists of `recommend`, or any table of user_id, song_id, score
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from deepcuts import store
from deepcuts.artifacts import Factors, SongFactors, UserFactors, Vocabulary, derive
from deepcuts.artifacts.bundle import Bundle
from deepcuts.artifacts.parquet import check_parquet
from deepcuts.errors import InputError
from deepcuts.evaluate import System

COLUMNS = ("user_id", "song_id", "score")


@dataclass(frozen=True)
class Side:
    """One of two systems.

    Attributes:
        name: of its row.
        users: whom it can rank for.
        songs: which songs it can rank; None for a table, where a missing pair counts as the lowest.
        vectors: users and songs; None for a table.
        table: user_id · song_id · score; empty for vectors.
        observed: the factorisation behind predictions, for the audit.
        kind: what was read, for messages.
    """

    name: str
    users: Vocabulary
    songs: Vocabulary | None
    vectors: tuple[UserFactors, SongFactors] | None = None
    table: pl.DataFrame = field(default_factory=pl.DataFrame)
    observed: Factors | None = None
    kind: str = ""

    def system(self, users: Vocabulary, songs: Vocabulary) -> System:
        """The rows of some users and songs, all of them known."""
        if self.vectors is None:
            return system_of_table(self.name, self.table, users, songs)
        x, y = self.vectors
        rows = x.vectors[x.users.positions(users.ids)]
        lineage = derive(x.lineage, y.lineage)
        return System(self.name, rows, y.rows(songs.ids), note=f"Read from {self.kind}.", lineage=lineage)


def system_of_table(name: str, table: pl.DataFrame, users: Vocabulary, songs: Vocabulary) -> System:
    """A system that somebody else has made, on its own word that it saw no hidden play.

    Args:
        table: user_id · song_id · score; pairs that are missing count as the lowest.
    """
    user, song = users.find(table["user_id"]), songs.find(table["song_id"])
    known = (user >= 0) & (song >= 0)
    score = table["score"].cast(pl.Float64).to_numpy()[known]
    scores = np.full((len(users), len(songs)), score.min(initial=0.0) - 1.0)
    scores[user[known], song[known]] = score
    note = "Scores from a table; what it learned from is not audited."
    return System(name, scores, np.eye(len(songs)), note=note)


def read_side(name: str, path: Path, factors: Sequence[Factors]) -> Side:
    """Read a system.

    Args:
        factors: of users, for folders of predicted song factors: the one of the same space is taken.
    Raises:
        InputError: not a kind that can be compared, or no factors for predictions.
        ArtifactError: missing or damaged.
    """
    if path.is_file():
        return _of_table(name, read_scores(path), "a table of scores")
    kind = store.read_meta(path, verify=False).kind
    if kind == "bundle":
        bundle = Bundle.load(path)
        return Side(name, bundle.users.users, bundle.songs.songs, (bundle.users, bundle.songs), kind="a model")
    if kind == "factors":
        own = Factors.load(path)
        return Side(name, own.users.users, own.songs.songs, (own.users, own.songs), kind="factors")
    if kind == "song-factors":
        return _of_predictions(name, path, factors)
    if kind == "ranking":
        return _of_table(name, read_scores(path / "ranking.parquet"), "lists of `recommend`")
    raise InputError(
        f"{path}: a folder of kind {kind!r}: allowed are song-factors, factors, bundle, ranking, and the folders of "
        "`deepcuts trial`; or a table of user_id, song_id, score."
    )


def _of_predictions(name: str, path: Path, factors: Sequence[Factors]) -> Side:
    predicted = SongFactors.load(path)
    for one in factors:
        if one.lineage.space == predicted.lineage.space:
            pair = (one.users, predicted)
            return Side(name, one.users.users, predicted.songs, pair, observed=one, kind="predicted song factors")
    found = f"{len(factors)} factorisations, none of which made its space" if factors else "no factors"
    raise InputError(
        f"{path}: predicted song factors need the users of their factorisation: {found}. Pass the folder that the "
        "encoder learned from with --factors; repeat it where the two systems have different ones."
    )


def _of_table(name: str, table: pl.DataFrame, kind: str) -> Side:
    return Side(name, Vocabulary(table["user_id"].unique().sort(), "user"), None, table=table, kind=kind)


def read_scores(path: Path) -> pl.DataFrame:
    """A table of scores: user_id · song_id (text) · score (float64).

    Args:
        path: parquet, or csv by its name.
    Raises:
        InputError: not such a table, a score that is not a finite number, or a pair that appears more than once.
    """
    try:
        if path.suffix == ".csv":
            table = pl.read_csv(
                path, columns=list(COLUMNS), schema_overrides={"user_id": pl.String, "song_id": pl.String}
            )
        else:
            check_parquet(path, str(path))
            table = pl.read_parquet(path, columns=list(COLUMNS))
        table = table.select(pl.col("user_id", "song_id").cast(pl.String), pl.col("score").cast(pl.Float64))
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(f"{path}: not a table of user_id, song_id, score ({error}).") from error
    bad = table.filter(pl.any_horizontal(pl.all().is_null()) | ~pl.col("score").is_finite())
    if bad.height:
        user, song, score = bad.row(0)
        raise InputError(
            f"{path}: user {user!r}, song {song!r}: score {score} ({bad.height:,} rows are like it): expected finite "
            "numbers. Leave such pairs out: a missing pair counts as the lowest."
        )
    twice = table.filter(table.select("user_id", "song_id").is_duplicated())
    if twice.height:
        user, song, _ = twice.row(0)
        raise InputError(f"{path}: user {user!r}, song {song!r} appears more than once. Keep one score of each pair.")
    if not table.height:
        raise InputError(f"{path}: has no rows.")
    return table
