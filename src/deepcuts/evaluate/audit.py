"""Prove that no play of a test song reached anything that was learned, or stop.

The audit reads facts, not intentions: the lineage of every set of factors and of every system (which factor space,
which songs shaped it), and the fingerprint of the plays that were factorised. Whatever does not say is refused.

Protocols. "clean": users, songs and encoder know nothing of test songs. "joint": the factorisation saw the plays of
all songs, as the paper can be read; then only the split, the factor space and the cover of predictions can be proven.
Joint numbers are higher (by a quarter in mAP on sparse plays), so the two must never appear in one table: all are
clean, or all are joint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepcuts.artifacts import CLEAN, JOINT, ROLE_NAMES, TEST, Factors, Lineage, Plays, SongFactors, Split, Vocabulary
from deepcuts.artifacts import same_space as refuse_other_space
from deepcuts.errors import InputError, LeakageError
from deepcuts.evaluate.systems import System


@dataclass(frozen=True)
class AuditReport:
    """What was proven.

    Attributes:
        protocol: "clean" or "joint".
        checks: sentences, one for each thing proven.
        n_test_songs: songs that were ranked.
        parties: name to fingerprint (or protocol) of everything looked at.
    """

    protocol: str
    checks: Sequence[str]
    n_test_songs: int
    parties: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """For report.json."""
        return {
            "protocol": self.protocol,
            "passed": True,
            "n_test_songs": self.n_test_songs,
            "checks": list(self.checks),
            "parties": dict(self.parties),
        }


def audit(
    split: Split,
    plays: Plays,
    observed: Sequence[Factors] = (),
    predicted: Mapping[str, SongFactors] | None = None,
    systems: Sequence[System] = (),
    *,
    test_songs: Vocabulary | None = None,
) -> AuditReport:
    """Check a split, the factors learned under it and the systems built from them.

    Args:
        split: that says which songs are tested.
        plays: all plays, hidden ones included.
        observed: factorisations of plays. Leave out what is allowed to cheat, such as the factors of an upper bound.
        predicted: song factors from sound, by the name of their system.
        systems: those marked as cheating are not checked.
        test_songs: the songs that are ranked, when they are not all test songs of the split.
    Returns:
        what was proven.
    Raises:
        LeakageError: names the first leaked song and how many there are.
        InputError: the split is for other plays, predicted factors belong to another factorisation, or they do not
            cover the ranked songs.
    """
    checks = [_check_split(split, plays)]
    hidden = split.test_songs
    ranked = hidden if test_songs is None else test_songs
    _refuse(_outside(ranked, hidden), "ranked songs", "are not test songs of the split", "Rank test songs only.")
    honest = [system for system in systems if not system.cheating]
    factorised = {f"factors {at + 1}" if at else "factors": one for at, one in enumerate(observed)}
    guessed = {f"predictions {name!r}": one for name, one in (predicted or {}).items()}
    lineages = {name: one.lineage for name, one in factorised.items()}
    lineages |= {name: one.lineage for name, one in guessed.items()}
    lineages |= {f"system {system.name!r}": system.lineage for system in honest}
    protocol = _one_protocol(lineages)
    checks.append(f"All {len(lineages)} parties follow the {protocol} protocol.")
    if protocol == CLEAN:
        learning = split.learning_plays(plays).fingerprint
        checks += [_check_observed(name, one, hidden, learning) for name, one in factorised.items()]
        checks += [_check_learned_from(name, one, hidden) for name, one in lineages.items() if name not in factorised]
    checks += _check_spaces(factorised, guessed)
    checks += [_check_cover(name, one, ranked) for name, one in guessed.items()]
    parties = {name: one.fingerprint for name, one in factorised.items()}
    parties |= {name: one.fingerprint for name, one in guessed.items()}
    parties |= {"split": split.fingerprint, "plays": plays.fingerprint}
    return AuditReport(protocol, checks, len(ranked), parties)


def _check_split(split: Split, plays: Plays) -> str:
    if plays.songs != split.songs or split.settings.get("plays", plays.fingerprint) != plays.fingerprint:
        raise InputError("split: was made for other plays than these. Split these plays again.")
    roles = np.asarray(split.roles)
    unknown = np.flatnonzero((roles < 0) | (roles >= len(ROLE_NAMES)))
    if len(unknown):
        raise LeakageError(
            f"split: song {split.songs[unknown[0]]!r} has role {roles[unknown[0]]}: allowed are 0 to 2. Split again."
        )
    if not (roles == TEST).any():
        raise InputError("split: has no test songs. Split again with a larger test fraction.")
    group, first = np.unique(split.groups, return_index=True)
    first_role = roles[first][np.searchsorted(group, split.groups)]
    parted = np.flatnonzero(roles != first_role)
    if len(parted):
        n_groups = len(np.unique(split.groups[parted]))
        raise LeakageError(
            f"split: the group of song {split.songs[parted[0]]!r} has songs in two roles ({n_groups} groups do). "
            "A group (an artist) must not part. Split again."
        )
    return f"Every song has one role and no group parts; {(roles == TEST).sum()} of {len(roles)} songs are tested."


def _one_protocol(lineages: Mapping[str, Lineage]) -> str:
    """The protocol of all parties, or a refusal."""
    said = {name: one.protocol for name, one in lineages.items() if one.protocol != ""}
    for who, protocol in said.items():
        if protocol is None:
            raise LeakageError(f"{who}: does not say whether it has seen plays of test songs. Make it again.")
        if protocol not in (CLEAN, JOINT):
            raise InputError(f"{who}: protocol {protocol!r}: allowed are clean and joint.")
    if len(set(said.values())) > 1:
        joint = next(who for who, protocol in said.items() if protocol == JOINT)
        clean = next(who for who, protocol in said.items() if protocol == CLEAN)
        n_joint = sum(protocol == JOINT for protocol in said.values())
        raise LeakageError(
            f"{joint} has seen plays of test songs (protocol joint, {n_joint} of {len(said)}), {clean} has not. "
            "They must not appear in one table: make all of them clean, or all joint."
        )
    return str(next(iter(said.values()), CLEAN))


def _check_spaces(factorised: Mapping[str, Factors], guessed: Mapping[str, SongFactors]) -> list[str]:
    """Predictions must belong to a factorisation whose users rank them."""
    if not factorised or not guessed:
        return []
    spaces = {one.lineage.space for one in factorised.values()}
    name, observed = next(iter(factorised.items()))
    for who, one in guessed.items():
        if one.lineage.space is None:
            raise InputError(f"{who}: does not say which factorisation it belongs to. Predict again.")
        if one.lineage.space not in spaces:
            refuse_other_space(observed.lineage, one.lineage, what=(name, who))
    return ["All predictions belong to the factor space of the users."]


def _check_observed(where: str, factors: Factors, hidden: Vocabulary, learning: str) -> str:
    leaked = _inside(factors.songs.songs, hidden)
    _refuse(leaked, where, "are test songs with observed factors", "Fit the learning plays of the split.")
    _check_learned_from(where, factors.lineage, hidden)
    found = factors.lineage.parents.get("plays")
    if found != learning:
        raise LeakageError(
            f"{where}: were fitted on plays {found or 'unknown'}, expected the split's learning plays {learning}. "
            "Fit them on split.learning_plays(plays)."
        )
    return f"{where}: fitted on the split's learning plays, without a play of a test song."


def _check_learned_from(where: str, lineage: Lineage, hidden: Vocabulary) -> str:
    if lineage.learned_from is None:
        raise LeakageError(f"{where}: does not say which songs it learned from. Make it again.")
    leaked = _inside(lineage.learned_from, hidden)
    _refuse(leaked, where, "are test songs that it learned from", "Learn from the split's learning songs only.")
    return f"{where}: learned from {len(lineage.learned_from)} songs, none of them tested."


def _check_cover(where: str, factors: SongFactors, ranked: Vocabulary) -> str:
    missing = _outside(ranked, factors.songs)
    if missing:
        raise InputError(
            f"{where}: song {missing[0]!r} and {len(missing) - 1} more of {len(ranked)} ranked songs have no "
            "prediction. Predict all test songs, or pass the songs to rank as test_songs."
        )
    return f"{where}: all ranked songs are covered."


def _inside(songs: Vocabulary, others: Vocabulary) -> list[str]:
    """Ids of `songs` that are in `others`."""
    return songs.ids.gather(np.flatnonzero(others.find(songs.ids) >= 0)).to_list()


def _outside(songs: Vocabulary, others: Vocabulary) -> list[str]:
    """Ids of `songs` that are not in `others`."""
    return songs.ids.gather(np.flatnonzero(others.find(songs.ids) < 0)).to_list()


def _refuse(leaked: Sequence[str], where: str, what: str, remedy: str) -> None:
    if leaked:
        raise LeakageError(f"{where}: {leaked[0]!r} and {len(leaked) - 1} more {what}. {remedy}")
