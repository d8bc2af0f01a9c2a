"""Beside a media server: its ids, users and plays; lists as files that it imports; plugins that ask the facade."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient
from served_model import N_SONGS

from deepcuts.artifacts import Bundle
from deepcuts.errors import InputError
from deepcuts.serve.app import create_app
from deepcuts.serve.catalogue import Catalogue
from deepcuts.serve.mediaserver import MediaServer, matched_paths, with_ids_of
from deepcuts.serve.state import State

COLUMNS = (
    "id varchar, path varchar, library_id integer, title varchar, album varchar, artist varchar, album_artist varchar, "
    "duration real, mbz_recording_id varchar, tags text, missing bool, artist_id varchar, album_artist_id varchar, "
    "album_id varchar"
)


def navidrome(path: Path, bundle: Bundle) -> Path:
    """A Navidrome that sees the model's music folder as /music: all songs but the last two, ids of its own."""
    rows = bundle.table.head(N_SONGS - 2).to_dicts()
    with sqlite3.connect(path) as db:
        db.executescript(
            f"""
            CREATE TABLE user (id varchar, user_name varchar);
            CREATE TABLE library (id integer, path text);
            CREATE TABLE media_file ({COLUMNS});
            CREATE TABLE annotation (user_id varchar, item_id varchar, item_type varchar, play_count integer,
              play_date datetime, rating integer, starred bool, starred_at datetime);
            CREATE TABLE scrobbles (media_file_id varchar, user_id varchar, submission_time integer);
            INSERT INTO user VALUES ('u0', 'user0'), ('u9', 'zoe');
            INSERT INTO library VALUES (1, '/music');
            INSERT INTO annotation VALUES ('u9', 'nd1', 'media_file', 3, NULL, 0, 1, NULL),
              ('u9', 'nd2', 'media_file', 0, NULL, 1, 0, NULL);
            INSERT INTO scrobbles VALUES ('nd1', 'u9', 1700000000), ('nd1', 'u9', 1700000500),
              ('nd1', 'u9', 1700001000);
            """
        )
        held = [
            (f"nd{at}", row["file"], 1, row["title"], row["album"], row["artist"], None, 4.0, "", "", 0,
             f"ar{at % 3}", f"ar{at % 3}", f"al{at % 3}")
            for at, row in enumerate(rows)
        ]  # fmt: skip
        held[4] = (*held[4][:1], "Elsewhere/x.mp3", *held[4][2:])  # found by its names
        db.executemany(f"INSERT INTO media_file VALUES ({','.join('?' * 14)})", held)
    return path


@pytest.fixture
def server(tmp_path, model):
    return MediaServer.of_navidrome(navidrome(tmp_path / "navidrome.db", Bundle.load(model)))


@pytest.fixture
def beside(model, tmp_path, server):
    held = State(model, data=tmp_path / "data", server=server)
    yield held
    held.close()


def test_songs_get_the_ids_of_the_server_and_others_keep_theirs(model, server):
    bundle = Bundle.load(model)
    own = bundle.table["song_id"].to_list()
    ids = with_ids_of(bundle, server).songs.songs.ids.to_list()
    assert ids[: N_SONGS - 2] == [f"nd{at}" for at in range(N_SONGS - 2)]
    assert ids[N_SONGS - 2 :] == own[N_SONGS - 2 :]


def test_a_model_made_of_the_server_keeps_its_ids(model, server):
    once = with_ids_of(Bundle.load(model), server)
    twice = with_ids_of(once, server)
    assert twice.songs.songs.ids.to_list() == once.songs.songs.ids.to_list()


def test_two_copies_do_not_share_an_id(model, server):
    bundle = Bundle.load(model)
    files = bundle.table["file"].to_list()
    copies = bundle.table.with_columns(pl.Series("file", [files[1], *files[1:]]))
    ids = with_ids_of(replace(bundle, table=copies), server).songs.songs.ids.to_list()
    assert ids[0] == "nd1"
    assert len(set(ids)) == N_SONGS
    assert ids[1] == copies["song_id"][1]


