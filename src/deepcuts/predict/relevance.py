"""Ridge regression that finds out which statistics matter, and how much each direction of the factors can be heard.

    y' = ȳ + Σ_d r_d s_d W_d,     s the standardised statistics of `lagged.statistics`, r their relevance

Three steps against noisy targets, for a song's factors are learned from few plays:

- Relevance. A first fit with r = 1 tells how long W_d is. Then r_d ← r_d ((|W_d|² / mean)^¼ + FLOOR), each block of
  statistics again with unit mean length, and the fit is made anew: statistics that carry taste gain weight, noise loses
  it. A few rounds do.
- Directions. Targets are turned to V, the eigenvectors of the covariance of targets and left-one-out predictions: what
  can be heard best comes first. Each direction has a ridge of its own, chosen by leaving one song out; directions that
  cannot be heard are answered by their mean.
- Weights. Songs with few listeners count less: `weight_listeners`.

With n songs and more statistics, all is solved through the n × n matrix K of the weighted statistics, whose
eigendecomposition gives every ridge and every left-out song at once. What is kept is primal: one matrix of weights.

Source: MacKay 1994 and Tipping 2001 for relevance, in the closed form of iterated reweighting; Hastie et al. 2009,
section 3.7, for shrinkage by direction. Settings: docs/log.md, "Better ears, on the planted world".
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import eigh

from deepcuts.artifacts import Features
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.predict.encoder import Encoder, Provenance
from deepcuts.predict.lagged import statistics
from deepcuts.predict.sanity import warn_if_no_better
from deepcuts.predict.scaling import safe_scale
from deepcuts.predict.targets import EncoderSettings
from deepcuts.predict.training_set import Examples, TrainingSet
from deepcuts.predict.uncertainty import FEWEST, calibrate

logger = logging.getLogger(__name__)

RIDGES = np.logspace(-3, 2, 16)  # of a kernel with mean diagonal equal to the number of blocks
MOST_SONGS = 20_000  # the kernel holds n_songs² numbers
STIFFNESSES = (1.0, 3.0, 10.0)  # tried
FLOOR = 0.1  # of relevance: nothing is switched off for good
POWER = 0.25  # of |W_d|²
TINY = 1e-12
SONGS_AT_ONCE = 512


@dataclass(frozen=True)
class RelevanceSettings(EncoderSettings):
    """Settings of the encoder "relevance".

    Attributes:
        n_lags: of the lagged covariances, in frames; 48 are 1.1 s of log-mel.
        n_rounds: how often, at most, the relevance of the statistics is learned anew; 0 is plain ridge regression.
        validation: not needed, for leaving one out chooses; songs that are named measure the error, then count as well.
    """

    target: str = "unit"
    validation: float = 0.0
    n_lags: int = 48
    n_rounds: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(2 <= self.n_lags <= 1_000, "n_lags", self.n_lags, "2 to 1,000")
        require(0 <= self.n_rounds <= 20, "n_rounds", self.n_rounds, "0 to 20")


@dataclass(frozen=True, eq=False)
class RelevanceEncoder(Encoder):
    """y' = intercept + (s - mean) · weights.

    Attributes:
        n_lags: as in the settings.
        mean: of the statistics of the training songs [n_stats] float64.
        weights: relevance, scale and regression weights in one [n_stats, n_factors] float64.
        intercept: [n_factors] float64.
    """

    n_lags: int
    mean: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray

    def predict_standardised(self, features: Features, songs: np.ndarray) -> np.ndarray:
        """Standardised predictions [n_songs, n_factors] float64."""
        heard = np.empty((len(songs), len(self.intercept)))
        for start in range(0, len(songs), SONGS_AT_ONCE):
            stats = np.hstack(statistics(features, songs[start : start + SONGS_AT_ONCE], self.n_lags))
            heard[start : start + len(stats)] = self.answers(stats)
        return heard

    def answers(self, stats: np.ndarray) -> np.ndarray:
        """Standardised predictions [n_songs, n_factors] from statistics [n_songs, n_stats]."""
        return np.asarray(self.intercept + (stats - self.mean) @ self.weights)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that was learned, by name."""
        return {"mean": self.mean, "weights": self.weights, "intercept": self.intercept}


def build_relevance(provenance: Provenance, arrays: dict[str, np.ndarray]) -> RelevanceEncoder:
    """The encoder from its arrays."""
    return RelevanceEncoder(provenance, int(provenance.settings["n_lags"]), **arrays)


