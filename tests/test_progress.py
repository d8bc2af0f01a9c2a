"""Plain progress lines: few, and none for the work of a moment."""

import logging
import time

import pytest

from deepcuts import progress as module
from deepcuts.progress import progress, show_progress, step_level


@pytest.fixture
def shown():
    show_progress()
    yield
    show_progress(False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def work(clock: list[float], seconds: float) -> None:
    with progress("pool", total=4, unit="song") as bar:
        for _ in range(4):
            clock[0] += seconds / 4
            bar.advance(1, note="half done")


def test_the_work_of_a_moment_gets_no_line(shown, clock, capsys) -> None:
    work(clock, 0.9)
    assert capsys.readouterr().err == ""


def test_work_of_a_second_gets_one_closing_line(shown, clock, capsys) -> None:
    work(clock, 2)
    assert capsys.readouterr().err == "pool: 4 song in 2.0 s, half done\n"


def test_long_work_gets_a_line_every_ten_seconds(shown, clock, capsys) -> None:
    work(clock, 24)  # at 6, 12, 18 and 24 s
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "pool: 2/4 song, 0.167 song/s, 12 s left, half done",
        "pool: 4/4 song, 0.167 song/s, 0 s left, half done",
        "pool: 4 song in 24.0 s, half done",
    ]


def test_a_library_is_silent_and_logs_its_steps(clock, capsys) -> None:
    work(clock, 60)
    assert capsys.readouterr().err == ""
    assert step_level() == logging.INFO


def test_beside_a_bar_steps_are_details(shown) -> None:
    assert module.step_level() == logging.DEBUG
