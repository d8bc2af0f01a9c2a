"""Predictions of songs by encoders that did not learn from them: what an encoder truly knows of its own training songs.

An encoder's predictions of the songs it learned from are better than those of new songs. Whatever is to be learned from
predictions, such as how far they are off or which tastes explain plays, must be learned from cross-fitted ones.
"""

import numpy as np

from deepcuts.artifacts import Factors, Features, SongFactors, Vocabulary, derive
from deepcuts.errors import InputError
from deepcuts.predict.fit import fit_encoder, predict_songs
from deepcuts.predict.targets import EncoderSettings
from deepcuts.progress import progress


def cross_fitted(
    name: str,
    features: Features,
    factors: Factors,
    settings: EncoderSettings,
    *,
    groups: np.ndarray | None = None,
    n_folds: int = 5,
) -> SongFactors:
    """Predict each song by an encoder that learned from the songs of other folds.

    Args:
        name, settings: of the encoder, as in `fit_encoder`; validation songs are cut within the other folds.
        factors: of the songs to learn from.
        groups: int64 of each song of `factors` [n_songs]; songs of a group (an artist) share a fold. None takes each
            song alone.
        n_folds: at least 2.
    Returns:
        predictions of the songs that have both sound and factors, in the order of `factors`, with the precision that
        each fold's encoder gives.
    Raises:
        InputError: fewer groups than folds.
    """
    heard = np.flatnonzero(features.songs.find(factors.songs.songs.ids) >= 0)
    own = heard if groups is None else groups[heard]
    fold = deal_folds(own, n_folds, np.random.default_rng(settings.seed))
    parts = []
    with progress("cross-fit", total=n_folds, unit="fold") as bar:
        for number in range(n_folds):
            songs = factors.songs.songs.take(heard[fold == number])
            encoder = fit_encoder(name, features, factors.without_songs(songs), settings)
            parts.append(predict_songs(encoder, features, songs))
            bar.advance(1)
    return joined(parts, factors.songs.songs.take(heard))


def deal_folds(groups: np.ndarray, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of each song [n_songs]; groups are dealt in random order, so folds have nearly equally many groups.

    Raises:
        InputError: fewer groups than folds.
    """
    names, number = np.unique(groups, return_inverse=True)
    if not 2 <= n_folds <= len(names):
        raise InputError(f"cross-fit: {n_folds} folds of {len(names)} groups of songs, expected 2 to {len(names)}.")
    return (rng.permutation(len(names)) % n_folds)[number]


def joined(parts: list[SongFactors], songs: Vocabulary) -> SongFactors:
    """Predictions of several encoders one after the other, then in the order of `songs`."""
    lineage = derive(*(part.lineage for part in parts), **{str(at): one.fingerprint for at, one in enumerate(parts)})
    rows, precision = np.empty((len(songs), parts[0].n_factors), np.float32), np.empty(len(songs), np.float32)
    known = all(part.precision is not None for part in parts)
    for part in parts:
        places = songs.positions(part.songs.ids)
        rows[places] = part.vectors
        if part.precision is not None:
            precision[places] = part.precision
    settings = {**parts[0].settings, "cross_fitted": len(parts)}
    return SongFactors(songs, rows, lineage, precision=precision if known else None, settings=settings)
