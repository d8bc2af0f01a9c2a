"""Table 2: all systems on the subset, and the claims that rest on it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from deepcuts.artifacts import Factors, SongFactors, Vocabulary
from deepcuts.evaluate import Evaluation
from deepcuts.evaluate.report import report_content
from deepcuts.lab.cache import kept_json, part
from deepcuts.lab.paper.claims import claim, paired, paired_gaps, rank_correlation, ratio
from deepcuts.lab.paper.settings import SYSTEMS
from deepcuts.lab.paper.systems import Scored, metric_system, predicted_songs, predictions, score
from deepcuts.lab.paper.world import PaperWorld, observed_factors
from deepcuts.trial.rows import ranked_songs

# The paper's numbers: mAP@500, AUC. It has no ridge: its linear regression is not said to have any penalty.
PAPER = {
    "mlr": (0.01801, 0.60608),
    "linear": (0.02389, 0.63518),
    "mlp": (0.02536, 0.64611),
    "cnn_mse": (0.05016, 0.70987),
    "cnn_wpe": (0.04323, 0.70101),
}
RATIOS = (("cnn_mse", "linear"), ("mlp", "linear"), ("linear", "mlr"), ("cnn_wpe", "cnn_mse"))
PART = "_part"  # ends the names of systems that learned from a part of the songs
GROWING = ("linear", "ridge", "cnn_mse")


def table2(world: PaperWorld) -> dict[str, Any]:
    """Rows in the schema of every evaluation, ratios of mAP beside the paper's, and claims (a) to (d) and (g)."""
    observed = observed_factors(world, world.settings.n_factors)
    predicted = {**on_a_part(world, observed), **predictions(world, observed, SYSTEMS)}
    songs = ranked_songs(world.split, list(predicted.values()))
    mlr = metric_system(world, observed, songs)
    marks = [observed.fingerprint, *(one.fingerprint for one in predicted.values())]
    path = part(world.work, "table2", marks, mlr.song_vectors.sum(), world.settings.evaluation())

    def measure() -> dict[str, Any]:
        scored = score(world, observed, predicted, [mlr])
        of_seed = predicted[f"cnn_mse {world.settings.seed}"]
        heard = popularity_heard(world, observed, of_seed, songs)
        return content(scored, heard)

    return kept_json(path, measure)


def on_a_part(world: PaperWorld, observed: Factors) -> dict[str, SongFactors]:
    """Systems that learned from a part of the training songs, one seed: does the gap grow with data?"""
    seed, share = world.settings.seed, world.settings.small_part
    return {f"{name}{PART}": predicted_songs(world, observed, name, seed, share=share) for name in GROWING}


def content(scored: Scored, heard: Mapping[str, Any]) -> dict[str, Any]:
    """Everything the report tells of Table 2."""
    evaluation = scored.evaluation
    written = report_content(evaluation, audit=scored.audit, comparisons=[*RATIOS, ("cnn_mse", "shuffled")])
    rows = written.pop("rows")
    return {
        **written,
        "rows": [row for row in rows if not row["system"].endswith(PART)],
        "part_rows": [row for row in rows if row["system"].endswith(PART)],
        "paper": PAPER,
        "by_seed": scored.by_seed,
        "ratios": [ratio(evaluation, a, b, PAPER[a][0] / PAPER[b][0]) for a, b in RATIOS],
        "popularity_heard": heard,
        "claims": claims(evaluation, heard),
    }


def claims(evaluation: Evaluation, heard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Claims (a) to (d) and (g) of the paper, each with paired tests."""
    growth = [
        test for base in ("linear", "ridge") for test in paired_gaps(
            evaluation, ("cnn_mse", base), (f"cnn_mse{PART}", f"{base}{PART}")
        )
    ]  # fmt: skip
    return [
        claim(
            "a",
            "Predicting latent factors beats learning a metric.",
            [*paired(evaluation, "linear", "mlr"), *paired(evaluation, "ridge", "mlr")],
            "Unpenalised regression on hundreds of components learns the noise of a few thousand songs, where the "
            "metric, of few and leading components, cannot; compare the row `ridge`.",
        ),
        claim(
            "b",
            "The perceptron is slightly better than linear regression.",
            [*paired(evaluation, "mlp", "linear"), *paired(evaluation, "mlp", "ridge")],
            "Against least squares the perceptron gains from stopping early; a penalty chosen on validation songs "
            "gives the linear model the same, and counts of words leave little that is not linear.",
        ),
        claim(
            "c",
            "The network is far better than everything on bags of words.",
            [test for base in ("linear", "ridge", "mlp") for test in paired(evaluation, "cnn_mse", base)],
            "Few songs: the network has to learn from scratch what the bag is given.",
        ),
        claim(
            "c, growth",
            "The gap between network and bag of words grows with the number of songs.",
            growth,
            "One step in size, on thousands of songs and not on the paper's 380,000: the difference of differences is "
            "small beside its interval. Least squares also gains most of all from more songs, for it over-fits most.",
        ),
        objective_claim(evaluation),
        popularity_claim(evaluation, heard),
    ]


def objective_claim(evaluation: Evaluation) -> dict[str, Any]:
    """Claim (d) and its presumed reason: what WPE loses it should lose on songs with few listeners."""
    verdict = claim(
        "d",
        "The weighted objective (WPE) is worse than MSE.",
        paired(evaluation, "cnn_mse", "cnn_wpe"),
        "WPE stresses popular songs in proportion to their plays; here popularity differs less from song to song than "
        "among the Million Songs, and fewer users than there stand behind each error.",
    )
    mse, wpe = evaluation.row("cnn_mse").song_auc, evaluation.row("cnn_wpe").song_auc
    known = np.isfinite(mse) & np.isfinite(wpe)
    how, rng = evaluation.settings, np.random.default_rng(evaluation.settings.seed)
    loss = rank_correlation((mse - wpe)[known], evaluation.listeners[known], how.n_bootstrap, how.level, rng)
    return {
        **verdict,
        "correlations": {"AUC that WPE loses on a song ~ its listeners (below 0: loses on rare songs)": loss},
    }


def popularity_claim(evaluation: Evaluation, heard: Mapping[str, Any]) -> dict[str, Any]:
    """Claim (g), in two halves: popularity cannot be heard; knowing it is worth much."""
    verdict = claim(
        "g",
        "Popularity cannot be predicted from sound, and matters for both metrics.",
        paired(evaluation, "popularity", "random"),
        "Where popular songs are not much more popular than others, knowing them is worth little.",
    )
    (sound,) = heard.values()
    unheard = sound["low"] <= 0 <= sound["high"]
    first = "cannot be heard" if unheard else f"is heard a little (rank correlation {sound['correlation']:+.2f})"
    return {
        **verdict,
        "answer": f"popularity {first}; that it matters: {verdict['answer']}",
        "correlations": dict(heard),
    }


def popularity_heard(
    world: PaperWorld, observed: Factors, predicted: SongFactors, songs: Vocabulary
) -> dict[str, dict[str, float]]:
    """Rank correlation of mean predicted preference and number of hidden listeners over test songs."""
    liked = predicted.rows(songs.ids) @ observed.users.vectors.mean(axis=0)
    listeners = np.diff(world.plays.counts_of(world.plays.users, songs).tocsc().indptr)
    how = world.settings.evaluation()
    rng = np.random.default_rng(how.seed)
    return {
        "mean predicted preference ~ listeners": rank_correlation(liked, listeners, how.n_bootstrap, how.level, rng)
    }
