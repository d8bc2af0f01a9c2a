"""What there is to learn: songs that have both sound and factors, joined by id, split and scaled."""

import logging
from dataclasses import asdict, dataclass, replace

import numpy as np

from deepcuts.artifacts import Factors, Features, Lineage, Plays, SongFactors, Vocabulary, derive
from deepcuts.checks import check_finite
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.predict.encoder import Provenance, as_json, check_frames
from deepcuts.predict.training_set import Examples, TrainingSet
from deepcuts.predict.wpe import errors_of, surplus_of_songs, users_of

logger = logging.getLogger(__name__)

TARGETS = ("raw", "unit")
LOSS_NAMES = ("mse", "wpe", "usage")  # the keys of LOSSES, without loading torch; a test compares them


@dataclass(frozen=True)
class EncoderSettings:
    """Settings that every encoder has.

    Attributes:
        target: "raw" predicts y_i as the factors hold it (the paper); "unit" predicts y_i / |y_i|, so that
            popular songs, whose factors are long, do not rule the error.
        weight_listeners: a song's error counts min(listeners, this) / this; 0 counts all songs equally.
        validation: fraction of the songs held out to choose by, when no validation songs are named; in [0, 1).
        seed: of everything random.
        loss: a key of LOSSES. "mse" is eq. 4, "wpe" eq. 5 (needs plays, and target = "raw"), "usage" lies between.
        wpe_gamma: "wpe" divides a song's error by (1 + Σ_u s_u)^wpe_gamma: 0 is the paper, where popular songs rule;
            at 1 the error no longer grows with the listeners.
    """

    target: str = "raw"
    weight_listeners: int = 0
    validation: float = 0.1
    seed: int = 0
    loss: str = "mse"
    wpe_gamma: float = 0.0

    def __post_init__(self) -> None:
        require(self.target in TARGETS, "target", self.target, " or ".join(map(repr, TARGETS)))
        require(self.weight_listeners >= 0, "weight_listeners", self.weight_listeners, "0 or more")
        require(0 <= self.validation < 1, "validation", self.validation, "a fraction from 0 up to, not including, 1")
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        require(self.loss in LOSS_NAMES, "loss", self.loss, " or ".join(map(repr, LOSS_NAMES)))
        wpe = self.loss == "wpe"
        require(not wpe or self.target == "raw", "target", self.target, "'raw' with loss = 'wpe'")
        require(self.wpe_gamma >= 0, "wpe_gamma", self.wpe_gamma, "0 or more")
        require(wpe or not self.wpe_gamma, "wpe_gamma", self.wpe_gamma, f"0 with loss = {self.loss!r}")


@dataclass(frozen=True)
class NetworkSettings(EncoderSettings):
    """Settings of every encoder that goes down a gradient.

    Attributes:
        precondition: "wpe" and "usage" learn in a basis of factors where their mean curvature is the same in all
            directions; nothing changes for "mse".
        clip: longest gradient of a step; longer ones are shortened to it. 0 takes them as they are.
    """

    precondition: bool = True
    clip: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.clip >= 0, "clip", self.clip, "0 or more")


def make_training_set(
    name: str,
    features: Features,
    factors: Factors | SongFactors,
    settings: EncoderSettings,
    validation: Vocabulary | None,
    rng: np.random.Generator,
    plays: Plays | None = None,
) -> TrainingSet:
    """Join sound and factors by song id, hold out validation songs, standardise the targets.

        target_i = (y_i - mean) / scale,   scale = sqrt(mean over songs and factors of (y - mean)²)

    Mean and scale come from the training songs alone. One scale for all factors: dividing each factor by its own
    spread would change which errors matter (eq. 4 adds them as they are).

    Args:
        name: the encoder's key, kept in its provenance.
        factors: of songs; the pair of users and songs where the loss looks at users.
        validation: ids of songs to choose by; None cuts `settings.validation` of the songs at random.
        plays: what the factors were learned from; only loss "wpe" looks at them.
    Raises:
        InputError: nothing in common, no training songs, or numbers that are not finite; the loss needs users or
            plays that are not there.
    """
    learned = factors.songs if isinstance(factors, Factors) else factors
    heard, song_factors, weights = join_songs(features, learned, settings)
    held_out = hold_out(features.songs.take(heard), validation, settings, rng)
    train = ~held_out
    if not train.any():
        raise InputError(f"validation: all {len(heard)} songs are for validation, none is left to learn from.")
    mean, scale = target_scaling(song_factors[train])
    targets = ((song_factors - mean) / scale).astype(np.float32)
    examples = Examples(heard, targets, weights, n_listeners=listeners_of(learned, features.songs.take(heard)))
    users = None if settings.loss == "mse" else users_of(factors)
    parents = {"features": features.fingerprint, "factors": factors.fingerprint}
    if settings.loss == "wpe" and users is not None and isinstance(factors, Factors):
        surplus = surplus_of_songs(plays, factors, features.songs.take(heard))
        examples = replace(examples, surplus=surplus, observed_loss=errors_of(song_factors, users, surplus))
        parents["plays"] = factors.lineage.parents["plays"]
    # Songs behind the factors count too: their plays reached the targets through the users. So do those behind the
    # features, where a dictionary or a projection was learned for them.
    lineage = derive(Lineage(learned_from=features.songs.take(heard)), factors.lineage, features.lineage, **parents)
    provenance = Provenance(
        name=name,
        settings=asdict(settings),
        feature_kind=features.kind,
        feature_settings=as_json(features.settings),
        n_channels=features.n_channels,
        target_mean=mean,
        target_scale=scale,
        lineage=lineage,
    )
    return TrainingSet(features, examples.take(train), examples.take(held_out), provenance, users)


