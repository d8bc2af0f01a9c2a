"""Folders that are missing, half-written, of another kind or in the way: exit code 4; a machine that refuses: 6."""

import errno
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepcuts.errors import ArtifactError
from deepcuts.store import Meta, read_meta, write_meta, writing


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_missing_folder_is_named(deepcuts, tmp_path) -> None:
    told = deepcuts("factors", tmp_path / "plays", "-o", tmp_path / "factors")
    assert told.code == 4
    assert f"{tmp_path}/plays: no such folder. Make it first" in told.err


def test_folders_in_the_wrong_order_are_told(deepcuts, home, tmp_path) -> None:
    told = deepcuts("predict", "fit", home / "factors", home / "logmel", "-o", tmp_path / "encoder")
    assert told.code == 4
    assert "holds features, expected factors. Check the order of folders." in told.err


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "song.npy").write_bytes((f / "song.npy").read_bytes()[:-7]), "Half-written: make it again"),
        (lambda f: (f / "users.parquet").unlink(), "users.parquet: found nothing, expected"),
        (lambda f: (f / "meta.json").unlink(), "has no meta.json, so it is half-written"),
        (lambda f: (f / "meta.json").write_text("{"), "meta.json: damaged. Make the artifact again"),
    ],
)
def test_a_half_written_folder_is_refused(deepcuts, home, tmp_path, damage, message) -> None:
    plays = tmp_path / "plays"
    shutil.copytree(home / "world/plays", plays)
    damage(plays)
    told = deepcuts("factors", plays, "-o", tmp_path / "factors")
    assert told.code == 4
    assert message in told.err
    assert not (tmp_path / "factors").exists()


def test_features_of_other_settings_are_refused_by_the_encoder(deepcuts, home, tmp_path) -> None:
    words = ["audio", "logmel", home / "world/sounds", "-o", tmp_path / "other", "-j", "1", "--set", "rate=8000"]
    assert deepcuts(*words, "--set", "n_bands=20").code == 0
    told = deepcuts("predict", "songs", home / "linear", tmp_path / "other", "-o", tmp_path / "predicted")
    assert told.code == 4
    assert "n_bands = 20, the encoder learned from n_bands = 24. Make the features as the encoder's were" in told.err


def test_features_of_other_settings_are_not_mixed_into_a_folder(deepcuts, home) -> None:
    before = contents(home / "logmel")
    words = ["audio", "logmel", home / "world/sounds", "-o", home / "logmel", "-j", "1", "--set", "rate=8000"]
    told = deepcuts(*words, "--set", "n_bands=20")
    assert told.code == 4
    assert "n_bands = 24 there and 20 here" in told.err
    assert contents(home / "logmel") == before


@pytest.mark.parametrize(
    "words",
    [
        ["data", "split", "PLAYS"],
        ["factors", "PLAYS"],
        ["predict", "fit", "LOGMEL", "FACTORS", "--encoder", "linear"],
        ["recommend", "FACTORS", "--which", "warm"],
        ["evaluate", "PLAYS", "SPLIT", "FACTORS", "--system", "linear=PREDICTED"],
        ["audio", "pool", "LOGMEL"],
    ],
)
@pytest.mark.parametrize("in_the_way", ["an artifact of another kind", "a folder of music", "a file"])
def test_nothing_else_is_ever_written_over(deepcuts, home, tmp_path, words, in_the_way) -> None:
    out = tmp_path / "out"
    if in_the_way == "an artifact of another kind":
        shutil.copytree(home / "linear" if words[0] != "predict" else home / "split", out)
    elif in_the_way == "a file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "song.mp3").write_bytes(b"mine")
    before = contents(tmp_path)
    places = {name.upper(): home / name for name in ("split", "factors", "logmel")} | {"PLAYS": home / "world/plays"}
    given = [places.get(word, word) for word in words]
    given = [f"linear={home}/predicted" if word == "linear=PREDICTED" else word for word in given]
    told = deepcuts(*given, "-o", out)
    assert told.code == 4
    assert "Choose another -o" in told.err
    assert len(told.err.splitlines()) == 1  # refused before any work
    assert contents(tmp_path) == before


