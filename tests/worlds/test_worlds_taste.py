"""A made taste profile: the real one's skew and format, no pair twice, and the same bytes after a kill."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from deepcuts.artifacts import Features
from deepcuts.data import MsdSettings, read_msd
from deepcuts.errors import ArtifactError, ResourceError, SettingError
from deepcuts.worlds import taste
from deepcuts.worlds.taste import TasteSettings, draw_counts, draw_truth, make_taste

SMALL = TasteSettings(n_users=2_000, n_songs=2_500, n_plays=95_000, n_styles=24, n_genres=6, n_latents=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("taste") / "made"
    make_taste(SMALL, folder)
    return folder


@pytest.fixture(scope="module")
def rows(folder) -> list[list[str]]:
    return [line.split("\t") for line in (folder / "train_triplets.txt").read_text().splitlines()]


def test_every_line_has_the_real_files_format(folder, rows):
    assert len(rows) == SMALL.n_plays
    assert all(re.fullmatch(r"[0-9a-f]{40}", user) for user in {u for u, _, _ in rows})
    assert all(re.fullmatch(r"SO[A-Z0-9]{16}", song) for song in {s for _, s, _ in rows})
    assert all(re.fullmatch(r"[1-9][0-9]{0,3}", count) for count in {c for _, _, c in rows})
    assert (folder / "train_triplets.txt").read_bytes().endswith(b"\n")
    assert sorted(p.name for p in folder.iterdir()) == ["features", "taste.json", "train_triplets.txt", "truth"]


def test_no_pair_stands_twice_and_a_users_rows_follow_each_other_by_song(rows):
    assert len({(user, song) for user, song, _ in rows}) == len(rows)
    changes = sum(a[0] != b[0] for a, b in pairwise(rows))
    assert changes == SMALL.n_users - 1
    assert all(a[1] < b[1] for a, b in pairwise(rows) if a[0] == b[0])


def test_users_and_songs_are_as_skewed_as_the_real_ones(rows):
    of_user = np.array(list(Counter(user for user, _, _ in rows).values()))
    of_song = np.array(list(Counter(song for _, song, _ in rows).values()))
    assert len(of_user) == SMALL.n_users
    assert len(of_song) == SMALL.n_songs  # every song has a listener
    assert of_user.min() == SMALL.fewest_songs
    assert np.median(of_user) == pytest.approx(SMALL.median_songs, abs=2)
    assert of_user.max() > 10 * np.median(of_user)
    assert of_song.mean() > 2 * np.median(of_song)
    assert np.sort(of_song)[-len(of_song) // 10 :].sum() > 0.4 * of_song.sum()


def test_counts_are_mostly_one_with_a_long_tail(rows):
    counts = np.array([int(count) for _, _, count in rows])
    assert (counts == 1).mean() == pytest.approx(0.6, abs=0.01)
    assert 2.5 < counts.mean() < 3.4  # the real mean is 2.9
    assert 0.03 < (counts >= 10).mean() < 0.05
    assert counts.max() > 100


def test_the_law_of_the_counts_is_worked_by_hand():
    # once = 1/2 and shape 1 give s = 1, so P(count > k) = 1 / (1 + k).
    counts = draw_counts(200_000, replace(SMALL, once=0.5, count_shape=1.0), np.random.default_rng(0))
    for k in (1, 2, 4, 9):
        assert (counts > k).mean() == pytest.approx(1 / (1 + k), abs=0.005)


def test_our_reader_reads_it_back_exactly(folder, rows):
    plays = read_msd(folder, MsdSettings()).plays
    row, column = plays.counts.tocoo().coords
    users, songs = plays.users.ids.to_list(), plays.songs.ids.to_list()
    read = {(users[u], songs[s], c) for u, s, c in zip(row, column, plays.counts.data.astype(int), strict=True)}
    assert read == {(u, s, int(c)) for u, s, c in rows}


def test_content_tells_styles_and_the_songs_have_the_triplets_ids(folder, rows):
    features, truth = Features.load(folder / "features"), draw_truth(SMALL)
    assert features.one_frame
    assert set(features.songs.ids) == {song for _, song, _ in rows}
    centres = np.stack([truth.latents[truth.style == k].mean(axis=0) for k in range(SMALL.n_styles)])
    distance = ((features.frames[:, None] - centres[None]) ** 2).sum(axis=2)
    hits = (distance.argmin(axis=1) == truth.style).mean()
    assert 3 / SMALL.n_styles < hits < 0.9  # above chance, and blurred


def test_users_keep_to_their_styles(rows):
    truth = draw_truth(SMALL)
    user = truth.users.find([u for u, _, _ in rows])
    style = truth.style[truth.songs.find([s for _, s, _ in rows])]
    at_home = (truth.tastes[user] == style[:, None]).any(axis=1).mean()
    assert at_home > 0.5  # four styles of 24 would be a sixth


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    again, other = make_taste(SMALL, tmp_path / "a"), make_taste(replace(SMALL, seed=1), tmp_path / "b")
    assert again.read_bytes() == (folder / "train_triplets.txt").read_bytes()
    assert other.read_bytes() != again.read_bytes()
    for name in ("features/frames.npy", "features/meta.json", "truth/meta.json"):
        assert (tmp_path / "a" / name).read_bytes() == (folder / name).read_bytes()


def test_a_killed_run_goes_on_after_the_last_whole_part_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(taste, "USERS_AT_ONCE", 100)
    whole = make_taste(SMALL, tmp_path / "whole").read_bytes()
    script = f"""
