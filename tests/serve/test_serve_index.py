"""`deepcuts index` and a server whose songs a database ranks."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from postgres_server import postgres_address

from deepcuts.errors import ArtifactError
from deepcuts.recommend.pgvector import Postgres
from deepcuts.serve.app import create_app
from deepcuts.serve.eventlog import Event
from deepcuts.serve.state import State


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    yield from postgres_address()


def test_one_command_loads_a_model_and_a_server_answers_from_it(address: str, model: Path, tmp_path: Path, client):
    with pytest.raises(ArtifactError, match="holds no vectors under the name deepcuts"), \
            closing(Postgres(address)) as postgres:  # fmt: skip
        State(model, data=tmp_path / "early", engine=postgres)
    command = [sys.executable, "-m", "deepcuts", "index", str(model), "--to", address]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "24 songs in schema deepcuts (exact)" in done.stderr
    state = State(model, data=tmp_path / "data", users=["user0"], engine=Postgres(address))
    backed = TestClient(create_app(state), base_url="http://localhost")
    try:
        for path in ("/api/recommend/user0?k=8", "/api/similar/s/0?k=8", "/api/similar/s/1?k=30&which=cold"):
            expected, found = client.get(path).json(), backed.get(path).json()
            assert [row["song_id"] for row in found] == [row["song_id"] for row in expected]
            for one, two in zip(found, expected, strict=True):
                assert one["score"] == pytest.approx(two["score"], abs=1e-5)
        state.take([Event("somebody", "s/2", "play")])  # a play that moves a song leaves the database in use
        assert len(backed.get("/api/recommend/somebody?k=5").json()) == 5
    finally:
        state.close()


def test_a_database_that_is_gone_is_a_problem_and_no_crash(model: Path, tmp_path: Path):
    server = postgres_address()
    address = next(server)
    from deepcuts.artifacts import Bundle
    from deepcuts.recommend import Recommender

    bundle, postgres = Bundle.load(model), Postgres(address)
    postgres.load(bundle, Recommender(bundle).patterns)
    state = State(model, data=tmp_path / "data", users=["user0"], engine=postgres)
    client = TestClient(create_app(state), base_url="http://localhost")
    assert client.get("/api/similar/s/0").status_code == 200
    server.close()
    answer = client.get("/api/similar/s/0")
    assert answer.status_code == 507
    assert "Is PostgreSQL with pgvector running there?" in answer.json()["detail"]
    assert client.get("/health").status_code == 200
    state.close()
