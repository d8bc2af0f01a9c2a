"""A small model, and a server over it: in this process, or a real one."""

import contextlib
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from served_model import Running, make_model

from deepcuts.serve.app import create_app
from deepcuts.serve.state import State


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("served"))


@pytest.fixture
def state(model, tmp_path):
    held = State(model, data=tmp_path / "data", users=["user0"])
    yield held
    with contextlib.suppress(Exception):
        held.close()


@pytest.fixture
def client(state):
    return TestClient(create_app(state), base_url="http://localhost")


@pytest.fixture
def running(state):
    held = Running(state)
    yield held
    held.stop()
