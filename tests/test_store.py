import errno
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deepcuts import store
from deepcuts.errors import ArtifactError, ResourceError
from deepcuts.store import Meta, load_array, read_meta, save_array, write_file, write_meta, writing


def make(folder: Path, value: float = 1.0) -> None:
    with writing(folder) as scratch:
        save_array(scratch, "numbers", np.full(5, value))
        write_meta(scratch, Meta("plays", "f00d", settings={"seed": 1}))


def test_a_folder_appears_only_when_complete(tmp_path: Path) -> None:
    folder = tmp_path / "plays"
    with pytest.raises(KeyboardInterrupt), writing(folder) as scratch:
        save_array(scratch, "numbers", np.zeros(3))
        assert not folder.exists()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_the_old_artifact_survives_a_failed_rewrite(tmp_path: Path) -> None:
    make(tmp_path / "a", 1.0)
    with pytest.raises(ResourceError, match="disk is full"), writing(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "no space")
    assert load_array(tmp_path / "a", "numbers")[0] == 1.0
    make(tmp_path / "a", 2.0)
    assert load_array(tmp_path / "a", "numbers")[0] == 2.0
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_is_not_ours_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.mp3").write_bytes(b"x")
    with pytest.raises(ArtifactError, match="not a deepcuts artifact"), writing(tmp_path / "music"):
        pass
    assert (tmp_path / "music" / "song.mp3").exists()


def test_a_kill_between_the_two_renames_is_mended(tmp_path: Path) -> None:
    make(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / ".a.old")
    assert read_meta(tmp_path / "a", "plays").fingerprint == "f00d"


def test_half_written_artifacts_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with pytest.raises(ArtifactError, match="no such folder"):
        read_meta(folder)
    make(folder)
    file = folder / "numbers.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[:-4])
    with pytest.raises(ArtifactError, match="Half-written"):
        read_meta(folder)
    file.unlink()
    with pytest.raises(ArtifactError, match="found nothing"):
        read_meta(folder)
    file.write_bytes(whole)
    (folder / "meta.json").write_text("{")
    with pytest.raises(ArtifactError, match="damaged"):
        read_meta(folder)
    (folder / "meta.json").write_text("[]")
    with pytest.raises(ArtifactError, match=r"not the meta\.json"):
        read_meta(folder)
    (folder / "meta.json").unlink()
    with pytest.raises(ArtifactError, match="half-written"):
        read_meta(folder)


def test_another_kind_or_version_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "a")
    with pytest.raises(ArtifactError, match="holds plays, expected factors"):
        read_meta(tmp_path / "a", "factors")
    meta = json.loads((tmp_path / "a" / "meta.json").read_text())
    (tmp_path / "a" / "meta.json").write_text(json.dumps({**meta, "version": 99}))
    with pytest.raises(ArtifactError, match="format version 99, expected 2"):
        read_meta(tmp_path / "a")


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        make(tmp_path / name)
    for file in ("meta.json", "numbers.npy"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_fingerprint_sees_type_shape_and_order() -> None:
    one = np.arange(6, dtype=np.int32)
    marks = {
        store.fingerprint(one),
        store.fingerprint(one.astype(np.int64)),
        store.fingerprint(one.reshape(2, 3)),
        store.fingerprint(one[::-1]),
        store.fingerprint("a", "bc"),
        store.fingerprint("ab", "c"),
    }
    assert len(marks) == 6
    assert store.fingerprint(one) == store.fingerprint(np.arange(6, dtype=np.int32))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.root
def test_a_full_disk_is_told_and_loses_nothing(tiny_disk: Path) -> None:
    make(tiny_disk / "a")
    with (
        pytest.raises(ResourceError, match=r"the disk is full\. Free some space") as caught,
        writing(tiny_disk / "a") as scratch,
    ):
        save_array(scratch, "numbers", np.zeros(100_000))
    assert caught.value.exit_code == 6
    assert load_array(tiny_disk / "a", "numbers")[0] == 1.0
    with pytest.raises(ResourceError, match="disk is full"):
        write_file(tiny_disk / "big.json", b"x" * 100_000)
    assert sorted(p.name for p in tiny_disk.iterdir()) == ["a"]
