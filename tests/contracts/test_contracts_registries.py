"""Whatever stands in DATASETS, FEATURES, ENCODERS or METRICS keeps the same promises, without a test of its own."""

import dataclasses
import inspect
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from deepcuts.artifacts import Factors, Features, SongFactors, Vocabulary
from deepcuts.audio import FEATURES, BadSound
from deepcuts.audio.extract import extract
from deepcuts.cli.settings import CLASSES, ENCODER_NAMES, field_docs
from deepcuts.data import DATASETS, SplitSettings
from deepcuts.errors import ArtifactError, DeepcutsError, InputError, SettingError
from deepcuts.evaluate import METRICS
from deepcuts.evaluate.metrics import find_places
from deepcuts.predict import ENCODERS, fit_encoder, load_encoder
from deepcuts.worlds import WorldSettings

ENCODER_CLASSES = {name: kind.settings for name, kind in ENCODERS.items()}
SETTINGS = {name: load() for name, (_, load) in CLASSES.items()}


def test_every_entry_has_its_settings_on_the_command_line() -> None:
    assert set(ENCODER_NAMES) == set(ENCODERS)
    wanted = [f"data {name}" for name in DATASETS] + [f"audio {name}" for name in FEATURES]
    assert set(wanted) | {f"predict {name}" for name in ENCODERS} <= set(CLASSES)


@pytest.mark.parametrize("name", SETTINGS)
class TestSettings:
    def test_are_a_frozen_dataclass_with_every_default(self, name: str) -> None:
        cls = SETTINGS[name]
        assert dataclasses.is_dataclass(cls)
        made = cls()
        first = dataclasses.fields(cls)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, first, None)

    def test_say_what_every_field_means(self, name: str) -> None:
        cls = SETTINGS[name]
        docs = field_docs(cls)
        assert [field.name for field in dataclasses.fields(cls) if not docs.get(field.name)] == []
        assert [said for said in docs if said not in {field.name for field in dataclasses.fields(cls)}] == []

    def test_hold_plain_values_only(self, name: str) -> None:
        for field in dataclasses.fields(SETTINGS[name]):
            assert isinstance(field.default, bool | int | float | str | None), field.name

    def test_refuse_a_negative_seed(self, name: str) -> None:
        cls = SETTINGS[name]
        if "seed" not in {field.name for field in dataclasses.fields(cls)}:
            return
        with pytest.raises(SettingError, match="seed = -1: expected"):
            cls(seed=-1)


@pytest.mark.parametrize("name", DATASETS)
class TestDatasets:
    def test_read_path_and_settings(self, name: str) -> None:
        _, reader = DATASETS[name]
        assert list(inspect.signature(reader).parameters) == ["path", "settings"]
        assert "Raises:" in (inspect.getdoc(reader) or "")

    def test_name_a_missing_file(self, name: str, tmp_path: Path) -> None:
        cls, reader = DATASETS[name]
        path = tmp_path / "nowhere"
        with pytest.raises(InputError) as caught:
            reader(path, cls())
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("content", [b"", b"\x00\xff" * 50, b"PK\x03\x04 not a zip", b"\x1f\x8b not gzip"])
    def test_refuse_rubbish_with_its_name(self, name: str, content: bytes, tmp_path: Path) -> None:
        cls, reader = DATASETS[name]
        for ending in ("csv", "npz", "parquet"):
            path = tmp_path / f"rubbish.{ending}"
            path.write_bytes(content)
            with pytest.raises(DeepcutsError) as caught:
                reader(path, cls())
            assert "rubbish" in str(caught.value)

    def test_name_an_empty_folder(self, name: str, tmp_path: Path) -> None:
        cls, reader = DATASETS[name]
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError) as caught:
            reader(tmp_path / "empty", cls())
        assert "empty" in str(caught.value)


@pytest.mark.parametrize("kind", FEATURES)
class TestFeatures:
    def test_take_some_kinds_of_files(self, kind: str) -> None:
        extractor = FEATURES[kind]
        assert extractor.suffixes
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in extractor.suffixes)
        assert isinstance(extractor.settings().frame_rate, float | int)
        assert extractor.settings().n_channels >= 1

    @pytest.mark.parametrize("content", [b"", b"<html>" * 300])
    def test_set_rubbish_aside(self, kind: str, content: bytes, tmp_path: Path) -> None:
        extractor = FEATURES[kind]
        path = tmp_path / f"rubbish{extractor.suffixes[0]}"
        path.write_bytes(content)
        with pytest.raises(BadSound):
            extractor.extract(path, extractor.settings())
        with pytest.raises(InputError, match="none of the 1 files gave features"):
            extract(tmp_path, kind, extractor.settings(), tmp_path / "out", jobs=1)

    def test_name_a_missing_folder(self, kind: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="nowhere: no such folder"):
            extract(tmp_path / "nowhere", kind, FEATURES[kind].settings(), tmp_path / "out", jobs=1)


