"""`pip install deepcuts[serve]` has no torch: a model loads, answers and hears new songs all the same."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from no_torch import run_without_torch
from served_model import tone

from deepcuts.artifacts import Bundle, Factors, Features
from deepcuts.chain.hear import Hearing
from deepcuts.predict import ENCODERS, Encoder, fit_encoder, load_encoder, predict_songs

SMALL = {
    "cnn": {"width": 8, "kernel": 4, "pool": 2, "dense": 16, "window": 64, "n_epochs": 2, "device": "cpu"},
    "mlp": {"n_hidden": 8, "n_epochs": 2, "device": "cpu"},
    "relevance": {"n_lags": 8},
    "stack": {"n_trees": 3, "n_jobs": 1},
    "trees": {"n_trees": 3, "n_jobs": 1},
}
PREDICT = """
import sys
from pathlib import Path
import numpy as np
from deepcuts.artifacts import Features
from deepcuts.predict import load_encoder, predict_songs

folder, mel = Path(sys.argv[1]), Features.load(sys.argv[2])
for path in sorted(folder.iterdir()):
    np.save(folder / f"{path.name}.npy", predict_songs(load_encoder(path), mel).vectors)
assert "torch" not in sys.modules
"""
ANSWER = """
import json, sys
from pathlib import Path
from fastapi.testclient import TestClient
from deepcuts.serve.app import create_app
from deepcuts.serve.state import State

if __name__ == "__main__":
    state = State(Path(sys.argv[1]), data=Path(sys.argv[2]), users=["user0"])
    client = TestClient(create_app(state), base_url="http://localhost")
    answers = {
        "recommend": client.get("/api/recommend/user0", params={"k": 3}).json(),
        "similar": client.get("/api/similar/s/0", params={"k": 3}).json(),
        "place": client.post("/api/place", files={"file": ("new.flac", Path(sys.argv[3]).read_bytes())}).json(),
        "torch": "torch" in sys.modules,
    }
    state.close()
    print(json.dumps(answers))
"""


def fitted(name: str, model: Path) -> Encoder:
    """An encoder of the small model's songs."""
    mel, factors = Features.load(model.parent / "mel"), Factors.load(model.parent / "factors")
    return fit_encoder(name, mel, factors, ENCODERS[name].settings(**SMALL.get(name, {})))


@pytest.fixture(scope="module")
def with_network(model: Path, tmp_path_factory) -> Path:
    """The small model with a network, saved where torch is."""
    folder = tmp_path_factory.mktemp("network")
    fitted("cnn", model).save(folder / "encoder")
    dataclasses.replace(Bundle.load(model), encoder=folder / "encoder").save(folder / "model")
    return folder / "model"


def test_every_encoder_predicts_what_it_predicts_with_torch(model: Path, tmp_path: Path):
    encoders = {name: fitted(name, model) for name in ENCODERS}
    for name, encoder in encoders.items():
        encoder.save(tmp_path / "encoders" / name)
    done = run_without_torch(PREDICT, tmp_path, str(tmp_path / "encoders"), str(model.parent / "mel"))
    assert done.returncode == 0, done.stderr
    mel = Features.load(model.parent / "mel")
    for name, encoder in encoders.items():
        truth = predict_songs(encoder, mel).vectors
        np.testing.assert_allclose(np.load(tmp_path / "encoders" / f"{name}.npy"), truth, atol=1e-4, err_msg=name)


def test_a_server_answers_and_places_an_upload(with_network: Path, tmp_path: Path):
    sound = tone(tmp_path / "new.flac", 1, 99)
    done = run_without_torch(ANSWER, tmp_path, str(with_network), str(tmp_path / "data"), str(sound))
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert not answers["torch"]
    assert len(answers["recommend"]) == 3
    assert len(answers["similar"]) == 3
    truth = Hearing(load_encoder(with_network / "encoder"))(sound).vectors[0]  # by torch
    np.testing.assert_allclose(answers["place"]["vector"], truth, atol=1e-4)
    assert len(answers["place"]["similar"]) == 10


def test_the_command_line_adds_a_track(with_network: Path, tmp_path: Path):
    sound = tone(tmp_path / "new.flac", 2, 98)
    shutil.copytree(with_network, tmp_path / "model")
    added = run_without_torch("", tmp_path, "add", str(sound), "--to", str(tmp_path / "model"))
    assert added.returncode == 0, added.stderr
    bundle = Bundle.load(tmp_path / "model")
    truth = Hearing(load_encoder(with_network / "encoder"))(sound).vectors[0]
    found = bundle.songs.vectors[bundle.songs.songs.positions(["new"])[0]]
    np.testing.assert_allclose(found, truth, atol=1e-4)


def test_learning_a_network_says_what_to_install(model: Path, tmp_path: Path):
    folders = [str(model.parent / name) for name in ("mel", "factors")]
    done = run_without_torch("", tmp_path, "predict", "fit", *folders, "--encoder", "cnn", "-o", str(tmp_path / "new"))
    assert done.returncode == 2, done.stderr
    assert "learning encoder 'cnn': needs the package torch" in done.stderr
    assert "pip install 'deepcuts[torch]'" in done.stderr
