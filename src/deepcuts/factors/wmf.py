"""Weighted matrix factorisation: what listeners share, learnt from who played what.

The objective, over ALL pairs of user and song, the unplayed ones too:

    Σ_{u,i} c_ui (p_ui - x_uᵀy_i)² + λ (Σ_u ‖x_u‖² + Σ_i ‖y_i‖²)

    p_ui = 1 where played, else 0;   c_ui = 1 + α log(1 + r_ui / ε), so c = 1 where not played.

Matrices hold the surplus s = c - 1, never c. Users and songs are solved in turn, users first; every half-sweep can
only lower the objective (conjugate gradient lowers it at every step, so this holds before it has converged too).

Source: van den Oord et al. 2013, section 3; Hu, Koren, Volinsky 2008. α, ε, λ, the number of sweeps and the
beginning are not in the paper: they are those of the authors' own code (github.com/benanne/wmf).
"""

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from deepcuts import store
from deepcuts.artifacts import Factors, Lineage, Plays, SongFactors, UserFactors, Vocabulary
from deepcuts.checks import check_finite, check_shape
from deepcuts.config import require
from deepcuts.errors import InputError
from deepcuts.factors.checkpoint import HalfSweep, Pace, read_checkpoint, save_checkpoint
from deepcuts.factors.engine import MakeEngine, local_engine
from deepcuts.factors.sides import MakeSides, sides_in_memory
from deepcuts.kernels import als
from deepcuts.kernels.confidence import surplus_confidence
from deepcuts.progress import progress, step_level
from deepcuts.store import refuse_to_replace

log = logging.getLogger(__name__)

# Rounding, not divergence: the objective may move up by this share of itself and of its value with nothing learned
# (a perfect fit is the difference of two large numbers).
ROUNDING = 1e-6
ROWS_AT_ONCE = 4096  # of songs whose precision is added up: their plays may lie on disk
PLAYS_AT_ONCE = 4096  # whose rows the objective gathers: megabytes, not the hundreds that the system must clear


@dataclass(frozen=True)
class WmfSettings:
    """How to factorise.

    Attributes:
        n_factors: length of a latent vector.
        alpha: how much more a played song counts than an unplayed one.
        epsilon: in plays; well below it counts act linearly, well above it logarithmically. At 1e-6 the count
            hardly matters (c(1) = 28.6, c(100) = 37.8); from .01 it does.
        regularization: λ, on users and songs alike. 0 is allowed, but with more factors than users or songs float32
            may then not hold the objective down (a warning says so).
        n_sweeps: a sweep is users, then songs.
        init_scale: songs begin at N(0, init_scale²); users at 0.
        solver: "cg", or "exact" (Cholesky; several times slower).
        n_steps: steps of conjugate gradient for a row in a half-sweep, from where the last one left it.
        seed: of the beginning.
        device: "cpu", or "cuda" for solver "cg"; the numbers of the two differ by rounding.
    """

    n_factors: int = 50
    alpha: float = 2.0
    epsilon: float = 1e-6
    regularization: float = 1e-5
    n_sweeps: int = 20
    init_scale: float = 0.01
    solver: str = "cg"
    n_steps: int = 3
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        require(self.n_factors >= 1, "n_factors", self.n_factors, "at least 1")
        require(0 <= self.alpha < np.inf, "alpha", self.alpha, "a finite number, 0 or more")
        require(0 < self.epsilon < np.inf, "epsilon", self.epsilon, "a finite number of plays above 0")
        require(0 <= self.regularization < np.inf, "regularization", self.regularization, "a finite number, 0 or more")
        require(self.n_sweeps >= 1, "n_sweeps", self.n_sweeps, "at least 1")
        require(0 < self.init_scale < np.inf, "init_scale", self.init_scale, "a finite number above 0")
        require(self.solver in ("cg", "exact"), "solver", self.solver, "cg or exact")
        require(self.n_steps >= 1, "n_steps", self.n_steps, "at least 1")
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        require(self.device in ("cpu", "cuda"), "device", self.device, "cpu or cuda")
        allowed = self.device == "cpu" or self.solver == "cg"
        require(allowed, "solver", self.solver, f"cg with device = {self.device!r}: exact runs on the cpu")

    @property
    def steps(self) -> int:
        """Steps of conjugate gradient; 0 for the exact solver."""
        return 0 if self.solver == "exact" else self.n_steps


