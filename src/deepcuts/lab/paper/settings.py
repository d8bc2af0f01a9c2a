"""The settings of the paper's experiments, at three sizes. All that the paper leaves unsaid is decided here."""

from dataclasses import dataclass

from deepcuts.audio import LogMelSettings, MfccSettings
from deepcuts.audio.bagofwords import WordsSettings
from deepcuts.config import require
from deepcuts.data import SplitSettings
from deepcuts.evaluate import EvaluateSettings
from deepcuts.factors import WmfSettings
from deepcuts.lab.mlr.metric import MlrSettings
from deepcuts.predict import CnnSettings, EncoderSettings, LinearSettings, MlpSettings
from deepcuts.worlds import WorldSettings

TEST_SHARE = 1881 / 9330  # the paper's test songs
REGULARIZATIONS = (1e-5, 1.0, 10.0, 100.0)  # λ tried on validation songs; the first is that of the authors' code
PRICES = (0.1, 10.0, 1_000.0, 100_000.0)  # C of MLR tried on validation songs
NEARLY_NONE = 1e-6  # ridge of "ordinary least squares": it only keeps a singular system solvable

# name → (encoder, what it hears, whether its seed matters)
SYSTEMS: dict[str, tuple[str, str, bool]] = {
    "linear": ("linear", "bag", False),
    "ridge": ("linear", "bag", False),
    "mlp": ("mlp", "bag", True),
    "cnn_wpe": ("cnn", "logmel", True),
    "cnn_mse": ("cnn", "logmel", True),
}


