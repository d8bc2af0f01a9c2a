"""What fuzz tests share: one artifact of every kind, made by commands."""

from collections.abc import Callable
from pathlib import Path

import pytest
from damaged import make_house


@pytest.fixture(scope="session")
def home(deepcuts: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_house(deepcuts, tmp_path_factory.mktemp("house"))