@dataclass(frozen=True)
class WmfFit:
    """Factors of users and songs, and how the objective came down."""

    factors: Factors
    history: list[HalfSweep]


def objective(surplus: sparse.csr_array, X: np.ndarray, Y: np.ndarray, regularization: float) -> float:
    """What the factorisation makes small (eq. 3), over all pairs, exactly, in float64.

        Σ_{u,i} c (p - z)² = Σ_{u,i} z² + Σ_played [ s (1 - z)² + 1 - 2z ],     Σ_{u,i} z² = ⟨XᵀX, YᵀY⟩

    Args:
        surplus: s = c - 1 [n_users, n_songs], CSR.
        X: users [n_users, n_factors].
        Y: songs [n_songs, n_factors].
        regularization: λ.
    Source: van den Oord et al. 2013, eq. 3.
    """
    row_of = np.repeat(np.arange(len(X)), np.diff(surplus.indptr))
    played = 0.0
    for begin in range(0, surplus.nnz, PLAYS_AT_ONCE):
        part = slice(begin, begin + PLAYS_AT_ONCE)
        x, y = X[row_of[part]].astype(np.float64), Y[surplus.indices[part]].astype(np.float64)
        z = np.einsum("kf,kf->k", x, y)
        played += float((surplus.data[part].astype(np.float64) * (1 - z) ** 2 + 1 - 2 * z).sum())
    return _objective(played, als.gram(X), als.gram(Y), regularization)


def _objective(played: float, gram_x: np.ndarray, gram_y: np.ndarray, regularization: float) -> float:
    return float(played + (gram_x * gram_y).sum() + regularization * (np.trace(gram_x) + np.trace(gram_y)))