def test_a_split_does_not_take_the_place_of_its_own_plays(deepcuts, home, tmp_path) -> None:
    shutil.copytree(home / "world/plays", tmp_path / "plays")
    told = deepcuts("data", "split", tmp_path / "plays", "-o", tmp_path / "plays")
    assert told.code == 4
    assert "contains plays; refusing to overwrite it with split" in told.err
    assert json.loads((tmp_path / "plays/meta.json").read_text())["kind"] == "plays"


def test_the_library_too_refuses_to_replace_another_kind(tmp_path) -> None:
    for kind in ("plays", "plays"):  # the same kind may be made again
        with writing(tmp_path / "out") as scratch:
            write_meta(scratch, Meta(kind))
    with (
        pytest.raises(ArtifactError, match="contains plays; refusing to overwrite it with split"),
        writing(tmp_path / "out") as scratch,
    ):
        write_meta(scratch, Meta("split"))
    assert read_meta(tmp_path / "out").kind == "plays"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_predictions_do_not_take_the_place_of_observed_factors(deepcuts, home, tmp_path) -> None:
    shutil.copytree(home / "factors", tmp_path / "factors")
    told = deepcuts("predict", "songs", home / "linear", home / "logmel", "-o", tmp_path / "factors")
    assert told.code == 4
    assert "Choose another -o." in told.err


def test_the_same_command_again_gives_the_same_bytes(deepcuts, home, tmp_path) -> None:
    for name in ("one", "two", "two"):
        told = deepcuts("data", "split", home / "world/plays", "-o", tmp_path / name, "--set", "by=artist")
        assert told.code == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(home / "split")


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder with a file that nobody may read, and a user who, unlike root, is held to that."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "plays.csv").write_text("user,song,plays\nann,one,2\n")
        (Path(name) / "plays.csv").chmod(0)
        was_root = os.geteuid() == 0
        if was_root:
            os.seteuid(65534)
        yield Path(name)
        if was_root:
            os.seteuid(0)


def test_an_unreadable_file_is_the_machines_fault(deepcuts, request) -> None:
    assert deepcuts("version").code == 0  # all is imported while we may still read it
    folder = request.getfixturevalue("nobody")
    told = deepcuts("data", "table", folder / "plays.csv", "-o", folder / "plays")
    assert told.code == 6
    assert told.err == f"error: {folder}/plays.csv: Permission denied. Check the permissions.\n"


def test_a_folder_that_may_not_be_written_is_the_machines_fault(deepcuts, home, tmp_path, monkeypatch) -> None:
    def refuse(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    told = deepcuts("data", "split", home / "world/plays", "-o", tmp_path / "split")
    assert told.code == 6
    assert "Permission denied. Check the permissions." in told.err


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.root
@pytest.mark.parametrize(
    "words",
    [["factors", "PLAYS", "--set", "n_factors=400"], ["audio", "logmel", "SOUNDS", "-j", "1", "--set=rate=8000"]],
)
def test_a_full_disk_is_told_and_leaves_nothing_half_done(deepcuts, home, tiny_disk, words) -> None:
    places = {"PLAYS": home / "world/plays", "SOUNDS": home / "world/sounds"}
    told = deepcuts(*(places.get(word, word) for word in words), "-o", tiny_disk / "out")
    assert told.code == 6
    assert "the disk is full. Free some space and run the same command again." in told.err
    assert not (tiny_disk / "out").exists()


def test_damaged_features_and_a_damaged_library_are_made_again_by_the_same_command(deepcuts, home, tmp_path) -> None:
    sounds, mel = home / "world/sounds", ["--set=rate=8000", "--set=n_bands=24", "-j", "1"]
    for words, name in ((["audio", "logmel", sounds, *mel], "frames.npy"), (["library", sounds], "songs.parquet")):
        out = tmp_path / words[0]
        assert deepcuts(*words, "-o", out).code == 0
        before = contents(out)
        data = before[name]
        (out / name).write_bytes(data[:-9] + bytes([data[-9] ^ 4]) + data[-8:])
        told = deepcuts(*words, "-o", out)
        assert told.code == 0, told.err
        assert f"{name}: does not match its hash" in told.err
        assert contents(out) == before
