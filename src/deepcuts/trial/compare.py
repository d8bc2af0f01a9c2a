"""Two systems on one split: how much better is one than the other, and for which songs?

Both rank the same test songs for the same users. Every replicate of the bootstrap draws users and songs for both
alike, so the interval is that of the paired difference. What can be proven about leakage is proven first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from deepcuts.artifacts import Plays, SongFactors, Split, Vocabulary
from deepcuts.errors import InputError, LeakageError
from deepcuts.evaluate import EvaluateSettings, Evaluation, audit, compare, evaluate, popularity_bins, relevant_plays
from deepcuts.evaluate.buckets import auc_gaps, buckets_of
from deepcuts.trial.details import details_of, known_artists
from deepcuts.trial.sides import Side

METRICS = ("map", "auc")
NOT_AUDITED = "{name}: read from a table, which does not say what it learned from: NOT audited."


@dataclass(frozen=True)
class Candidates:
    """Whom both systems rank, and what for.

    Attributes:
        users, songs: known to both; songs are test songs of the split.
        n_users, n_songs: that the plays and the split have.
    """

    users: Vocabulary
    songs: Vocabulary
    n_users: int
    n_songs: int


def compare_systems(
    plays: Plays, split: Split, a: Side, b: Side, settings: EvaluateSettings | None = None
) -> dict[str, Any]:
    """Score two systems on the test songs of a split, pair by pair.

    Args:
        plays: all plays, hidden ones too.
        split: under which both were learned.
    Returns:
        what comparison.json holds: a, b, protocol, n_users, n_songs, left out, rows (mean, low, high of both), effects
        (difference of a less b with interval and p, in each metric), groups (AUC of both and their difference for
        songs with 0, 1-5, 6-50, > 50 listeners, and by known and unknown artists), audit.
    Raises:
        LeakageError: a play of a test song reached one of them.
        InputError: equal names, or no user or no test song that both know.
    """
    settings = settings or EvaluateSettings()
    if a.name == b.name:
        raise InputError(f"compare: both systems are called {a.name!r}. Name them: NAME=PATH.")
    common = candidates_of(plays, split, a, b)
    checks = proof(plays, split, (a, b), common.songs)
    systems = [side.system(common.users, common.songs) for side in (a, b)]
    hidden = relevant_plays(plays, common.users, common.songs)
    evaluation = evaluate(systems, hidden, settings)
    details = details_of(evaluation, systems, plays, split, common.songs)
    return {
        "title": f"{a.name} against {b.name}: songs nobody has played",
        "a": a.name, "b": b.name, "protocol": checks["protocol"], "map_key": f"map{settings.at}",
        "n_users": evaluation.n_users, "n_songs": evaluation.n_songs,
        "left_out": left_out(evaluation, common),
        "rows": [{**row_of(evaluation, side), **details[side.name]} for side in (a, b)],
        "effects": [{"metric": metric, **compare(evaluation, a.name, b.name, metric)} for metric in METRICS],
        "groups": groups_of(evaluation, a.name, b.name, known_artists(plays, split, common.songs)),
        "audit": checks, "settings": asdict(settings), "split": dict(split.settings),
    }  # fmt: skip


def candidates_of(plays: Plays, split: Split, a: Side, b: Side) -> Candidates:
    """The users and the test songs that both systems know.

    Raises:
        InputError: none.
    """
    users, songs = plays.users.ids, split.test_songs.ids
    n_users, n_songs = len(users), len(songs)
    for side in (a, b):
        users = users.filter(side.users.find(users) >= 0)
        songs = songs if side.songs is None else songs.filter(side.songs.find(songs) >= 0)
        if not len(users) or not len(songs):
            what = "users of the plays" if not len(users) else "test songs of the split"
            raise InputError(f"{side.name}: {side.kind} without any of the {what}. Do they belong to the same data?")
    return Candidates(Vocabulary(users, "user"), Vocabulary(songs), n_users, n_songs)


def proof(plays: Plays, split: Split, sides: Sequence[Side], songs: Vocabulary) -> dict[str, Any]:
    """What the audit proves of both systems, and what it cannot.

    Raises:
        LeakageError: a play of a test song reached one of them.
    """
    for side in sides:
        refuse_plays(side, songs)
    known = [side for side in sides if side.vectors is not None]
    observed = {one.fingerprint: one for side in known if (one := side.observed) is not None}
    few = Vocabulary([], "user")
    systems = [side.system(few, songs) for side in known]
    told = audit(split, plays, list(observed.values()), {}, systems, test_songs=songs).as_dict()
    told["checks"] += [NOT_AUDITED.format(name=side.name) for side in sides if side.vectors is None]
    return {**told, "protocol": told["protocol"] if known else "not audited"}


def refuse_plays(side: Side, songs: Vocabulary) -> None:
    """Refuse vectors of test songs that plays have shaped, such as those of a blend.

    Raises:
        LeakageError: names the first song.
    """
    vectors: SongFactors | None = None if side.vectors is None else side.vectors[1]
    if vectors is None or vectors.n_listeners is None:
        return
    listeners = vectors.n_listeners[vectors.songs.positions(songs.ids)]
    if listeners.any():
        first = songs[int(np.argmax(listeners > 0))]
        raise LeakageError(
            f"{side.name}: test song {first!r} and {int((listeners > 0).sum()) - 1} more have listeners in "
            f"{side.kind}. Learn from the split's learning plays only."
        )


def left_out(evaluation: Evaluation, common: Candidates) -> dict[str, int]:
    """Reason → how many users or songs do not count."""
    return {
        "users that one of the systems does not know": common.n_users - len(common.users),
        **{f"users: {why}": n for why, n in evaluation.left_out.items()},
        "test songs that one of the systems does not rank": common.n_songs - len(common.songs),
    }


def row_of(evaluation: Evaluation, side: Side) -> dict[str, Any]:
    """Means and intervals of one system."""
    row: dict[str, Any] = {"system": side.name, "read_from": side.kind}
    for metric in METRICS:
        low, high = evaluation.interval(side.name, metric)
        row[metric] = {"mean": evaluation.row(side.name).mean(metric), "low": low, "high": high}
    return {**row, "tied": evaluation.row(side.name).tied, "auc_by_popularity": popularity_bins(evaluation, side.name)}


def groups_of(evaluation: Evaluation, a: str, b: str, known: np.ndarray | None) -> dict[str, list[dict[str, Any]]]:
    """AUC of both and the difference, by listeners of the song and by known and unknown artists."""
    listeners, settings = evaluation.listeners, evaluation.settings
    kinds: dict[str, Mapping[str, np.ndarray]] = {"by_plays": buckets_of(listeners)}
    if known is not None:
        kinds["by_artist"] = {"known": known, "unknown": ~known}
    first, second = evaluation.row(a).song_auc, evaluation.row(b).song_auc
    return {
        kind: auc_gaps(first, second, listeners, groups, level=settings.level, n_draws=settings.n_bootstrap,
                       seed=settings.seed)
        for kind, groups in kinds.items()
    }  # fmt: skip
