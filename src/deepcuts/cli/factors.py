"""`deepcuts factors`: factorise plays."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from deepcuts.artifacts import Plays, Split
from deepcuts.cli.common import Out, Set, SplitOption, Toml, clear, one_of, say, settings_of
from deepcuts.factors import WmfSettings, fit
from deepcuts.store import refuse_to_replace, write_file

PROTOCOLS = ("clean", "joint")


def factors(
    plays: Annotated[Path, typer.Argument(help="Plays.")],
    output: Out,
    split: SplitOption = None,
    protocol: Annotated[
        str, typer.Option(help="clean: test songs' plays are hidden. joint: all plays, as the paper may have done.")
    ] = "clean",
    toml: Toml = None,
    assignments: Set = None,
) -> None:
    """Factorise plays into users and songs (weighted matrix factorisation).

    The objective of every half-sweep is written to history.csv in the folder. A killed run goes on after its last
    whole sweep when the same command runs again.
    """
    one_of("--protocol", protocol, PROTOCOLS)
    refuse_to_replace(output, kind="factors")
    counts = Plays.load(plays)
    if split is not None and protocol == "clean":
        counts = Split.load(split).learning_plays(counts)
    settings = settings_of(WmfSettings, toml, assignments, "factors")
    checkpoint = output.with_name(f".{output.name}.checkpoint")
    made = fit(counts, settings, checkpoint=checkpoint, protocol=protocol)
    made.factors.save(output)
    history = pl.DataFrame(made.history)
    write_file(output / "history.csv", history.write_csv())
    clear(checkpoint)
    say(
        f"{output}: {len(counts.users):,} users, {len(counts.songs):,} songs, {settings.n_factors} factors; "
        f"objective {history['objective'][0]:.5g} → {history['objective'][-1]:.5g}"
    )
