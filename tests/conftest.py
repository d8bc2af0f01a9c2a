"""What tests of every stage share."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers of pytest share the cores; read when NumPy and torch load

import contextlib
import io
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from deepcuts.progress import show_progress

ROOT = Path(__file__).parents[1]
hypothesis.settings.register_profile("any machine", deadline=None)  # a busy machine is no fault of the code
hypothesis.settings.load_profile("any machine")


def data_folder() -> Path | None:
    """The research data: $DEEPCUTS_DATA, else ../shared/data from the project's root; None when absent."""
    folder = Path(os.environ.get("DEEPCUTS_DATA", ROOT / ".." / "shared" / "data")).resolve()
    return folder if (folder / "lastfm").is_dir() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`realdata` tests run wherever the data is; `gpu` tests wherever CUDA is."""
    lacks_data = data_folder() is None
    for item in items:
        if "realdata" in item.keywords and lacks_data:
            item.add_marker(pytest.mark.skip(reason="no research data: set DEEPCUTS_DATA"))
        if "gpu" in item.keywords and not cuda_works():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def cuda_works() -> bool:
    try:
        import torch
    except ImportError:  # an extra
        return False
    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = data_folder()
    assert folder is not None
    return folder


@dataclass(frozen=True)
class Told:
    """What a command gave back: its exit code, what it wrote to stdout and what it told on stderr."""

    code: int
    out: str
    err: str


def run_command(*words: object) -> Told:
    from deepcuts.cli.main import main

    out, err, argv, code = io.StringIO(), io.StringIO(), sys.argv, 0
    log = logging.getLogger("deepcuts")
    before = (log.handlers[:], log.level, log.propagate)
    sys.argv = ["deepcuts", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        sys.argv = argv
        show_progress(False)
        log.handlers[:], log.level, log.propagate = before
    return Told(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def deepcuts() -> Callable[..., Told]:
    """The command line within this process: `deepcuts("data", "split", plays, "-o", out)` gives code, out and err."""
    return run_command
