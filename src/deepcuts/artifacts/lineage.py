"""Where numbers come from: which factor space they live in, whose plays shaped them, under which protocol.

Every artifact carries a `Lineage`; only `derive` makes a new one from others. Known and unknown give unknown, never
known, so a fact that one part cannot vouch for is never claimed of the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from deepcuts.artifacts.vocabulary import Vocabulary
from deepcuts.errors import ArtifactError, InputError

CLEAN, JOINT = "clean", "joint"
NEUTRAL = ""  # of a space or a protocol: features of sound, say, live in no factor space and have seen no plays


@dataclass(frozen=True)
class Lineage:
    """What stands behind an artifact.

    Attributes:
        space: the fingerprint of the factorisation that made the factor space; "" for artifacts that live in none
            (features, dictionaries), None when it is unknown. Vectors of two spaces must never be combined.
        learned_from: every song whose plays or sound shaped these numbers; None when it is unknown, empty when nothing
            was learned.
        protocol: "clean" (no play of a test song was seen), "joint" (they were), "" (no plays at all), None (unknown).
        pretrained_on: outside collections that a frozen encoder learned from, by name.
        parents: fingerprints of what it was made from, by role.
    """

    space: str | None = NEUTRAL
    learned_from: Vocabulary | None = field(default_factory=lambda: Vocabulary([]))
    protocol: str | None = NEUTRAL
    pretrained_on: tuple[str, ...] = ()
    parents: Mapping[str, str] = field(default_factory=dict)

    def with_parents(self, **parents: str) -> "Lineage":
        """The same lineage, made from other parents."""
        return replace(self, parents=parents)

    def record(self) -> dict[str, Any]:
        """What meta.json holds; `learned_from` is a file of its own (`save`), `parents` stand beside."""
        return {"space": self.space, "protocol": self.protocol, "pretrained_on": list(self.pretrained_on),
                "learned_from": None if self.learned_from is None else len(self.learned_from)}  # fmt: skip

    def save(self, folder: Path) -> dict[str, Any]:
        """Write `learned_from.parquet` beside the arrays, where there is something to write; returns `record()`."""
        if self.learned_from is not None and len(self.learned_from):
            self.learned_from.save(folder, "learned_from")
        return self.record()

    @staticmethod
    def load(folder: Path, record: Mapping[str, Any], parents: Mapping[str, str]) -> "Lineage":
        """Read what `save` wrote.

        Raises:
            ArtifactError: the record and `learned_from.parquet` do not agree.
        """
        n_learned = record.get("learned_from")
        learned_from = None if n_learned is None else Vocabulary([])
        if n_learned:
            learned_from = Vocabulary.load(folder, "learned_from", "song")
            if len(learned_from) != n_learned:
                raise ArtifactError(
                    f"{folder}/learned_from.parquet holds {len(learned_from)} songs, meta.json says {n_learned}. "
                    "Make the artifact again."
                )
        return Lineage(
            record.get("space"),
            learned_from,
            record.get("protocol"),
            tuple(record.get("pretrained_on", ())),
            dict(parents),
        )


UNKNOWN = Lineage(space=None, learned_from=None, protocol=None)


def derive(*lineages: Lineage, **parents: str) -> Lineage:
    """The lineage of something made from others: the only way to a new one.

    Spaces must agree, songs learned from add up, one joint part makes the whole joint, and one unknown part makes the
    whole unknown. Parts that live in no space (features) have no say in it.

    Args:
        lineages: of all parts, at least one.
        parents: fingerprints of the parts, by role.
    Raises:
        InputError: two parts live in different factor spaces (names both).

    >>> both = derive(Lineage("a fit", Vocabulary(["s1"])), Lineage("a fit", Vocabulary(["s2"])))
    >>> both.space, both.learned_from.ids.to_list()
    ('a fit', ['s1', 's2'])
    >>> derive(Lineage("a fit"), Lineage("a fit", learned_from=None)).learned_from is None  # known and unknown: unknown
    True
    """
    if not lineages:
        raise InputError("derive: no lineages given, expected at least one.")
    return Lineage(
        same_space(*lineages),
        _union([one.learned_from for one in lineages]),
        _protocol([one.protocol for one in lineages]),
        tuple(sorted({name for one in lineages for name in one.pretrained_on})),
        parents,
    )


def same_space(*lineages: Lineage, what: Sequence[str] = ()) -> str | None:
    """The factor space that all of these share; "" when none lives in one, None when one does not know.

    Args:
        what: a name for each lineage, for the message.
    Raises:
        InputError: two live in different spaces.
    """
    names = list(what) or [f"part {at + 1}" for at in range(len(lineages))]
    known = [(one.space, name) for one, name in zip(lineages, names, strict=True) if one.space]
    for space, name in known[1:]:
        if space != known[0][0]:
            raise InputError(
                f"{known[0][1]} (factorisation {str(known[0][0])[:8]}) and {name} (factorisation {str(space)[:8]}) "
                "come from different factorisations, so their numbers cannot be combined. "
                "Predict again with an encoder that was fitted to these factors."
            )
    if any(one.space is None for one in lineages):
        return None
    return known[0][0] if known else NEUTRAL


def _union(parts: Sequence[Vocabulary | None]) -> Vocabulary | None:
    ids = [part.ids for part in parts if part is not None]
    if len(ids) < len(parts):
        return None
    held = [one for one in ids if len(one)]
    if not held:
        return Vocabulary([])
    return Vocabulary(held[0] if len(held) == 1 else pl.concat(held).unique(maintain_order=True))


def _protocol(protocols: Sequence[str | None]) -> str | None:
    if any(one is None for one in protocols):
        return None
    if JOINT in protocols:
        return JOINT
    return CLEAN if CLEAN in protocols else NEUTRAL
