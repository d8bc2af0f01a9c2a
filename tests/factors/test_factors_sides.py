"""Plays on disk give the factors of plays in memory."""

import numpy as np
import pytest
from scipy import sparse

from deepcuts.artifacts import Plays, Vocabulary
from deepcuts.errors import InputError
from deepcuts.factors import WmfSettings, fit, sides, sides_in_memory, sides_on_disk

SETTINGS = WmfSettings(n_factors=5, n_sweeps=3, regularization=0.1)


def some_plays(seed: int = 0, most: float = 9) -> Plays:
    """Plays of which some users and songs have none, the first and the last too; one user plays all."""
    rng = np.random.default_rng(seed)
    counts = sparse.random_array((60, 40), density=0.2, rng=rng, dtype=np.float32).tolil()
    counts[7, :] = rng.uniform(1, most, 40)
    for user, song in [(0, 0), (59, 39), (20, 11)]:
        counts[user, :], counts[:, song] = 0, 0
    songs = Vocabulary([f"s{i}" for i in range(40)], "song")
    return Plays(
        Vocabulary([f"u{i}" for i in range(60)], "user"), songs, sparse.csr_array(counts), songs.ids.to_frame()
    )


@pytest.fixture
def on_disk(tmp_path):
    """Plays written and mapped."""
    some_plays().save(tmp_path / "plays")
    return Plays.load(tmp_path / "plays", mapped=True)


@pytest.fixture(params=[1, 7, 100, 1 << 24])
def at_once(request, monkeypatch):
    monkeypatch.setattr(sides, "PLAYS_AT_ONCE", request.param)


def test_mapped_plays_are_the_plays_and_stay_on_disk(on_disk):
    whole = some_plays()
    assert (on_disk.counts != whole.counts).nnz == 0
    assert on_disk.fingerprint == whole.fingerprint
    assert is_mapped(on_disk.counts.data)
    assert is_mapped(on_disk.counts.indices)


def is_mapped(array: np.ndarray) -> bool:
    while array is not None and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


@pytest.mark.usefixtures("at_once")
def test_both_sides_are_those_in_memory_to_the_bit(on_disk, tmp_path):
    want, found = sides_in_memory(some_plays(), 2.0, 1e-6), sides_on_disk(on_disk, 2.0, 1e-6, folder=tmp_path / "sides")
    for mine, theirs in zip(found, want, strict=True):
        np.testing.assert_array_equal(mine.indptr, theirs.indptr)
        np.testing.assert_array_equal(mine.indices, theirs.indices)
        np.testing.assert_array_equal(mine.data, theirs.data)
        assert mine.data.dtype == np.float32
        assert is_mapped(mine.data)
        assert is_mapped(mine.indices)


def test_the_factors_are_those_of_plays_in_memory(on_disk, tmp_path):
    def keep(plays, alpha, epsilon):
        return sides_on_disk(plays, alpha, epsilon, folder=tmp_path / "sides")

    made = fit(on_disk, SETTINGS, sides=keep)
    assert made.factors.fingerprint == fit(some_plays(), SETTINGS).factors.fingerprint
    np.testing.assert_array_equal(made.factors.songs.precision, fit(some_plays(), SETTINGS).factors.songs.precision)


def test_files_of_an_earlier_run_are_used_and_those_of_other_plays_are_not(on_disk, tmp_path, monkeypatch):
    folder, made = tmp_path / "sides", []
    real = sides._write_sides
    monkeypatch.setattr(sides, "_write_sides", lambda *given: (made.append(1), real(*given)))
    for alpha in (2.0, 2.0, 3.0):
        sides_on_disk(on_disk, alpha, 1e-6, folder=folder)
    assert len(made) == 2
    some_plays(1).save(tmp_path / "plays")
    others = Plays.load(tmp_path / "plays", mapped=True)
    by_user, _ = sides_on_disk(others, 3.0, 1e-6, folder=folder)
    assert len(made) == 3
    np.testing.assert_array_equal(by_user.data, sides_in_memory(some_plays(1), 3.0, 1e-6)[0].data)


def test_a_count_too_large_for_its_confidence_is_refused_on_disk_too(tmp_path):
    plays = some_plays(most=1e38)
    with pytest.raises(InputError, match="finite"):
        sides_in_memory(plays, 1e38, 1e-38)
    with pytest.raises(InputError, match="finite"):
        sides_on_disk(plays, 1e38, 1e-38, folder=tmp_path / "sides")
    assert not (tmp_path / "sides").exists()


@pytest.mark.parametrize(
    ("start", "at_once", "edges"),
    [([0, 5, 5, 9, 12], 4, [0, 1, 3, 4]), ([0, 100, 101], 10, [0, 1, 2]), ([0, 3], 1, [0, 1]), ([0, 1, 2], 10, [0, 2])],
)
def test_ranges_hold_about_equally_many_plays_and_every_song_once(monkeypatch, start, at_once, edges):
    monkeypatch.setattr(sides, "PLAYS_AT_ONCE", at_once)
    assert sides.song_ranges(np.array(start)) == edges


def test_the_command_leaves_plays_on_disk_and_nothing_else(deepcuts, tmp_path):
    some_plays().save(tmp_path / "plays")
    words = ("factors", tmp_path / "plays", "--set", "n_factors=4", "--set", "n_sweeps=2", "--sizes", "2,3")
    assert deepcuts(*words, "-o", tmp_path / "here").code == 0
    told = deepcuts(*words, "-o", tmp_path / "there", "--mapped")
    assert told.code == 0, told.err
    for name in ("song_factors.npy", "user_factors.npy"):
        files = [next((tmp_path / folder).rglob(name), None) for folder in ("here", "there")]
        assert files[0] is None or files[0].read_bytes() == files[1].read_bytes()
    assert (tmp_path / "here/meta.json").read_bytes() == (tmp_path / "there/meta.json").read_bytes()
    assert not list(tmp_path.glob(".there.checkpoint*"))


def test_the_command_cannot_leave_out_songs_of_plays_on_disk(deepcuts, tmp_path):
    some_plays().save(tmp_path / "plays")
    words = ("factors", tmp_path / "plays", "-o", tmp_path / "out", "--split", tmp_path / "split", "--mapped")
    told = deepcuts(*words)
    assert told.code == 2
    assert "--mapped and --split" in told.err
