"""The factors of one factorisation: users and songs of one space, together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts import store
from deepcuts.artifacts.lineage import UNKNOWN, Lineage, derive, same_space
from deepcuts.artifacts.song_factors import SongFactors
from deepcuts.artifacts.user_factors import UserFactors
from deepcuts.artifacts.vocabulary import Vocabulary
from deepcuts.errors import InputError
from deepcuts.store import Meta, load_array, read_meta, write_meta, writing


@dataclass(frozen=True)
class Factors:
    """Users and songs of one factor space: x_u . y_i is the score of song i for user u.

    Attributes:
        users: x_u, from plays.
        songs: y_i, from plays; after `recommend.candidates` from sound too.
    Raises:
        InputError: different numbers of factors, or two factor spaces.
    """

    users: UserFactors
    songs: SongFactors

    def __post_init__(self) -> None:
        if self.users.n_factors != self.songs.n_factors:
            raise InputError(
                f"factors: users have {self.users.n_factors} factors, songs {self.songs.n_factors}. "
                "Take both from one factorisation."
            )
        same_space(self.users.lineage, self.songs.lineage, what=("the users", "the songs"))

    @staticmethod
    def of(
        users: Vocabulary,
        user_vectors: np.ndarray,
        songs: Vocabulary,
        song_vectors: np.ndarray,
        lineage: Lineage = UNKNOWN,
        *,
        n_listeners: np.ndarray | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> "Factors":
        """Factors from plain arrays; users and songs share one lineage.

        Args:
            user_vectors: [n_users, n_factors]; song_vectors: [n_songs, n_factors].
            n_listeners: of each song [n_songs].
        """
        record = dict(settings or {})
        return Factors(
            UserFactors(users, user_vectors, lineage, record),
            SongFactors(songs, song_vectors, lineage, n_listeners=n_listeners, settings=record),
        )

    @property
    def n_factors(self) -> int:
        """How many latent factors."""
        return self.users.n_factors

    @property
    def settings(self) -> Mapping[str, Any]:
        """That made them."""
        return self.users.settings

    @cached_property
    def lineage(self) -> Lineage:
        """Of users and songs together."""
        both = derive(self.users.lineage, self.songs.lineage)
        return both.with_parents(**{**self.users.lineage.parents, **self.songs.lineage.parents})

    @cached_property
    def fingerprint(self) -> str:
        """A hash of ids and numbers."""
        return store.fingerprint(self.users.fingerprint, self.songs.fingerprint)

    def without_songs(self, songs: Vocabulary) -> "Factors":
        """The same users, some songs left out: test songs, say, which no encoder may see."""
        return replace(self, songs=self.songs.without(songs))

    def save(self, folder: Path | str) -> None:
        """Write the folder, whole or not at all."""
        with writing(folder) as scratch:
            self.users.write(scratch)
            self.songs.write(scratch)
            record = self.lineage.save(scratch)
            shape = {"n_users": len(self.users), "n_songs": len(self.songs), "n_factors": self.n_factors}
            write_meta(
                scratch,
                Meta("factors", self.fingerprint, self.lineage.parents, self.settings, shape, lineage=record),
            )

    @staticmethod
    def load(folder: Path | str) -> "Factors":
        """Read the folder.

        Raises:
            ArtifactError: missing, half-written, damaged or of another kind.
        """
        folder = Path(folder)
        with store.content_of(folder):
            meta = read_meta(folder, "factors")
            lineage = Lineage.load(folder, meta.lineage, meta.parents)
            users = Vocabulary.load(folder, "users", "user")
            return Factors(
                UserFactors(users, load_array(folder, "user_factors"), lineage, meta.settings),
                SongFactors.read(folder, meta, lineage, meta.settings),
            )