def fit_relevance(training_set: TrainingSet, settings: RelevanceSettings) -> RelevanceEncoder:
    """Learn the encoder.

    Relevance is learned from the very songs that leaving-one-out then judges by, so its judgement becomes too kind
    with the rounds. How many rounds help, and how much stiffer the ridges must be, is therefore tried on songs held
    out: the validation songs, or a fifth of the others. These measure the error too. Then all songs are learned from.

    Raises:
        InputError: more songs than the kernel matrix has room for.
    """
    everything = Examples.joined(training_set.train, training_set.validation)
    if len(everything) > MOST_SONGS:
        raise InputError(f"relevance: {len(everything):,} songs to learn from, at most {MOST_SONGS:,} fit. Use cnn.")
    blocks = statistics(training_set.features, everything.songs, settings.n_lags)
    held_out = held_out_songs(training_set, settings.seed)
    if held_out.sum() < FEWEST:
        return primal(next(rounds(blocks, everything, 0, 1.0)), training_set.provenance, settings)
    seen, unseen = everything.take(~held_out), everything.take(held_out)
    stats, trials = np.hstack(blocks)[held_out], []
    for stiffness in STIFFNESSES:
        tried = rounds([block[~held_out] for block in blocks], seen, settings.n_rounds, stiffness)
        for n_rounds, state in enumerate(tried):
            answers = primal(state, training_set.provenance, settings).answers(stats)
            trials.append((weighted_error(answers, unseen), n_rounds, stiffness, answers))
    loss, n_rounds, stiffness, answers = min(trials, key=lambda one: one[0])
    of_mean = weighted_error(np.zeros(1) + (seen.weights @ seen.targets) / seen.weights.sum(), unseen)
    logger.info("%d rounds of relevance, ridges × %g: squared error %.4f on songs held out (%.4f = the mean)",
                n_rounds, stiffness, loss, of_mean)  # fmt: skip
    warn_if_no_better(loss, of_mean)
    mean, scale = training_set.provenance.target_mean, training_set.provenance.target_scale
    error = calibrate(mean + scale * answers, mean + scale * unseen.targets, mean)
    provenance = replace(training_set.provenance, error=error)
    return primal(list(rounds(blocks, everything, n_rounds, stiffness))[-1], provenance, settings)


