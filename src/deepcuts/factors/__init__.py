"""Stage factors: plays → latent factors of users and songs, by weighted matrix factorisation."""

from deepcuts.factors.baselines import popularity, random_factors
from deepcuts.factors.engine import Engine, local_engine
from deepcuts.factors.sides import sides_in_memory, sides_on_disk
from deepcuts.factors.sizes import blocks, fit_sizes, fold_in_settings
from deepcuts.factors.wmf import (
    WmfFit,
    WmfSettings,
    fit,
    fold_in_songs,
    fold_in_users,
    objective,
)
from deepcuts.kernels.confidence import surplus_confidence

__all__ = [
    "Engine",
    "WmfFit",
    "WmfSettings",
    "blocks",
    "fit",
    "fit_sizes",
    "fold_in_settings",
    "fold_in_songs",
    "fold_in_users",
    "local_engine",
    "objective",
    "popularity",
    "random_factors",
    "sides_in_memory",
    "sides_on_disk",
    "surplus_confidence",
]