@pytest.mark.parametrize(
    ("own", "theirs", "found"),
    [
        ("A/B/01.mp3", ["/music/A/B/01.mp3"], 0),
        ("A/B/01.mp3", ["/music/B/01.mp3"], None),
        ("A/B/01.mp3", ["/one/A/B/01.mp3", "/two/A/B/01.mp3"], None),
        ("01.mp3", ["/music/01.mp3"], 0),
        ("/home/me/A/B/01.mp3", ["/music/A/B/01.mp3", "/music/C/B/01.mp3"], 0),
        ("/home/me/01.mp3", ["/music/01.mp3"], None),
        ("A/B/01.mp3", ["/music/a/b/01.mp3"], None),
    ],
)
def test_a_path_means_the_path_that_ends_as_it_does(own, theirs, found):
    table = pl.DataFrame({"song_id": ["x"], "file": [own]})
    other = pl.DataFrame({"song_id": list(map(str, range(len(theirs)))), "file": theirs})
    assert matched_paths(table, other) == ({} if found is None else {"x": str(found)})


def test_users_plays_stars_and_ratings_of_the_server_count(beside):
    assert beside.accounts.names == ["user0", "zoe"]
    assert beside.play_counts("zoe") == {"nd1": 3.0}
    assert (set(beside.listeners["zoe"].starred), beside.listeners["zoe"].ratings) == ({"nd1"}, {"nd2": 1})
    assert beside.listeners["zoe"].last["nd1"] == 1_700_001_000
    best = beside.recommend("zoe", 3)
    assert set(best["artist"].to_list()) == {"Band 1"}


def test_plays_that_the_model_was_made_of_are_not_counted_again(model, tmp_path, server):
    known = Bundle.load(model)
    song = int(known.plays.indices[0])
    plays = {("user0", f"nd{song}"): 3.0}
    state = State(model, data=tmp_path / "data", server=replace(server, plays=plays, last={}))
    try:
        assert state.listeners["user0"].plays == {f"nd{song}": 2.0}
        assert state.play_counts("user0")[f"nd{song}"] == 3.0
    finally:
        state.close()


def test_artists_and_albums_have_the_ids_of_the_server(beside):
    catalogue = beside.model.catalogue
    assert {"ar0", "ar1", "ar2"} <= set(catalogue.artists)
    assert catalogue.by_id["nd4"].album_id == "al1"


def test_a_newer_model_gets_the_ids_too(model, tmp_path, server):
    folder = tmp_path / "model"
    Bundle.load(model).save(folder)
    state = State(folder, data=tmp_path / "data", server=server)
    try:
        bundle = Bundle.load(model)
        replace(bundle, songs=replace(bundle.songs, vectors=bundle.songs.vectors * 2)).save(folder)
        assert state.reload()
        assert "nd1" in state.model.catalogue.by_id
    finally:
        state.close()


def test_a_file_that_is_no_database_of_navidrome_is_named(tmp_path):
    for path, said in ((tmp_path / "none.db", "no such file"), (tmp_path / "text.db", "text.db")):
        if said == "text.db":
            path.write_text("not a database")
        with pytest.raises(InputError, match=said):
            MediaServer.of_navidrome(path)


# ---- the calls of published plugins, as they send them ----


@pytest.fixture
def plugin(beside):
    return TestClient(create_app(beside), base_url="http://localhost")


def test_navidromes_plugin_gets_an_instant_mix_under_its_ids(plugin):
    query = "/api/similar_tracks?eliminate_duplicates=true&item_id=nd0&n=5&radius_similarity=true"
    rows = plugin.get(query).json()
    assert [set(one) for one in rows] == [{"item_id", "title", "author", "album", "distance"}] * 5
    assert all(one["item_id"].startswith("nd") for one in rows)
    assert {one["author"] for one in rows} == {"Band 0"}
    assert all(0 <= one["distance"] <= 1 for one in rows)


def test_navidromes_plugin_gets_a_radio_by_the_id_of_an_artist(plugin):
    rows = plugin.get("/api/similar_artists?artist=ar1&include_component_matches=true&n=10").json()
    assert {one["artist_id"] for one in rows} >= {"ar0", "ar2"}
    match = rows[0]["component_matches"][0]
    assert {"item_id", "title"} == set(match["artist1_representative_songs"][0])
    assert match["artist1_representative_songs"][0]["item_id"].startswith("nd")


