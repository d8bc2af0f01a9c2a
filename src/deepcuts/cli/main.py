"""The `deepcuts` command: its parts, and what becomes of an error.

stdout is data, stderr is talk. Exit codes: 0 done · 1 a bug · 2 wrong option or setting · 3 wrong data ·
4 missing or damaged artifact · 5 leakage · 6 the machine refuses (disk, permission) · 7 done, but some
inputs were set aside · 130 interrupted.
"""

import os
import sys
from collections.abc import Iterable
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, TextIO

import typer

from deepcuts import __version__
from deepcuts.cli.commands import COMMANDS
from deepcuts.cli.talk import say, show_details, start_log
from deepcuts.errors import DeepcutsError, ResourceError, explain_os_error
from deepcuts.progress import show_progress


def print_version(asked: bool) -> None:
    """For `deepcuts --version`."""
    if asked:
        print(__version__)
        raise typer.Exit


def about(
    asked: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=print_version)
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("-v", "--verbose", help="Log single steps too. Stands before the command."),
    ] = False,
) -> None:
    """Recommend songs nobody has played yet, from how they sound.

    At home: model → serve. Step by step: data → factors → audio → predict fit → predict songs → recommend, evaluate.
    """
    if verbose:
        show_details()


def version() -> None:
    """Print the version."""
    print(__version__)


def make_app(loaded: Iterable[str] | None = None) -> typer.Typer:
    """The command line.

    Args:
        loaded: commands whose code is loaded; the others are only listed. None loads all.
    """
    wanted = set(COMMANDS if loaded is None else loaded)
    app = typer.Typer(
        help="Recommend songs nobody has played yet, from how they sound.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode=None,
    )
    app.callback()(about)
    for name, (module, attribute, line) in COMMANDS.items():
        if name not in wanted:
            app.command(name, help=line)(_listed)
            continue
        held = getattr(import_module(f"deepcuts.cli.{module}"), attribute)
        if isinstance(held, typer.Typer):
            app.add_typer(held, name=name)
        else:
            app.command(name)(held)
    app.command("version")(version)
    return app


def __getattr__(name: str) -> typer.Typer:
    """`app`: the whole command line, for those who look at all of it."""
    if name == "app":
        return make_app()
    raise AttributeError(name)


def _listed() -> None:
    """A command that is listed and not loaded."""


def asked_for(words: Iterable[str]) -> list[str]:
    """The command that a line of words names, in a list; empty when it names none."""
    first = next((word for word in words if not word.startswith("-")), "")
    return [first] if first in COMMANDS else []


class LastingStderr:
    """stderr whose reader may go: what is said then is lost, and the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, unless nobody reads."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._silence()
            return len(text)

    def flush(self) -> None:
        """Flush, unless nobody reads."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._silence()

    def _silence(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def set_streams() -> None:
    """Let no letter and no broken pipe of stderr end the work: letters that a stream cannot show are escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stderr, TextIOWrapper):
        sys.stderr = LastingStderr(sys.stderr)


def main() -> None:
    """Run the command line; errors a person can mend become one line and an exit code."""
    set_streams()
    start_log()
    show_progress()
    try:
        make_app(asked_for(sys.argv[1:]))(prog_name="deepcuts")
    except DeepcutsError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        say(f"error: {explain_os_error(error, error.filename)}")
        sys.exit(ResourceError.exit_code)
    except MemoryError as error:
        say(f"error: memory is full ({error}). Close other programs, or work on a part of the data.")
        sys.exit(ResourceError.exit_code)
    except (KeyboardInterrupt, SystemExit) as end:
        if not was_interrupted(end):
            raise
        say("interrupted. Finished parts are kept; run the same command again to go on.")
        sys.exit(130)


def was_interrupted(end: BaseException | None) -> bool:
    """Whether Ctrl-C stands at the root of it; typer makes its own exit of one."""
    return end is not None and (isinstance(end, KeyboardInterrupt) or was_interrupted(end.__cause__ or end.__context__))
