"""Bag of words: how often each of 4,000 typical frames sounds in a song, reduced by PCA (section 4.1 of the paper).

frames → words (k-means centres) → counts of words a song → PCA. Time order is lost: that is what the paper's
convolutional networks are compared with. Whatever is learned here (scale of the channels, words, PCA) comes from
the songs named as training songs and from no others; the lineage says which they were.

Conventions: channels are z-scored before k-means (else C0 of MFCC drowns the others); each frame goes to one word; the
counts are raw, as in the paper, unless the settings say otherwise.
"""

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.cluster import kmeans_plusplus

from deepcuts import store
from deepcuts.artifacts import Features, Lineage, derive
from deepcuts.checks import check_shape
from deepcuts.config import require
from deepcuts.errors import ArtifactError, InputError
from deepcuts.kernels.words import improve_words, nearest_word
from deepcuts.progress import progress
from deepcuts.store import Meta, load_array, read_meta, save_array, write_meta, writing

log = logging.getLogger(__name__)

KIND = "bagofwords"  # of the Features made here
FRAMES_IN_MEMORY = 2**16  # frames counted at once
START_FRAMES_A_WORD = 5  # k-means++ looks at so many frames for each word: at all 500,000 it would take an hour


@dataclass(frozen=True)
class WordsSettings:
    """How words are learned and counted.

    Attributes:
        n_words: typical frames in the dictionary, the paper's 4,000.
        n_frames: most frames to learn them from, drawn over all frames of the training songs.
        n_sweeps: most sweeps of k-means.
        tolerance: relative fall of the distortion below which k-means stops.
        counts: "raw" as in the paper, or "root": square roots (the PPK map of McFee et al. 2012).
        by_length: divide counts by the song's number of frames; for songs of unequal length.
        variance: share of the variance that PCA keeps, in (0, 1].
        n_pca_songs: most training songs PCA is learned from (20,000 × 4,000 counts take 1 GB).
        seed: of the drawing of frames and the first words.
    """

    n_words: int = 4000
    n_frames: int = 500_000
    n_sweeps: int = 50
    tolerance: float = 1e-4
    counts: str = "raw"
    by_length: bool = False
    variance: float = 0.95
    n_pca_songs: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.n_words >= 2, "n_words", self.n_words, "an integer of at least 2")
        require(self.n_frames >= self.n_words, "n_frames", self.n_frames, f"at least n_words = {self.n_words}")
        require(self.n_sweeps >= 1, "n_sweeps", self.n_sweeps, "an integer of at least 1")
        require(0 <= self.tolerance < 1, "tolerance", self.tolerance, "a fraction in [0, 1)")
        require(self.counts in ("raw", "root"), "counts", self.counts, "'raw' or 'root'")
        require(0 < self.variance <= 1, "variance", self.variance, "a share in (0, 1]")
        require(self.n_pca_songs >= 2, "n_pca_songs", self.n_pca_songs, "an integer of at least 2")
        require(self.seed >= 0, "seed", self.seed, "at least 0")


