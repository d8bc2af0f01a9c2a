"""What is true in a planted world: latents, tastes, popularity. Models never read it; ceilings are computed from it.

A user u plays a song i at the rate

    λ_ui = activity_u · softmax_i( β_a w^a_u · h(a_i) + β_n w^n_u · n_i + b_i )

with a_i heard in the sound, n_i not (scene, language, era) and b_i the song's popularity.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from deepcuts import store
from deepcuts.checks import check_finite, check_shape
from deepcuts.store import Meta, load_array, read_meta, save_array, write_meta, writing

ARRAYS = (
    "audible",
    "heard",
    "inaudible",
    "popularity",
    "style",
    "artist",
    "user_audible",
    "user_inaudible",
    "activity",
    "temporal",
)


@dataclass(frozen=True)
class Truth:
    """Everything the planted world was made from; rows follow the users and songs of its plays.

    Attributes:
        audible: a_i float32 [n_songs, n_audible], what the sound renders: the input of a perfect encoder.
        heard: h(a_i) float32 [n_songs, n_audible], what tastes respond to.
        inaudible: n_i float32 [n_songs, n_inaudible].
        popularity: b_i float32 [n_songs], log of a song's pull, independent of its sound.
        style, artist: int64 [n_songs].
        user_audible: w^a_u float32 [n_users, n_audible]; user_inaudible: w^n_u float32 [n_users, n_inaudible].
        activity: float32 [n_users], plays expected of each user before replays.
        temporal: bool [n_audible], which audible latents live only in the order, spacing or rate of events.
        beta_audible, beta_inaudible: β_a and β_n.
        settings: of the world.
    """

    audible: np.ndarray
    heard: np.ndarray
    inaudible: np.ndarray
    popularity: np.ndarray
    style: np.ndarray
    artist: np.ndarray
    user_audible: np.ndarray
    user_inaudible: np.ndarray
    activity: np.ndarray
    temporal: np.ndarray
    beta_audible: float
    beta_inaudible: float
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n_songs, n_audible = self.audible.shape
        n_users, n_inaudible = self.user_inaudible.shape
        expected: dict[str, list[int]] = {
            "heard": [n_songs, n_audible],
            "inaudible": [n_songs, n_inaudible],
            "popularity": [n_songs],
            "style": [n_songs],
            "artist": [n_songs],
            "user_audible": [n_users, n_audible],
            "activity": [n_users],
            "temporal": [n_audible],
        }
        for name, shape in expected.items():
            check_shape(f"truth {name}", getattr(self, name), shape)
        for name in ARRAYS:
            check_finite(f"truth {name}", getattr(self, name))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all of it."""
        return store.fingerprint(
            *(getattr(self, name) for name in ARRAYS), repr((self.beta_audible, self.beta_inaudible))
        )

    def save(self, folder: Path | str) -> None:
        """Write the folder, whole or not at all."""
        with writing(folder) as scratch:
            for name in ARRAYS:
                save_array(scratch, name, getattr(self, name))
            shape = {
                "n_users": len(self.activity),
                "n_songs": len(self.audible),
                "n_audible": self.audible.shape[1],
                "n_inaudible": self.inaudible.shape[1],
            }
            settings = {**self.settings, "beta_audible": self.beta_audible, "beta_inaudible": self.beta_inaudible}
            write_meta(scratch, Meta("truth", self.fingerprint, settings=settings, shape=shape))


def load_truth(folder: Path | str) -> Truth:
    """Read the truth of a planted world.

    Args:
        folder: the world's folder, or its `truth` folder.
    Raises:
        ArtifactError: missing, half-written, damaged or of another kind.
    """
    folder = Path(folder)
    if (folder / "truth").is_dir():
        folder = folder / "truth"
    with store.content_of(folder):
        meta = read_meta(folder, "truth")
        values: dict[str, Any] = {name: load_array(folder, name) for name in ARRAYS}
        values |= {name: float(meta.settings[name]) for name in ("beta_audible", "beta_inaudible")}
        return Truth(**values, settings=meta.settings)


def oracle(truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Vectors whose dot product is the true log-rate up to a constant for each user: nothing ranks better.

        β_a w^a_u · h(a_i) + β_n w^n_u · n_i + b_i

    Returns:
        user vectors [n_users, d] and song vectors [n_songs, d] float32, d = n_audible + n_inaudible + 1.
    """
    ones = np.ones((len(truth.activity), 1), dtype=np.float32)
    users = np.hstack([truth.beta_audible * truth.user_audible, truth.beta_inaudible * truth.user_inaudible, ones])
    songs = np.hstack([truth.heard, truth.inaudible, truth.popularity[:, None]])
    return users.astype(np.float32), songs.astype(np.float32)


def audio_ceiling(truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the best ranking that sound alone allows, even knowing each user's taste: w^a_u · h(a_i).

    Popularity and the inaudible latents are independent of the sound and integrate out of the expected rate.
    The scale β_a is left out: it changes no ranking, and with β_a = 0 the scores still differ.
    A song's artist tells of its inaudible latents, so this is a ceiling only where no artist is on both sides of
    the split; else a system may beat it by recognising artists.

    Returns:
        user vectors [n_users, n_audible] and song vectors [n_songs, n_audible] float32.
    """
    return truth.user_audible, truth.heard


def play_rates(truth: Truth, users: slice | np.ndarray) -> np.ndarray:
    """λ_ui of some users: float64 [n of them, n_songs]; each row sums to the user's activity."""
    user_vectors, song_vectors = oracle(truth)
    scores = user_vectors[users].astype(np.float64) @ song_vectors.T.astype(np.float64)
    return truth.activity[users, None] * softmax(scores, axis=1)
