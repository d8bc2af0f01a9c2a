"""What tests of every stage share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


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
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = data_folder()
    assert folder is not None
    return folder