@dataclass(frozen=True)
class Words:
    """The dictionary: typical frames, and the scale on which frames are compared with them.

    Attributes:
        centres: [n_words, n_channels] float32, in standard units.
        mean: [n_channels] float32, of the training frames.
        weight: [n_channels] float32, 1 / standard deviation of the training frames; 0 for a channel that never
            changes there, so that it counts for nothing elsewhere either.
        made_of: kind, recipe and settings of the features it was learned from; others are refused.
        lineage: the training songs, and what the features went through.
        settings: that made it.
    """

    centres: np.ndarray
    mean: np.ndarray
    weight: np.ndarray
    made_of: Mapping[str, Any]
    lineage: Lineage
    settings: WordsSettings = field(default_factory=WordsSettings)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the numbers and of how counts are made."""
        return store.fingerprint(self.centres, self.mean, self.weight, repr(self.settings))


@dataclass(frozen=True)
class Pca:
    """The directions in which counts vary most.

    Attributes:
        mean: [n_words] float32, mean counts of the training songs.
        components: [n_components, n_words] float32, orthonormal rows, most variance first.
        share: of the training songs' variance that they hold.
    """

    mean: np.ndarray
    components: np.ndarray
    share: float


@dataclass(frozen=True)
class BagOfWords:
    """Words and PCA together: all that turns frames into one vector a song. An artifact of kind "words"."""

    words: Words
    pca: Pca

    def __post_init__(self) -> None:
        n_words, n_channels = np.shape(self.words.centres)
        for name, array, shape in (
            ("mean", self.words.mean, [n_channels]),
            ("weight", self.words.weight, [n_channels]),
            ("pca_mean", self.pca.mean, [n_words]),
            ("pca_components", self.pca.components, [None, n_words]),
        ):
            check_shape(f"words: {name}", array, shape)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the numbers."""
        return store.fingerprint(self.words.fingerprint, self.pca.mean, self.pca.components)

    def save(self, folder: Path | str) -> None:
        """Write the folder, whole or not at all."""
        words, pca = self.words, self.pca
        with writing(folder) as scratch:
            record = words.lineage.save(scratch)
            for name in ("centres", "mean", "weight"):
                save_array(scratch, name, getattr(words, name))
            save_array(scratch, "pca_mean", pca.mean)
            save_array(scratch, "pca_components", pca.components)
            settings = {**dataclasses.asdict(words.settings), "made_of": dict(words.made_of), "share": pca.share}
            shape = {"n_words": len(words.centres), "n_channels": len(words.mean), "n_components": len(pca.components)}
            parents = words.lineage.parents
            write_meta(scratch, Meta("words", self.fingerprint, parents, settings, shape, lineage=record))

    @staticmethod
    def load(folder: Path | str) -> "BagOfWords":
        """Read the folder.

        Raises:
            ArtifactError: missing, half-written, damaged or of another kind.
        """
        folder = Path(folder)
        with store.content_of(folder):
            meta = read_meta(folder, "words")
            settings = dict(meta.settings)
            made_of, share = settings.pop("made_of"), settings.pop("share")
            centres, mean, weight = (load_array(folder, name) for name in ("centres", "mean", "weight"))
            lineage = Lineage.load(folder, meta.lineage, meta.parents)
            words = Words(centres, mean, weight, made_of, lineage, WordsSettings(**settings))
            return BagOfWords(words, Pca(load_array(folder, "pca_mean"), load_array(folder, "pca_components"), share))


def learn_bagofwords(features: Features, training_songs: np.ndarray, settings: WordsSettings) -> BagOfWords:
    """Words and PCA from the training songs: `learn_words`, `count_words`, `learn_pca` in a row.

    Args:
        features: frames of songs; only those of `training_songs` are read.
        training_songs: positions in `features.songs`.
    Raises:
        InputError: too few songs or frames, or they do not vary.
    """
    rng = np.random.default_rng(settings.seed)
    songs = _training(features, training_songs)
    words = learn_words(features, songs, settings, rng)
    if len(songs) > settings.n_pca_songs:
        songs = np.sort(rng.choice(songs, settings.n_pca_songs, replace=False))
    counts = scale_counts(count_words(features, words, songs), settings)
    return BagOfWords(words, learn_pca(counts, settings.variance))


def learn_words(
    features: Features, training_songs: np.ndarray, settings: WordsSettings, rng: np.random.Generator
) -> Words:
    """The dictionary: k-means on z-scored frames drawn evenly over all frames of the training songs.

    Args:
        features: frames of songs, any kind; only those of `training_songs` are read.
        training_songs: positions in `features.songs`.
    Raises:
        InputError: no songs, fewer different frames than words (says how many words are possible), frames that are
            not finite (names the song), or no channel that changes.
    Source: van den Oord et al. 2013, section 4.1.
    """
    songs = _training(features, training_songs)
    frames = draw_frames(features, songs, settings.n_frames, rng)
    mean = frames.mean(axis=0, dtype=np.float64).astype(np.float32)
    weight = _inverse_deviation(frames, mean)
    standard = (frames - mean) * weight
    _refuse_too_few(standard, settings.n_words)
    words, distortions = improve_words(
        standard, first_words(standard, settings.n_words, rng), settings.n_sweeps, settings.tolerance
    )
    log.info("learned %d words, distortion %.4g after %d sweeps", len(words), distortions[-1], len(distortions))
    made_of = {"kind": features.kind, "recipe": features.recipe, "settings": dict(features.settings)}
    lineage = derive(Lineage(learned_from=features.songs.take(songs)), features.lineage, features=features.fingerprint)
    return Words(words, mean, weight, made_of, lineage, settings)


