"""Factorisations of several sizes side by side: coarse tastes and fine ones in one vector.

A small factorisation is steady and a large one is detailed; an encoder that must predict both errs less on either.
Scores add up: x · y of the joined vectors is the sum of the scores of the parts.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts import store
from deepcuts.artifacts import Factors, Plays
from deepcuts.errors import SettingError
from deepcuts.factors.engine import MakeEngine, local_engine
from deepcuts.factors.sides import MakeSides, sides_in_memory
from deepcuts.factors.wmf import WmfFit, WmfSettings, fit


def fit_sizes(
    plays: Plays,
    settings: WmfSettings,
    sizes: Sequence[int],
    *,
    checkpoint: Path | None = None,
    protocol: str = "clean",
    engine: MakeEngine = local_engine,
    sides: MakeSides = sides_in_memory,
) -> WmfFit:
    """Fit each size and join the factors.

    Args:
        plays: what may be learned from, as in `fit`.
        settings: of every fit but for `n_factors`.
        sizes: numbers of factors, at least one, each once.
        checkpoint: one folder a size is kept beside it, `checkpoint-SIZE`.
        engine, sides: where the arithmetic runs, and how the plays are kept, as in `fit`.
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
            engine=engine,
            sides=sides,
        )
        for size in sizes
    ]
    record = {**asdict(settings), "n_factors": sum(sizes), "sizes": list(sizes), "protocol": protocol}
    joined = _join([one.factors for one in fits], record)
    return WmfFit(joined, [half for one in fits for half in one.history])


def _join(fits: Sequence[Factors], record: dict[str, Any]) -> Factors:
    """Factors side by side: a space of its own, unless there is one fit alone."""
    first = fits[0]
    space = first.lineage.space if len(fits) == 1 else store.fingerprint(*(str(one.lineage.space) for one in fits))
    lineage = replace(first.lineage, space=space)
    X, Y = np.hstack([one.users.vectors for one in fits]), np.hstack([one.songs.vectors for one in fits])
    precisions = [one.songs.precision for one in fits if one.songs.precision is not None]
    precision = np.average(precisions, axis=0, weights=[one.n_factors for one in fits]).astype(np.float32)
    return Factors(
        replace(first.users, vectors=X, lineage=lineage, settings=record),
        replace(first.songs, vectors=Y, lineage=lineage, precision=precision, settings=record),
    )


def fold_in_settings(factors: Factors) -> WmfSettings:
    """The settings of a fit that matter to who or what is folded in; the defaults where the factors do not say."""
    names = ("alpha", "epsilon", "regularization")
    return WmfSettings(**{name: factors.settings[name] for name in names if name in factors.settings})


def blocks(factors: Factors) -> list[slice]:
    """The columns of each size, in order; one block for factors of a single fit."""
    ends = np.cumsum(factors.settings.get("sizes", [factors.n_factors]))
    return [slice(int(begin), int(end)) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