@dataclass(frozen=True)
class PaperSettings:
    """How the experiments run; the defaults are the scale `small`.

    Attributes:
        n_songs, n_users, seconds, mean_listeners: of the planted world; `seconds` is the length of a clip.
        by: "artist" (no artist on both sides, for an artist's songs share what cannot be heard) or "song" (the paper).
        test: fraction of songs that are tested.
        validation: fraction of the others that chooses λ, C, ridge and when to stop.
        protocol: "clean" (users know nothing of test songs) or "joint" (one factorisation of all plays; the paper can
            be read so).
        n_factors: f of Table 2 and of everything but Table 3.
        n_factors_full: f of Table 3, which stands for the paper's full data set.
        regularization: λ of WMF; None chooses among REGULARIZATIONS on validation songs.
        n_words, n_word_frames: size of the dictionary, and frames that it is learned from.
        mlr_components: MLR hears so many leading components of the bag of words.
        mlr_batch, mlr_rounds: queries a round, and rounds, of its solver.
        mlr_price: C; None chooses among PRICES on validation songs.
        n_hidden: of the perceptron.
        width, dense, n_epochs: of the network.
        n_seeds: trainings of each system whose seed matters; their outcomes are averaged.
        small_part: share of the training songs in the test of "the gap grows with data".
        n_tags, n_tag_folds: of section 5.1.
        tag_components: section 5.1 hears so many leading components of the bag of words.
        n_neighbours: length of the lists of Table 4.
        n_map_songs: most songs on the map.
        n_bootstrap: replicates.
        seed: of everything.
        n_jobs: processes that make sounds and features; 0 is one a core.
        cache_gb: songs up to this size are held in memory for training; beyond, windows are read from disk.
    """

    n_songs: int = 4_000
    n_users: int = 8_000
    seconds: float = 8.0
    mean_listeners: float = 65.0
    by: str = "artist"
    test: float = TEST_SHARE
    validation: float = 0.1
    protocol: str = "clean"
    n_factors: int = 50
    n_factors_full: int = 100
    regularization: float | None = None
    n_words: int = 4_000
    n_word_frames: int = 500_000
    mlr_components: int = 100
    mlr_batch: int = 500
    mlr_rounds: int = 200
    mlr_price: float | None = None
    n_hidden: int = 1_000
    width: int = 256
    dense: int = 1_024
    n_epochs: int = 20
    n_seeds: int = 3
    small_part: float = 0.25
    n_tags: int = 50
    n_tag_folds: int = 10
    tag_components: int = 500
    n_neighbours: int = 5
    n_map_songs: int = 4_000
    n_bootstrap: int = 1_000
    seed: int = 0
    n_jobs: int = 0
    cache_gb: float = 2.0

    def __post_init__(self) -> None:
        require(self.by in ("artist", "song"), "by", self.by, "artist or song")
        require(self.protocol in ("clean", "joint"), "protocol", self.protocol, "clean or joint")
        require(0 < self.validation < 1, "validation", self.validation, "a fraction strictly between 0 and 1")
        require(0 < self.small_part < 1, "small_part", self.small_part, "a fraction strictly between 0 and 1")
        for name in ("mlr_components", "tag_components", "n_seeds", "n_neighbours", "n_map_songs"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        self.world(), self.split(), self.words(), self.mlr(1.0), self.evaluation()  # each refuses what is out of range
        self.wmf(self.n_factors, self.regularization or 0.0)
        for name in SYSTEMS:
            self.training_set(name, self.seed)

    def world(self) -> WorldSettings:
        """The planted world."""
        return WorldSettings(
            n_songs=self.n_songs,
            n_users=self.n_users,
            seconds=self.seconds,
            mean_listeners=self.mean_listeners,
            seed=self.seed,
            n_jobs=self.n_jobs,
        )

    def split(self) -> SplitSettings:
        """Who is tested."""
        return SplitSettings(by=self.by, test=self.test, validation=self.validation, seed=self.seed)

    def logmel(self) -> LogMelSettings:
        """128 bands, windows of 1024, hops of 512 at 22,050 Hz, as in the paper."""
        return LogMelSettings()

    def mfcc(self) -> MfccSettings:
        """13 coefficients with first and second differences, as in the paper."""
        return MfccSettings()

    def words(self) -> WordsSettings:
        """K-means words, raw counts, PCA that keeps 95 % of the variance."""
        return WordsSettings(n_words=self.n_words, n_frames=self.n_word_frames, seed=self.seed)

    def wmf(self, n_factors: int, regularization: float) -> WmfSettings:
        """α, ε and the number of sweeps of the authors' own code."""
        return WmfSettings(n_factors=n_factors, regularization=regularization, seed=self.seed)

    def mlr(self, price: float) -> MlrSettings:
        """Metric learning to rank."""
        return MlrSettings(C=price, batch=self.mlr_batch, n_rounds=self.mlr_rounds, seed=self.seed)

    def evaluation(self) -> EvaluateSettings:
        """MAP@500 and AUC with intervals over users and songs."""
        return EvaluateSettings(n_bootstrap=self.n_bootstrap, seed=self.seed)

    def training_set(self, name: str, seed: int, *, part: float = 1.0) -> EncoderSettings:
        """How a system of SYSTEMS is trained; on a part of the songs, for as many steps as on all.

        Bags of words keep the proportions that PCA gave them. Each component divided by its own spread, those of noise
        would count like any other, and a ridge would only shrink the answers: the ranks would be of least squares.
        """
        if name == "linear":
            return LinearSettings(ridge=NEARLY_NONE, standardise=False)
        if name == "ridge":
            return LinearSettings(standardise=False)
        if name == "mlp":
            return MlpSettings(n_hidden=self.n_hidden, standardise=False, seed=seed)
        return CnnSettings(
            width=self.width,
            dense=self.dense,
            n_epochs=round(self.n_epochs / part),
            loss="wpe" if name == "cnn_wpe" else "mse",
            cache_gb=self.cache_gb,
            seed=seed,
        )


# `tiny` is for tests: it shows that everything runs, not how good anything is. `paper` has the paper's sizes.
SCALES: dict[str, PaperSettings] = {
    "tiny": PaperSettings(
        n_songs=200,
        n_users=400,
        seconds=3.5,
        mean_listeners=30.0,
        n_factors=8,
        n_factors_full=12,
        n_words=60,
        n_word_frames=5_000,
        mlr_components=12,
        mlr_batch=60,
        mlr_rounds=10,
        mlr_price=100.0,
        n_hidden=32,
        width=16,
        dense=32,
        n_epochs=3,
        n_seeds=2,
        small_part=0.5,
        n_tag_folds=3,
        n_bootstrap=40,
        n_jobs=1,
    ),
    "small": PaperSettings(),
    "paper": PaperSettings(
        n_songs=9_330,
        n_users=20_000,
        seconds=29.0,
        mean_listeners=100.0,
        n_factors_full=400,
        n_word_frames=1_000_000,
        n_epochs=60,
        cache_gb=1.0,
    ),
}
