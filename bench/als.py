"""WMF sweeps against `implicit` (conjugate gradient, 3 steps): same plays, same beginning, objective not above theirs.

    OMP_NUM_THREADS=1 python bench/als.py --quick

Both run a full sweep (users, then songs) in turn, so a busy neighbour slows both. implicit's BLAS is held to one
thread, as its own documentation asks, and its time leaves out the transpose it makes anew in each call.
"""

import warnings
from collections.abc import Callable
from importlib.metadata import version

import implicit.als
import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from deepcuts.factors import wmf
from deepcuts.kernels import als
from sides import Row, floors, main, row, seconds, threads

AGAINST = f"implicit {version('implicit')}"
REGULARIZATION = 1e-5
ABOVE = 1e-4  # by what share our objective may lie above theirs after equally many sweeps
SMALL, LARGE = (20_000, 10_000, 1_070_000), (200_000, 100_000, 11_900_000)  # users, songs, plays
STYLES = 20
IN_CACHE = 2**25  # bytes; of more, hardly a row is still in the cache when it is wanted again


def made_plays(n_users: int, n_songs: int, n_plays: int, rng: np.random.Generator) -> sparse.csr_array:
    """Counts with log-normal activity and popularity; one play in seven is of the user's own of 20 styles."""
    popularity, activity = rng.lognormal(0, 1.2, n_songs), rng.lognormal(0, 0.8, n_users)
    edges = np.linspace(0, n_songs, STYLES + 1).astype(int)  # songs stand style by style
    upto = np.concatenate([[0], np.cumsum(popularity)])
    n_drawn = n_plays * 3 // 2  # some twice
    user = np.repeat(np.arange(n_users), rng.multinomial(n_drawn, activity / activity.sum()))
    style = np.where(rng.random(n_drawn) < 1 / 7, rng.integers(STYLES, size=n_users)[user], -1)
    low = np.where(style < 0, 0, upto[edges[style]])
    high = np.where(style < 0, upto[-1], upto[edges[style + 1]])
    song = np.searchsorted(upto, low + (high - low) * rng.random(n_drawn), side="right") - 1
    pairs = np.sort(user * np.int64(n_songs) + np.minimum(song, n_songs - 1))
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # np.unique goes through a hash, many times slower here
    pairs = np.sort(rng.choice(pairs, n_plays, replace=False, shuffle=False))
    counts = rng.geometric(0.4, size=n_plays).astype(np.float32)
    start = np.searchsorted(pairs, np.arange(n_users + 1) * n_songs).astype(np.int32)
    shuffled = rng.permutation(n_songs).astype(np.int32)  # so that songs of a style do not lie side by side
    made = sparse.csr_array((counts, shuffled[pairs % n_songs], start), shape=(n_users, n_songs))
    made.sort_indices()
    return made


