"""docs/paper.md names functions and tests: each of them must exist."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
FUNCTIONS = sorted(set(re.findall(r"`(deepcuts(?:\.\w+)+)`", TEXT)))
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", TEXT)))


def find(name: str) -> object:
    """The object of a dotted name, however much of it is a module."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            found = getattr(found, part)
        return found
    raise AttributeError(name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_named_in_the_page_of_the_paper_exists(name: str) -> None:
    assert callable(find(name))


@pytest.mark.parametrize("name", TESTS)
def test_a_test_named_in_the_page_of_the_paper_exists(name: str) -> None:
    path, _, function = name.partition("::")
    assert f"def {function}(" in (ROOT / path).read_text(encoding="utf-8") if function else (ROOT / path).exists()


def test_the_page_of_the_paper_has_every_equation_table_and_claim() -> None:
    for what in (
        "eq. 1, 2",
        "eq. 3",
        "eq. 4",
        "eq. 5",
        *(f"Table {n}" for n in range(1, 5)),
        "Figure 1",
        "section 5.1",
    ):
        assert f"| {what}" in TEXT
    for letter in "abcdefg":
        assert f"\n| {letter} | " in TEXT
    assert len(FUNCTIONS) > 15
    assert len(TESTS) > 15