def test_every_kind_of_sound_features_gives_what_it_says(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "tone.wav", 0.3 * np.sin(np.arange(4 * 22_050) / 20), 22_050)
    for kind, extractor in FEATURES.items():
        if ".wav" not in extractor.suffixes:
            continue
        settings = extractor.settings()
        frames, seconds, _ = extractor.extract(tmp_path / "tone.wav", settings)
        assert frames.dtype == np.float32, kind
        assert frames.shape[1] == settings.n_channels, kind
        assert abs(len(frames) - 4 * settings.frame_rate) < 4, kind
        assert abs(seconds - 4) < 0.1, kind
        assert np.isfinite(frames).all(), kind


def little_world(n_songs: int = 24) -> tuple[Features, Factors]:
    rng = np.random.default_rng(0)
    ids = Vocabulary([f"song {i}" for i in range(n_songs)])
    frames = rng.standard_normal((n_songs * 20, 5)).astype(np.float32)
    features = Features(ids, frames, np.arange(n_songs + 1) * 20, "logmel", {"frame_rate": 43.0})
    return features, SongFactors(ids, rng.standard_normal((n_songs, 3)).astype(np.float32))


SMALL = {
    "cnn": {"width": 4, "kernel": 3, "pool": 2, "dense": 4, "window": 16, "n_epochs": 1, "device": "cpu"},
    "mlp": {"n_hidden": 4, "n_epochs": 1, "device": "cpu"},
    "trees": {"n_trees": 2, "n_jobs": 1},
}


@pytest.mark.parametrize("name", ENCODERS)
class TestEncoders:
    def test_come_back_from_disk_the_same_and_without_pickle(self, name: str, tmp_path: Path) -> None:
        features, factors = little_world()
        made = fit_encoder(name, features, factors, ENCODERS[name].settings(**SMALL.get(name, {})))
        made.save(tmp_path / "encoder")
        again = load_encoder(tmp_path / "encoder")
        songs = np.arange(5)
        assert np.array_equal(made.predict(features, songs), again.predict(features, songs))
        assert {p.suffix for p in (tmp_path / "encoder").iterdir()} <= {".json", ".onnx", ".parquet", ".safetensors"}

    def test_name_a_missing_folder(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match=f"{name}: no such folder"):
            load_encoder(tmp_path / name)

    def test_refuse_settings_of_another(self, name: str) -> None:
        features, factors = little_world()
        other = next(cls for key, cls in ENCODER_CLASSES.items() if key != name)
        with pytest.raises(SettingError, match=f"encoder '{name}' takes {ENCODER_CLASSES[name].__name__}"):
            fit_encoder(name, features, factors, other())

    def test_refuse_songs_without_frames(self, name: str) -> None:
        features, factors = little_world()
        starts = features.starts.copy()
        starts[1] = 0  # the first song has none
        broken = dataclasses.replace(features, starts=starts)
        with pytest.raises(InputError, match="no frames"):
            fit_encoder(name, broken, factors, ENCODERS[name].settings(**SMALL.get(name, {})))


@pytest.mark.parametrize("name", METRICS)
class TestMetrics:
    def test_are_1_for_a_perfect_list_and_least_for_the_worst(self, name: str) -> None:
        relevant = sparse.csr_array(np.array([[1, 1, 0, 0, 0, 0]]))
        best = METRICS[name](find_places(np.array([[6.0, 5, 4, 3, 2, 1]]), relevant), 3)
        worst = METRICS[name](find_places(np.array([[1.0, 2, 3, 4, 5, 6]]), relevant), 3)
        assert best.tolist() == [1.0]
        assert worst.tolist() == [0.0]

    def test_are_not_a_number_for_a_user_who_played_none(self, name: str) -> None:
        relevant = sparse.csr_array(np.array([[0, 0, 0], [1, 0, 0]]))
        values = METRICS[name](find_places(np.array([[3.0, 2, 1], [3.0, 2, 1]]), relevant), 2)
        assert np.isnan(values[0])
        assert values[1] == 1

    def test_do_not_depend_on_the_order_of_songs(self, name: str) -> None:
        rng = np.random.default_rng(1)
        scores, relevant = rng.standard_normal((5, 30)), (rng.random((5, 30)) < 0.2).astype(float)
        relevant[:, 0] = 1
        shuffle = rng.permutation(30)
        straight = METRICS[name](find_places(scores, sparse.csr_array(relevant)), 10)
        turned = METRICS[name](find_places(scores[:, shuffle], sparse.csr_array(relevant[:, shuffle])), 10)
        np.testing.assert_allclose(straight, turned, rtol=1e-12)


def test_a_world_and_a_split_refuse_what_is_out_of_range() -> None:
    with pytest.raises(SettingError, match="n_songs = 1: expected 2 to 99,999"):
        WorldSettings(n_songs=1)
    with pytest.raises(SettingError, match="by = 'albums'"):
        SplitSettings(by="albums")