class Contest:
    """Both sides on the same plays from the same beginning; each call of a side is one more sweep."""

    def __init__(self, counts: sparse.csr_array, n_factors: int, n_steps: int) -> None:
        settings = wmf.WmfSettings()
        n_users, n_songs = counts.shape
        self.n_steps = n_steps
        self.surplus = wmf.surplus_confidence(counts, settings.alpha, settings.epsilon)
        self.by_song = self.surplus.T.tocsr()
        self.Y = (0.01 * np.random.default_rng(0).standard_normal((n_songs, n_factors))).astype(np.float32)
        self.X = np.zeros((n_users, n_factors), np.float32)
        how = {"factors": n_factors, "regularization": REGULARIZATION, "iterations": 1, "use_cg": n_steps > 0}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of BLAS threads, which are held to one while it fits
            self.theirs = implicit.als.AlternatingLeastSquares(**how, num_threads=threads())
        self.theirs.user_factors, self.theirs.item_factors = self.X.copy(), self.Y.copy()
        self.confidence = sparse.csr_matrix(self.surplus)
        self.confidence.data = self.confidence.data + 1  # implicit reads the stored number as c, not as c - 1

    def our_sweep(self) -> float:
        """Seconds of one sweep of ours."""
        return seconds(self._sweep)

    def _sweep(self) -> None:
        for side, fixed, rows in ((self.surplus, self.Y, self.X), (self.by_song, self.X, self.Y)):
            parts = (side.indptr, side.indices, side.data, fixed, als.gram(fixed), rows)
            als.solve_rows(*parts, regularization=REGULARIZATION, n_steps=self.n_steps)

    def their_sweep(self) -> float:
        """Seconds of one sweep of implicit, by its own clock."""
        told: list[float] = []
        with threadpool_limits(1, "blas"):
            self.theirs.fit(
                self.confidence, show_progress=False, callback=lambda _sweep, seconds, _loss: told.append(seconds)
            )
        return told[0]

    def above(self) -> float:
        """By what share our objective lies above theirs, by equation 3 over all pairs; refused when too far."""
        ours, theirs = (
            wmf.objective(self.surplus, x, y, REGULARIZATION)
            for x, y in ((self.X, self.Y), (self.theirs.user_factors, self.theirs.item_factors))
        )
        if not ours <= theirs * (1 + ABOVE):
            raise AssertionError(f"our objective {ours:.6g} is above {theirs:.6g}")
        return float(ours / theirs - 1)


def contest(
    counts: sparse.csr_array,
    n_factors: int,
    n_steps: int,
    repeats: int,
    floor: Callable[[sparse.csr_array, int], float | None],
    **limits: float,
) -> Row:
    """One row: as many sweeps of each side in turn, the first of which warms up."""
    both = Contest(counts, n_factors, n_steps)
    pairs = [(both.our_sweep(), both.their_sweep()) for _ in range(repeats + 1)][1:]
    n_users, n_songs = counts.shape
    way = f"{n_steps} CG steps" if n_steps else "exact"
    return row(
        f"WMF sweep, {way}, f = {n_factors}, {n_users:,} × {n_songs:,}, {counts.nnz:,} plays",
        [ours for ours, _ in pairs],
        [theirs for _, theirs in pairs],
        against=AGAINST,
        floor=floor(counts, n_factors),
        note=f"Our objective differs by {both.above():+.1e} of theirs after {repeats + 1} sweeps (below is better).",
        **limits,
    )


def floor_of_cg(counts: sparse.csr_array, n_factors: int) -> float | None:
    """Seconds to gather the fixed rows of all plays once in either half, and to change the basis.

    Rows that a cache may hold are taken at the speed of reading memory in order, others at that of gathering.
    """
    limits = floors()
    if not limits:
        return None
    rates = ["gather_" + str(n_factors) if 4 * n_factors * n > IN_CACHE else "read" for n in counts.shape]
    gathering = sum(4 * n_factors * counts.nnz / limits[rate] for rate in rates)
    n_rows = sum(counts.shape)
    # Fixed rows change basis, rows change there and back: float32. The Gram matrix, half of it: float64.
    flop32, flop64 = 3 * 2 * n_factors**2 * n_rows, n_factors**2 * n_rows
    return float(gathering + flop32 / limits["gemm_f32"] + flop64 / limits["gemm_f64"])


def measure(quick: bool) -> list[Row]:
    sizes = [(SMALL, 50, 0.55, 0.4), (SMALL, 128, 0.75, 0.5), (SMALL, 400, 0.8, 0.5)]
    if not quick:
        sizes += [(LARGE, 128, 0.6, 0.4), (LARGE, 400, 0.75, 0.4)]
    rows, held = [], {}
    for size, n_factors, must, aim in sizes:
        if size not in held:
            held = {size: made_plays(*size, np.random.default_rng(0))}
        rows.append(contest(held[size], n_factors, 3, 2 if quick else 5, floor_of_cg, must=must, aim=aim))
    return rows


if __name__ == "__main__":
    main(measure, __doc__)
