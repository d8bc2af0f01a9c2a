"""The `deepcuts` command: its parts, and what becomes of an error.

stdout is data, stderr is talk. Exit codes: 0 done · 1 a bug · 2 wrong option or setting · 3 wrong data ·
4 missing or damaged artifact · 5 leakage · 6 the machine refuses (disk, permission) · 7 done, but some
inputs were set aside · 130 interrupted.
"""

import os
import sys
from io import TextIOWrapper
from typing import Annotated, TextIO

import typer

from deepcuts import __version__
from deepcuts.cli import (
    audio,
    data,
    doctor,
    evaluate,
    experiment,
    explore,
    factors,
    home,
    library,
    model,
    playlists,
    predict,
    recommend,
    reproduce,
    serve,
    settings,
)
from deepcuts.cli.common import say, show_details, start_log
from deepcuts.errors import DeepcutsError, ResourceError
from deepcuts.progress import show_progress
from deepcuts.store import explain_os_error

app = typer.Typer(
    help="Recommend songs nobody has played yet, from how they sound.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(data.app, name="data")
app.command("factors")(factors.factors)
app.add_typer(audio.app, name="audio")
app.add_typer(predict.app, name="predict")
app.command("recommend")(recommend.recommend_songs)
app.command("similar")(recommend.similar)
app.command("evaluate")(evaluate.evaluate_systems)
app.command("library")(library.library)
app.command("match")(library.match)
app.command("model")(home.model)
app.command("update")(home.update)
app.command("add")(home.add)
app.command("bundle")(model.bundle)
app.command("for-user")(model.for_user)
app.command("audience")(model.audience)
app.command("playlist")(model.playlist)
app.command("playlists")(playlists.playlists)
app.command("place")(model.place)
app.add_typer(explore.app, name="explore")
app.add_typer(experiment.app, name="experiment")
app.command("reproduce")(reproduce.reproduce)
app.command("settings")(settings.settings)
app.command("serve")(serve.serve)
app.command("show")(doctor.show)
app.command("doctor")(doctor.doctor)


def print_version(asked: bool) -> None:
    """For `deepcuts --version`."""
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
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

    The journey: data → factors → audio → predict fit → predict songs → recommend, evaluate.
    """
    if verbose:
        show_details()


@app.command("version")
def version() -> None:
    """Print the version."""
    print(__version__)


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
        app(prog_name="deepcuts")
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
