"""Latent factors of users."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
class UserFactors:
    """Latent factors of users, from their plays.

    Attributes:
        users: whose they are, in order.
        vectors: x_u [n_users, n_factors] float32, finite.
        lineage: which space they live in and what they learned from.
        settings: that made them.
    """

    users: Vocabulary
    vectors: np.ndarray
    lineage: Lineage = UNKNOWN
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_shape("user factors", self.vectors, [len(self.users), None])
        check_finite("user factors", self.vectors)

    def __len__(self) -> int:
        return len(self.users)

    @property
    def n_factors(self) -> int:
        """How many latent factors."""
        return self.vectors.shape[1]

    @cached_property
    def same_part(self) -> np.ndarray:
        """Which pairs of factors [n_factors, n_factors] (1 or 0) belong to one factorisation.

        Where several sizes stand side by side (settings["sizes"]), each tells all plays by itself, so equations for new
        users or songs must be solved part by part: multiply their matrix by this.
        """
        sizes = self.settings.get("sizes", [self.n_factors])
        part = np.repeat(np.arange(len(sizes)), sizes)
        return (part[:, None] == part[None]).astype(np.float64)

    def rows(self, user_ids: Iterable[str] | pl.Series) -> np.ndarray:
        """The vectors [n, n_factors] of users by id.

        Raises:
            InputError: an id is unknown.
        """
        return self.vectors[self.users.positions(user_ids, where="user factors")]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of ids and numbers."""
        return store.fingerprint(self.users.fingerprint, self.vectors)

    def write(self, folder: Path, prefix: str = "") -> None:
        """Write ids and numbers into the folder of a larger artifact."""
        self.users.save(folder, f"{prefix}users")
        save_array(folder, f"{prefix}user_factors", self.vectors.astype(np.float32))

    def save(self, folder: Path | str) -> None:
        """Write the folder, whole or not at all."""
        with writing(folder) as scratch:
            self.write(scratch)
            record = self.lineage.save(scratch)
            shape = {"n_users": len(self), "n_factors": self.n_factors}
            write_meta(scratch, Meta("user-factors", self.fingerprint, self.lineage.parents, self.settings, shape,
                                     lineage=record))  # fmt: skip

    @staticmethod
    def load(folder: Path | str) -> "UserFactors":
        """Read the folder.

        Raises:
            ArtifactError: missing, half-written, damaged or of another kind.
        """
        folder = Path(folder)
        with store.content_of(folder):
            meta = read_meta(folder, "user-factors")
            return UserFactors(
                Vocabulary.load(folder, "users", "user"),
                load_array(folder, "user_factors"),
                Lineage.load(folder, meta.lineage, meta.parents),
                meta.settings,
            )