def fit(
    plays: Plays,
    settings: WmfSettings | None = None,
    *,
    checkpoint: Path | str | None = None,
    protocol: str = "clean",
    engine: MakeEngine = local_engine,
    sides: MakeSides = sides_in_memory,
) -> WmfFit:
    """Factorise plays: users x_u and songs y_i.

    Give it what may be learned from: under the clean protocol `split.learning_plays(plays)`.

    Args:
        plays: [n_users, n_songs]. A user or song without plays gets the zero vector.
        settings: None takes the defaults.
        checkpoint: a folder written after a sweep, as often as 5 % of the time allows, and after the last. A run that
            finds its own there goes on from it and ends with the same numbers, bit for bit, as one never stopped;
            one of other plays or settings is passed over.
        protocol: "clean" (test songs' plays are not in `plays`) or "joint" (they are); written into the factors.
        engine: where the arithmetic runs: this machine, or a cluster (`deepcuts.cluster.factors`).
        sides: how the plays are kept both ways: in memory, or on disk (`sides_on_disk`), with the same bits.
    Raises:
        InputError: the fit overflowed (names the half-sweep and the row).
        ArtifactError: `checkpoint` is something else than a checkpoint.
        SettingError: the device is not there.
    """
    settings = settings or WmfSettings()
    made = engine(settings.regularization, settings.steps, settings.device)
    require(protocol in ("clean", "joint"), "protocol", protocol, "clean or joint")
    checkpoint = None if checkpoint is None else Path(checkpoint)
    if checkpoint is not None:
        refuse_to_replace(checkpoint)
    _warn_of_memorising(plays, settings)
    by_user, by_song = sides(plays, settings.alpha, settings.epsilon)
    X, Y, history = _begin(plays, settings, checkpoint)
    half_sweeps = {"users": (made.hold(by_user), X, Y), "songs": (made.hold(by_song), Y, X)}
    nothing_learned = float(by_user.nnz + by_user.data.sum(dtype=np.float64))
    gram_fixed = made.gram(Y)
    laid_aside = Pace()
    with progress("factorise", total=settings.n_sweeps, unit="sweep") as bar:
        bar.skip(len(history) // 2)
        for sweep in range(len(history) // 2 + 1, settings.n_sweeps + 1):
            for half, (solve, rows, fixed) in half_sweeps.items():
                began = time.perf_counter()
                played = solve(fixed, gram_fixed, rows)
                gram_rows = made.gram(rows)
                _refuse_overflow(rows, gram_rows, sweep, half, getattr(plays, half))
                value = _objective(float(played.sum()), gram_rows, gram_fixed, settings.regularization)
                gram_fixed = gram_rows
                new = HalfSweep(sweep=sweep, half=half, objective=value, seconds=_since(began))
                _keep(history, new, nothing_learned)
            if checkpoint is not None and (sweep == settings.n_sweeps or laid_aside.due()):
                with laid_aside:
                    save_checkpoint(checkpoint, plays.fingerprint, _course(settings), X, Y, history)
            bar.advance(1, note=f"objective {history[-1]['objective']:.6g}")
    return WmfFit(_factors(plays, X, Y, by_song, settings, protocol), history)


def _factors(
    plays: Plays, X: np.ndarray, Y: np.ndarray, listened: sparse.csr_array, settings: WmfSettings, protocol: str
) -> Factors:
    """The fitted factors with their lineage: this fit makes a new space.

    Args:
        listened: surplus confidence [n_songs, n_users] CSR.
    """
    space = store.fingerprint(plays.users.fingerprint, plays.songs.fingerprint, X, Y)
    lineage = Lineage(space, plays.songs, protocol, parents={"plays": plays.fingerprint})
    record = {**asdict(settings), "protocol": protocol}
    songs = SongFactors(
        plays.songs,
        Y,
        lineage,
        precision=song_precision(listened, X, settings.regularization),
        n_listeners=np.diff(listened.indptr).astype(np.int64),
        settings=record,
    )
    return Factors(UserFactors(plays.users, X, lineage, record), songs)


def song_precision(listened: sparse.csr_array, X: np.ndarray, regularization: float) -> np.ndarray:
    """How sharply plays determine each song's factors [n_songs] float32: the mean curvature of the objective.

        mean diagonal of A_i = XᵀX + λI + Σ_u s_ui x_u x_uᵀ

    Args:
        listened: surplus confidence [n_songs, n_users] CSR.
        X: users [n_users, n_factors].
    """
    squares = np.einsum("uf,uf->u", X, X, dtype=np.float64)
    begins = range(0, listened.shape[0], ROWS_AT_ONCE)
    parts = [listened[begin : begin + ROWS_AT_ONCE] @ squares for begin in begins]
    curvature = squares.sum() + np.concatenate(parts)
    return (regularization + curvature / X.shape[1]).astype(np.float32).clip(min=np.finfo(np.float32).tiny)


def fold_in_users(plays: sparse.csr_array, song_factors: np.ndarray, settings: WmfSettings | None = None) -> np.ndarray:
    """Factors of users who were not there when the songs were learned: their exact half-sweep.

        x_u = (YᵀY + λI + Σ_i s_ui y_i y_iᵀ)⁻¹ Σ_i (1 + s_ui) y_i

    Args:
        plays: counts [n_new, n_songs], CSR, columns in the order of `song_factors`.
        song_factors: Y [n_songs, n_factors], ALL songs of the fit: each unplayed one counts against.
        settings: those of the fit (alpha, epsilon and regularization matter).
    Returns:
        [n_new, n_factors] float32; zero for a user without plays.
    Raises:
        InputError: a count is not positive and finite; the plays and the factors differ in songs.
    Source: Hu et al. 2008, eq. 4.

    >>> song_factors = np.eye(2, dtype=np.float32)
    >>> x = fold_in_users(sparse.csr_array([[4.0, 0.0]]), song_factors, WmfSettings(n_factors=2))
    >>> bool(x[0, 0] > 0.5), float(x[0, 1])
    (True, 0.0)
    """
    check_shape("plays", plays, [None, len(song_factors)])
    return _fold_in(sparse.csr_array(plays), song_factors, settings or WmfSettings())


def fold_in_songs(plays: sparse.csr_array, user_factors: np.ndarray, settings: WmfSettings | None = None) -> np.ndarray:
    """Factors of songs that were not there when the users were learned: their exact half-sweep.

    With the hidden plays of test songs this is the upper bound of the clean protocol.

    Args:
        plays: counts [n_users, n_new], CSR, rows in the order of `user_factors`.
        user_factors: X [n_users, n_factors], ALL users of the fit.
        settings: those of the fit (alpha, epsilon and regularization matter).
    Returns:
        [n_new, n_factors] float32; zero for a song without plays.
    Raises:
        InputError: a count is not positive and finite; the plays and the factors differ in users.
    Source: Hu et al. 2008, eq. 5.
    """
    check_shape("plays", plays, [len(user_factors), None])
    return _fold_in(sparse.csr_array(plays).T.tocsr(), user_factors, settings or WmfSettings())


def _fold_in(side: sparse.csr_array, fixed: np.ndarray, settings: WmfSettings) -> np.ndarray:
    check_finite("factors", fixed)
    rows = np.zeros((side.shape[0], fixed.shape[1]), np.float32)
    surplus = surplus_confidence(side, settings.alpha, settings.epsilon)
    local_engine(settings.regularization, 0, "cpu").hold(surplus)(fixed, als.gram(fixed), rows)
    check_finite("folded-in factors", rows)
    return rows


def _warn_of_memorising(plays: Plays, settings: WmfSettings) -> None:
    n_users, n_songs = plays.shape
    if settings.n_factors >= min(n_users, n_songs):
        log.warning(
            "n_factors = %d with %d users and %d songs: so many memorise plays instead of finding "
            "what is shared. Lower n_factors, or raise regularization.",
            *(settings.n_factors, n_users, n_songs),
        )


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 4)


def _refuse_overflow(rows: np.ndarray, gram: np.ndarray, sweep: int, half: str, ids: Vocabulary) -> None:
    if np.isfinite(np.trace(gram)):  # the squares of all rows, in float64: finite if and only if they are
        return
    bad = ~np.isfinite(rows).all(axis=1)
    first = int(np.argmax(bad))
    raise InputError(
        f"sweep {sweep}, {half}: row {first} ({ids[first]!r}) is not finite, and {int(bad.sum())} of {len(rows)} "
        "rows: float32 overflowed. Lower alpha or init_scale, raise regularization, or look for absurd counts."
    )


def _keep(history: list[HalfSweep], new: HalfSweep, nothing_learned: float) -> None:
    """Keep and log the half-sweep; warn when the objective rose, which it cannot but for rounding."""
    if history:
        before = history[-1]["objective"]
        if new["objective"] > before + ROUNDING * (abs(before) + nothing_learned):
            log.warning(
                "sweep %d, %s: the objective rose from %.9g to %.9g: float32 no longer resolves it. "
                "Raise regularization, or use solver=exact.",
                *(new["sweep"], new["half"], before, new["objective"]),
            )
    history.append(new)
    line = (new["sweep"], new["half"], new["objective"], new["seconds"])
    log.log(step_level(), "sweep %d, %s: objective %.9g, %.3f s", *line)


def _begin(
    plays: Plays, settings: WmfSettings, checkpoint: Path | None
) -> tuple[np.ndarray, np.ndarray, list[HalfSweep]]:
    """Users, songs and history to go on from: those of the checkpoint, or zeros, small random songs and nothing."""
    if checkpoint is not None:
        found = read_checkpoint(checkpoint, plays.fingerprint, _course(settings), settings.n_sweeps)
        if found is not None:
            return found
    rng = np.random.default_rng(settings.seed)
    n_users, n_songs = plays.shape
    Y = (settings.init_scale * rng.standard_normal((n_songs, settings.n_factors))).astype(np.float32)
    return np.zeros((n_users, settings.n_factors), np.float32), Y, []


def _course(settings: WmfSettings) -> dict[str, Any]:
    """The settings that shape the course of a fit: all but how long it goes on."""
    return {name: value for name, value in asdict(settings).items() if name != "n_sweeps"}
