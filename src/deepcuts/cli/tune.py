"""`deepcuts tune`: search settings on validation songs."""

from pathlib import Path
from typing import Annotated

import typer

from deepcuts.artifacts import Features, Plays, Split
from deepcuts.cli.common import Json, Set, Toml, one_of, print_json, say, settings_of
from deepcuts.cli.settings import ENCODER_NAMES
from deepcuts.errors import ArtifactError
from deepcuts.factors import WmfSettings
from deepcuts.locks import only_run

LOG = "search.jsonl"


def tune(
    plays: Annotated[Path, typer.Argument(help="Plays.")],
    split: Annotated[Path, typer.Argument(help="Their split: validation songs choose, test songs stay unseen.")],
    features: Annotated[Path, typer.Argument(help="Features of the songs: frames, or one frame a song.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder of the search.")],
    encoder: Annotated[
        str | None, typer.Option("--encoder", help=f"One of {', '.join(ENCODER_NAMES)}; else what --preset best takes.")
    ] = None,
    minutes: Annotated[float, typer.Option("--minutes", help="No trial begins after so many minutes.")] = 30.0,
    n_trials: Annotated[int, typer.Option("--trials", min=0, help="Most trials; 0 for no limit but the minutes.")] = 0,
    metric: Annotated[str, typer.Option("--metric", help="map or auc: what the best trial has highest.")] = "map",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the proposals and of every trial.")] = 0,
    toml: Toml = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Search settings of the factorisation and an encoder on validation songs, within a budget of minutes.

    The same command goes on where a killed search was; with more minutes it searches longer. search.jsonl keeps every
    trial, trials.csv and trials.md rank them, settings.toml is for --settings of `factors` and `predict fit`.
    A settings file and --set (the encoder's) change where the search starts, and what it leaves alone.
    """
    from deepcuts.predict import ENCODERS, encoder_of_preset  # torch may be slow to load
    from deepcuts.trial.findings import write_findings
    from deepcuts.trial.search import Task, TuneSettings, search

    if output.exists() and any(output.iterdir()) and not (output / LOG).exists():
        raise ArtifactError(f"{output}: exists and is not the folder of a search. Choose another -o.")
    heard = Features.load(features)
    name = one_of("--encoder", encoder, tuple(ENCODERS)) if encoder else encoder_of_preset("best", heard)[0]
    settings = TuneSettings(name, metric, minutes, n_trials, seed)
    start = (
        settings_of(WmfSettings, toml, [], "factors"),
        settings_of(ENCODERS[name].settings, toml, assignments, name),
    )
    task = Task.of(Plays.load(plays), Split.load(split), heard)
    output.mkdir(parents=True, exist_ok=True)
    with only_run(output):
        trials = search(task, start, settings, output / LOG)
        report = write_findings(output, task, trials, start, settings)
    if as_json:
        print_json(report)
        return
    best = report["best"]
    print("\n".join(f"{key}\t{value}" for key, value in best["settings"].items()))
    say(f"{output}: best of {report['n_trials']} trials is {best['number']}: mAP@500 {best['map']:.4f}, AUC "
        f"{best['auc']:.4f}, on {report['n_songs']:,} validation songs")  # fmt: skip
    say(f"next: deepcuts factors {plays} --split {split} --settings {output}/settings.toml -o factors")
