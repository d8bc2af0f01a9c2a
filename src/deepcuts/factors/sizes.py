"""Factorisations of several sizes side by side: coarse tastes and fine ones in one vector.

A small factorisation is steady and a large one is detailed; an encoder that must predict both errs less on either.
Scores add up: x · y of the joined vectors is the sum of the scores of the parts.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from deepcuts.artifacts import Factors, Plays
from deepcuts.errors import InputError, SettingError
from deepcuts.factors.wmf import WmfFit, WmfSettings, fit


def fit_sizes(
    plays: Plays,
    settings: WmfSettings,
    sizes: Sequence[int],
    *,
    checkpoint: Path | None = None,
    protocol: str = "clean",
) -> WmfFit:
    """Fit each size and join the factors.

    Args:
        plays: what may be learned from, as in `fit`.
        settings: of every fit but for `n_factors`.
        sizes: numbers of factors, at least one, each once.
        checkpoint: one folder a size is kept beside it, `checkpoint-SIZE`.
    Returns:
        factors of sum(sizes) columns, `settings["sizes"]` says which are whose; the histories one after the other.
    Raises:
        SettingError: no sizes, or one stands twice.
    """
    if not sizes or len(set(sizes)) < len(sizes):
        raise SettingError(f"sizes = {list(sizes)}: expected numbers of factors, each once, such as 10,20,40.")
    fits = [
        fit(
            plays,
            replace(settings, n_factors=size),
            checkpoint=None if checkpoint is None else checkpoint.with_name(f"{checkpoint.name}-{size}"),
            protocol=protocol,
        )
        for size in sizes
    ]
    users, songs = ([_rows(one.factors, side) for one in fits] for side in ("user_factors", "song_factors"))
    record = {**asdict(settings), "n_factors": sum(sizes), "sizes": list(sizes), "protocol": protocol}
    joined = replace(fits[0].factors, user_factors=np.hstack(users), song_factors=np.hstack(songs), settings=record)
    return WmfFit(joined, [half for one in fits for half in one.history])


def _rows(factors: Factors, side: str) -> np.ndarray:
    rows: np.ndarray | None = getattr(factors, side)
    if rows is None:
        raise InputError(f"{side}: missing. Factors that were fitted on plays have both sides.")
    return rows


def blocks(factors: Factors) -> list[slice]:
    """The columns of each size, in order; one block for factors of a single fit."""
    ends = np.cumsum(factors.settings.get("sizes", [factors.n_factors]))
    return [slice(int(begin), int(end)) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
