"""`deepcuts evaluate`: systems on songs nobody has played, beside controls and ceilings."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from deepcuts.artifacts import Factors, Features, Plays, SongFactors, Split, Vocabulary
from deepcuts.cli.common import Json, Out, Set, Toml, checkpoint_of, print_json, say, settings_of
from deepcuts.cli.on import On, cluster_on
from deepcuts.cluster.evaluate import ray_scorer
from deepcuts.errors import SettingError
from deepcuts.evaluate import EvaluateSettings, System
from deepcuts.store import refuse_to_replace
from deepcuts.trial.run import run_trial


def evaluate_systems(
    plays: Annotated[Path, typer.Argument(help="All plays, hidden ones too.")],
    split: Annotated[Path, typer.Argument(help="The split under which everything was learned.")],
    factors: Annotated[Path, typer.Argument(help="Factors of the users.")],
    output: Out,
    systems: Annotated[
        list[str],
        typer.Option("--system", metavar="NAME=FOLDER", help="A name, and song factors predicted from sound; repeat."),
    ],
    features: Annotated[
        Path | None,
        typer.Option("--features", help="What songs sound like: adds the rivals content_knn, taste and heard_fame."),
    ] = None,
    truth: Annotated[Path | None, typer.Option("--truth", help="Truth of a planted world: adds the ceilings.")] = None,
    on: On = None,
    toml: Toml = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Rank the hidden songs for every user and score the lists: AUC and mAP@500 with intervals over users and songs.

    A leakage audit comes first and fails the run. A killed run goes on where it stopped when the same command runs
    again. Control rows always stand in the table: random, shuffled content, heard fame (a meter of leaks),
    popularity (cheats), fold-in upper bound (cheats); with --truth also the perfect encoder and the audio ceiling.
    """
    from deepcuts.evaluate.report import table_text, write_report  # drawing takes long to load

    refuse_to_replace(output, kind="report")
    all_plays, chosen, observed = Plays.load(plays), Split.load(split), Factors.load(factors)
    predicted = {name: SongFactors.load(folder) for name, folder in folders_of(systems).items()}
    settings = settings_of(EvaluateSettings, toml, assignments, "evaluate")
    title = "Songs nobody has played"
    heard = None if features is None else Features.load(features)
    with checkpoint_of(output) as checkpoint, cluster_on(on) as cluster:
        ceilings = None if truth is None else ceilings_from(truth, all_plays, chosen, observed)
        scorer = None if cluster is None else ray_scorer(cluster)
        trial = run_trial(
            all_plays, chosen, observed, predicted, settings,
            ceilings=ceilings, features=heard, checkpoint=checkpoint, score_chunks=scorer,
        )  # fmt: skip
        content = write_report(
            trial.evaluation, output, audit=trial.audit, title=title, about=trial.about, details=trial.details
        )
    if as_json:
        print_json(content)
    else:
        print(table_text(trial.evaluation))
        say(f"{output}/report.html, report.json, report.png")


def ceilings_from(truth: Path, plays: Plays, split: Split, observed: Factors) -> Callable[[Vocabulary], list[System]]:
    """The rows that only the truth of a planted world can know."""
    from deepcuts.trial.ceilings import ceilings_of  # torch takes seconds to load

    return ceilings_of(truth, plays, split, observed)


def folders_of(systems: list[str]) -> dict[str, Path]:
    """System name → folder."""
    pairs = [name_and_folder(text) for text in systems]
    folders = dict(pairs)
    if len(folders) < len(pairs):
        raise SettingError("--system: a name stands twice. Give each system its own.")
    return folders


def name_and_folder(text: str) -> tuple[str, Path]:
    """`cnn=demo/predicted-cnn` in its two parts."""
    name, found, folder = text.partition("=")
    if not found or not name or not folder:
        raise SettingError(f"--system {text!r}: expected NAME=FOLDER, for example cnn=predicted-cnn.")
    return name, Path(folder)