import time
from deepcuts.worlds import taste
taste.USERS_AT_ONCE = 100
part_text = taste.part_text
def slowly(truth, part):
    if part == 7:
        time.sleep(60)
    return part_text(truth, part)
taste.part_text = slowly
taste.make_taste(taste.{SMALL!r}, {str(tmp_path / "killed")!r})
"""
    child = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "OMP_NUM_THREADS": "1"})
    note, partial = tmp_path / "killed" / taste.WRITTEN, tmp_path / "killed" / taste.PARTIAL
    while '"parts": 7' not in (note.read_text() if note.exists() else "") and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "train_triplets.txt").exists()
    with partial.open("ab") as file:
        file.write(b"half a li")  # what a part cut short leaves
    parts, draw_plays = [], taste.draw_plays
    monkeypatch.setattr(taste, "draw_plays", lambda truth, part: parts.append(part) or draw_plays(truth, part))
    assert make_taste(SMALL, tmp_path / "killed").read_bytes() == whole
    assert min(parts) == 7
    parts.clear()
    assert make_taste(SMALL, tmp_path / "killed").read_bytes() == whole  # a whole one is left alone
    assert not parts


def test_two_profiles_do_not_mix_and_other_folders_are_left_alone(folder, tmp_path):
    with pytest.raises(ArtifactError, match="other settings"):
        make_taste(replace(SMALL, seed=3), folder)
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ArtifactError, match="not a made taste profile"):
        make_taste(SMALL, tmp_path)


def test_a_disk_without_room_is_refused_before_anything_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(taste, "free_bytes", lambda folder: 1_000)
    with pytest.raises(ResourceError, match="more are needed"):
        make_taste(SMALL, tmp_path / "full")


@pytest.mark.parametrize(
    "wrong",
    [{"n_users": 0}, {"n_songs": 39}, {"n_songs": 10_001}, {"n_plays": 50_000}, {"n_plays": 10**8},
     {"median_songs": 10}, {"n_genres": 30}, {"stray": 0.9}, {"style_share": -0.1}, {"once": 1.0}, {"seed": -1},
     {"count_shape": 0.1}, {"noise": -1.0}, {"n_latents": 0}, {"popularity_sigma": 6.0}],
)  # fmt: skip
def test_dials_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        replace(SMALL, **wrong)


def test_the_smallest_profile_that_is_allowed_is_made(tmp_path):
    tiny = TasteSettings(n_users=20, n_songs=28, n_plays=140, fewest_songs=5, median_songs=6, n_styles=28, n_genres=7)
    lines = make_taste(tiny, tmp_path / "t").read_text().splitlines()
    assert len({tuple(line.split("\t")[:2]) for line in lines}) == 140
    assert len({line.split("\t")[1] for line in lines}) == 28
