"""The blend against both its parents, at several numbers of plays: when do plays help, and does sound ever hurt?

Half of the users, drawn at random, may give plays; the other half must find the songs. At k plays every test song gets
k listeners of the first half, and three rows rank the same songs for the second:

    audio   predictions from sound, which look at no play
    plays   song factors solved from the k plays alone
    blend   both (`recommend.blend`)

Only songs with enough listeners stand in a table: k who give and at least LEFT who find. So tables of different k hold
different songs and must not be compared with each other; the rows of one table may.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from deepcuts.artifacts import Factors, Plays, SongFactors
from deepcuts.evaluate import EvaluateSettings, System, compare, evaluate
from deepcuts.factors import blocks, fold_in_settings, fold_in_songs
from deepcuts.recommend import blend

PLAYS = (0, 1, 2, 3, 5, 10, 20, 50)
LEFT = 5  # listeners
FEWEST_SONGS = 20
ROWS = ("audio", "plays", "blend")
METRICS = ("map", "auc")


def blend_table(
    plays: Plays,
    observed: Factors,
    predicted: SongFactors,
    precision: np.ndarray,
    settings: EvaluateSettings | None = None,
    numbers: Sequence[int] = PLAYS,
) -> list[dict[str, Any]]:
    """AUC and mAP of the three rows at each number of plays.

    Args:
        plays: all plays, those of the test songs too.
        observed: users, learned without the test songs.
        predicted: of the test songs, on the scale of the observed factors.
        precision: of the predictions, from `recommend.prior_precision`.
    Returns:
        one dict a number of plays that enough songs have: k, n_songs, n_users, for each row the mean, low and
        high of "auc" and "map", and `gaps`: blend less either parent, paired.
    """
    settings = settings or EvaluateSettings()
    rng = np.random.default_rng(settings.seed)
    counts = sparse.csr_array(plays.counts_of(observed.users.users, predicted.songs))
    gives = rng.random(len(observed.users)) < 0.5
    listeners = [np.bincount(counts[which].indices, minlength=len(predicted)) for which in (gives, ~gives)]
    told = []
    for number in numbers:
        songs = np.flatnonzero((listeners[0] >= number) & (listeners[1] >= LEFT))
        if len(songs) < FEWEST_SONGS:
            break
        seen = some_listeners(counts[:, songs], gives, number, rng)
        hidden = sparse.csr_array(counts[:, songs][~gives])
        rows = rows_of(observed, predicted.take(songs), seen, precision)
        told.append({"k": number, "n_songs": len(songs), **_scored(observed.users.vectors[~gives], rows, hidden,
                                                                       settings)})  # fmt: skip
    return told


def some_listeners(
    counts: sparse.csr_array, gives: np.ndarray, number: int, rng: np.random.Generator
) -> sparse.csr_array:
    """Counts [n_users, n_songs] of `number` listeners of each song, drawn from the users who give [n_users] bool."""
    table = sparse.csc_array(counts)
    kept = np.zeros(table.nnz, dtype=bool)
    for song in range(table.shape[1]):
        span = np.arange(table.indptr[song], table.indptr[song + 1])
        kept[rng.permutation(span[gives[table.indices[span]]])[:number]] = True
    column = np.repeat(np.arange(table.shape[1]), np.diff(table.indptr))
    return sparse.csr_array((table.data[kept], (table.indices[kept], column[kept])), shape=table.shape)


def rows_of(
    observed: Factors, predicted: SongFactors, seen: sparse.csr_array, precision: np.ndarray
) -> dict[str, np.ndarray]:
    """Row → song vectors [n_songs, n_factors]."""
    settings = fold_in_settings(observed)
    users = observed.users.vectors
    alone = np.hstack([fold_in_songs(seen, users[:, block], settings) for block in blocks(observed)])
    both = blend(seen, observed.users, predicted, precision).vectors
    return dict(zip(ROWS, (predicted.vectors, alone, both), strict=True))


def _scored(
    users: np.ndarray, rows: dict[str, np.ndarray], hidden: sparse.csr_array, settings: EvaluateSettings
) -> dict[str, Any]:
    evaluation = evaluate([System(name, users, vectors) for name, vectors in rows.items()], hidden, settings)
    told: dict[str, Any] = {"n_users": evaluation.n_users}
    for name in ROWS:
        spans = {metric: evaluation.interval(name, metric) for metric in METRICS}
        told[name] = {metric: {"mean": evaluation.row(name).mean(metric), "low": low, "high": high}
                      for metric, (low, high) in spans.items()}  # fmt: skip
    told["gaps"] = {parent: {metric: compare(evaluation, "blend", parent, metric) for metric in METRICS}
                    for parent in ("audio", "plays")}  # fmt: skip
    return told
