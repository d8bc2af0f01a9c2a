from pathlib import Path

import polars as pl
import pytest

from deepcuts.audio.sources import plan_files
from deepcuts.errors import InputError, SettingError

SUFFIXES = (".mp3", ".flac")


def folder_of(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def pairs(plan):
    return [(one.song_id, one.file) for one in plan.files]


def test_songs_are_named_by_stem_and_sorted(tmp_path):
    folder = folder_of(tmp_path, "z/b.mp3", "a/c.FLAC", "a.b.mp3", "cover.jpg", ".hidden.mp3", ".git/x.mp3")
    assert pairs(plan_files(folder, SUFFIXES)) == [("a.b", "a.b.mp3"), ("b", "z/b.mp3"), ("c", "a/c.FLAC")]


def test_songs_may_be_named_by_path(tmp_path):
    folder = folder_of(tmp_path, "one/01 Intro.mp3", "two/01 Intro.mp3")
    expected = [("one/01 Intro", "one/01 Intro.mp3"), ("two/01 Intro", "two/01 Intro.mp3")]
    assert pairs(plan_files(folder, SUFFIXES, ids="path")) == expected


def test_two_files_for_one_id_are_refused_and_both_named(tmp_path):
    folder = folder_of(tmp_path, "one/01.mp3", "two/01.mp3")
    with pytest.raises(InputError, match=r"one/01.mp3 and two/01.mp3 would both be song '01' .*ids='path'"):
        plan_files(folder, SUFFIXES)
    folder = folder_of(tmp_path / "formats", "a.mp3", "a.flac")
    for ids in ("stem", "path"):
        with pytest.raises(InputError, match=r"a.flac and a.mp3 would both be song 'a'.*Remove one"):
            plan_files(folder, SUFFIXES, ids=ids)


def test_a_table_says_which_files_make_a_song_and_in_what_order(tmp_path):
    folder = folder_of(tmp_path, "a.mp3", "b.mp3", "x/c.flac", "unnamed.mp3")
    table = pl.DataFrame(
        {"song_id": ["S2", "S1", "S1", "S3", "S1"], "file": ["a.mp3", "x/c.flac", "b.mp3", "no.mp3", None]}
    )
    plan = plan_files(folder, SUFFIXES, table)
    assert pairs(plan) == [("S1", "x/c.flac"), ("S1", "b.mp3"), ("S2", "a.mp3")]
    assert plan.missing == ("S3",)
    assert plan.n_ignored == 1


def test_a_table_may_name_tracks_by_stem(tmp_path):
    folder = folder_of(tmp_path, "A/B/TRAB.mp3", "A/C/TRAC.mp3")
    table = pl.DataFrame({"song_id": [7, 8], "track_id": ["TRAC", "TRXX"]})
    plan = plan_files(folder, SUFFIXES, table)
    assert pairs(plan) == [("7", "A/C/TRAC.mp3")]
    assert (plan.missing, plan.n_ignored) == (("8",), 1)


def test_a_track_with_two_files_is_refused_only_when_it_is_wanted(tmp_path):
    folder = folder_of(tmp_path, "a/T1.mp3", "b/T1.mp3", "T2.mp3")
    assert len(plan_files(folder, SUFFIXES, pl.DataFrame({"song_id": ["S"], "track_id": ["T2"]})).files) == 1
    with pytest.raises(InputError, match=r"a/T1.mp3 and b/T1.mp3"):
        plan_files(folder, SUFFIXES, pl.DataFrame({"song_id": ["S"], "track_id": ["T1"]}))


def test_tables_that_fit_nothing_are_refused(tmp_path):
    folder = folder_of(tmp_path, "a.mp3")
    with pytest.raises(InputError, match=r"song_id and file.*Did you mean 'songid'"):
        plan_files(folder, SUFFIXES, pl.DataFrame({"songid": ["S"], "file": ["a.mp3"]}))
    with pytest.raises(InputError, match="none of the 1 files"):
        plan_files(folder, SUFFIXES, pl.DataFrame({"song_id": ["S"], "file": ["b.mp3"]}))


def test_nothing_to_hear_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        plan_files(tmp_path / "nowhere", SUFFIXES)
    with pytest.raises(InputError, match=r"holds no file to hear. Allowed: .mp3, .flac"):
        plan_files(folder_of(tmp_path, "cover.jpg"), SUFFIXES)
    with pytest.raises(InputError, match="the list"):
        plan_files([], SUFFIXES)
    with pytest.raises(SettingError, match="ids = 'name'"):
        plan_files(tmp_path, SUFFIXES, ids="name")


def test_a_list_of_files_is_taken_as_it_is(tmp_path):
    folder = folder_of(tmp_path, "a.mp3", "x/b.wav")
    assert pairs(plan_files([folder / "x/b.wav", folder / "a.mp3"], SUFFIXES)) == [("a", "a.mp3"), ("b", "x/b.wav")]
    assert pairs(plan_files(folder / "a.mp3", SUFFIXES)) == [("a", "a.mp3")]
