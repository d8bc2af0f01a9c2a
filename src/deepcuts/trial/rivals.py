"""Rivals in a table: what needs no factors of songs. Each where the data allows it.

content_knn   mean likeness to the listener's own songs: what tools that only compare sounds do
taste         the posterior of each listener's taste in the space of pooled sound
same_artist   how much the listener plays the song's artist; silent for artists nobody has played
heard_fame    one list for all, by the listeners that content alone foretells: a meter of leaks
"""

import numpy as np
import polars as pl
from scipy import sparse
from sklearn.ensemble import ExtraTreesRegressor

from deepcuts.artifacts import CLEAN, Factors, Features, Lineage, Plays, Vocabulary
from deepcuts.evaluate import System
from deepcuts.recommend import content_neighbours, content_space, posterior_tastes


def content_rivals(
    learning: Plays, observed: Factors, pooled: Features, songs: Vocabulary
) -> tuple[list[System], np.ndarray]:
    """The rows `content_knn`, `taste` and `heard_fame`.

    Args:
        learning: the plays that may be learned from.
        pooled: one frame a song, of learning and test songs.
        songs: the test songs, in the order of the rows; all have features.
    Returns:
        the systems, and the foretold log listeners of the test songs [n_test].
    """
    known = pooled.songs.take(np.flatnonzero(learning.songs.find(pooled.songs.ids) >= 0))
    learn, test = pooled.songs.positions(known.ids), pooled.songs.positions(songs.ids)
    space = content_space(np.asarray(pooled.frames), learn)
    played = learning.counts_of(observed.users.users, known)
    lineage = Lineage(learned_from=learning.songs, protocol=CLEAN)
    tastes = posterior_tastes(played, space[learn])
    fame = foretold_fame(learning, known.ids, pooled, learn, test)
    neighbours = content_neighbours(played, space[learn], space[test])
    return [
        System("content_knn", neighbours, np.eye(len(test)), lineage=lineage,
               note="Mean likeness to the listener's own songs, by sound alone."),
        System("taste", tastes.vectors, space[test] - tastes.centre, lineage=lineage,
               note="Posterior of each listener's taste in the space of pooled sound."),
        System("heard_fame", np.ones((len(observed.users), 1)), fame[:, None], "control", lineage=lineage,
               note="The same list for all: by the listeners that content alone foretells. A meter of leaks."),
    ], fame  # fmt: skip


def foretold_fame(learning: Plays, ids: pl.Series, pooled: Features, learn: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Log listeners of the test songs [n_test], foretold from content by extra trees that saw the learning songs."""
    listeners = np.bincount(learning.counts.indices, minlength=len(learning.songs))
    target = np.log1p(listeners[learning.songs.positions(ids)])
    trees = ExtraTreesRegressor(300, min_samples_leaf=5, max_features=0.5, random_state=0, n_jobs=-1)
    rows = np.asarray(pooled.frames, dtype=np.float32)
    return np.asarray(trees.fit(rows[learn], target).predict(rows[test]))


def same_artist(plays: Plays, learning: Plays, observed: Factors, songs: Vocabulary) -> System | None:
    """The row `same_artist`; None where no artists are told, or no test song's artist was ever played.

    Args:
        plays: all plays: their songs table names the artists, also of test songs; its counts are not looked at.
    """
    if "artist" not in plays.songs_table.columns:
        return None
    artists = plays.songs_table["artist"].cast(pl.String)
    names = {name: at for at, name in enumerate(artists.drop_nulls().unique().sort().to_list())}
    of_song = np.array([names.get(name, -1) for name in artists.to_list()])
    learned, test = of_song[plays.songs.positions(learning.songs.ids)], of_song[plays.songs.positions(songs.ids)]
    if not np.isin(test[test >= 0], learned).any():
        return None
    counts = learning.counts_of(observed.users.users, learning.songs)
    counts.data = np.log1p(counts.data)
    users = counts @ _one_hot(learned, len(names))
    lineage = Lineage(learned_from=learning.songs, protocol=CLEAN)
    return System("same_artist", users.toarray(), _one_hot(test, len(names)).toarray(), lineage=lineage,
                  note="How much the listener plays the song's artist.")  # fmt: skip


def _one_hot(artist: np.ndarray, n: int) -> sparse.csr_array:
    known = np.flatnonzero(artist >= 0)
    return sparse.csr_array((np.ones(len(known)), (known, artist[known])), shape=(len(artist), n))
