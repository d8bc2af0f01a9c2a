from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from deepcuts import store
from deepcuts.artifacts import (
    TEST,
    TRAIN,
    UNKNOWN,
    VALIDATION,
    Factors,
    Features,
    Lineage,
    Plays,
    Ranking,
    SongFactors,
    Split,
    Tags,
    Vocabulary,
    derive,
)
from deepcuts.artifacts.songs import song_asked_for
from deepcuts.errors import ArtifactError, InputError

ROWS = [("bo", "s2", 3), ("al", "s1", 1), ("bo", "s2", 2), ("al", "s3", 4), ("cy", "s1", 1)]


def plays(**more: object) -> Plays:
    users, songs, counts = zip(*ROWS, strict=True)
    return Plays.from_pairs(users, songs, counts, **more)  # type: ignore[arg-type]


def test_pairs_are_summed_and_put_in_the_order_of_their_ids() -> None:
    got = plays(first_played=np.array([50, 10, 40, 30, 20]))
    assert got.users.ids.to_list() == ["al", "bo", "cy"]
    assert got.counts.toarray().tolist() == [[1, 0, 4], [0, 5, 0], [1, 0, 0]]
    assert got.first_played is not None
    assert got.first_played.tolist() == [10, 30, 40, 20]


@given(st.permutations(range(len(ROWS))))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    users, songs, counts = zip(*[ROWS[i] for i in order], strict=True)
    assert Plays.from_pairs(users, songs, counts).fingerprint == plays().fingerprint


def test_plays_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    table = pl.DataFrame({"song_id": ["s3", "s1", "s2", "s9"], "artist": ["C", "A", "B", "Z"]})
    before = plays(first_played=np.array([50, 10, 40, 30, 20]), songs_table=table, settings={"reader": "table"})
    before.save(tmp_path / "p")
    after = Plays.load(tmp_path / "p")
    assert after.fingerprint == before.fingerprint
    assert after.songs_table.rows() == [("s1", "A"), ("s2", "B"), ("s3", "C")]
    assert after.settings == {"reader": "table"}
    assert after.first_played is not None
    assert before.first_played is not None
    assert (after.first_played == before.first_played).all()


def test_taking_songs_keeps_users_and_times() -> None:
    got = plays(first_played=np.array([50, 10, 40, 30, 20])).take_songs(np.array([2, 0]))
    assert got.counts.toarray().tolist() == [[4, 1], [0, 0], [0, 1]]
    assert got.first_played is not None
    assert got.first_played[got.counts.indptr[0] : got.counts.indptr[1]].tolist() == [
        {0: 30, 1: 10}[int(s)] for s in got.counts.indices[:2]
    ]


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_count_that_is_not_positive_is_refused(bad: float) -> None:
    counts = sparse.csr_array(([1.0, bad], ([0, 1], [0, 1])), shape=(2, 2), dtype=np.float32)
    users, songs = Vocabulary(["a", "b"], "user"), Vocabulary(["x", "y"])
    with pytest.raises(InputError, match=r"plays\['b', 'y'\].*positive finite"):
        Plays(users, songs, counts, pl.DataFrame({"song_id": ["x", "y"]}))


def test_a_transposed_matrix_is_refused() -> None:
    users, songs = Vocabulary(["a"], "user"), Vocabulary(["x", "y"])
    with pytest.raises(InputError, match=r"plays has shape \[2, 1\], expected \[1, 2\]. It looks transposed"):
        Plays(users, songs, sparse.csr_array(np.ones((2, 1))), pl.DataFrame({"song_id": ["x", "y"]}))


def test_no_plays_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="contains no plays"):
        Plays.from_pairs([], [], [])


def test_unknown_ids_are_named_with_a_near_miss() -> None:
    names = Vocabulary(["radiohead", "portishead"], "song")
    assert names.find(["portishead", "blur"]).tolist() == [1, -1]
    with pytest.raises(InputError, match=r"top: unknown song id 'radiohaed' \(1 of 2 .*Did you mean 'radiohead'"):
        names.positions(["portishead", "radiohaed"], where="top")


def test_ids_must_be_unique_and_present() -> None:
    with pytest.raises(InputError, match="appears more than once"):
        Vocabulary(["a", "a"])
    with pytest.raises(InputError, match="user id is empty"):
        Vocabulary(["a", ""], "user")


def test_ids_are_texts_even_when_they_look_like_numbers() -> None:
    assert Vocabulary(["007", "7"]).find(["7", "007"]).tolist() == [1, 0]


def a_split() -> Split:
    return Split(plays().songs, np.array([TRAIN, TEST, VALIDATION], dtype=np.int8), np.arange(3))