def held_out_songs(training_set: TrainingSet, seed: int) -> np.ndarray:
    """Which songs [n_train + n_validation] bool are tried on: the validation songs, or a fifth where there are few."""
    n_train, n_validation = len(training_set.train), len(training_set.validation)
    if n_validation >= FEWEST:
        return np.arange(n_train + n_validation) >= n_train
    places = np.random.default_rng(seed).permutation(n_train + n_validation)
    return np.isin(np.arange(len(places)), places[: len(places) // 5])


def weighted_error(answers: np.ndarray, examples: Examples) -> float:
    """Weighted mean squared error a factor, of standardised answers [n_songs, n_factors]."""
    errors = ((answers - examples.targets) ** 2).mean(axis=1)
    return float(np.average(errors, weights=examples.weights))


@dataclass(frozen=True)
class Round:
    """The state after a round: standardised blocks of statistics, their scale and relevance, and the regression."""

    blocks: list[np.ndarray]
    means: list[np.ndarray]
    scales: list[np.ndarray]
    relevance: list[np.ndarray]
    fit: "DirectionalFit"


def rounds(blocks: list[np.ndarray], examples: Examples, n_rounds: int, stiffness: float) -> Iterator[Round]:
    """Ridge regression, then `n_rounds` times with relevance learned anew: n_rounds + 1 states.

    Args:
        blocks: raw statistics of the songs of `examples`.
        stiffness: factor on the ridges that leaving one out would choose.
    """
    means = [block.mean(axis=0, dtype=np.float64) for block in blocks]
    scales = [1 / safe_scale(mean, block.std(axis=0, dtype=np.float64))
              for mean, block in zip(means, blocks, strict=True)]  # fmt: skip
    standard = [((block - mean) * scale).astype(np.float32)
                for block, mean, scale in zip(blocks, means, scales, strict=True)]  # fmt: skip
    relevance = [unit_block(block, np.ones(block.shape[1])) for block in standard]
    fit = ridge_by_direction(gram_of(standard, relevance), examples, stiffness)
    yield Round(standard, means, scales, relevance, fit)
    for _ in range(n_rounds):
        relevance = [
            unit_block(block, weight * ((length / max(length.mean(), TINY)) ** POWER + FLOOR))
            for block, weight, length in zip(standard, relevance, lengths(standard, relevance, fit), strict=True)
        ]
        fit = ridge_by_direction(gram_of(standard, relevance), examples, stiffness)
        yield Round(standard, means, scales, relevance, fit)


def primal(state: Round, provenance: Provenance, settings: RelevanceSettings) -> RelevanceEncoder:
    """The encoder of a round, its weights by statistic in place of by song."""
    weights = np.vstack([
        (scale * weight**2)[:, None] * (block.T.astype(np.float64) @ state.fit.dual)
        for block, scale, weight in zip(state.blocks, state.scales, state.relevance, strict=True)
    ])  # fmt: skip
    return RelevanceEncoder(provenance, settings.n_lags, np.concatenate(state.means), weights, state.fit.intercept)


@dataclass(frozen=True)
class DirectionalFit:
    """A ridge regression with a ridge for each direction of the targets.

    Attributes:
        dual: α [n_songs, n_factors]: predictions of the training songs are intercept + K α.
        intercept: [n_factors].
        loss, of_mean: squared error a factor of songs left out one by one, and of answering the mean.
    """

    dual: np.ndarray
    intercept: np.ndarray
    loss: float
    of_mean: float


def ridge_by_direction(kernel: np.ndarray, examples: Examples, stiffness: float = 1.0) -> DirectionalFit:
    """Solve min Σ_i w_i |y_i - ȳ - (Kα)_i|² + Σ_v λ_v αᵥᵀKαᵥ, each λ_v chosen by leaving one song out.

    Each chosen λ_v is then multiplied by `stiffness`. With S = √w K √w = U diag(e) Uᵀ and R = √w (Y - ȳ) the residual
    of song i left out is (R - U e/(e + λ) UᵀR)_i / (1 - h_i), h_i = Σ_k U_ik² e_k / (e_k + λ).
    """
    share = examples.weights.astype(np.float64)
    root = np.sqrt(share)[:, None]
    targets = examples.targets.astype(np.float64)
    intercept = (share[:, None] * targets).sum(axis=0) / share.sum()
    wanted = root * (targets - intercept)
    values, basis = eigh(root * kernel.astype(np.float64) * root.T)
    values = np.maximum(values, 0)
    errors = _left_out_errors(values, basis, wanted)
    best = int(np.argmin([(error**2).sum() for error in errors]))
    turned = _directions(wanted, wanted - errors[best])
    wanted = wanted @ turned
    losses = np.stack([((error @ turned) ** 2).sum(axis=0) for error in errors] + [(wanted**2).sum(axis=0)])
    picked = losses.argmin(axis=0)
    shrunk = np.stack([1 / (values + stiffness * ridge) for ridge in RIDGES] + [np.zeros_like(values)], axis=1)[
        :, picked
    ]
    dual = (root * (basis @ (shrunk * (basis.T @ wanted)))) @ turned.T
    n = share.sum() * targets.shape[1]
    return DirectionalFit(dual, intercept, losses.min(axis=0).sum() / n, losses[-1].sum() / n)


def _left_out_errors(values: np.ndarray, basis: np.ndarray, wanted: np.ndarray) -> list[np.ndarray]:
    """Residuals of songs left out one by one [n_songs, n_factors], for each of RIDGES."""
    projected, squares = basis.T @ wanted, basis**2
    errors = []
    for ridge in RIDGES:
        kept = values / (values + ridge)
        reach = squares @ kept
        errors.append((wanted - basis @ (kept[:, None] * projected)) / np.maximum(1 - reach, 1e-9)[:, None])
    return errors


def _directions(wanted: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Directions of the targets [n_factors, n_factors], those first that predictions of left-out songs tell best."""
    together = predicted.T @ wanted
    return np.asarray(np.linalg.eigh((together + together.T) / 2)[1][:, ::-1])


def unit_block(block: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The weights [n_stats] scaled so that songs of the weighted block have a mean squared length of 1.

    A block that never varies keeps its weights.
    """
    variance = (block.astype(np.float64) ** 2).mean(axis=0)
    total = float((variance * weight**2).sum())
    return weight / np.sqrt(total) if total > TINY else weight


def gram_of(blocks: list[np.ndarray], relevance: list[np.ndarray]) -> np.ndarray:
    """K [n_songs, n_songs]: products of the weighted statistics, all blocks added."""
    total = np.zeros((len(blocks[0]), len(blocks[0])))
    for block, weight in zip(blocks, relevance, strict=True):
        weighted = block * weight.astype(np.float32)
        total += weighted @ weighted.T
    return total


def lengths(blocks: list[np.ndarray], relevance: list[np.ndarray], fit: DirectionalFit) -> list[np.ndarray]:
    """|W_d|² of each weighted statistic [n_stats], block by block."""
    return [weight**2 * ((block.T @ fit.dual) ** 2).sum(axis=1)
            for block, weight in zip(blocks, relevance, strict=True)]  # fmt: skip