def test_jellyfins_plugin_asks_by_ids_with_and_without_dashes(model, tmp_path):
    bundle = Bundle.load(model)
    ids = [f"{at:08x}-0000-4000-8000-000000000000" for at in range(N_SONGS)]
    table = bundle.table.with_columns(pl.Series("song_id", ids))
    songs = replace(bundle.songs, songs=type(bundle.songs.songs)(pl.Series(ids)))
    replace(bundle, songs=songs, table=table).save(tmp_path / "model")
    state = State(tmp_path / "model", data=tmp_path / "data")
    try:
        client = TestClient(create_app(state), base_url="http://localhost")
        for asked in (ids[3], ids[3].replace("-", ""), ids[3].upper()):
            assert client.get("/api/similar_tracks", params={"n": 3, "item_id": asked}).status_code == 200
        body = {"playlist_name": "Mix", "track_ids": [ids[3].replace("-", "")], "server_id": "x"}
        assert client.post("/api/create_playlist", json=body).status_code == 201
        assert state.log.playlists("user0")[0].songs == (ids[3],)
    finally:
        state.close()


def test_the_other_routes_of_plugins(plugin):
    assert "Song 13" in [one["title"] for one in plugin.get("/api/search_tracks?title=song%2013&artist=band").json()]
    farthest = plugin.get("/api/max_distance?item_id=nd0").json()
    assert 0.2 < farthest["max_distance"] <= 1
    assert farthest["farthest_item_id"] != "nd0"
    path = plugin.get("/api/find_path?start_song_id=nd0&end_song_id=nd1&max_steps=100000").json()
    assert (path["path"][0]["item_id"], path["path"][-1]["item_id"]) == ("nd0", "nd1")
    for query in ("similar_tracks?item_id=x&n=3", "similar_artists?artist=x", "max_distance?item_id=x"):
        assert plugin.get(f"/api/{query}").status_code == 404
    assert plugin.get("/api/similar_tracks?item_id=nd0&n=0").status_code == 200


# ---- lists as files ----


def test_lists_are_written_where_a_media_server_imports_them(deepcuts, model, tmp_path):
    told = deepcuts("playlists", model, "--to", tmp_path / "lists", "--user", "user0", "--json")
    assert told.code == 0, told.err
    written = {Path(path).name: n for path, n in json.loads(told.out).items()}
    assert set(written) == {"For you.m3u8", "Deep cuts.m3u8", "New this week.m3u8"}
    lines = (tmp_path / "lists/Deep cuts.m3u8").read_text(encoding="utf-8").splitlines()
    files = [line for line in lines if not line.startswith("#")]
    assert len(files) == written["Deep cuts.m3u8"] == 4
    assert all((tmp_path / "lists" / file).is_file() for file in files)
    assert lines[:2] == ["#EXTM3U", "#PLAYLIST:Deep cuts"]


def test_lists_of_several_listeners_bear_their_names_and_of_many_must_be_asked_for(deepcuts, model, tmp_path):
    told = deepcuts("playlists", model, "--to", tmp_path, "--user", "user0", "--user", "user1")
    assert told.code == 0, told.err
    assert (tmp_path / "For you (user1).m3u8").exists()
    assert deepcuts("playlists", model, "--to", tmp_path).code == 2
    assert deepcuts("playlists", model, "--to", tmp_path, "--user", "user999").code == 3


def test_lists_know_what_was_played_on_the_server(deepcuts, model, tmp_path):
    state = State(model, data=tmp_path / "data", users=["user0"])
    client = TestClient(create_app(state), base_url="http://localhost")
    best = state.recommend("user0", 1)["song_id"][0]
    client.post("/api/plays", json={"plays": [{"user_id": "user0", "song_id": best}]})
    state.close()
    name = Catalogue(Bundle.load(model)).by_id[best].file.name
    for data, held in ((tmp_path / "data", False), (tmp_path / "none", True)):
        deepcuts("playlists", model, "--to", tmp_path / "lists", "--user", "user0", "--data", data)
        assert (name in (tmp_path / "lists/For you.m3u8").read_text(encoding="utf-8")) is held
