"""`--on`: run the costly part of a command on a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from deepcuts.cli.talk import say
from deepcuts.cluster.place import parse_on

if TYPE_CHECKING:
    from deepcuts.cluster import Cluster

On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="ray[=WHERE]",
        help="Run on Ray: `ray` (this machine), `ray=4` (four processes), or a cluster, `ray=HOST:PORT` or `ray=auto`.",
    ),
]


@contextmanager
def cluster_on(on: str | None) -> Iterator["Cluster | None"]:
    """The cluster that `--on` names, for the length of a `with` block; None without the option.

    Raises:
        SettingError: it names none, or ray is not installed.
        ResourceError: there is none, or it cannot be started.
    """
    if on is None:
        yield None
        return
    from deepcuts.cluster import running  # only for those who ask for it

    with running(parse_on(on)) as cluster:
        say(f"on Ray: {cluster.n_workers} tasks at a time")
        yield cluster
