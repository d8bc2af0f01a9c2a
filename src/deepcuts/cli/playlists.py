"""`deepcuts playlists` writes the lists made for listeners as files that players and media servers import."""

from pathlib import Path
from typing import Annotated

import typer

from deepcuts.artifacts import Bundle
from deepcuts.cli.common import Json, print_json, say
from deepcuts.errors import SettingError
from deepcuts.recommend.playlists import write_playlist
from deepcuts.serve.eventlog import EventLog
from deepcuts.serve.made import lists_of
from deepcuts.serve.state import Model

MOST_USERS = 20


def playlists(
    model: Annotated[Path, typer.Argument(help="A model, from `deepcuts model` or `deepcuts bundle`.")],
    to: Annotated[Path, typer.Option("--to", help="The folder for the m3u8 files, such as one in the music folder.")],
    user: Annotated[list[str] | None, typer.Option("--user", help="Whose lists; repeat. Else all, of a few.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="What `deepcuts serve` keeps of the model; MODEL.serve.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write For you, Deep cuts and New this week of each listener as m3u8 files, which media servers import.

    Run it again to bring the files up to date: they keep their names, so players keep the lists in their places.
    """
    bundle = Bundle.load(model)
    users = user or bundle.users.users.ids.to_list()
    if not user and len(users) > MOST_USERS:
        raise SettingError(f"playlists: the model has {len(users):,} listeners. Name those wanted with --user.")
    events = (data or model.resolve().with_name(f"{model.resolve().name}.serve")) / "events.db"
    log = EventLog(events) if events.is_file() else None
    ready = Model.of(bundle, None)
    written = {path: n for one in users for path, n in write_lists(ready, one, to, log, alone=len(users) == 1).items()}
    if log is not None:
        log.close()
    if as_json:
        print_json({str(path): n for path, n in written.items()})


def write_lists(model: Model, user: str, to: Path, log: EventLog | None, *, alone: bool) -> dict[Path, int]:
    """Write the lists of one listener; returns how many songs each file holds."""
    written = {}
    bundle = model.answers.bundle
    for name, ids in lists_of(model, user, log).items():
        path = to / f"{name if alone else f'{name} ({file_name(user)})'}.m3u8"
        rows = bundle.table[bundle.songs.songs.positions(ids)] if ids else bundle.table[:0]
        n_left_out = write_playlist(path, rows, str(bundle.card.get("music", "")), title=path.stem)
        left_out = f"; {n_left_out:,} songs have no file and were left out" if n_left_out else ""
        say(f"{path}: {rows.height - n_left_out:,} songs{left_out}")
        written[path] = rows.height - n_left_out
    return written


def file_name(user: str) -> str:
    """A listener's name as part of a file name."""
    return "".join(one if one.isprintable() and one not in '/\\:*?"<>|' else "_" for one in user)[:100]
