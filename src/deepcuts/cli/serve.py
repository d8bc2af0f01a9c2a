"""`deepcuts serve`: a model in a browser, over REST and in music players."""

import logging
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Annotated

import typer

from deepcuts.cli.common import say
from deepcuts.errors import SettingError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    model: Annotated[Path, typer.Argument(help="A model, from `deepcuts model`, `deepcuts bundle` or `make demo`.")],
    host: Annotated[str, typer.Option(help="Where to listen; anything but loopback needs --login.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Where to listen; 0 takes a free one.")] = 8765,
    user: Annotated[list[str] | None, typer.Option("--user", help="A listener who may log in; repeat.")] = None,
    login: Annotated[bool, typer.Option("--login", help="Ask everybody to log in, also on loopback.")] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="Where plays, playlists and accounts are kept; MODEL.serve.")
    ] = None,
    media_server: Annotated[
        Path | None, typer.Option("--from", help="Navidrome's database: its song ids, users and plays are taken over.")
    ] = None,
    index: Annotated[
        str | None,
        typer.Option("--index", metavar="ADDRESS", help="PostgreSQL that ranks the songs, after `deepcuts index`."),
    ] = None,
    index_name: Annotated[str, typer.Option("--index-name", help="As `deepcuts index --name`.")] = "deepcuts",
) -> None:
    """Serve a model: a page, REST under /api, OpenSubsonic under /rest for music players.

    One process, on loopback unless told otherwise. Plays, stars and ratings that arrive are kept beside the model and
    count at once. A newer model in the folder is taken up without a pause.
    """
    check_host(host, login)
    try:
        import uvicorn  # only serving needs it

        from deepcuts.recommend.pgvector import Postgres
        from deepcuts.serve.app import create_app
        from deepcuts.serve.mediaserver import MediaServer
        from deepcuts.serve.state import State, check_served
    except ImportError as error:
        raise SettingError(f"serve: {error.name} is missing. Install it with: pip install 'deepcuts[serve]'") from error
    check_served(model)
    if index is not None and media_server is not None:
        raise SettingError("--index and --from: the database ranks songs under the model's own ids. Leave one out.")
    engine = Postgres(index, index_name) if index is not None else None
    beside = MediaServer.of_navidrome(media_server) if media_server is not None else None
    state = State(model, data=data, users=user or [], secured=login, server=beside, engine=engine)
    one_blas_thread()
    bundle = state.model.answers.bundle
    if beside is not None:
        n = len(set(bundle.songs.songs.ids.to_list()) & set(beside.songs.ids.ids.to_list()))
        say(f"{media_server}: {n:,} of its {len(beside.songs):,} songs are in the model, under its ids; "
            f"{len(bundle.songs) - n:,} songs of the model are not in it")  # fmt: skip
    say(f"{model}: {len(bundle.users):,} listeners, {len(bundle.songs):,} songs")
    say(f"Music players (OpenSubsonic): log in as {' or '.join(state.accounts.names)}; "
        f"passwords are in {state.accounts.path}")  # fmt: skip
    config = uvicorn.Config(create_app(state), host=host, port=port, log_level="warning", server_header=False)
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # connections inherit it; else an answer waits 40 ms for the client
    shown = f"[{host}]" if ":" in host else host
    say(f"Open http://{shown}:{socket.getsockname()[1]}/   (Ctrl-C ends it)")
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server.run(sockets=[socket])


def one_blas_thread() -> None:
    """Let every answer use one thread: a server has several answers to give at once, and BLAS threads wait in turn."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1, user_api="blas")


def check_host(host: str, login: bool) -> None:
    """Refuse to be reached from elsewhere without a login.

    Raises:
        SettingError: says what to add.
    """
    if host not in LOOPBACK and not login:
        raise SettingError(
            f"--host {host}: others could reach the server without a login. Add --login, or leave --host out."
        )
