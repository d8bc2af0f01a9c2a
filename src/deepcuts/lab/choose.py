"""The settings of the demonstration, chosen where they may be: on validation songs, with the test songs out of sight.

The split's validation songs take the part of test songs (`Split.inner`); factors are fitted anew without their plays.
Factorisations are compared by what a linear encoder makes of them, then encoders on the best factorisation. A few
settings by hand, kept as a record; `deepcuts tune` searches the settings of anybody's own data.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deepcuts.artifacts import Factors, Features, Plays, Split
from deepcuts.evaluate import EvaluateSettings, evaluate, relevant_plays
from deepcuts.evaluate.report import report_content
from deepcuts.factors import WmfSettings, fit
from deepcuts.lab.results import format_interval
from deepcuts.predict import CnnSettings, EncoderSettings, LinearSettings, fit_encoder, predict_songs
from deepcuts.progress import progress
from deepcuts.trial.rows import system_of

BASE = WmfSettings(n_factors=32, regularization=100.0, n_sweeps=12)
FACTORISATIONS = {
    "f 32, λ 100": BASE,
    "f 32, λ 30": replace(BASE, regularization=30.0),
    "f 32, λ 300": replace(BASE, regularization=300.0),
    "f 64, λ 100": replace(BASE, n_factors=64),
    "f 16, λ 100": replace(BASE, n_factors=16),
    "f 32, λ 100, ε .01": replace(BASE, epsilon=0.01),
}
SMALL = CnnSettings(target="unit", width=128, dense=512, n_epochs=25, patience=0)
NORMED = replace(SMALL, batch_norm=True)
POOLED = replace(NORMED, global_pool=True, window=256)
ENCODERS: Mapping[str, tuple[str, EncoderSettings]] = {
    "linear, raw": ("linear", LinearSettings()),
    "linear, unit": ("linear", LinearSettings(target="unit")),
    "cnn, unit": ("cnn", SMALL),
    "cnn, unit, batch norm": ("cnn", NORMED),
    "cnn, unit, batch norm, batch 32": ("cnn", replace(NORMED, batch=32)),
    "cnn, unit, batch norm, pooled, 256 frames": ("cnn", POOLED),
    "cnn, unit, batch norm, pooled, 256 frames, 3 layers": ("cnn", replace(POOLED, n_layers=3, pool=3)),
    "the same, batch 32": ("cnn", replace(POOLED, n_layers=3, pool=3, batch=32)),
    "the same, batch 32, 40 epochs, dropout .3": (
        "cnn",
        replace(POOLED, n_layers=3, pool=3, batch=32, n_epochs=40, dropout=0.3),
    ),
}


@dataclass(frozen=True)
class Inner:
    """The learning songs, with validation songs in the part of test songs."""

    plays: Plays
    split: Split
    features: Features


def run(plays: Path, split: Path, features: Path) -> dict[str, Any]:
    """All candidates, in two tables."""
    all_plays = Plays.load(plays)
    inner_split, inner_plays = Split.load(split).inner(all_plays)
    inner = Inner(inner_plays, inner_split, Features.load(features))
    tables: dict[str, list[dict[str, Any]]] = {"Factorisations, heard by a linear encoder": []}
    with progress("choose", total=len(FACTORISATIONS) + len(ENCODERS), unit="candidate") as bar:
        best, best_auc = BASE, 0.0
        for name, wmf in FACTORISATIONS.items():
            observed = fit(inner.split.learning_plays(inner.plays), wmf).factors
            row = score(name, inner, observed, "linear", LinearSettings(target="unit"))
            tables["Factorisations, heard by a linear encoder"].append(shown(row))
            if row["auc"]["mean"] > best_auc:
                best, best_auc = wmf, row["auc"]["mean"]
            bar.advance(1, note=f"{name}: AUC {row['auc']['mean']:.3f}")
        observed = fit(inner.split.learning_plays(inner.plays), best).factors
        title = f"Encoders, on f {best.n_factors}, λ {best.regularization:g}, ε {best.epsilon:g}"
        tables[title] = []
        for name, (kind, settings) in ENCODERS.items():
            row = score(name, inner, observed, kind, settings)
            tables[title].append(shown(row))
            bar.advance(1, note=f"{name}: AUC {row['auc']['mean']:.3f}")
    return {
        "title": "How the demonstration's settings were chosen",
        "about_text": "Scored on the validation songs of the demonstration's split; its test songs take no part. "
        "One seed, intervals over users and songs: near neighbours are not told apart.",
        "protocol": "clean",
        "settings": {"split": dict(inner.split.settings), "wmf": asdict(best)},
        "tables": tables,
    }


def score(name: str, inner: Inner, observed: Factors, kind: str, settings: EncoderSettings) -> dict[str, Any]:
    """One candidate on the validation songs."""
    encoder = fit_encoder(kind, inner.features, observed, settings)
    songs = inner.split.test_songs
    predicted = predict_songs(encoder, inner.features, songs)
    system = system_of(name, observed, predicted, songs)
    relevant = relevant_plays(inner.plays, observed.users.users, songs)
    content = report_content(evaluate([system], relevant, EvaluateSettings(n_bootstrap=100)))
    return dict(content["rows"][0])


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """One line of a table."""
    auc = row["auc"]
    return {
        "candidate": row["system"],
        "AUC": f"{auc['mean']:.4f} ({auc['low']:.3f}–{auc['high']:.3f})",
        "mAP@500": format_interval(row["map500"], 4),
        "songs": row["n_songs"],
        "users": row["n_users"],
    }
