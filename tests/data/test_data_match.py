"""A song of a history finds its song in the library, and never another one."""

import numpy as np
import polars as pl
import pytest

from deepcuts.artifacts import Plays, Songs
from deepcuts.data.match import MatchSettings, match_songs, matched_plays, may_be_one
from deepcuts.data.normalise import artist_key, ascii_key, title_key
from deepcuts.errors import InputError


def songs(*rows: dict) -> Songs:
    return Songs.of(pl.DataFrame(rows, infer_schema_length=None))


def matched(library: Songs, row: dict, **settings) -> tuple:
    table = match_songs(pl.DataFrame([{"song_id": "h", **row}]), library, MatchSettings(**settings))
    return table["library_id"][0], table["how"][0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Heroes", "\u201cHeroes\u201d"),
        ("Heroes", "HEROES (2017 Remaster)"),
        ("Heroes", "Heroes - 2017 Remaster"),
        ("Heroes", "Heroes - Remastered 2017"),
        ("Heroes", "Heroes [Remastered]"),
        ("Heroes", "Heroes (Remastered Version)"),
        ("Heroes", "Heroes - Mono"),
        ("Heroes", "Heroes (Stereo Mix)"),
        ("Love", "Love (feat. Somebody)"),
        ("Love", "Love ft. Somebody & Another"),
        ("Love", "Love [featuring X]"),
        ("Don't Stop", "Don’t Stop"),
        ("Rock & Roll", "Rock and Roll"),
        ("Caf\u00e9", "Cafe\u0301"),
        ("T.N.T.", "T N T"),
        ("A-Punk", "A–Punk"),
        ("Song (Live / Remastered 2011)", "Song (live)"),
    ],
)
def test_two_spellings_of_a_title_share_a_key(one, other):
    assert title_key(one) == title_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Heroes", "Heroes (Live)"),
        ("Heroes", "Heroes - Live at the Bowl"),
        ("Heroes", "Heroes (Acoustic)"),
        ("Heroes", "Heroes (Remix)"),
        ("Heroes", "Heroes - Demo"),
        ("Heroes", "Heroes (Radio Edit)"),
        ("Heroes", "Heroes (Instrumental)"),
        ("Part 1", "Part 2"),
        ("???", "!!!"),
        ("Мама", "Папа"),
        ("夜", "朝"),
        ("Live", "Love"),
    ],
)
def test_two_songs_keep_two_keys(one, other):
    assert title_key(one) != title_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("The Beatles", "beatles"), ("Beatles, The", "The Beatles"), ("Simon & Garfunkel", "Simon and Garfunkel"),
     ("Björk", "BJÖRK"), ("A feat. B", "A"), ("AC/DC", "AC-DC"), ("Guns N’ Roses", "Guns N' Roses")],
)  # fmt: skip
def test_two_spellings_of_an_artist_share_a_key(one, other):
    assert artist_key(one) == artist_key(other)


def test_a_name_of_signs_and_a_band_called_the_the_keep_a_key():
    assert artist_key("!!!") == "!!!"
    assert artist_key("The The") == "the"
    assert title_key("( )") == "( )"


def test_accents_and_scripts_meet_in_latin_letters():
    assert ascii_key(artist_key("Sigur Rós")) == "sigur ros"
    assert ascii_key(artist_key("Кино")) == "kino"


def test_exact_ids_come_before_names():
    library = songs(
        {"song_id": "a", "title": "Other", "artist": "Z", "mbid": "MB-1", "isrc": "US-AB1-12-34567"},
        {"song_id": "b", "title": "Song", "artist": "X", "file": "X/Song.mp3"},
    )
    assert matched(library, {"title": "Song", "artist": "X", "mbid": "mb-1"}) == ("a", "mbid")
    assert matched(library, {"title": "Song", "artist": "X", "isrc": "USAB11234567"}) == ("a", "isrc")
    assert matched(library, {"file": "X/Song.mp3"}) == ("b", "file")
    assert matched(library, {"title": "song", "artist": "x"}) == ("b", "name")


