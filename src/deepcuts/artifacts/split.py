"""Which songs may be learned from, and which stay unheard."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from deepcuts import store
from deepcuts.artifacts.plays import Plays, plays_before
from deepcuts.artifacts.vocabulary import Vocabulary, read_parquet
from deepcuts.checks import check_shape
from deepcuts.errors import ArtifactError, InputError
from deepcuts.store import Meta, read_meta, write_meta, writing

TRAIN, VALIDATION, TEST = 0, 1, 2
ROLE_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Which songs are for training, which for validation, which for testing.

    Attributes:
        songs: all songs of the plays it was made for.
        roles: int8 [n_songs]: TRAIN, VALIDATION or TEST.
        groups: int64 [n_songs]: songs of one group (an artist) never part; equal to the position when split by song.
        settings: how it was made; `plays` holds the fingerprint of the plays. `cutoff` (unix seconds, or
            absent) marks a split by time: plays first made at or after it are hidden too.
    """

    songs: Vocabulary
    roles: np.ndarray
    groups: np.ndarray
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_shape("split roles", self.roles, [len(self.songs)])
        check_shape("split groups", self.groups, [len(self.songs)])

    @property
    def fingerprint(self) -> str:
        """A hash of every song's role."""
        return store.fingerprint(self.songs.fingerprint, self.roles.astype(np.int8))

    def members(self, *roles: int) -> np.ndarray:
        """Positions of the songs with any of these roles, ascending."""
        return np.flatnonzero(np.isin(self.roles, roles))

    @property
    def test_songs(self) -> Vocabulary:
        """The songs nobody has played, as far as anything learned may know."""
        return self.songs.take(self.members(TEST))

    def learning_plays(self, plays: Plays) -> Plays:
        """The plays that may be learned from under the clean protocol: training and validation songs only.

        Raises:
            InputError: the split was made for other songs.
        """
        if plays.songs != self.songs:
            raise InputError(
                f"split: made for {len(self.songs)} other songs than these {len(plays.songs)}. Split these plays again."
            )
        cutoff = self.settings.get("cutoff")
        if cutoff is not None:
            plays = plays_before(plays, int(cutoff))
        return plays.take_songs(self.members(TRAIN, VALIDATION))

    def inner(self, plays: Plays) -> tuple["Split", Plays]:
        """A split within the learning songs whose test songs are this one's validation songs, and its plays.

        Settings are chosen here, so that test songs are never looked at.
        """
        keep = self.members(TRAIN, VALIDATION)
        roles = np.where(self.roles[keep] == VALIDATION, TEST, TRAIN).astype(np.int8)
        inner_plays = self.learning_plays(plays)
        settings = {**self.settings, "plays": inner_plays.fingerprint, "inner": True}
        if "validation_cutoff" in settings:  # by time: what came after the validation songs is hidden from them too
            settings["cutoff"] = settings["validation_cutoff"]
        return Split(self.songs.take(keep), roles, self.groups[keep], settings), inner_plays

    def save(self, folder: Path | str) -> None:
        """Write the manifest: `split.parquet` (song_id, role, group) and meta.json with hashes."""
        with writing(folder) as scratch:
            pl.DataFrame(
                {
                    "song_id": self.songs.ids,
                    "role": [ROLE_NAMES[r] for r in self.roles],
                    "group": self.groups,
                }
            ).write_parquet(scratch / "split.parquet")
            shape = {f"n_{name}": int((self.roles == r).sum()) for r, name in enumerate(ROLE_NAMES)}
            parents = {"plays": str(self.settings.get("plays", ""))}
            write_meta(scratch, Meta("split", self.fingerprint, parents, self.settings, shape))

    @staticmethod
    def load(folder: Path | str) -> "Split":
        """Read the manifest and check its hash.

        Raises:
            ArtifactError: missing, half-written, or the roles were edited by hand.
        """
        folder = Path(folder)
        with store.content_of(folder):
            meta = read_meta(folder, "split")
            table = read_parquet(folder / "split.parquet", "song_id", "role", "group")
            unknown = sorted(set(table["role"].unique().to_list()) - set(ROLE_NAMES), key=str)
            if unknown:
                raise ArtifactError(f"{folder}: role {unknown[0]!r}: allowed are {', '.join(ROLE_NAMES)}. Split again.")
            roles = np.array([ROLE_NAMES.index(r) for r in table["role"]], dtype=np.int8)
            split = Split(Vocabulary(table["song_id"], "song"), roles, table["group"].to_numpy().copy(), meta.settings)
            if split.fingerprint != meta.fingerprint:
                raise ArtifactError(f"{folder}: the roles do not match the hash in meta.json. Split again.")
            return split