def listeners_of(factors: SongFactors, songs: Vocabulary) -> np.ndarray | None:
    """How many users played each of these songs; None where the factors do not say."""
    return None if factors.n_listeners is None else factors.n_listeners[factors.songs.positions(songs.ids)]


def join_songs(
    features: Features, factors: SongFactors, settings: EncoderSettings, quiet: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Songs that have both sound and factors, in the order of the features; `quiet` logs nothing.

    Returns:
        positions in features [n], targets in their own scale [n, n_factors] float64, weights [n] float32.
    Raises:
        InputError: no song in common, or weights asked for without listeners.
    """
    at = factors.songs.find(features.songs.ids)
    heard = np.flatnonzero(at >= 0)
    if not len(heard):
        raise InputError(
            f"features and factors have no song in common: features has ids such as {examples_of(features.songs)}, "
            f"factors such as {examples_of(factors.songs)}. Check that both use the same song ids."
        )
    log = logger.debug if quiet else logger.info
    log(
        "%d songs have sound and factors; %d lack factors, %d lack sound",
        len(heard),
        len(features.songs) - len(heard),
        len(factors.songs) - len(heard),
    )
    targets = factors.vectors[at[heard]].astype(np.float64)
    check_finite("song_factors", targets)
    weights = listener_weights(factors.n_listeners, settings.weight_listeners, at[heard])
    kept = weights > 0
    if settings.target == "unit":
        norms = np.linalg.norm(targets, axis=1)
        kept &= norms > 0
        targets = targets / np.maximum(norms, np.finfo(np.float64).tiny)[:, None]
    if not kept.all() and not quiet:
        logger.warning("%d songs are left out: they have no listeners or factors of length 0", (~kept).sum())
    if not kept.any():
        raise InputError(f"factors: none of {len(heard)} songs has listeners and factors longer than 0.")
    check_frames(features, heard[kept])
    return heard[kept], targets[kept], weights[kept]


def examples_of(ids: Vocabulary) -> str:
    """The first ids, for a message."""
    return ", ".join(map(repr, ids.ids.head(2).to_list())) or "none"


def listener_weights(n_listeners: np.ndarray | None, enough: int, songs: np.ndarray) -> np.ndarray:
    """How much each song's error counts: min(n_listeners, enough) / enough, or 1 when enough = 0.

    Raises:
        InputError: weights are asked for and the factors do not know their listeners.
    """
    if not enough:
        return np.ones(len(songs), dtype=np.float32)
    if n_listeners is None:
        raise InputError("factors: have no n_listeners. Set weight_listeners=0, or learn the factors again.")
    return (np.minimum(n_listeners[songs], enough) / enough).astype(np.float32)


def hold_out(
    songs: Vocabulary, validation: Vocabulary | None, settings: EncoderSettings, rng: np.random.Generator
) -> np.ndarray:
    """Which songs [n] bool only choose. Cut at random, a lone song stays with training.

    Raises:
        InputError: validation songs are named and none is there.
    """
    held_out = np.zeros(len(songs), dtype=bool)
    if validation is not None:
        places = songs.find(validation.ids)
        held_out[places[places >= 0]] = True
        if not held_out.any() and len(validation):
            raise InputError(
                f"validation: none of its {len(validation)} songs has both sound and factors. "
                "Pass songs that do, or None to cut some at random."
            )
        return held_out
    n_held_out = int(np.ceil(settings.validation * len(songs))) if len(songs) > 1 else 0
    held_out[rng.permutation(len(songs))[: min(n_held_out, len(songs) - 1)]] = True
    return held_out


def kept_aside(
    features: Features, factors: Factors | SongFactors, settings: EncoderSettings, validation: Vocabulary | None
) -> Vocabulary:
    """Ids of the songs that an encoder of these settings does not fit: validation songs with sound and factors.

    Args as for `make_training_set`, which cuts the same songs at random where none are named.
    """
    learned = factors.songs if isinstance(factors, Factors) else factors
    songs = features.songs.take(join_songs(features, learned, settings, quiet=True)[0])
    return songs.take(np.flatnonzero(hold_out(songs, validation, settings, np.random.default_rng(settings.seed))))


def target_scaling(targets: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean [n_factors] and the one scale of targets [n_songs, n_factors]; the scale is 1 when all songs agree."""
    mean = targets.mean(axis=0)
    scale = float(np.sqrt(np.mean((targets - mean) ** 2)))
    return mean, scale if scale > 1e-12 * (1 + np.abs(mean).max()) else 1.0
