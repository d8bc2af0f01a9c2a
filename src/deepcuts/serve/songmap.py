"""All songs on a plane: the two leading directions of their usage patterns, near where the same people listen."""

import base64
from typing import Any

import numpy as np
from scipy import linalg

from deepcuts.recommend.patterns import Patterns
from deepcuts.serve.state import Model

SIDE = 65_535  # of the square, as whole numbers
LEARN_FROM = 20_000  # songs that shape the plane


def song_map(model: Model) -> dict[str, Any]:
    """The map for the page: places as base64 of uint16 pairs, and what songs can be coloured by.

    Returns:
        ids, names, artists, genres, years, plays, cold: of each song; xy: base64 of [n_songs, 2] uint16.
    """
    places = plane(model.answers.patterns)
    songs, listeners = model.catalogue.songs, model.answers.bundle.songs.n_listeners
    played = np.asarray(model.answers.bundle.plays.sum(axis=0)).ravel()
    return {
        "ids": [song.song_id for song in songs],
        "names": [song.name for song in songs],
        "artists": [song.artist for song in songs],
        "albums": [song.album for song in songs],
        "genres": [song.about.get("genre") for song in songs],
        "years": [song.about.get("year") for song in songs],
        "plays": played.astype(int).tolist(),
        "cold": [] if listeners is None else (listeners == 0).tolist(),
        "xy": base64.b64encode(places.tobytes()).decode(),
    }


def plane(patterns: Patterns) -> np.ndarray:
    """Rows on a plane [n_songs, 2] uint16: their two principal directions, each spread evenly by rank for half."""
    known = patterns.take(np.arange(0, len(patterns), max(1, len(patterns) // LEARN_FROM))).astype(np.float64)
    mean = known.mean(axis=0)
    if len(known) < 3 or patterns.shape[1] < 2:
        return np.full((len(patterns), 2), SIDE // 2, np.uint16)
    directions = linalg.svd(known - mean, full_matrices=False)[2][:2]
    flat = patterns.dot(directions.T) - directions @ mean
    ranks = flat.argsort(axis=0).argsort(axis=0) / max(len(flat) - 1, 1)
    low, high = flat.min(axis=0), flat.max(axis=0)
    scaled = (flat - low) / np.maximum(high - low, 1e-12)
    return np.round(SIDE * (0.5 * ranks + 0.5 * scaled)).astype(np.uint16)
