"""How good a system is for rarely and for often played songs."""

import numpy as np

from deepcuts.evaluate.systems import Evaluation


def popularity_bins(evaluation: Evaluation, name: str) -> list[dict[str, float]]:
    """AUC of one system by how popular the test songs are, least popular first.

    Songs with at least one counted listener are put in `n_bins` groups of nearly equal size by their number of
    listeners (songs equally popular stay together). A group's AUC is the mean of `Row.song_auc`, each song weighing
    as many as it has listeners.

    Returns:
        one dict a group: listeners_low, listeners_high, n_songs, n_pairs, auc.
    """
    listeners, song_auc = evaluation.listeners, evaluation.row(name).song_auc
    heard = np.flatnonzero((listeners > 0) & np.isfinite(song_auc))
    if not len(heard):
        return []
    edges = np.quantile(listeners[heard], np.linspace(0, 1, evaluation.settings.n_bins + 1)[1:-1])
    group = np.searchsorted(edges, listeners[heard], side="left")
    bins = []
    for which in np.unique(group):
        songs = heard[group == which]
        n = listeners[songs]
        bins.append(
            {
                "listeners_low": int(n.min()),
                "listeners_high": int(n.max()),
                "n_songs": len(songs),
                "n_pairs": int(n.sum()),
                "auc": float(np.average(song_auc[songs], weights=n)),
            }
        )
    return bins