def draw_frames(features: Features, songs: np.ndarray, n_frames: int, rng: np.random.Generator) -> np.ndarray:
    """At most `n_frames` frames [n, n_channels] float32 of these songs, each frame equally likely, none twice."""
    ends = np.cumsum(features.lengths[songs])
    total = int(ends[-1])
    drawn = np.arange(total) if total <= n_frames else np.sort(rng.choice(total, n_frames, replace=False))
    which = np.searchsorted(ends, drawn, side="right")
    rows = features.starts[songs[which]] + drawn - (ends - features.lengths[songs])[which]
    frames = np.asarray(features.frames[rows], dtype=np.float32)
    _refuse_not_finite(frames, features, songs[which])
    return frames


def first_words(frames: np.ndarray, n_words: int, rng: np.random.Generator) -> np.ndarray:
    """Frames to start k-means from, far apart, by k-means++ on a draw of `START_FRAMES_A_WORD` frames for each word."""
    n_drawn = min(len(frames), START_FRAMES_A_WORD * n_words)
    drawn = frames[np.sort(rng.choice(len(frames), n_drawn, replace=False))]
    # One trial a word: scikit-learn's ten took twice the time and ended no lower after the sweeps.
    words, _ = kmeans_plusplus(drawn, n_words, n_local_trials=1, random_state=int(rng.integers(2**31)))
    return words


def count_words(features: Features, words: Words, songs: np.ndarray | None = None) -> np.ndarray:
    """How often each word sounds in each song: every frame counts once, for its nearest word.

    Args:
        features: of the kind and recipe that the words were learned from.
        songs: positions in `features.songs`; None takes all.
    Returns:
        counts [n_songs, n_words] float32; a row adds up to the song's number of frames.
    Raises:
        ArtifactError: features made in another way (names the setting that differs).
        InputError: frames that are not finite (names the song).
    """
    _refuse_other_features(features, words)
    songs = np.arange(len(features.songs)) if songs is None else np.asarray(songs)
    counts = np.empty((len(songs), len(words.centres)), dtype=np.float32)
    with progress("count words", len(songs), "song") as bar:
        for part in _parts(features, songs):
            counts[part] = _count_part(features, words, songs[part])
            bar.advance(part.stop - part.start)
    return counts


def scale_counts(counts: np.ndarray, settings: WordsSettings) -> np.ndarray:
    """Counts [n_songs, n_words] as the settings ask: by length, then square roots, either or neither."""
    if settings.by_length:
        counts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.sqrt(counts) if settings.counts == "root" else counts


def learn_pca(counts: np.ndarray, variance: float = WordsSettings.variance) -> Pca:
    """The fewest principal components that hold a share of the variance of the training songs' counts.

    Worked out in float64 from the smaller of the two square matrices, words × words or songs × songs. The largest
    weight of each component is positive, so that equal counts give equal components.

    Args:
        counts: of the training songs only [n_songs, n_words], scaled if the settings ask for it.
        variance: share to keep, in (0, 1].
    Raises:
        InputError: fewer than two songs, or all songs alike.
    """
    if len(counts) < 2:
        raise InputError(f"counts of {len(counts)} song: PCA needs at least 2 training songs. Add songs.")
    mean = counts.mean(axis=0, dtype=np.float64)
    centred = counts - mean
    by_word = counts.shape[1] <= len(counts)
    values, vectors = np.linalg.eigh(centred.T @ centred if by_word else centred @ centred.T)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    values[values < values[0] * np.finfo(np.float64).eps * max(counts.shape)] = 0
    if values[0] <= 1e-12 * np.sum(counts**2, dtype=np.float64):
        raise InputError(f"counts of {len(counts)} songs: all alike, so nothing can be kept. Are the sounds equal?")
    shares = np.cumsum(values) / values.sum()
    n_kept = min(int(np.searchsorted(shares, variance - 1e-12)) + 1, int(np.count_nonzero(values)))
    kept = vectors[:, :n_kept].T if by_word else (vectors[:, :n_kept] / np.sqrt(values[:n_kept])).T @ centred
    largest = kept[np.arange(n_kept), np.abs(kept).argmax(axis=1)]
    components = kept * np.sign(largest)[:, None]
    return Pca(mean.astype(np.float32), components.astype(np.float32), float(shares[n_kept - 1]))


