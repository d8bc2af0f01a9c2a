"""`deepcuts model` makes a whole model of plays and music; `update` brings it up to date; `add` hears new tracks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepcuts.cli.common import Json, Out, Set, Toml, print_json, print_table, say, settings_of
from deepcuts.errors import InputError, QuarantineError

if TYPE_CHECKING:
    from deepcuts.chain.build import Built

Jobs = Annotated[int | None, typer.Option("-j", "--jobs", help="Processes that decode sound; one a core.")]


def model(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="[PLAYS]... MUSIC",
            help="Listening histories (exports, databases, tables, or a folder of plays), then the folder of music.",
        ),
    ],
    output: Out,
    user: Annotated[str | None, typer.Option("--user", help="Whose one-person history it is.")] = None,
    jobs: Jobs = None,
    toml: Toml = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Make a model from plays and music: library, matching, sound, factors, encoder, in one command.

    Defaults are chosen by the size of the data, and said. Each step is a folder in OUTPUT.steps and is named as the
    command that does it by hand. A killed run goes on where it was. With few listeners (one person at home) songs are
    recommended by sound alone.
    """
    from deepcuts.chain.build import ModelSettings, build_model  # torch takes seconds to load

    *plays, music = sources
    if not music.exists():
        raise InputError(f"{music}: no such folder. The last name is the folder of music.")
    settings = settings_of(ModelSettings, toml, assignments, "model")
    built = build_model(plays, music, output, settings, user=user, jobs=jobs)
    tell_built(built, output, as_json)


def update(
    model: Annotated[Path, typer.Argument(help="A model made by `deepcuts model`.")],
    jobs: Jobs = None,
    as_json: Json = False,
) -> None:
    """Bring a model up to date after new plays or files: only what is stale is done again."""
    from deepcuts.chain.build import update_model  # torch takes seconds to load

    tell_built(update_model(model, jobs=jobs), model, as_json)


def tell_built(built: "Built", output: Path, as_json: bool) -> None:
    """Say what was made, what was left out, and what to do next.

    Raises:
        QuarantineError: some files could not be heard or read.
    """
    summary = {**built.notes, "sound files set aside": built.n_quarantined}
    if as_json:
        print_json({**summary, "steps run": list(built.ran), "trust": built.trust.record() if built.trust else None})
    else:
        say(f"{output}:")
        for what, n in summary.items():
            say(f"  {n:>12,} {what}")
        say(f"Ask it: {example_of(built, output)}")
    if built.n_quarantined or built.unreadable:
        steps = output.with_name(f"{output.name}.steps")
        raise QuarantineError(
            f"{built.n_quarantined} sound files were set aside ({steps}/logmel/quarantine.csv says why) and "
            f"{len(built.unreadable)} may not be read ({steps}/ignored.csv). The rest is done."
        )


def example_of(built: "Built", output: Path) -> str:
    """A command that the model answers."""
    users = built.bundle.users.users
    if len(users):
        return f"deepcuts for-user {output} {quoted(users[0])}"
    return f"deepcuts playlist {output} {quoted(built.bundle.songs.songs[0])} -o mix.m3u8"


def quoted(text: str) -> str:
    """A text as a shell takes it."""
    import shlex

    return shlex.quote(text)


def add(
    tracks: Annotated[list[Path], typer.Argument(help="Sound files, or folders of them.")],
    to: Annotated[Path, typer.Option("--to", help="The model.")],
    jobs: Jobs = None,
    as_json: Json = False,
) -> None:
    """Hear new tracks and add them to a model: where each lands, and who would like it."""
    from deepcuts.chain.add import add_tracks  # torch takes seconds to load

    added = add_tracks(to, tracks, jobs=jobs)
    print_table(added.songs, as_json)
    say(f"{to}: {added.songs.height:,} songs added, {added.n_there:,} were there already")
    if added.quarantine.height:
        for row in added.quarantine.head(10).iter_rows(named=True):
            say(f"  {row['file']}: {row['reason']} ({row['detail']})")
        raise QuarantineError(f"{added.quarantine.height} files could not be heard. The rest is done.")
