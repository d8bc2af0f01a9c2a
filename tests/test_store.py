import errno
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deepcuts import locks, store
from deepcuts.artifacts import SongFactors, Vocabulary
from deepcuts.errors import ArtifactError, ResourceError
from deepcuts.store import Meta, load_array, read_meta, recover, save_array, write_file, write_meta, writing


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
    with pytest.raises(ArtifactError, match="Run the same command again"):
        read_meta(tmp_path / "a", "plays")
    recover(tmp_path / "a")
    assert read_meta(tmp_path / "a", "plays").fingerprint == "f00d"


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_one_flipped_bit_is_noticed_by_the_name_of_its_file(tmp_path: Path) -> None:
    make(tmp_path / "a")
    flip(tmp_path / "a" / "numbers.npy", -3)
    with pytest.raises(ArtifactError, match=r"numbers\.npy: does not match its hash"):
        read_meta(tmp_path / "a")
    assert read_meta(tmp_path / "a", verify=False).kind == "plays"


def test_an_edited_meta_is_refused_in_words(tmp_path: Path) -> None:
    make(tmp_path / "a")
    path = tmp_path / "a" / "meta.json"
    good = json.loads(path.read_text())
    wrong = [
        {**good, "colour": "red"},
        {**good, "shape": []},
        {**good, "shape": {"n_users": "many"}},
        {**good, "parents": {"plays": 3}},
        {**good, "files": {"numbers.npy": 5}},
        {**good, "files": {"../other": {"bytes": 1, "hash": ""}}},
        {**good, "kind": 7},
        {**good, "version": "3"},
        {**good, "version": True},
        {**good, "kind": "factors"},
        {**good, "settings": {"seed": 2}},
        {**good, "settings": {"seed": "1"}},
        {**good, "fingerprint": "f00e"},
        {**good, "parents": {"split": "f00d"}},
        {**good, "files": {}},
        {**good, "checksum": None},
        *({name: value for name, value in good.items() if name != key} for key in good),
    ]
    for content in wrong:
        path.write_text(json.dumps(content))
        with pytest.raises(ArtifactError):
            read_meta(tmp_path / "a")
    path.write_text("[" * 100_000)
    with pytest.raises(ArtifactError, match="damaged"):
        read_meta(tmp_path / "a")


def test_meta_may_be_laid_out_anew(tmp_path: Path) -> None:
    make(tmp_path / "a")
    path = tmp_path / "a" / "meta.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))
    assert read_meta(tmp_path / "a").files == ("numbers.npy",)


def test_content_of_another_program_is_refused_by_the_name_of_its_folder(tmp_path: Path) -> None:
    songs = SongFactors(Vocabulary(["a", "b"]), np.ones((2, 3), np.float32))
    songs.save(tmp_path / "songs")
    with writing(tmp_path / "songs") as scratch:
        songs.songs.save(scratch, "songs")
        save_array(scratch, "song_factors", np.ones((5, 3), np.float32))
        write_meta(scratch, Meta("song-factors"))
    with pytest.raises(ArtifactError, match=r"songs: its content does not fit \(song factors has shape"):
        SongFactors.load(tmp_path / "songs")


def test_a_file_that_meta_does_not_list_is_not_read(tmp_path: Path) -> None:
    SongFactors(Vocabulary(["a", "b"]), np.ones((2, 3), np.float32)).save(tmp_path / "songs")
    np.save(tmp_path / "songs" / "precision.npy", np.ones(2, np.float32))
    assert SongFactors.load(tmp_path / "songs").precision is None


def test_a_link_stays_a_link_and_its_folder_is_replaced(tmp_path: Path) -> None:
    make(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for _ in range(2):
        make(tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert read_meta(tmp_path / "link").kind == "plays"


def test_the_current_folder_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    make(Path("."))
    assert read_meta(tmp_path / "here").kind == "plays"


def test_a_second_writer_is_told_who_holds_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SECONDS_TO_WAIT", 0.1)
    with locks.only_writer(tmp_path / "a"), pytest.raises(ArtifactError, match=r"a: is being written by process \d+"):
        make(tmp_path / "a")
    make(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_reader_waits_for_the_second_rename(tmp_path: Path) -> None:
    make(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / ".a.old")
    timer = threading.Timer(0.2, lambda: (tmp_path / ".a.old").rename(tmp_path / "a"))
    timer.start()
    assert read_meta(tmp_path / "a").kind == "plays"
    timer.join()


def test_scratch_of_a_dead_process_is_removed_by_the_next_writer(tmp_path: Path) -> None:
    (tmp_path / ".a.999999999-abc123.partial").mkdir()
    (tmp_path / f".a.{os.getpid()}-abc123.partial").mkdir()
    make(tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f".a.{os.getpid()}-abc123.partial", "a"])


def test_a_false_shape_in_an_array_takes_no_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(10))
    data = (tmp_path / "x.npy").read_bytes().replace(b"(10,), ", b"(9999999999999,), ")
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(ArtifactError, match="damaged"):
        load_array(tmp_path, "x")
    np.save(tmp_path / "none.npy", np.zeros((0, 3)))
    assert load_array(tmp_path, "none").shape == (0, 3)


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
    with pytest.raises(ArtifactError, match="format version 99, expected 3"):
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