def bag(features: Features, words: Words, pca: Pca) -> Features:
    """One vector for each song, as features of one frame: counts of words along the principal components.

    Args:
        features: of the kind and recipe that the words were learned from; any songs, learned from or not.
    Returns:
        Features of kind "bagofwords" with one frame [n_components] for each song of `features`.
    Raises:
        ArtifactError: features made in another way.
        InputError: frames that are not finite (names the song).
    """
    _refuse_other_features(features, words)
    check_shape("pca components", pca.components, [None, len(words.centres)])
    n_songs = len(features.songs)
    reduced = np.empty((n_songs, len(pca.components)), dtype=np.float32)
    with progress("count words", n_songs, "song") as bar:
        for part in _parts(features, np.arange(n_songs)):
            counts = scale_counts(_count_part(features, words, np.arange(part.start, part.stop)), words.settings)
            reduced[part] = (counts - pca.mean) @ pca.components.T
            bar.advance(part.stop - part.start)
    settings = {
        "one_frame": True,
        "made_of": words.made_of["kind"],
        "words": BagOfWords(words, pca).fingerprint,
        "n_words": len(words.centres),
        "counts": words.settings.counts,
        "by_length": words.settings.by_length,
        "variance": words.settings.variance,
        "n_channels": len(pca.components),
    }
    starts = np.arange(n_songs + 1, dtype=np.int64)
    lineage = derive(words.lineage, features.lineage, features=features.fingerprint, words=settings["words"])
    return Features(features.songs, reduced, starts, KIND, settings, lineage)


def _parts(features: Features, songs: np.ndarray) -> Iterator[slice]:
    """Runs of `songs` with at most `FRAMES_IN_MEMORY` frames together, but at least one song each."""
    ends = np.cumsum(features.lengths[songs])
    first, before = 0, 0
    while first < len(songs):
        last = max(int(np.searchsorted(ends, before + FRAMES_IN_MEMORY, side="right")), first + 1)
        yield slice(first, last)
        first, before = last, int(ends[last - 1])


def _count_part(features: Features, words: Words, songs: np.ndarray) -> np.ndarray:
    frames = np.concatenate([features[song] for song in songs]).astype(np.float32)
    row = np.repeat(np.arange(len(songs)), features.lengths[songs])
    _refuse_not_finite(frames, features, songs[row])
    word = nearest_word((frames - words.mean) * words.weight, words.centres)
    n_words = len(words.centres)
    counts = np.bincount(row * n_words + word, minlength=len(songs) * n_words)
    return counts.reshape(len(songs), n_words).astype(np.float32)


def _training(features: Features, songs: np.ndarray) -> np.ndarray:
    """Positions of training songs, sorted, each once, all there."""
    positions = np.unique(np.asarray(songs, dtype=np.int64))
    if not len(positions) or not features.lengths[positions].any():
        raise InputError("training songs: none of them has frames. Check the split, and that its songs have features.")
    return positions


def _inverse_deviation(frames: np.ndarray, mean: np.ndarray) -> np.ndarray:
    deviation = np.sqrt(np.mean((frames - mean) ** 2, axis=0, dtype=np.float64))
    changes = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-30)
    if not changes.any():
        raise InputError("training frames: no channel ever changes, so there are no words to learn. Is it all silence?")
    if not changes.all():
        log.warning("channels %s never change in training songs: not used", np.flatnonzero(~changes).tolist())
    return np.where(changes, 1 / np.where(changes, deviation, 1), 0).astype(np.float32)


def _refuse_too_few(frames: np.ndarray, n_words: int) -> None:
    n_different = len(frames)
    if n_different >= n_words:
        n_different = len(np.unique(frames, axis=0))
    if n_different < n_words:
        raise InputError(
            f"n_words = {n_words}: the training songs have only {n_different} different frames. "
            f"Pass --set n_words={n_different} or fewer, or add songs."
        )


def _refuse_not_finite(frames: np.ndarray, features: Features, songs: np.ndarray) -> None:
    good = np.isfinite(frames).all(axis=1)
    if not good.all():
        bad = features.songs[songs[np.flatnonzero(~good)[0]]]
        raise InputError(f"features of song {bad!r}: a frame is not finite. Make its features again, or leave it out.")


def _refuse_other_features(features: Features, words: Words) -> None:
    made_of = words.made_of
    if features.kind != made_of["kind"]:
        raise ArtifactError(f"features are {features.kind}, the words were learned from {made_of['kind']}. Use those.")
    if features.recipe != made_of["recipe"]:
        ours, theirs = made_of["settings"], dict(features.settings)
        names = [name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]
        differences = ", ".join(f"{name} = {theirs.get(name)!r} (words: {ours.get(name)!r})" for name in names)
        raise ArtifactError(
            f"features were made with other settings than the words: {differences}. Learn the words again."
        )
