"""A fit that was killed goes on where it stopped, and ends as if nothing had happened."""

import logging

import numpy as np
import pytest
from scipy import sparse

from deepcuts.artifacts import Plays, Vocabulary
from deepcuts.errors import ArtifactError
from deepcuts.factors import checkpoint, wmf
from deepcuts.factors.wmf import WmfSettings

SETTINGS = WmfSettings(n_factors=5, n_sweeps=6, regularization=0.1)


def some_plays(seed: int = 0) -> Plays:
    counts = sparse.random_array((40, 25), density=0.2, rng=np.random.default_rng(seed), dtype=np.float32).tocsr()
    songs = Vocabulary([f"s{i}" for i in range(25)], "song")
    return Plays(Vocabulary([f"u{i}" for i in range(40)], "user"), songs, counts, songs.ids.to_frame())


class KilledError(Exception):
    """The process is gone."""


def killed_after(half_sweeps: int, monkeypatch):
    """Let the kernel run so many half-sweeps and then die."""
    left, solve = [half_sweeps], wmf.als.solve_rows

    def dying(*args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise KilledError
        return solve(*args, **kwargs)

    monkeypatch.setattr(wmf.als, "solve_rows", dying)


def told(done: wmf.WmfFit) -> list:
    return [(h["sweep"], h["half"], h["objective"]) for h in done.history]


@pytest.mark.parametrize("half_sweeps", [1, 4, 7])
def test_a_killed_run_ends_with_the_same_bits(tmp_path, monkeypatch, half_sweeps):
    undisturbed = wmf.fit(some_plays(), SETTINGS)
    with monkeypatch.context() as context:
        killed_after(half_sweeps, context)
        with pytest.raises(KilledError):
            wmf.fit(some_plays(), SETTINGS, checkpoint=tmp_path / "aside")
    resumed = wmf.fit(some_plays(), SETTINGS, checkpoint=tmp_path / "aside")
    assert resumed.factors.fingerprint == undisturbed.factors.fingerprint
    assert told(resumed) == told(undisturbed)


def test_a_resumed_run_does_not_repeat_what_was_done(tmp_path, monkeypatch):
    wmf.fit(some_plays(), SETTINGS, checkpoint=tmp_path / "aside")
    killed_after(0, monkeypatch)
    wmf.fit(some_plays(), SETTINGS, checkpoint=tmp_path / "aside")


def test_a_finished_fit_can_be_carried_on_for_more_sweeps(tmp_path):
    longer = WmfSettings(n_factors=5, n_sweeps=9, regularization=0.1)
    wmf.fit(some_plays(), SETTINGS, checkpoint=tmp_path / "aside")
    carried_on = wmf.fit(some_plays(), longer, checkpoint=tmp_path / "aside")
    assert carried_on.factors.fingerprint == wmf.fit(some_plays(), longer).factors.fingerprint


@pytest.mark.parametrize(
    ("seed", "settings", "named"),
    [
        (1, SETTINGS, "plays"),
        (0, WmfSettings(n_factors=5, n_sweeps=6, regularization=0.2), "regularization"),
        (0, WmfSettings(n_factors=4, n_sweeps=6, regularization=0.1), "n_factors"),
        (0, WmfSettings(n_factors=5, n_sweeps=2, regularization=0.1), "n_sweeps"),
    ],
)
def test_a_checkpoint_of_another_fit_is_passed_over_and_named(tmp_path, caplog, seed, settings, named):
    wmf.fit(some_plays(), SETTINGS, checkpoint=tmp_path / "aside")
    with caplog.at_level(logging.WARNING):
        again = wmf.fit(some_plays(seed), settings, checkpoint=tmp_path / "aside")
    assert f"other {named}; starting over" in caplog.text
    assert again.factors.fingerprint == wmf.fit(some_plays(seed), settings).factors.fingerprint


def test_writing_takes_no_more_than_its_share_of_the_time(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    pace = checkpoint.Pace()
    assert pace.due()  # the first at once
    with pace:
        clock[0] += 2
    clock[0] += 37  # 2 s of 39 are more than 5 %
    assert not pace.due()
    clock[0] += 1.5
    assert pace.due()


def test_when_writing_is_slow_the_first_and_the_last_sweep_are_laid_aside(tmp_path, monkeypatch):
    sweeps, save = [], wmf.save_checkpoint
    monkeypatch.setattr(checkpoint, "WRITING_SHARE", 1e-9)
    monkeypatch.setattr(wmf, "save_checkpoint", lambda *args: (sweeps.append(len(args[-1]) // 2), save(*args)))
    wmf.fit(some_plays(), SETTINGS, checkpoint=tmp_path / "aside")
    assert sweeps == [1, 6]


def test_a_damaged_checkpoint_is_passed_over(tmp_path, caplog):
    wmf.fit(some_plays(), SETTINGS, checkpoint=tmp_path / "aside")
    (tmp_path / "aside" / "song_factors.npy").write_bytes(b"half")
    with caplog.at_level(logging.WARNING):
        again = wmf.fit(some_plays(), SETTINGS, checkpoint=tmp_path / "aside")
    assert "Half-written" in caplog.text
    assert again.factors.fingerprint == wmf.fit(some_plays(), SETTINGS).factors.fingerprint


def test_a_folder_that_is_no_checkpoint_is_never_written_over(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"meow")
    killed_after(0, monkeypatch)  # refused before any work
    with pytest.raises(ArtifactError, match="not a deepcuts artifact"):
        wmf.fit(some_plays(), SETTINGS, checkpoint=tmp_path / "photos")
