"""Latent factors of users and songs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts import store
from deepcuts.artifacts.vocabulary import Vocabulary
from deepcuts.checks import check_finite, check_shape
from deepcuts.errors import InputError
from deepcuts.store import Meta, load_array, read_meta, save_array, write_meta, writing


@dataclass(frozen=True)
class Factors:
    """Latent factors, observed (from plays) or predicted (from sound).

    Attributes:
        users, user_factors: x_u [n_users, n_factors] float32; both None for predicted songs.
        songs, song_factors: y_i [n_songs, n_factors] float32; both None when only users are held.
        learned_from: the songs whose plays or targets shaped these numbers, for the leakage audit.
        n_listeners: int64 [n_songs], how many users played each song while learning; None for predicted songs.
        settings: that made them; `protocol` is "clean" or "joint".
        parents: fingerprints of what they were made from, by name.
    """

    users: Vocabulary | None
    user_factors: np.ndarray | None
    songs: Vocabulary | None
    song_factors: np.ndarray | None
    learned_from: Vocabulary | None = None
    n_listeners: np.ndarray | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, ids, rows in (
            ("user_factors", self.users, self.user_factors),
            ("song_factors", self.songs, self.song_factors),
        ):
            if rows is None or ids is None:
                if (rows is None) != (ids is None):
                    raise InputError(f"{name}: ids and rows come together or not at all.")
                continue
            check_shape(name, rows, [len(ids), self.n_factors])
            check_finite(name, rows)

    @property
    def n_factors(self) -> int:
        """How many latent factors."""
        rows = self.user_factors if self.user_factors is not None else self.song_factors
        if rows is None:
            raise InputError("factors: neither users nor songs.")
        return rows.shape[1]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of ids and numbers."""
        parts: list[Any] = []
        for ids, rows in ((self.users, self.user_factors), (self.songs, self.song_factors)):
            if ids is not None and rows is not None:
                parts += [ids.fingerprint, rows]
        return store.fingerprint(*parts)

    def without_songs(self, songs: Vocabulary) -> "Factors":
        """The same factors, some songs left out; users stay. Under the joint protocol test songs have factors, which no
        encoder may see.
        """
        if self.songs is None or self.song_factors is None:
            return self
        keep = np.flatnonzero(songs.find(self.songs.ids) < 0)
        if len(keep) == len(self.songs):
            return self
        listeners = None if self.n_listeners is None else self.n_listeners[keep]
        return replace(self, songs=self.songs.take(keep), song_factors=self.song_factors[keep], n_listeners=listeners)

    def save(self, folder: Path | str) -> None:
        """Write the folder, whole or not at all."""
        with writing(folder) as scratch:
            shape = {"n_factors": self.n_factors}
            for name, ids, rows in (
                ("user", self.users, self.user_factors),
                ("song", self.songs, self.song_factors),
            ):
                if ids is not None and rows is not None:
                    ids.save(scratch, f"{name}s")
                    save_array(scratch, f"{name}_factors", rows.astype(np.float32))
                    shape[f"n_{name}s"] = len(ids)
            if self.n_listeners is not None:
                save_array(scratch, "n_listeners", self.n_listeners)
            if self.learned_from is not None:
                self.learned_from.save(scratch, "learned_from")
            write_meta(scratch, Meta("factors", self.fingerprint, self.parents, self.settings, shape))

    @staticmethod
    def load(folder: Path | str) -> "Factors":
        """Read the folder.

        Raises:
            ArtifactError: missing, half-written, damaged or of another kind.
        """
        folder = Path(folder)
        meta = read_meta(folder, "factors")
        held: dict[str, Any] = {}
        for noun in ("user", "song"):
            there = f"n_{noun}s" in meta.shape
            held[f"{noun}s"] = Vocabulary.load(folder, f"{noun}s", noun) if there else None
            held[f"{noun}_factors"] = load_array(folder, f"{noun}_factors") if there else None
        if (folder / "n_listeners.npy").exists():
            held["n_listeners"] = load_array(folder, "n_listeners")
        if (folder / "learned_from.parquet").exists():
            held["learned_from"] = Vocabulary.load(folder, "learned_from", "song")
        return Factors(**held, settings=meta.settings, parents=meta.parents)
