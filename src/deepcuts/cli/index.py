"""`deepcuts index`: a model's vectors into a database that ranks them."""

from pathlib import Path
from typing import Annotated

import typer

from deepcuts.artifacts import Bundle
from deepcuts.cli.common import say

To = Annotated[str, typer.Option("--to", metavar="ADDRESS", help="postgresql://user:password@host:5432/database.")]


def index(
    model: Annotated[Path, typer.Argument(help="A model.")],
    to: To,
    name: Annotated[str, typer.Option("--name", help="Of the schema that holds the vectors.")] = "deepcuts",
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Build HNSW graphs: faster on many songs, and a few are missed.")
    ] = False,
) -> None:
    """Load a model's vectors into PostgreSQL with pgvector, for `deepcuts serve --index`.

    Vectors of an older model stay in use until the new ones are whole.
    """
    from deepcuts.recommend.pgvector import Postgres
    from deepcuts.recommend.recommender import Recommender

    postgres, bundle = Postgres(to, name), Bundle.load(model)
    postgres.load(bundle, Recommender(bundle).patterns, approximate=approximate)
    postgres.close()
    kind = "approximate, by HNSW graphs" if approximate else "exact"
    say(f"{postgres.name}: {len(bundle.songs):,} songs in schema {name} ({kind}). "
        f"Serve them: deepcuts serve {model} --index ADDRESS")  # fmt: skip
