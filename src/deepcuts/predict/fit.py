"""Fit an encoder, load it, and let it predict the factors of songs."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from deepcuts import store
from deepcuts.artifacts import Factors, Features, Plays, SongFactors, Vocabulary, derive
from deepcuts.checks import did_you_mean, is_installed, require_package
from deepcuts.config import require
from deepcuts.errors import ArtifactError, InputError, SettingError
from deepcuts.predict.cnn_settings import CnnSettings
from deepcuts.predict.encoder import Encoder, Provenance, read_encoder
from deepcuts.predict.kernel import KernelSettings, build_kernel, fit_kernel
from deepcuts.predict.linear import LinearSettings, build_linear, fit_linear
from deepcuts.predict.mlp import MlpSettings, build_mlp
from deepcuts.predict.onnx_network import build_onnx, can_run
from deepcuts.predict.relevance import RelevanceSettings, build_relevance, fit_relevance
from deepcuts.predict.stack import StackSettings, build_stack, fit_stack
from deepcuts.predict.targets import LOSS_NAMES, EncoderSettings, NetworkSettings, make_training_set
from deepcuts.predict.training_set import TrainingSet
from deepcuts.predict.trees import TreesSettings, build_trees, fit_trees
from deepcuts.predict.uncertainty import FEWEST, calibrate, expected_errors

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncoderKind:
    """How one kind of encoder is made.

    Attributes:
        settings: its settings class.
        fit: (training_set, settings, checkpoint folder or None) → encoder.
        build: (provenance, learned arrays) → the same encoder again.
        losses: keys of LOSSES that it can make small.
        ends_with_all: the validation songs only choose at first; in the end they are learned from too.
    """

    settings: type[EncoderSettings]
    fit: Callable[[TrainingSet, Any, Path | None], Encoder]
    build: Callable[[Provenance, dict[str, np.ndarray]], Encoder]
    losses: tuple[str, ...] = ("mse",)
    ends_with_all: bool = False


def _fit_cnn(training_set: TrainingSet, settings: CnnSettings, checkpoint: Path | None) -> Encoder:
    require_package("torch", "torch", "learning encoder 'cnn'")
    from deepcuts.predict.cnn import fit_cnn  # torch takes seconds to load

    return fit_cnn(training_set, settings, checkpoint)


def _build_cnn(provenance: Provenance, arrays: dict[str, np.ndarray]) -> Encoder:
    require_package("torch", "torch", "encoder 'cnn' without onnxruntime")
    from deepcuts.predict.cnn import build_cnn  # torch takes seconds to load

    return build_cnn(provenance, arrays)


def _fit_mlp(training_set: TrainingSet, settings: MlpSettings, checkpoint: Path | None) -> Encoder:
    require_package("torch", "torch", "learning encoder 'mlp'")
    from deepcuts.predict.mlp_torch import fit_mlp  # torch takes seconds to load

    return fit_mlp(training_set, settings)


ENCODERS: dict[str, EncoderKind] = {
    "linear": EncoderKind(
        LinearSettings, lambda training_set, settings, _: fit_linear(training_set, settings), build_linear, LOSS_NAMES
    ),
    "kernel": EncoderKind(
        KernelSettings, lambda training_set, settings, _: fit_kernel(training_set, settings), build_kernel
    ),
    "mlp": EncoderKind(MlpSettings, _fit_mlp, build_mlp, LOSS_NAMES),
    "trees": EncoderKind(
        TreesSettings, lambda training_set, settings, _: fit_trees(training_set, settings), build_trees
    ),
    "stack": EncoderKind(
        StackSettings, lambda training_set, settings, _: fit_stack(training_set, settings), build_stack
    ),
    "relevance": EncoderKind(
        RelevanceSettings,
        lambda training_set, settings, _: fit_relevance(training_set, settings),
        build_relevance,
        ends_with_all=True,
    ),
    "cnn": EncoderKind(CnnSettings, _fit_cnn, _build_cnn, LOSS_NAMES),
}


def fit_encoder(
    name: str,
    features: Features,
    factors: Factors | SongFactors,
    settings: EncoderSettings | None = None,
    *,
    validation: Vocabulary | None = None,
    checkpoint: Path | None = None,
    plays: Plays | None = None,
) -> Encoder:
    """Learn to hear factors: fit y'(sound of song i) to y_i over the songs that have both.

    Args:
        name: a key of ENCODERS.
        features: what songs sound like; songs without factors are left out.
        factors: y_i of songs, from plays; songs without features are left out. Losses "wpe" and "usage" look at users
            too: give them the pair of users and songs.
        settings: of the class that belongs to `name`; None takes its defaults.
        validation: ids of songs that choose (when to stop, how much ridge) and are not fitted; None cuts the
            fraction `settings.validation` at random.
        checkpoint: a folder to continue from and to keep up to date; only "cnn" needs one.
        plays: the very plays that `factors` was learned from; settings.loss = "wpe" needs them, others pass them over.
    Raises:
        SettingError: unknown name, settings of another encoder, or a loss that this one cannot make small.
        InputError: no song has both, or numbers are not finite; with loss "wpe", no plays or other ones.
    Source: van den Oord et al. 2013, section 4.
    """
    kind = ENCODERS.get(name)
    if kind is None:
        raise SettingError(f"encoder = {name!r}: unknown.{did_you_mean(name, ENCODERS)}")
    settings = kind.settings() if settings is None else settings
    if not isinstance(settings, kind.settings):
        found, wanted = type(settings).__name__, kind.settings.__name__
        raise SettingError(f"settings: {found}, but encoder {name!r} takes {wanted}.")
    allowed = " or ".join(map(repr, kind.losses))
    require(settings.loss in kind.losses, "loss", settings.loss, f"{allowed} with encoder {name!r}")
    rng = np.random.default_rng(settings.seed)
    training_set = make_training_set(name, features, factors, settings, validation, rng, plays)
    return measured(kind.fit(training_set, settings, checkpoint), training_set)


def measured(encoder: Encoder, training_set: TrainingSet) -> Encoder:
    """The encoder, with its error measured on the validation songs, unless it measured that itself."""
    if encoder.provenance.error is not None or len(training_set.validation) < FEWEST:
        return encoder
    provenance = encoder.provenance
    observed = provenance.target_mean + provenance.target_scale * training_set.validation.targets.astype(np.float64)
    predicted = encoder.predict(training_set.features, training_set.validation.songs)
    error = calibrate(predicted, observed, provenance.target_mean)
    return replace(encoder, provenance=replace(provenance, error=error))


def learns_from_all(settings: EncoderSettings) -> EncoderSettings:
    """The settings with `validation` = 0, if the encoder can do without validation songs; else as they are, and told.

    Networks stop by them, and under losses other than "mse" the ridge of "linear" is chosen by them.
    """
    ridge_open = isinstance(settings, LinearSettings) and settings.ridge is None and settings.loss != "mse"
    if not (isinstance(settings, NetworkSettings) or ridge_open):
        return replace(settings, validation=0.0)
    if settings.validation:
        logger.info(
            "no validation songs are named, and this encoder stops or chooses by some: %g of the songs are held out "
            "(validation=0 learns from all)",
            settings.validation,
        )
    return settings


def load_encoder(folder: Path | str, *, light: bool = False) -> Encoder:
    """Read an encoder from its folder.

    Args:
        light: let onnxruntime predict for a network, where it is installed, rather than torch: the same answers up to
            1e-4, loaded in a fraction of the time and memory. Without torch installed it always does.
    Raises:
        ArtifactError: missing, half-written, damaged or of another kind.
        SettingError: a network, and neither torch nor onnxruntime is installed.
    """
    folder = Path(folder)
    provenance, arrays, fingerprint = read_encoder(folder)
    if provenance.name not in ENCODERS:
        raise ArtifactError(
            f"{folder}: an encoder {provenance.name!r}, unknown here.{did_you_mean(provenance.name, ENCODERS)}"
        )
    with store.content_of(Path(folder)):
        if provenance.name == "cnn" and (light or not is_installed("torch")) and can_run(folder):
            encoder: Encoder = build_onnx(provenance, arrays, folder)
        else:
            encoder = ENCODERS[provenance.name].build(provenance, arrays)
    if encoder.fingerprint != fingerprint:
        raise ArtifactError(f"{folder}: the weights do not match the hash in meta.json. Fit the encoder again.")
    return encoder


# (encoder, features, positions of songs) → their predicted factors, as `Encoder.predict`.
Predict: TypeAlias = Callable[[Encoder, Features, np.ndarray], np.ndarray]


def predict_songs(
    encoder: Encoder,
    features: Features,
    songs: Vocabulary | None = None,
    *,
    unit_norm: bool = False,
    predict: Predict = Encoder.predict,
) -> SongFactors:
    """Predicted factors of songs, from sound alone.

    Args:
        features: made exactly as those the encoder learned from.
        songs: ids of the songs wanted, in the order wanted; None takes all songs of `features`.
        unit_norm: divide every prediction by its length, so that no song is recommended more for being loud in
            factor space; on Last.fm plays this lifted mAP by a quarter. Off, the scale is that of the targets.
        predict: where the songs are heard: this machine, or a cluster (`deepcuts.cluster.predict`).
    Returns:
        factors in the space of the factors that the encoder learned from, with the precision of each song where the
        encoder's error was measured: one over the expected squared error of a factor, before `unit_norm`.
    Raises:
        InputError: a wanted song has no features, no frames or values that are not finite.
        ArtifactError: the features are of another kind or made with other settings.
    """
    wanted = features.songs if songs is None else songs
    places = features.songs.positions(wanted.ids, where="features")
    predicted = predict(encoder, features, places)
    provenance = encoder.provenance
    errors = None if provenance.error is None else expected_errors(provenance.error, predicted, provenance.target_mean)
    if unit_norm:
        lengths = np.linalg.norm(predicted, axis=1, keepdims=True)
        predicted /= np.where(lengths > 0, lengths, 1)
    precision = None if errors is None else (1 / errors).astype(np.float32)
    settings = {"encoder": provenance.name, **provenance.settings, "unit_norm": unit_norm}
    parents = {"encoder": encoder.fingerprint, "features": features.fingerprint}
    lineage = derive(provenance.lineage, features.lineage, **parents)
    return SongFactors(wanted, predicted, lineage, precision=precision, settings=settings)


def average_predictions(predictions: Sequence[SongFactors]) -> SongFactors:
    """The mean of several predictions of the same songs: encoders that err differently err less together.

    Args:
        predictions: at least one, of equal songs (in any order) and of one factor space.
    Returns:
        factors of songs in the order of the first; their lineage is derived from all of them.
    Raises:
        InputError: none, other songs, other numbers of factors, another factor space or another protocol.
    """
    if not predictions:
        raise InputError("average: expected predicted song factors, at least one.")
    protocols = {str(one.lineage.protocol) for one in predictions}
    if len(protocols) > 1:
        found = " and ".join(map(repr, sorted(protocols)))
        raise InputError(f"average: predictions under the protocols {found}. Average those of one protocol.")
    first, parents = predictions[0], {str(at): one.fingerprint for at, one in enumerate(predictions)}
    lineage = derive(*(one.lineage for one in predictions), **parents)
    total = np.zeros(first.vectors.shape)
    for one in predictions:
        if one.vectors.shape != first.vectors.shape:
            sizes = f"{len(one)} songs × {one.n_factors} factors beside {len(first)} × {first.n_factors}"
            raise InputError(f"average: {sizes}. Predict the same songs.")
        total += one.vectors[one.songs.positions(first.songs.ids, where="average")]
    settings = {"encoder": "average", "of": [dict(one.settings) for one in predictions]}
    return SongFactors(first.songs, (total / len(predictions)).astype(np.float32), lineage, settings=settings)
