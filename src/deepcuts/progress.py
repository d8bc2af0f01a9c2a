"""Progress bars on stderr: rate and time left. Silent in a library, shown by the command line.

    with progress("factorise", total=12, unit="sweep") as bar:
        for sweep in range(12):
            ...
            bar.advance(1, note=f"objective {objective:.4g}")

On a terminal this is a rich bar; elsewhere a plain line at most every ten seconds, and one at the end of work that took
a second or longer.
"""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 10.0
SECONDS_WORTH_A_LINE = 1.0

_shown = False


def show_progress(shown: bool = True) -> None:
    """Turn bars on (the command line does) or off (the default in a library)."""
    global _shown
    _shown = shown


def step_level() -> int:
    """At which level to log a step that the note of a bar tells too: DEBUG where bars are shown, else INFO."""
    return logging.DEBUG if _shown else logging.INFO


class Bar:
    """How far a long piece of work has come. Silent unless a subclass shows it."""

    def __init__(self, label: str, total: float | None, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0.0
        self.note = ""
        self.started = time.monotonic()

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Say that `amount` more units are done; `note` is a short live figure such as the objective."""
        self.done += amount
        self.note = note or self.note
        self.draw()

    def skip(self, amount: float) -> None:
        """Say that `amount` units were done in an earlier run: they count as done but not in the rate."""
        self.total = None if self.total is None else self.total - amount

    def rate(self) -> float:
        """Units a second since the bar began."""
        return self.done / max(time.monotonic() - self.started, 1e-9)

    def line(self) -> str:
        """The state as a plain line."""
        rate = self.rate()
        text = f"{self.label}: {self.done:g}"
        if self.total is not None:
            left = max(self.total - self.done, 0) / rate if rate > 0 else float("inf")
            text += f"/{self.total:g} {self.unit}, {rate:.3g} {self.unit}/s, {left:.0f} s left"
        else:
            text += f" {self.unit}, {rate:.3g} {self.unit}/s"
        return text + (f", {self.note}" if self.note else "")

    def draw(self) -> None:
        """Show the new state."""

    def close(self) -> None:
        """Show the last state."""


class PlainBar(Bar):
    """Lines for a log file."""

    last = 0.0

    def draw(self) -> None:
        """A line, when the last one is long enough ago."""
        now = time.monotonic()
        if now - max(self.last, self.started) >= SECONDS_BETWEEN_LINES:
            self.last = now
            print(self.line(), file=sys.stderr, flush=True)

    def close(self) -> None:
        """The closing line: how much in how long. Work of a moment gets none."""
        seconds = time.monotonic() - self.started
        if seconds < SECONDS_WORTH_A_LINE:
            return
        tail = f", {self.note}" if self.note else ""
        print(f"{self.label}: {self.done:g} {self.unit} in {seconds:.1f} s{tail}", file=sys.stderr, flush=True)


class RichBar(Bar):
    """A live bar for a terminal."""

    def __init__(self, label: str, total: float | None, unit: str) -> None:
        super().__init__(label, total, unit)
        self.screen = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=Console(stderr=True),
        )
        self.task = self.screen.add_task(label, total=total, rate="", note="")
        self.screen.start()

    def draw(self) -> None:
        """Redraw the bar."""
        rate = f"{self.rate():.3g} {self.unit}/s"
        self.screen.update(self.task, completed=self.done, total=self.total, rate=rate, note=self.note)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self.draw()
        self.screen.stop()


@contextmanager
def progress(label: str, total: float | None = None, unit: str = "it") -> Iterator[Bar]:
    """A bar for the length of a `with` block.

    Args:
        label: what is being done, a verb.
        total: how many units there are, or None when unknown.
        unit: the name of one unit, singular.
    """
    kind = Bar if not _shown else RichBar if sys.stderr.isatty() else PlainBar
    bar = kind(label, total, unit)
    try:
        yield bar
    finally:
        bar.close()