def test_learning_plays_hold_no_test_song(tmp_path: Path) -> None:
    a_split().save(tmp_path / "s")
    learned = Split.load(tmp_path / "s").learning_plays(plays())
    assert learned.songs.ids.to_list() == ["s1", "s3"]
    assert learned.n_plays == 3


def test_a_time_split_hides_later_plays_of_old_songs_too() -> None:
    timed = plays(first_played=np.array([50, 10, 40, 30, 20]))
    split = Split(timed.songs, np.array([TRAIN, TEST, TRAIN], dtype=np.int8), np.arange(3), {"cutoff": 25})
    assert split.learning_plays(timed).counts.toarray().tolist() == [[1, 0], [0, 0], [1, 0]]


def test_the_inner_split_tests_on_validation_songs() -> None:
    inner, inner_plays = a_split().inner(plays())
    assert inner.test_songs.ids.to_list() == ["s3"]
    assert inner_plays.songs.ids.to_list() == ["s1", "s3"]


def test_settings_of_a_time_split_are_chosen_without_a_look_ahead() -> None:
    timed = plays(first_played=np.array([50, 10, 40, 30, 20]))
    roles = np.array([TRAIN, TEST, VALIDATION], dtype=np.int8)
    split = Split(timed.songs, roles, np.arange(3), {"cutoff": 40, "validation_cutoff": 15})
    inner, inner_plays = split.inner(timed)
    assert inner.learning_plays(inner_plays).counts.toarray().tolist() == [[1], [0], [0]]


def test_a_split_of_other_plays_is_refused() -> None:
    with pytest.raises(InputError, match="Split these plays again"):
        a_split().learning_plays(plays().take_songs(np.array([0, 1])))


def test_an_edited_split_is_noticed(tmp_path: Path) -> None:
    a_split().save(tmp_path / "s")
    other = Split(plays().songs, np.array([TRAIN, TRAIN, TEST], dtype=np.int8), np.arange(3))
    other.save(tmp_path / "o")
    (tmp_path / "s" / "split.parquet").write_bytes((tmp_path / "o" / "split.parquet").read_bytes())
    with pytest.raises(ArtifactError, match=r"Half-written|do not match the hash"):
        Split.load(tmp_path / "s")


def test_factors_come_back_as_they_were_saved(tmp_path: Path) -> None:
    users, songs = plays().users, plays().songs
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3, 4)).astype(np.float32)
    lineage = Lineage("a fit", songs, "clean")
    whole = Factors.of(users, rows, songs, rows + 1, lineage, n_listeners=np.array([2, 1, 1]))
    whole.save(tmp_path / "w")
    got = Factors.load(tmp_path / "w")
    assert got.fingerprint == whole.fingerprint
    assert got.lineage.learned_from == songs
    SongFactors(songs, rows).save(tmp_path / "p")
    assert SongFactors.load(tmp_path / "p").songs == songs


def test_factors_that_are_not_numbers_are_refused() -> None:
    rows = np.array([[1.0, np.nan]], dtype=np.float32)
    with pytest.raises(InputError, match=r"song factors\[0, 1\] = nan: 1 of 2 values are not finite"):
        SongFactors(Vocabulary(["s"]), rows)


def test_features_are_mapped_song_by_song(tmp_path: Path) -> None:
    frames = np.arange(10, dtype=np.float16).reshape(5, 2)
    Features(Vocabulary(["a", "b"]), frames, np.array([0, 2, 5]), "logmel", {"rate": 22050}).save(tmp_path / "f")
    got = Features.load(tmp_path / "f")
    assert isinstance(got.frames, np.memmap)
    assert got[1].tolist() == frames[2:].tolist()
    assert (got.kind, got.settings, got.lengths.tolist()) == ("logmel", {"rate": 22050}, [2, 3])


def test_tags_come_back_from_disk(tmp_path: Path) -> None:
    weights = sparse.csr_array(np.array([[1, 0], [0, 2.0]], dtype=np.float32))
    Tags(Vocabulary(["a", "b"]), Vocabulary(["rock", "jazz"], "tag"), weights).save(tmp_path / "t")
    assert (Tags.load(tmp_path / "t").weights.toarray() == weights.toarray()).all()


def test_a_ranking_is_a_tidy_table(tmp_path: Path) -> None:
    song = np.array([[1, 0], [0, -1]], dtype=np.int32)
    scores = np.array([[2.0, 1.0], [5.0, 0.0]], dtype=np.float32)
    ranking = Ranking(Vocabulary(["u", "v"], "user"), Vocabulary(["a", "b"]), song, scores)
    assert ranking.table().rows() == [("u", "b", 2.0, 1), ("u", "a", 1.0, 2), ("v", "a", 5.0, 1)]
    ranking.save(tmp_path / "r")
    assert pl.read_parquet(tmp_path / "r" / "ranking.parquet").rows() == ranking.table().rows()


