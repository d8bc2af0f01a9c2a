"""Latent factors of songs: observed (from plays), predicted (from sound), or a blend."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from deepcuts import store
from deepcuts.artifacts.lineage import UNKNOWN, Lineage
from deepcuts.artifacts.vocabulary import Vocabulary
from deepcuts.checks import check_finite, check_shape
from deepcuts.store import Meta, load_array, read_meta, save_array, write_meta, writing


@dataclass(frozen=True)
class SongFactors:
    """Latent factors of songs.

    Attributes:
        songs: whose they are, in order.
        vectors: y_i [n_songs, n_factors] float32, finite.
        lineage: which space they live in and what they learned from.
        precision: how sure each row is [n_songs] float32, > 0: one over the expected squared error of one factor. Plays
            give one, and so does an encoder that knows its spread; None when nobody says.
        n_listeners: int64 [n_songs], how many users played each song while learning; None for predicted songs.
        settings: that made them.
    """

    songs: Vocabulary
    vectors: np.ndarray
    lineage: Lineage = UNKNOWN
    precision: np.ndarray | None = None
    n_listeners: np.ndarray | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_shape("song factors", self.vectors, [len(self.songs), None])
        check_finite("song factors", self.vectors)
        for name, column in (("precision", self.precision), ("n_listeners", self.n_listeners)):
            if column is not None:
                check_shape(f"song factors: {name}", column, [len(self.songs)])
                check_finite(f"song factors: {name}", column)

    def __len__(self) -> int:
        return len(self.songs)

    @property
    def n_factors(self) -> int:
        """How many latent factors."""
        return self.vectors.shape[1]

    def rows(self, song_ids: Iterable[str] | pl.Series) -> np.ndarray:
        """The vectors [n, n_factors] of songs by id.

        Raises:
            InputError: an id is unknown.
        """
        return self.vectors[self.songs.positions(song_ids, where="song factors")]

    def take(self, positions: np.ndarray) -> "SongFactors":
        """Some songs by position, in the order given."""
        positions = np.asarray(positions, dtype=np.int64)
        return replace(
            self,
            songs=self.songs.take(positions),
            vectors=self.vectors[positions],
            precision=None if self.precision is None else self.precision[positions],
            n_listeners=None if self.n_listeners is None else self.n_listeners[positions],
        )

    def without(self, songs: Vocabulary) -> "SongFactors":
        """The same, some songs left out. Under the joint protocol test songs have factors, which no encoder may see."""
        keep = np.flatnonzero(songs.find(self.songs.ids) < 0)
        return self if len(keep) == len(self) else self.take(keep)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of ids and numbers."""
        parts = [part for part in (self.precision, self.n_listeners) if part is not None]
        return store.fingerprint(self.songs.fingerprint, self.vectors, *parts)

    def write(self, folder: Path) -> None:
        """Write ids and numbers into the folder of a larger artifact."""
        self.songs.save(folder, "songs")
        save_array(folder, "song_factors", self.vectors.astype(np.float32))
        if self.precision is not None:
            save_array(folder, "precision", self.precision.astype(np.float32))
        if self.n_listeners is not None:
            save_array(folder, "n_listeners", self.n_listeners.astype(np.int64))

    @staticmethod
    def read(folder: Path, meta: Meta, lineage: Lineage, settings: Mapping[str, Any]) -> "SongFactors":
        """Read what `write` wrote; a column that `meta` does not list is not part of it."""
        more = {name: load_array(folder, name) for name in ("precision", "n_listeners")
                if f"{name}.npy" in meta.files}  # fmt: skip
        songs = Vocabulary.load(folder, "songs", "song")
        return SongFactors(songs, load_array(folder, "song_factors"), lineage, settings=settings, **more)

    def save(self, folder: Path | str) -> None:
        """Write the folder, whole or not at all."""
        with writing(folder) as scratch:
            self.write(scratch)
            record = self.lineage.save(scratch)
            shape = {"n_songs": len(self), "n_factors": self.n_factors}
            write_meta(scratch, Meta("song-factors", self.fingerprint, self.lineage.parents, self.settings, shape,
                                     lineage=record))  # fmt: skip

    @staticmethod
    def load(folder: Path | str) -> "SongFactors":
        """Read the folder.

        Raises:
            ArtifactError: missing, half-written, damaged or of another kind.
        """
        folder = Path(folder)
        with store.content_of(folder):
            meta = read_meta(folder, "song-factors")
            return SongFactors.read(folder, meta, Lineage.load(folder, meta.lineage, meta.parents), meta.settings)
