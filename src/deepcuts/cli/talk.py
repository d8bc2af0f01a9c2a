"""Talk to the person: stderr. Light, so that `deepcuts --help` stays quick."""

import logging
import sys


def say(text: str) -> None:
    """Talk to the person: stderr."""
    print(text, file=sys.stderr, flush=True)


class ToStderr(logging.Handler):
    """Log lines to what stderr is now: while a bar is drawn on a terminal, that writes above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        say(self.format(record))


def start_log() -> None:
    """Library log lines go to stderr as they are."""
    root = logging.getLogger("deepcuts")
    root.handlers[:] = [ToStderr()]
    root.setLevel(logging.INFO)
    root.propagate = False


def show_details() -> None:
    """Log lines of single steps go to stderr too."""
    logging.getLogger("deepcuts").setLevel(logging.DEBUG)