def test_plays_that_point_outside_are_refused_before_any_loop_sees_them(tmp_path: Path) -> None:
    for name, at, value in (("song", 0, 99), ("song", 1, -1), ("user_start", 1, 10**9), ("user_start", -1, 2)):
        folder = tmp_path / f"{name}{at}"
        plays().save(folder)
        array = np.load(folder / f"{name}.npy")
        array[at] = value
        np.save(folder / f"{name}.npy", array)
        store.write_meta(folder, store.read_meta(folder, verify=False))
        with pytest.raises(ArtifactError, match=f"{name}.npy"):
            Plays.load(folder)


def test_starts_of_features_must_ascend_and_middle_frames_count_in_the_fingerprint() -> None:
    songs, frames = Vocabulary(["a", "b"]), np.arange(18, dtype=np.float32).reshape(9, 2)
    with pytest.raises(InputError, match="starts must ascend"):
        Features(songs, frames[:5], np.array([0, 9, 5]), "logmel")
    one = Features(songs, frames, np.array([0, 9, 9]), "logmel")
    changed = frames.copy()
    changed[4] += 1
    assert one.fingerprint != Features(songs, changed, np.array([0, 9, 9]), "logmel").fingerprint


def test_weights_of_tags_count_in_the_fingerprint() -> None:
    songs, tags = Vocabulary(["a"]), Vocabulary(["rock"], "tag")
    one, two = (Tags(songs, tags, sparse.csr_array(np.array([[w]], np.float32))) for w in (1.0, 2.0))
    assert one.fingerprint != two.fingerprint


def test_lineages_add_up_and_what_is_unknown_stays_unknown() -> None:
    one = Lineage("fit", Vocabulary(["a"]), "clean", ("Last.fm tags",))
    two = Lineage("fit", Vocabulary(["b"]), "joint")
    both = derive(one, two, Lineage(), first="x")
    assert (both.space, both.protocol, both.pretrained_on) == ("fit", "joint", ("Last.fm tags",))
    assert both.parents == {"first": "x"}
    assert both.learned_from is not None
    assert both.learned_from.ids.to_list() == ["a", "b"]
    silent = derive(one, UNKNOWN)
    assert (silent.space, silent.learned_from, silent.protocol) == (None, None, None)
    with pytest.raises(InputError, match="different factorisations"):
        derive(one, Lineage("other", Vocabulary([]), "clean"))


def test_ids_asked_for_again_and_again_are_found_as_in_a_join() -> None:
    """A server asks for one id at a time: from the third time on a dictionary answers, with the same positions."""
    songs = Vocabulary(["b", "é", "a"])
    for _ in range(5):
        assert songs.find(["a", "e\u0301", "nobody", ""]).tolist() == [2, 1, -1, -1]
        assert songs.find(()).tolist() == []
        with pytest.raises(InputError, match="unknown song id 'nobody'"):
            songs.positions(["b", "nobody"])


LIBRARY = pl.DataFrame(
    {
        "song_id": ["Ann/First/01 Song", "Ann/First/02 Two", "Bob/Two", "b4"],
        "title": ["Song", "Two", "Two", None],
        "artist": ["Ann", "Ann", "Bob", None],
        "file": ["Ann/First/01 Song.mp3", "Ann/First/02 Two.mp3", "Bob/Two.flac", "loose/noise.wav"],
    }
)


@pytest.mark.parametrize(
    ("text", "song"),
    [
        ("Ann/First/01 Song", "Ann/First/01 Song"),
        ("song", "Ann/First/01 Song"),
        ("Ann - Two", "Ann/First/02 Two"),
        ("bob – two", "Bob/Two"),
        ("Bob/Two.flac", "Bob/Two"),
        ("02 Two.mp3", "Ann/First/02 Two"),
        ("noise", "b4"),
        ("loose/noise", "b4"),
    ],
)
def test_a_song_is_found_by_whatever_a_person_calls_it(text: str, song: str) -> None:
    assert song_asked_for(LIBRARY, text) == song


def test_a_name_of_several_songs_is_asked_about_and_a_misspelt_one_is_mended() -> None:
    with pytest.raises(InputError, match=r"2 songs are called 'Two': 'Ann/First/02 Two', 'Bob/Two'. Name one by its"):
        song_asked_for(LIBRARY, "Two")
    with pytest.raises(InputError, match=r"no song with the id, file, title .* 'Sogn'. Did you mean 'Song'?"):
        song_asked_for(LIBRARY, "Sogn")
    with pytest.raises(InputError, match="Lists print the ids and titles of songs"):
        song_asked_for(LIBRARY, "%%%%%%%%")
