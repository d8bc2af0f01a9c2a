"""The paper's claims (a) to (g), each answered by paired tests on what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from deepcuts.evaluate import Evaluation, compare
from deepcuts.evaluate.bootstrap import compare_draws, interval

METRIC_NAMES = {"map": "mAP@500", "auc": "AUC"}


def paired(evaluation: Evaluation, better: str, worse: str) -> list[dict[str, Any]]:
    """Whether `better` is better than `worse`, in mAP and AUC: paired over users and songs."""
    return [
        {"what": f"{better} − {worse}", "metric": METRIC_NAMES[metric], **compare(evaluation, better, worse, metric)}
        for metric in METRIC_NAMES
    ]


def paired_gaps(evaluation: Evaluation, gap: tuple[str, str], smaller: tuple[str, str]) -> list[dict[str, Any]]:
    """Whether the difference between two systems is larger than that between two others."""
    tests = []
    for metric in METRIC_NAMES:
        a, b, c, d = (evaluation.row(name) for name in (*gap, *smaller))
        draws = a.draws[metric] - b.draws[metric] - c.draws[metric] + d.draws[metric]
        difference = a.mean(metric) - b.mean(metric) - c.mean(metric) + d.mean(metric)
        compared = compare_draws(difference, draws, evaluation.settings.level)
        what = f"({gap[0]} − {gap[1]}) − ({smaller[0]} − {smaller[1]})"
        tests.append({"what": what, "metric": METRIC_NAMES[metric], **compared})
    return tests


def ratio(evaluation: Evaluation, above: str, below: str, paper: float) -> dict[str, Any]:
    """The ratio of two mAPs with its interval, beside the paper's."""
    a, b = evaluation.row(above), evaluation.row(below)
    value = a.mean("map") / b.mean("map")
    low, high = interval(value, a.draws["map"] / b.draws["map"], evaluation.settings.level)
    return {"ratio": f"{above} / {below}", "ours": value, "low": low, "high": high, "paper": paper}


def verdict(tests: Sequence[Mapping[str, Any]]) -> str:
    """`holds` when every test says so, `does not hold` when one says the contrary and none agrees, and so on.

    A test says so when its whole interval lies above 0, and the contrary when it lies below.
    """
    agree = sum(test["low"] > 0 for test in tests)
    deny = sum(test["high"] < 0 for test in tests)
    if agree == len(tests):
        return "holds"
    if deny == len(tests):
        return "does not hold: the contrary does"
    if agree and deny:
        return f"mixed: {agree} of {len(tests)} tests agree, {deny} contradict"
    if agree:
        return f"holds in part: {agree} of {len(tests)} tests, the others are undecided"
    return f"does not hold: {deny} of {len(tests)} tests contradict" if deny else "undecided: no test tells"


def claim(letter: str, text: str, tests: Sequence[Mapping[str, Any]], otherwise: str) -> dict[str, Any]:
    """One claim with its tests and its answer.

    Args:
        text: the claim.
        otherwise: the likely cause, record where the claim does not plainly hold.
    """
    answer = verdict(tests)
    record = {"claim": letter, "text": text, "answer": answer, "tests": [dict(test) for test in tests]}
    return record if answer == "holds" else {**record, "likely_cause": otherwise}


def rank_correlation(
    a: np.ndarray, b: np.ndarray, n_draws: int, level: float, rng: np.random.Generator
) -> dict[str, float]:
    """Spearman's correlation of two numbers of each song [n_songs], with a bootstrap interval over songs.

    Equal numbers share their mean rank; 0 where one of the two never varies.
    """
    draws = []
    for _ in range(n_draws):
        songs = rng.integers(len(a), size=len(a))
        draws.append(_spearman(a[songs], b[songs]))
    value = _spearman(a, b)
    low, high = interval(value, np.array(draws), level)
    return {"correlation": value, "low": low, "high": high}


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    first, second = (rankdata(one) - (len(one) + 1) / 2 for one in (a, b))
    size = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / size if size > 0 else 0.0


def mean_with_interval(values: np.ndarray, n_draws: int, level: float, rng: np.random.Generator) -> dict[str, float]:
    """Mean of one value a query, with a bootstrap interval over queries: value, low, high."""
    draws = np.array([values[rng.integers(len(values), size=len(values))].mean() for _ in range(n_draws)])
    low, high = interval(float(values.mean()), draws, level)
    return {"value": float(values.mean()), "low": low, "high": high}
