"""Every worker must collect the same tests: parameters never come from the clock or from chance."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CHANGING = {"time", "time_ns", "now", "today", "utcnow", "monotonic", "uuid4", "random", "getpid", "token_hex"}


def changing_calls(source: str) -> list[int]:
    """The lines where a `parametrize` decorator calls something that differs from run to run."""
    decorators = [d for node in ast.walk(ast.parse(source)) for d in getattr(node, "decorator_list", [])]
    marked = [d for d in decorators if isinstance(d, ast.Call) and ast.unparse(d.func).endswith("parametrize")]
    calls = [node for mark in marked for node in ast.walk(mark) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if ast.unparse(call.func).split(".")[-1] in CHANGING]


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: path.stem)
def test_no_parameter_comes_from_the_clock(path):
    assert changing_calls(path.read_text(encoding="utf-8")) == []


def test_a_parameter_from_the_clock_is_found():
    assert changing_calls("@pytest.mark.parametrize('t', [str(int(time.time()))])\ndef test_x(t): ...\n") == [1]
