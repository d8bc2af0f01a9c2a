"""`deepcuts compare`: two systems on one split, paired."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deepcuts.artifacts import Factors, Plays, Split
from deepcuts.cli.common import Json, Out, Set, Toml, print_json, say, settings_of
from deepcuts.errors import SettingError
from deepcuts.evaluate import EvaluateSettings
from deepcuts.store import refuse_to_replace

System = Annotated[
    str,
    typer.Argument(
        metavar="[NAME=]PATH",
        help="Predicted song factors, factors, a model, lists of `recommend`, a table (parquet or csv) of user_id, "
        "song_id, score; or the folder of `deepcuts trial`, with FOLDER:SYSTEM for another row than its encoder.",
    ),
]


def compare_systems(
    a: System,
    b: System,
    output: Out,
    plays: Annotated[Path | None, typer.Option("--plays", help="All plays, hidden ones too.")] = None,
    split: Annotated[Path | None, typer.Option("--split", help="The split under which both were learned.")] = None,
    factors: Annotated[
        list[Path] | None,
        typer.Option("--factors", help="Users for predicted song factors; repeat where the systems differ in them."),
    ] = None,
    toml: Toml = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Compare two systems on one split: paired effects with intervals, for all songs and by listeners of the song.

    A leakage audit comes first and fails the run. Two trials are compared fold by fold and need neither plays nor
    split: both were audited when they ran. comparison.json and comparison.png are written.
    """
    from deepcuts.evaluate.comparison import comparison_text, write_comparison  # drawing takes long to load
    from deepcuts.trial.paired import is_trial

    refuse_to_replace(output, kind="comparison")
    settings = settings_of(EvaluateSettings, toml, assignments, "evaluate")
    (name_a, path_a), (name_b, path_b) = named(a), named(b)
    tried = [is_trial(trial_of(path)[0]) for path in (path_a, path_b)]
    if all(tried):
        content = compared_trials((name_a, path_a), (name_b, path_b), settings)
    elif any(tried):
        raise SettingError("compare: a trial and something else. Compare two trials, or two systems on one split.")
    elif plays is None or split is None:
        raise SettingError("compare: two systems need --plays and --split, which tell what was hidden from them.")
    else:
        users = [Factors.load(folder) for folder in factors or []]
        content = compared_systems((name_a, path_a), (name_b, path_b), plays, split, users, settings)
    content = write_comparison(content, output)
    if as_json:
        print_json(content)
    else:
        print(comparison_text(content))
        say(f"{output}/comparison.json, comparison.png")


def compared_systems(
    a: tuple[str, str], b: tuple[str, str], plays: Path, split: Path, factors: list[Factors], settings: EvaluateSettings
) -> dict[str, Any]:
    """Two systems on the test songs of a split."""
    from deepcuts.trial.compare import compare_systems
    from deepcuts.trial.sides import read_side

    sides = [read_side(name, Path(path), factors) for name, path in (a, b)]
    return compare_systems(Plays.load(plays), Split.load(split), sides[0], sides[1], settings)


def compared_trials(a: tuple[str, str], b: tuple[str, str], settings: EvaluateSettings) -> dict[str, Any]:
    """Two rows of trials."""
    from deepcuts.trial.paired import compare_trials, read_trial

    tried = [read_trial(*trial_of(path)) for _, path in (a, b)]
    return compare_trials(tried[0], tried[1], (a[0], b[0]), settings.level, settings.seed)


def trial_of(path: str) -> tuple[Path, str]:
    """A folder, and the system named after a colon; "" where none is."""
    if Path(path).exists():
        return Path(path), ""
    folder, _, system = path.rpartition(":")
    return (Path(folder), system) if folder else (Path(path), "")


def named(text: str) -> tuple[str, str]:
    """`best=demo/predicted` in name and path; without a name the path names itself.

    Raises:
        SettingError: an empty name or path.
    """
    name, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        return Path(text).name or text, text
    if not name or not path:
        raise SettingError(f"compare: {text!r}: expected PATH or NAME=PATH.")
    return name, path
