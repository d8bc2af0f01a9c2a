"""Sound and plays together on the real artists: the blend against both its parents on one fold."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts.artifacts import Features, Plays, Split
from deepcuts.chain.build import on_scale
from deepcuts.evaluate import EvaluateSettings
from deepcuts.factors import WmfSettings, fit_sizes
from deepcuts.lab.cache import kept_json, part
from deepcuts.predict import fit_encoder, predict_songs
from deepcuts.predict.crossfit import cross_fitted
from deepcuts.predict.stack import StackSettings
from deepcuts.recommend import prior_precision
from deepcuts.trial.blending import blend_table

N_FOLDS = 3  # of the learning artists, for errors of artists not learned from


def blend_of_fold(
    plays: Plays, split: Split, features: Features, wmf: WmfSettings, sizes: tuple[int, ...], encoder: StackSettings,
    work: Path,
) -> list[dict[str, Any]]:  # fmt: skip
    """The table of `trial.blending` for the test artists of a split; kept in `work`."""
    path = part(work, "blend", plays.fingerprint, split.fingerprint, features.fingerprint, wmf, sizes, encoder)
    return list(kept_json(path, lambda: {"blend": _made(plays, split, features, wmf, sizes, encoder)})["blend"])


def _made(
    plays: Plays, split: Split, features: Features, wmf: WmfSettings, sizes: tuple[int, ...], encoder: StackSettings
) -> list[dict[str, Any]]:
    observed = fit_sizes(split.learning_plays(plays), wmf, sizes).factors
    groups = split.groups[split.songs.positions(observed.songs.songs.ids)]
    known = on_scale(cross_fitted("stack", features, observed, encoder, groups=groups, n_folds=N_FOLDS), observed.songs)
    errors = known.vectors - observed.songs.rows(known.songs.ids)
    precision = prior_precision(errors, wmf.regularization, sizes)
    predicted = predict_songs(fit_encoder("stack", features, observed, encoder), features, split.test_songs)
    heard = replace(predicted, vectors=predicted.vectors * np.float32(known.settings["scale"]))
    return blend_table(plays, observed, heard, precision, EvaluateSettings(seed=encoder.seed))
