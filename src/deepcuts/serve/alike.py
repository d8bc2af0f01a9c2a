"""Artists like an artist: the mean of how their songs sound, or of who plays them."""

from functools import lru_cache

import numpy as np

from deepcuts.recommend.patterns import unit_rows
from deepcuts.serve.catalogue import Song
from deepcuts.serve.state import Model

N_TYPICAL = 3


def artists_alike(model: Model, artist_id: str, n: int) -> list[tuple[str, float]]:
    """The artists most like one.

    Returns:
        (artist id, cosine of the means of their songs' patterns), most alike first.
    """
    ids, means = artist_means(model)
    at = ids.index(artist_id)
    scores = means @ means[at]
    order = np.lexsort((np.arange(len(ids)), -scores))
    return [(ids[one], float(scores[one])) for one in order if one != at and means[one].any()][:n]


@lru_cache(maxsize=1)
def artist_means(model: Model) -> tuple[list[str], np.ndarray]:
    """All artists, and the mean pattern of each as a unit vector [n_artists, n_factors]."""
    catalogue, patterns = model.catalogue, model.answers.patterns
    ids = list(catalogue.artists)
    songs = [[song.position for song in catalogue.songs_of_artist(one)] for one in ids]
    rows = np.repeat(np.arange(len(ids)), [len(held) for held in songs])
    sums = np.zeros((len(ids), patterns.shape[1]))
    np.add.at(sums, rows, patterns.take(np.concatenate([np.array(held, dtype=np.int64) for held in songs])))
    return ids, unit_rows(sums)


def typical_songs(model: Model, artist_id: str, n: int = N_TYPICAL) -> list[Song]:
    """The songs of an artist nearest to the mean of all their songs, second copies left out."""
    songs = model.catalogue.songs_of_artist(artist_id)
    patterns = model.answers.patterns.take(np.array([song.position for song in songs]))
    order = np.argsort(-(patterns @ patterns.mean(axis=0)), kind="stable").tolist()
    chosen: dict[str, Song] = {}
    for at in order:
        chosen.setdefault(songs[at].name.casefold(), songs[at])
    return list(chosen.values())[:n]
