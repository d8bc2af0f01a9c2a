"""The examples in docstrings run, and the most used functions have one."""

import doctest
import importlib

import pytest

WITH_EXAMPLES = (
    "artifacts.lineage", "artifacts.plays", "artifacts.songs", "artifacts.vocabulary", "audio.logmel", "checks",
    "data.normalise", "data.split", "evaluate.metrics", "factors.wmf", "kernels.als", "kernels.confidence",
    "kernels.pool", "recommend.blend", "recommend.scan", "recommend.similar", "recommend.taste",
    "recommend.topk",
)  # fmt: skip
LEAST = 20  # functions or classes with an example


def examples_of(module: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(f"deepcuts.{module}"))
    return [one for one in found if one.examples]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_the_examples_of_a_module_run(module: str) -> None:
    examples = examples_of(module)
    assert examples
    failed, tried = doctest.testmod(importlib.import_module(f"deepcuts.{module}"))
    assert (failed, tried > 0) == (0, True)


def test_the_most_used_functions_have_an_example() -> None:
    assert sum(len(examples_of(module)) for module in WITH_EXAMPLES) >= LEAST
