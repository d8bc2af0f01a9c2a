"""Outside ids ↔ positions."""

import unicodedata
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from deepcuts import store
from deepcuts.artifacts.parquet import check_parquet
from deepcuts.checks import did_you_mean
from deepcuts.errors import ArtifactError, InputError

FEW = 1_000  # ids looked up one by one
LOOKUPS_JOINED = 2  # of few ids: from the next on, a dictionary of all ids pays for itself


class Vocabulary:
    """Outside ids in a fixed order: `ids[position]` is a text, unique and not empty.

    Args:
        ids: the names, in order of position; kept in Unicode's composed form (NFC), so that `é` is one id however a
            system writes it.
        noun: "user", "song" or "tag", for messages and column names.
    Raises:
        InputError: an id is missing, empty or there twice (after NFC).
    """

    def __init__(self, ids: Iterable[str] | pl.Series, noun: str = "song") -> None:
        self.noun = noun
        self._lookups = 0
        series = ids if isinstance(ids, pl.Series) else pl.Series(values=list(ids), dtype=pl.String)
        self.ids = composed(series).rename(f"{noun}_id").rechunk()
        if self.ids.null_count() or (self.ids == "").any():
            raise InputError(f"a {noun} id is empty. Every {noun} needs a name.")
        if self.ids.n_unique() != len(self.ids):
            twice = self.ids.filter(self.ids.is_duplicated())[0]
            raise InputError(
                f"{noun} id {twice!r} appears more than once; ids must be unique, also when é is written in two ways "
                "(Unicode NFC and NFD)."
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and len(self) == len(other) and bool((self.ids == other.ids).all())

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, position: int) -> str:
        return self.ids[int(position)]

    def __contains__(self, one_id: str) -> bool:
        return bool(self.find([one_id])[0] >= 0)

    @cached_property
    def _table(self) -> pl.DataFrame:
        return pl.DataFrame({"id": self.ids, "position": np.arange(len(self), dtype=np.int64)})

    @cached_property
    def _position_of(self) -> dict[str, int]:
        return {one: at for at, one in enumerate(self.ids.to_list())}

    def find(self, ids: Iterable[str] | pl.Series) -> np.ndarray:
        """Positions [n] of ids, -1 for those unknown.

        Many are joined; a few, asked for time and again as a server does, are looked up one by one.

        >>> Vocabulary(["s1", "s2"]).find(["s2", "s9"]).tolist()
        [1, -1]
        """
        if isinstance(ids, list | tuple) and len(ids) <= FEW and all(isinstance(one, str) for one in ids):
            self._lookups += 1
            if self._lookups > LOOKUPS_JOINED:
                held = self._position_of
                return np.array([held.get(unicodedata.normalize("NFC", one), -1) for one in ids], dtype=np.int64)
        asked = ids if isinstance(ids, pl.Series) else pl.Series(values=list(ids), dtype=pl.String)
        joined = pl.DataFrame({"id": composed(asked)}).join(self._table, on="id", how="left", maintain_order="left")
        return joined["position"].fill_null(-1).to_numpy().copy()

    def positions(self, ids: Iterable[str] | pl.Series, where: str = "") -> np.ndarray:
        """Positions [n] of ids.

        Raises:
            InputError: an id is unknown (names it, how many there are, and a near miss).
        """
        held = ids if isinstance(ids, pl.Series) else list(ids)
        found = self.find(held)
        missing = np.flatnonzero(found < 0)
        if len(missing):
            asked = pl.Series(values=held, dtype=pl.String) if isinstance(held, list) else held
            first = str(asked[int(missing[0])])
            hint = did_you_mean(first, self.ids.head(100_000).to_list())
            head = f"{where}: " if where else ""
            raise InputError(
                f"{head}unknown {self.noun} id {first!r} ({len(missing)} of {len(asked)} ids are unknown).{hint}"
            )
        return found

    def take(self, positions: np.ndarray) -> "Vocabulary":
        """The vocabulary of some positions, in the order given."""
        return Vocabulary(self.ids.gather(np.asarray(positions, dtype=np.int64)), self.noun)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the ids in order."""
        return store.fingerprint("\x00".join(self.ids.to_list()))

    def save(self, folder: Path, name: str) -> None:
        """Write `name.parquet`, one column `{noun}_id`."""
        pl.DataFrame({f"{self.noun}_id": self.ids}).write_parquet(folder / f"{name}.parquet")

    @staticmethod
    def load(folder: Path, name: str, noun: str) -> "Vocabulary":
        """Read `name.parquet`.

        Raises:
            ArtifactError: damaged, without its column, or an id is there twice.
        """
        column = f"{noun}_id"
        try:
            return Vocabulary(read_parquet(folder / f"{name}.parquet", column)[column], noun)
        except InputError as error:
            raise ArtifactError(f"{folder / name}.parquet: {error} Make the artifact again.") from error


def read_parquet(path: Path, *columns: str) -> pl.DataFrame:
    """Read a parquet file of an artifact.

    Args:
        columns: that it must have.
    Raises:
        ArtifactError: damaged, or a column is missing.
    """
    try:
        check_parquet(path, str(path))
        table = pl.read_parquet(path)
    except InputError as error:
        raise ArtifactError(str(error)) from error
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ArtifactError(f"{path}: damaged ({error}). Make the artifact again.") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ArtifactError(f"{path}: has no column {missing[0]!r}. Make the artifact again.")
    return table


def composed(ids: pl.Series) -> pl.Series:
    """Ids as texts in Unicode's composed form (NFC)."""
    texts = ids.cast(pl.String)
    if (texts.str.len_bytes() == texts.str.len_chars()).all():  # ASCII has one form only
        return texts
    return texts.str.normalize("NFC")
