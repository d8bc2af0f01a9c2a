"""`deepcuts trial`: an encoder tried over folds and seeds, with rivals, controls and scores by user."""

import json
import shutil
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from deepcuts.artifacts import Features, Plays
from deepcuts.cli.common import Json, Set, Toml, one_of, print_json, print_table, say, settings_of
from deepcuts.cli.settings import ENCODER_NAMES
from deepcuts.errors import ArtifactError, SettingError
from deepcuts.factors import WmfSettings
from deepcuts.store import write_file


def trial(
    plays: Annotated[Path, typer.Argument(help="Plays.")],
    features: Annotated[Path, typer.Argument(help="Features of the songs: frames, or one frame a song.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder of the report.")],
    encoder: Annotated[str, typer.Option("--encoder", help=f"One of {', '.join(ENCODER_NAMES)}.")] = "linear",
    by: Annotated[str, typer.Option("--by", help="Hide songs by song, artist or time.")] = "song",
    n_folds: Annotated[int, typer.Option("--folds", min=1, help="Of the songs; 1 tests a fifth.")] = 5,
    n_seeds: Annotated[int, typer.Option("--seeds", min=1, help="Each deals the songs anew.")] = 1,
    systems: Annotated[
        list[str] | None,
        typer.Option("--system", metavar="NAME=FILE.parquet", help="Scores of your own: user_id, song_id, score."),
    ] = None,
    toml: Toml = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Try an encoder: folds, seeds, rivals, controls, an audit, intervals, and scores by user; one command.

    --set changes the encoder's settings; a settings file may hold [factors] too. report.json, users.parquet and
    songs.parquet are written; finished folds are kept, so a killed trial resumes.
    """
    from deepcuts.predict import ENCODERS  # torch takes seconds to load
    from deepcuts.trial.folds import TrialSettings, run_folds

    one_of("--encoder", encoder, tuple(ENCODERS))
    if output.exists() and any(output.iterdir()) and not (output / "report.json").exists():
        raise ArtifactError(f"{output}: exists and is not the folder of a trial. Choose another -o.")
    settings = TrialSettings(by, 1 if by == "time" else n_folds, n_seeds, 0, encoder)
    encoder_settings = settings_of(ENCODERS[encoder].settings, toml, assignments, encoder)
    work = output.with_name(f".{output.name}.work")
    report, users, songs = run_folds(
        Plays.load(plays), Features.load(features), settings, settings_of(WmfSettings, toml, [], "factors"),
        encoder_settings, work, systems=read_systems(systems or []),
    )  # fmt: skip
    output.mkdir(parents=True, exist_ok=True)
    users.write_parquet(output / "users.parquet")
    songs.write_parquet(output / "songs.parquet")
    write_file(output / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    shutil.rmtree(work, ignore_errors=True)
    if as_json:
        print_json(report)
        return
    print_table(table_of(report["rows"]))
    say(f"{output}: {report['n_folds']} folds; users.parquet and songs.parquet hold the scores of each")


def table_of(rows: list[dict]) -> pl.DataFrame:
    """Rows as a table: means with 95 % intervals."""
    return pl.DataFrame(
        [
            {"system": row["system"], "auc": round(row["auc"]["mean"], 4), "auc_low": rounded(row["auc"]["low"]),
             "auc_high": rounded(row["auc"]["high"]), "map500": round(row["map500"]["mean"], 4),
             "map500_low": rounded(row["map500"]["low"]), "map500_high": rounded(row["map500"]["high"]),
             "kind": "sees the hidden plays" if row["cheating"] else row["kind"]}
            for row in rows
        ],
        infer_schema_length=None,
    )  # fmt: skip


def rounded(value: float | None) -> float | None:
    """Four digits; nothing for nothing."""
    return None if value is None or value != value else round(value, 4)


def read_systems(given: list[str]) -> dict[str, pl.DataFrame]:
    """NAME=FILE.parquet texts as tables.

    Raises:
        SettingError: not of that form. InputError: a file that is no such table.
    """
    from deepcuts.trial.sides import read_scores

    tables: dict[str, pl.DataFrame] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise SettingError(f"--system {text!r}: expected NAME=FILE.parquet.")
        tables[name] = read_scores(Path(path))
    return tables
