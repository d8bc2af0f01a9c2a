"""Table 3: the full data set, here the same songs with larger factors, between chance and the upper bound."""

from typing import Any

from deepcuts.artifacts import JOINT, Factors, Vocabulary
from deepcuts.evaluate import System
from deepcuts.evaluate.report import report_content
from deepcuts.lab.cache import kept_json, part
from deepcuts.lab.paper.claims import ratio
from deepcuts.lab.paper.systems import predictions, score
from deepcuts.lab.paper.world import PaperWorld, observed_factors, of_songs
from deepcuts.trial.rows import ranked_songs

# The paper's numbers: mAP@500, AUC. Our name of its upper bound is fold_in.
PAPER = {
    "random": (0.00015, 0.49935),
    "linear": (0.00101, 0.64522),
    "cnn_mse": (0.00672, 0.77192),
    "fold_in": (0.23278, 0.96070),
}
RATIOS = (("cnn_mse", "linear"), ("fold_in", "cnn_mse"))
NAMES = ("linear", "ridge", "cnn_mse")


def table3(world: PaperWorld) -> dict[str, Any]:
    """Rows in the schema of every evaluation, and ratios of mAP beside the paper's."""
    observed = observed_factors(world, world.settings.n_factors_full)
    predicted = predictions(world, observed, NAMES)
    songs = ranked_songs(world.split, list(predicted.values()))
    marks = [observed.fingerprint, *(one.fingerprint for one in predicted.values())]

    def measure() -> dict[str, Any]:
        scored = score(world, observed, predicted, own_factors(observed, songs))
        pairs = [*RATIOS, ("ridge", "linear"), ("cnn_mse", "ridge")]
        written = report_content(scored.evaluation, audit=scored.audit, comparisons=pairs)
        ratios = [ratio(scored.evaluation, a, b, PAPER[a][0] / PAPER[b][0]) for a, b in RATIOS]
        return {**written, "paper": PAPER, "by_seed": scored.by_seed, "ratios": ratios}

    return kept_json(part(world.work, "table3", marks, world.settings.evaluation()), measure)


def own_factors(observed: Factors, songs: Vocabulary) -> list[System]:
    """Under the joint protocol, the upper bound as the paper reads: test songs with factors of the factorisation."""
    if observed.lineage.protocol != JOINT:
        return []
    own = of_songs(observed, songs).songs
    note = "Test songs with the factors that the one factorisation of all plays gave them."
    return [System("wmf", observed.users.vectors, own.vectors, "ceiling", True, note, observed.lineage)]