def test_two_songs_of_one_title_by_two_artists_never_merge():
    library = songs(
        {"song_id": "a", "title": "Intro", "artist": "A"}, {"song_id": "b", "title": "Intro", "artist": "B"}
    )
    assert matched(library, {"title": "Intro", "artist": "A"})[0] == "a"
    assert matched(library, {"title": "Intro", "artist": "B"})[0] == "b"
    assert matched(library, {"title": "Intro", "artist": "C"}) == (None, "")
    assert matched(library, {"title": "Intro"}) == (None, "")


def test_a_misspelt_title_is_found_and_another_song_is_not():
    library = songs({"song_id": "a", "title": "Don't Stop Believin'", "artist": "Journey"},
                    {"song_id": "b", "title": "Song One", "artist": "Journey"})  # fmt: skip
    assert matched(library, {"title": "Dont Stop Beleivin", "artist": "Journey"}) == ("a", "fuzzy")
    assert matched(library, {"title": "Song Two", "artist": "Journey"}) == (None, "")
    assert matched(library, {"title": "Dont Stop Beleivin", "artist": "Journey"}, threshold=1.0) == (None, "")


@pytest.mark.parametrize(
    ("one", "other", "right"),
    [("good bye", "goodbye", True), ("part 1", "part 2", False), ("part ii", "part iii", False),
     ("song", "song live", False), ("she loves you", "he loves you", False), ("yesterdy", "yesterday", True)],
)  # fmt: skip
def test_only_letters_may_differ_between_two_spellings(one, other, right):
    assert may_be_one(one, other) is right


def test_duration_then_album_choose_among_songs_of_one_name():
    library = songs(
        {"song_id": "a", "title": "S", "artist": "X", "album": "Studio", "duration": 200.0},
        {"song_id": "b", "title": "S", "artist": "X", "album": "Long", "duration": 400.0},
        {"song_id": "c", "title": "S", "artist": "X", "album": "Best of", "duration": 201.0},
    )
    table = match_songs(
        pl.DataFrame(
            [
                {"song_id": "1", "title": "S", "artist": "X", "duration": 401.0, "album": None},
                {"song_id": "2", "title": "S", "artist": "X", "duration": 200.0, "album": "Best Of"},
                {"song_id": "3", "title": "S", "artist": "X", "duration": None, "album": None},
            ]
        ),
        library,
    )
    assert table["library_id"].to_list() == ["b", "c", "a"]
    assert table["n_candidates"].to_list() == [1, 1, 3]


def test_a_correction_by_hand_wins_and_an_unknown_song_in_it_is_refused():
    library = songs({"song_id": "a", "title": "S", "artist": "X"}, {"song_id": "b", "title": "T", "artist": "X"})
    history = pl.DataFrame([{"song_id": "h", "title": "S", "artist": "X"}])
    assert match_songs(history, library, corrections={"h": "b"})["library_id"].to_list() == ["b"]
    assert match_songs(history, library, corrections={"h": "none"})["library_id"].to_list() == [None]
    with pytest.raises(InputError, match="unknown song id 'zz'"):
        match_songs(history, library, corrections={"h": "zz"})
    with pytest.raises(InputError, match="'k' is not a song of the plays"):
        match_songs(history, library, corrections={"k": "a"})


def test_plays_of_two_spellings_add_up_under_the_library_id_with_all_their_times():
    names = pl.DataFrame({"song_id": ["x – s", "x – s (remaster)", "q – z"], "artist": ["X", "X", "Q"],
                          "title": ["S", "S (Remastered 2011)", "Z"]})  # fmt: skip
    plays = Plays.from_pairs(
        ["ann", "ann", "ann", "bob"], ["x – s", "x – s (remaster)", "x – s", "q – z"], np.ones(4),
        first_played=np.array([1_600_000_030, 1_600_000_010, 1_600_000_020, 1_600_000_000]), songs_table=names,
        keep_times=True,
    )  # fmt: skip
    library = songs({"song_id": "lib", "title": "S", "artist": "x", "file": "x/s.mp3"})
    new = matched_plays(plays, match_songs(plays.songs_table, library), library)
    assert new.songs.ids.to_list() == ["lib", "q – z"]
    assert new.counts.toarray().tolist() == [[3, 0], [0, 1]]
    assert new.events.time.tolist() == [1_600_000_010, 1_600_000_020, 1_600_000_030, 1_600_000_000]
    assert new.songs_table["file"].to_list() == ["x/s.mp3", None]
    assert new.songs_table["title"].to_list() == ["S", "Z"]
