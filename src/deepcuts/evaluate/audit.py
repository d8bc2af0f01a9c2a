"""Prove that no play of a test song reached anything that was learned, or stop.

The audit reads facts, not intentions: which songs shaped each set of factors (`learned_from`), and the fingerprint
of the plays they were fitted on.

Protocols. "clean": users, songs and encoder know nothing of test songs. "joint": the factorisation saw the plays of
all songs, as the paper can be read; then only the split and the cover of predictions can be proven. Joint numbers are
higher (by a quarter in mAP on sparse plays), so the two must never stand in one table: all are clean, or all are joint.
Factors that do not say are held to the clean protocol, the strict one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepcuts.artifacts import ROLE_NAMES, TEST, Factors, Plays, Split, Vocabulary
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
    factors: Mapping[str, Factors],
    systems: Sequence[System] = (),
    *,
    test_songs: Vocabulary | None = None,
) -> AuditReport:
    """Check a split, the factors learned under it and the systems built from them.

    Args:
        split: that says which songs are tested.
        plays: all plays, hidden ones included.
        factors: by name: observed ones (from plays; they hold users or `n_listeners`) and predicted ones (from sound).
            Leave out what is allowed to cheat, such as the factors of an upper bound.
        systems: those marked as cheating are passed over.
        test_songs: the songs that are ranked, when they are not all test songs of the split.
    Returns:
        what was proven.
    Raises:
        LeakageError: names the first leaked song and how many there are.
        InputError: the split is for other plays, or predicted factors do not cover the ranked songs.
    """
    checks = [_check_split(split, plays)]
    hidden = split.test_songs
    ranked = hidden if test_songs is None else test_songs
    _refuse(_outside(ranked, hidden), "ranked songs", "are not test songs of the split", "Rank test songs only.")
    honest = [system for system in systems if not system.cheating]
    parties = [(f"factors {name!r}", str(f.settings.get("protocol") or "clean")) for name, f in factors.items()]
    parties += [(f"system {system.name!r}", system.protocol) for system in honest]
    protocol = _one_protocol(parties)
    checks.append(f"All {len(parties)} parties follow the {protocol} protocol.")
    learning = split.learning_plays(plays).fingerprint if protocol == "clean" else ""
    for name, one in factors.items():
        checks += _check_factors(name, one, hidden, ranked, protocol, learning)
    for system in honest:
        if system.learned_from is not None and protocol == "clean":
            _check_learned_from(f"system {system.name!r}", system.learned_from, hidden)
            checks.append(f"System {system.name!r} learned from no test song.")
    marks = {name: one.fingerprint for name, one in factors.items()}
    marks |= {"split": split.fingerprint, "plays": plays.fingerprint}
    return AuditReport(protocol, checks, len(ranked), marks)


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


def _one_protocol(parties: Sequence[tuple[str, str]]) -> str:
    """The protocol of all parties, or a refusal."""
    kinds = {protocol for _, protocol in parties}
    for who, protocol in parties:
        if protocol not in ("clean", "joint"):
            raise InputError(f"{who}: protocol {protocol!r}: allowed are clean and joint.")
    if len(kinds) > 1:
        joint = next(who for who, protocol in parties if protocol == "joint")
        clean = next(who for who, protocol in parties if protocol == "clean")
        n_joint = sum(protocol == "joint" for _, protocol in parties)
        raise LeakageError(
            f"{joint} has seen plays of test songs (protocol joint, {n_joint} of {len(parties)}), {clean} has not. "
            "They must not stand in one table: make all of them clean, or all joint."
        )
    return kinds.pop() if kinds else "clean"


def _check_factors(
    name: str, factors: Factors, hidden: Vocabulary, ranked: Vocabulary, protocol: str, learning: str
) -> list[str]:
    where = f"factors {name!r}"
    observed = factors.users is not None or factors.n_listeners is not None
    if observed:
        return _check_observed(where, factors, hidden, learning) if protocol == "clean" else []
    if factors.songs is None or factors.learned_from is None:
        raise LeakageError(f"{where}: do not say which songs they were learned from. Predict them again.")
    if protocol == "clean":  # `learned_from` counts the songs behind the targets too, so under joint it holds all songs
        _check_learned_from(where, factors.learned_from, hidden)
    missing = _outside(ranked, factors.songs)
    if missing:
        raise InputError(
            f"{where}: song {missing[0]!r} and {len(missing) - 1} more of {len(ranked)} ranked songs have no "
            "prediction. Predict all test songs, or pass the songs to rank as test_songs."
        )
    none = ", none of them tested" if protocol == "clean" else ""
    return [f"{where}: learned from {len(factors.learned_from)} songs{none}; all ranked songs are covered."]


def _check_observed(where: str, factors: Factors, hidden: Vocabulary, learning: str) -> list[str]:
    if factors.songs is not None:
        leaked = _inside(factors.songs, hidden)
        _refuse(leaked, where, "are test songs with observed factors", "Fit the learning plays of the split.")
    if factors.learned_from is None and factors.songs is None:
        raise LeakageError(f"{where}: do not say which songs they were learned from. Fit them again.")
    if factors.learned_from is not None:
        _check_learned_from(where, factors.learned_from, hidden)
    found = factors.parents.get("plays")
    if found != learning:
        raise LeakageError(
            f"{where}: were fitted on plays {found or 'unknown'}, expected the split's learning plays {learning}. "
            "Fit them on split.learning_plays(plays)."
        )
    return [f"{where}: fitted on the split's learning plays, without a play of a test song."]


def _check_learned_from(where: str, learned_from: Vocabulary, hidden: Vocabulary) -> None:
    leaked = _inside(learned_from, hidden)
    _refuse(leaked, where, "are test songs that it learned from", "Learn from the split's learning songs only.")


def _inside(songs: Vocabulary, others: Vocabulary) -> list[str]:
    """Ids of `songs` that are in `others`."""
    return songs.ids.gather(np.flatnonzero(others.find(songs.ids) >= 0)).to_list()


def _outside(songs: Vocabulary, others: Vocabulary) -> list[str]:
    """Ids of `songs` that are not in `others`."""
    return songs.ids.gather(np.flatnonzero(others.find(songs.ids) < 0)).to_list()


def _refuse(leaked: Sequence[str], where: str, what: str, remedy: str) -> None:
    if leaked:
        raise LeakageError(f"{where}: {leaked[0]!r} and {len(leaked) - 1} more {what}. {remedy}")
