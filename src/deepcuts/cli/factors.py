"""`deepcuts factors`: factorise plays."""

from functools import partial
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from deepcuts.artifacts import Plays, Split
from deepcuts.cli.common import Out, Set, SplitOption, Toml, checkpoint_of, one_of, say, settings_of
from deepcuts.cli.on import On, cluster_on
from deepcuts.cluster.factors import ray_engine
from deepcuts.errors import SettingError
from deepcuts.factors import WmfSettings, fit_sizes, local_engine, sides_in_memory, sides_on_disk
from deepcuts.store import refuse_to_replace, write_file

PROTOCOLS = ("clean", "joint")


def factors(
    plays: Annotated[Path, typer.Argument(help="Plays.")],
    output: Out,
    split: SplitOption = None,
    protocol: Annotated[
        str, typer.Option(help="clean: test songs' plays are hidden. joint: all plays, as the paper may have done.")
    ] = "clean",
    sizes: Annotated[
        str | None, typer.Option(help="Fit several numbers of factors side by side, such as 10,20,40.")
    ] = None,
    mapped: Annotated[
        bool, typer.Option("--mapped", help="Leave the plays on disk: for more than memory holds. The same factors.")
    ] = False,
    on: On = None,
    toml: Toml = None,
    assignments: Set = None,
) -> None:
    """Factorise plays into users and songs (weighted matrix factorisation).

    The objective of every half-sweep is written to history.csv in the folder. A killed run goes on from the last
    sweep it laid aside when the same command runs again,
    with or without --on: the factors are the same.
    """
    one_of("--protocol", protocol, PROTOCOLS)
    refuse_to_replace(output, kind="factors")
    if mapped and split is not None and protocol == "clean":
        raise SettingError(
            "--mapped and --split: songs cannot be left out of plays on disk. Leave one out, or write plays without "
            "the test songs and factorise those."
        )
    counts = Plays.load(plays, mapped=mapped)
    if split is not None and protocol == "clean":
        counts = Split.load(split).learning_plays(counts)
    settings = settings_of(WmfSettings, toml, assignments, "factors")
    numbers = [settings.n_factors] if sizes is None else whole_numbers("--sizes", sizes)
    with checkpoint_of(output) as checkpoint, cluster_on(on) as cluster:
        engine = local_engine if cluster is None else ray_engine(cluster)
        aside = checkpoint.with_name(f"{checkpoint.name}-plays")  # goes with the checkpoint when all is done
        sides = partial(sides_on_disk, folder=aside) if mapped else sides_in_memory
        made = fit_sizes(
            counts, settings, numbers, checkpoint=checkpoint, protocol=protocol, engine=engine, sides=sides
        )
        made.factors.save(output)
    write_file(output / "history.csv", pl.DataFrame(made.history).write_csv())
    say(
        f"{output}: {len(counts.users):,} users, {len(counts.songs):,} songs, {made.factors.n_factors} factors; "
        f"objective {made.history[0]['objective']:.5g} → {made.history[-1]['objective']:.5g}"
    )


def whole_numbers(option: str, text: str) -> list[int]:
    """`10,20,40` as numbers."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise SettingError(f"{option} {text!r}: expected whole numbers above 0 with commas, such as 10,20,40.")
    return [int(part) for part in parts]
