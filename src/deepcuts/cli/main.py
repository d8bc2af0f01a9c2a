"""The `deepcuts` command: its parts, and what becomes of an error.

stdout is data, stderr is talk. Exit codes: 0 done · 1 a bug · 2 wrong option or setting · 3 wrong data ·
4 missing or damaged artifact · 5 leakage · 6 the machine refuses (disk, permission) · 7 done, but some
inputs were set aside · 130 interrupted.
"""

import os
import sys

import typer

from deepcuts import __version__
from deepcuts.cli import audio, data, doctor, evaluate, experiment, factors, predict, recommend
from deepcuts.cli.common import say, start_log
from deepcuts.errors import DeepcutsError
from deepcuts.progress import show_progress

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
app.add_typer(experiment.app, name="experiment")
app.command("show")(doctor.show)
app.command("doctor")(doctor.doctor)


@app.command("version")
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """Run the command line; errors a person can mend become one line and an exit code."""
    start_log()
    show_progress()
    try:
        app()
    except DeepcutsError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("interrupted. Finished parts are kept; run the same command again to go on.")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
