"""OpenSubsonic: every answer fits the published schemas, and a foreign client library goes end to end."""

import hashlib
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from served_model import HOSTILE, N_SONGS
from subsonic_schemas import faults

from deepcuts.artifacts import Bundle
from deepcuts.serve.catalogue import Catalogue
from deepcuts.serve.eventlog import Event, Playlist
from deepcuts.serve.opensubsonic.envelope import to_xml
from deepcuts.serve.opensubsonic.router import ENDPOINTS

NAMESPACE = "{http://subsonic.org/restapi}"


@pytest.fixture
def login(state):
    account = state.accounts.get("user0")
    return {"u": "user0", "p": account.password, "v": "1.16.1", "c": "test", "f": "json"}


@pytest.fixture
def call(client, login):
    def answered(endpoint: str, /, **given):
        return client.get(f"/rest/{endpoint}", params={**login, **given}).json()["subsonic-response"]

    return answered


def music_of(model: Path) -> Path:
    return Path(json.loads((model / "card.json").read_text())["music"])


# ---- logging in ----


def test_the_token_of_the_documentation_is_right():
    assert hashlib.md5(b"sesamec19b2d", usedforsecurity=False).hexdigest() == "26719a1196d2a940705a59634eb18eab"


def test_every_way_to_log_in_works_and_wrong_ones_are_named(client, state):
    account = state.accounts.get("user0")
    token = hashlib.md5(f"{account.password}salt".encode(), usedforsecurity=False).hexdigest()

    def ping(**given):
        content = client.get("/rest/ping.view", params={"f": "json", **given}).json()["subsonic-response"]
        return content["status"] if content["status"] == "ok" else content["error"]["code"]

    assert ping(u="user0", p=account.password) == "ok"
    assert ping(u="user0", p="enc:" + account.password.encode().hex()) == "ok"
    assert ping(u="user0", t=token, s="salt") == "ok"
    assert ping(apiKey=account.api_key) == "ok"
    assert ping(u="user0", p="wrong") == 40
    assert ping(u="nobody", p="wrong") == 40
    assert ping(u="user0") == 10
    assert ping() == 10
    assert ping(apiKey=account.api_key, u="user0") == 43
    assert ping(apiKey="wrong") == 44


def test_a_form_is_taken_as_a_query_is(client, login):
    assert client.post("/rest/getLicense.view", data=login).json()["subsonic-response"]["license"]["valid"] is True


def test_extensions_are_told_without_a_login(client):
    content = client.get("/rest/getOpenSubsonicExtensions", params={"f": "json"}).json()["subsonic-response"]
    held = {one["name"] for one in content["openSubsonicExtensions"]}
    assert held == {"apiKeyAuthentication", "formPost", "indexBasedQueue", "playbackReport", "sonicSimilarity"}


# ---- forms ----


def test_xml_has_attributes_for_scalars_and_elements_for_lists():
    text = to_xml({"status": "ok", "list": {"n": 1, "yes": True, "song": [{"id": "<1>"}, {"id": "&"}]}, "none": None})
    root = ElementTree.fromstring(text)
    assert root.attrib["status"] == "ok"
    held = root.find(f"{NAMESPACE}list")
    assert (held.attrib["n"], held.attrib["yes"]) == ("1", "true")
    assert [one.attrib["id"] for one in held] == ["<1>", "&"]


def test_xml_and_json_say_the_same(client, login, call):
    root = ElementTree.fromstring(client.get("/rest/getSong", params={**login, "f": "xml", "id": "s/5"}).text)
    song = root.find(f"{NAMESPACE}song")
    assert song.attrib["title"] == HOSTILE == call("getSong", id="s/5")["song"]["title"]


def test_jsonp_takes_names_of_functions_only(client, login):
    good = client.get("/rest/ping", params={**login, "f": "jsonp", "callback": "a.b"}).text
    assert good.startswith("a.b({")
    bad = client.get("/rest/ping", params={**login, "f": "jsonp", "callback": "alert(1);//"}).text
    assert bad.startswith("{")


def test_letters_that_xml_cannot_hold_do_not_break_it():
    ElementTree.fromstring(to_xml({"name": "a\x00b\x0bc\ud800"}))


# ---- browsing ----


def test_an_empty_search_pages_through_everything(call):
    ids = []
    for offset in range(0, 40, 10):
        page = call("search3", query='""', songCount=10, songOffset=offset, artistCount=0, albumCount=0)
        ids += [one["id"] for one in page["searchResult3"]["song"]]
    assert sorted(ids) == sorted(f"s/{at}" for at in range(N_SONGS))


def test_each_kind_is_found_by_its_own_names(call):
    held = call("search3", query="song 21")["searchResult3"]
    assert ([one["title"] for one in held["song"]], held["album"], held["artist"]) == (["Song 21"], [], [])
    held = call("search3", query="band 2", songCount=0)["searchResult3"]
    assert ([one["name"] for one in held["artist"]], len(held["album"]), held["song"]) == (["Band 2"], 1, [])


def test_albums_are_ordered_by_what_the_listener_did(call):
    albums = {
        one["artist"]: one["id"] for one in call("getAlbumList2", type="alphabeticalByArtist")["albumList2"]["album"]
    }
    assert list(albums) == ["Band 0", "Band 1", "Band 2"]

    def listed(kind):
        return [one["artist"] for one in call("getAlbumList2", type=kind)["albumList2"]["album"]]

    assert listed("frequent") == ["Band 0"]
    assert listed("recent") == listed("highest") == listed("starred") == []
    call("scrobble", id="s/1", time=1_700_000_000_000)
    call("scrobble", id="s/2", time=1_700_000_500_000)
    call("setRating", id=albums["Band 1"], rating=5)
    call("setRating", id="s/2", rating=3)
    call("star", albumId=albums["Band 2"])
    assert listed("recent") == ["Band 2", "Band 1"]
    assert listed("highest") == ["Band 1", "Band 2"]
    assert listed("starred") == ["Band 2"]
    assert sorted(listed("newest")) == ["Band 0", "Band 1", "Band 2"]
    years = call("getAlbumList2", type="byYear", fromYear=2020, toYear=1990)["albumList2"]["album"]
    assert [one["artist"] for one in years] == ["Band 2", "Band 1", "Band 0"]
    assert call("getAlbumList2", type="byMood")["error"]["code"] == 10


def test_a_compilation_lies_under_its_own_artist_and_under_those_of_its_songs(model):
    bundle = Bundle.load(model)
    artists = ["Ann", "Bob; Cy", *bundle.table["artist"].to_list()[2:]]
    albums = ["Hits", "Hits", *bundle.table["album"].to_list()[2:]]
    owners = ["Various Artists"] * 2 + [None] * (len(artists) - 2)
    columns = {"artist": artists, "album": albums, "album_artist": pl.Series(owners, dtype=pl.String)}
    catalogue = Catalogue(
        replace(bundle, table=bundle.table.with_columns(**{k: pl.Series(v) for k, v in columns.items()}))
    )
    ids = {name: one for one, name in catalogue.artist_names.items()}
    hits = catalogue.songs[0].album_id
    assert catalogue.songs[1].album_id == hits
    for name in ("Ann", "Bob", "Cy", "Various Artists"):
        assert catalogue.artists[ids[name]] == [hits]
    assert [song.song_id for song in catalogue.songs_of_artist(ids["Cy"])] == ["s/1"]


def test_artists_alike_are_told_as_those_of_the_catalogue(call):
    song = call("getSong", id="s/0")["song"]
    names = [
        one["name"] for one in call("getArtistInfo2", id=song["artistId"], count=5)["artistInfo2"]["similarArtist"]
    ]
    assert sorted(names) == ["Band 1", "Band 2"]


def test_artists_albums_and_songs_lead_to_each_other(call):
    letters = call("getArtists")["artists"]["index"]
    assert [one["name"] for one in letters] == ["B"]
    artist = call("getArtist", id=letters[0]["artist"][0]["id"])["artist"]
    album = call("getAlbum", id=artist["album"][0]["id"])["album"]
    assert album["songCount"] == len(album["song"]) == 8
    song = call("getSong", id=album["song"][0]["id"])["song"]
    assert song["artistId"] == artist["id"]
    assert song["albumId"] == album["id"]


# ---- sonic similarity ----


def test_similar_tracks_come_most_alike_first_with_similarities(call):
    matches = call("getSonicSimilarTracks", id="s/0", count=5)["sonicMatch"]
    values = [one["similarity"] for one in matches]
    assert values == sorted(values, reverse=True)
    assert all(0 <= one <= 1 for one in values)
    assert {one["entry"]["artist"] for one in matches} == {"Band 0"}


def test_a_path_starts_and_ends_with_the_songs_asked_for(call):
    matches = call("findSonicPath", startSongId="s/0", endSongId="s/1", count=6)["sonicMatch"]
    assert (matches[0]["entry"]["id"], matches[-1]["entry"]["id"], len(matches)) == ("s/0", "s/1", 6)
    assert matches[0]["similarity"] == pytest.approx(1, abs=1e-3)


def test_songs_albums_and_artists_have_similar_songs(call):
    song = call("getSong", id="s/0")["song"]
    for one in (song["id"], song["albumId"], song["artistId"]):
        assert call("getSimilarSongs2", id=one, count=5)["similarSongs2"]["song"]


# ---- feedback ----


def test_scrobbles_stars_and_ratings_change_what_is_made_for_a_listener(call, state):
    before = call("getPlaylist", id="made-for-you")["playlist"]["entry"]
    best = before[0]["id"]
    assert call("scrobble", id=best, time=1_700_000_000_000)["status"] == "ok"
    assert call("scrobble", id=best, time=1_700_000_000_000)["status"] == "ok"  # sent again after a lost answer
    after = call("getPlaylist", id="made-for-you")["playlist"]["entry"]
    assert best not in {one["id"] for one in after}
    song = call("getSong", id=best)["song"]
    assert song["playCount"] == 1
    assert song["played"] == "2023-11-14T22:13:20.000Z"
    call("star", id="s/1")
    call("setRating", id="s/2", rating=1)
    assert [one["id"] for one in call("getStarred2")["starred2"]["song"]] == ["s/1"]
    assert state.history("user0")["s/2"] < 0
    call("unstar", id="s/1")
    assert "song" not in call("getStarred2")["starred2"] or not call("getStarred2")["starred2"]["song"]


def test_several_scrobbles_come_in_one_call_and_now_playing_is_no_play(client, login, call, state):
    given = [*login.items(), ("id", "s/1"), ("id", "s/4"), ("time", "1700000000000"), ("time", "1700000300000")]
    client.get("/rest/scrobble", params=given)
    call("scrobble", id="s/7", submission="False")
    assert state.listeners["user0"].plays == {"s/1": 1.0, "s/4": 1.0}
    assert call("getNowPlaying")["nowPlaying"]["entry"][0]["id"] == "s/7"


def test_a_song_stopped_early_is_a_skip_and_one_half_heard_a_play(call, state):
    for song_id, at, ignored in (("s/1", 500, "false"), ("s/4", 2500, "false"), ("s/7", 2500, "true")):
        call("reportPlayback", mediaId=song_id, mediaType="song", state="starting", positionMs=0)
        assert call("getNowPlaying")["nowPlaying"]["entry"][0]["id"] == song_id
        given = {"mediaId": song_id, "mediaType": "song", "positionMs": at, "ignoreScrobble": ignored}
        call("reportPlayback", **given, state="stopped")
        assert call("getNowPlaying")["nowPlaying"]["entry"] == []
    assert [(event.song_id, event.kind) for _, event in state.log.events()] == [("s/1", "skip"), ("s/4", "play")]
    assert call("reportPlayback", mediaId="s/1", state="ended", positionMs=0)["error"]["code"] == 10


def test_a_song_skipped_twice_and_never_played_is_disliked(call, state):
    stopped = {"mediaId": "s/1", "mediaType": "song", "state": "stopped", "positionMs": 100}
    call("reportPlayback", **stopped)
    state.take([Event("user0", "s/1", "skip"), Event("user0", "s/2", "skip")])
    history = state.history("user0")
    assert history["s/1"] == -1
    assert "s/2" not in history
    call("scrobble", id="s/1")
    assert state.history("user0")["s/1"] == 1


def test_a_time_that_cannot_be_is_refused_and_nothing_is_logged(call, state):
    for when in ("x", "nan", "inf", "-5", "1e300"):
        assert call("scrobble", id="s/1", time=when)["error"]["code"] == 10
    assert list(state.log.events()) == []


def test_stars_and_ratings_are_no_plays(call):
    call("star", id="s/1")
    call("setRating", id="s/1", rating=5)
    song = call("getSong", id="s/1")["song"]
    assert (song["playCount"], song["userRating"], "starred" in song) == (0, 5, True)


# ---- playlists ----


def test_playlists_are_kept_changed_and_removed_and_made_ones_are_not(client, login, call):
    given = [*login.items(), ("name", "Mine"), ("songId", "s/1"), ("songId", "s/2")]
    made = client.get("/rest/createPlaylist", params=given).json()["subsonic-response"]["playlist"]
    assert [one["id"] for one in made["entry"]] == ["s/1", "s/2"]
    call("updatePlaylist", playlistId=made["id"], name="New name", songIdToAdd="s/3", songIndexToRemove="0")
    held = call("getPlaylist", id=made["id"])["playlist"]
    assert (held["name"], [one["id"] for one in held["entry"]]) == ("New name", ["s/2", "s/3"])
    names = [one["name"] for one in call("getPlaylists")["playlists"]["playlist"]]
    assert names[:3] == ["For you", "Deep cuts", "New this week"]
    assert "New name" in names
    assert call("deletePlaylist", id="made-for-you")["error"]["code"] == 50
    call("deletePlaylist", id=made["id"])
    assert call("getPlaylist", id=made["id"])["error"]["code"] == 70


def test_places_in_a_playlist_are_those_that_the_player_saw(call, state):
    state.log.save_playlist(Playlist("pl-1", "user0", "Mine", ("gone", "s/1", "s/2")))
    assert [one["id"] for one in call("getPlaylist", id="pl-1")["playlist"]["entry"]] == ["s/1", "s/2"]
    call("updatePlaylist", playlistId="pl-1", songIndexToRemove="0")
    assert state.log.playlist("pl-1").songs == ("gone", "s/2")


def test_songs_added_to_a_playlist_at_once_are_all_kept(call, state):
    state.log.save_playlist(Playlist("pl-1", "user0", "Mine", ()))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda at: call("updatePlaylist", playlistId="pl-1", songIdToAdd=f"s/{at}"), range(12)))
    assert sorted(state.log.playlist("pl-1").songs) == sorted(f"s/{at}" for at in range(12))


def test_another_player_goes_on_with_the_queue(client, login, call):
    queue = [*login.items(), ("id", "s/1"), ("id", "s/2"), ("id", "s/1"), ("position", "1500")]
    client.get("/rest/savePlayQueue", params=[*queue, ("current", "s/2")])
    held = call("getPlayQueue")["playQueue"]
    assert ([one["id"] for one in held["entry"]], held["current"], held["position"]) == (
        ["s/1", "s/2", "s/1"],
        "s/2",
        1500,
    )
    assert held["changedBy"] == "test"
    client.get("/rest/savePlayQueueByIndex", params=[*queue, ("currentIndex", "2")])
    assert call("getPlayQueueByIndex")["playQueueByIndex"]["currentIndex"] == 2
    assert call("savePlayQueue", id="s/1", current="s/2")["error"]["code"] == 10
    assert call("savePlayQueueByIndex", id="s/1", currentIndex=1)["error"]["code"] == 10
    call("savePlayQueue")
    assert call("getPlayQueue")["playQueue"]["entry"] == []


def test_new_songs_are_those_whose_files_came_this_week(call, state):
    held = {one["id"] for one in call("getPlaylist", id="made-new-this-week")["playlist"]["entry"]}
    played = set(state.history("user0"))
    assert held == {f"s/{at}" for at in range(N_SONGS)} - played
    catalogue = state.model.catalogue
    catalogue.arrived[:] = [0.0] * N_SONGS
    state.added["s/23"] = int(time.time())
    state.made.clear()
    assert [one["id"] for one in call("getPlaylist", id="made-new-this-week")["playlist"]["entry"]] == ["s/23"]
    del catalogue.arrived


def test_deep_cuts_hold_only_songs_that_nobody_played(call):
    entries = call("getPlaylist", id="made-deep-cuts")["playlist"]["entry"]
    assert {one["id"] for one in entries} == {f"s/{at}" for at in range(N_SONGS - 4, N_SONGS)}


# ---- sound and pictures ----


def test_streams_have_ranges_and_count_no_play(client, login, state):
    whole = client.get("/rest/stream", params={**login, "id": "s/0"})
    part = client.get("/rest/stream", params={**login, "id": "s/0"}, headers={"Range": "bytes=0-3"})
    assert (whole.status_code, part.status_code, part.content) == (200, 206, b"fLaC")
    assert client.get("/rest/download", params={**login, "id": "s/0"}).content == whole.content
    assert "user0" not in state.listeners


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "length"),
    [
        ("bytes=0-3", 206, "bytes 0-3/{n}", 4),
        ("bytes=-4", 206, "bytes {last4}-{last}/{n}", 4),
        ("bytes=10-", 206, "bytes 10-{last}/{n}", None),
        ("bytes=99999999-", 416, "bytes */{n}", 0),
        ("items=0-3", 200, None, None),
        ("bytes=5-2", 200, None, None),
        ("bytes=x-y", 200, None, None),
        ("", 200, None, None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_ranges_by_query_and_by_form(client, login, model, asked, status, content_range, length, method):
    content = (music_of(model) / "Band 0/First/00.flac").read_bytes()
    n = len(content)
    given = {"params": {**login, "id": "s/0"}} if method == "GET" else {"data": {**login, "id": "s/0"}}
    answer = client.request(method, "/rest/stream", headers={"Range": asked}, **given)
    assert answer.status_code == status
    if content_range is not None:
        assert answer.headers["content-range"] == content_range.format(n=n, last=n - 1, last4=n - 4)
    if length is not None:
        assert len(answer.content) == length
    if status == 200:
        assert answer.content == content
    assert answer.headers["access-control-allow-origin"] == "*"


def test_only_sound_of_the_catalogue_is_given_out_also_through_links(client, login, model, tmp_path):
    track = music_of(model) / "Band 0/First/00.flac"
    kept, secret, sound = tmp_path / "kept.flac", tmp_path / "secret", tmp_path / "elsewhere.flac"
    secret.write_text("secret")
    track.rename(kept)
    sound.write_bytes(kept.read_bytes())

    def answers():
        return client.get("/rest/stream", params={**login, "id": "s/0"})

    try:
        track.symlink_to(sound)  # a library on another disk
        assert answers().content == sound.read_bytes()
        for target in (secret, tmp_path, tmp_path / "nothing.flac", track):
            track.unlink()
            track.symlink_to(target)
            assert answers().json()["subsonic-response"]["error"]["code"] == 70
        for one in ("../secret", str(secret), "Band 0/First/00.flac", "/etc/passwd"):
            held = client.get("/rest/download", params={**login, "id": one}).json()["subsonic-response"]
            assert held["error"]["code"] == 70
    finally:
        track.unlink(missing_ok=True)
        kept.rename(track)


def test_a_song_table_cannot_lead_out_of_the_music_folder(model):
    bundle = Bundle.load(model)
    files = ["../secret.flac", "/etc/passwd", "a/../../b.flac"]
    table = bundle.table.with_columns(pl.Series("file", files + bundle.table["file"].to_list()[3:]))
    catalogue = Catalogue(replace(bundle, table=table))
    ids = table["song_id"].to_list()
    assert [catalogue.file_of(one) for one in ids[:3]] == [None] * 3
    assert catalogue.file_of(ids[3]) is not None


def test_a_player_that_is_a_web_page_of_another_host_is_let_in(client, login):
    origin = {"Origin": "https://player.example", "Sec-Fetch-Site": "cross-site"}
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "range"}
    before = client.options("/rest/ping", headers=asked)
    assert (before.status_code, before.headers["access-control-allow-origin"]) == (204, "*")
    answer = client.post("/rest/ping", data=login, headers=origin)
    assert (answer.json()["subsonic-response"]["status"], answer.headers["access-control-allow-origin"]) == ("ok", "*")
    assert (
        client.post("/rest/ping", data={**login, "p": "x"}, headers=origin).json()["subsonic-response"]["status"]
        == "failed"
    )


def test_errors_of_binary_endpoints_are_xml_that_says_so(client, login):
    answer = client.get("/rest/stream", params={**login, "f": "xml", "id": "x"})
    assert answer.headers["content-type"].startswith("text/xml")
    assert ElementTree.fromstring(answer.text).find(f"{NAMESPACE}error").attrib["code"] == "70"


def test_a_form_too_large_is_refused_and_not_cut(client, login):
    held = client.post("/rest/ping", data={**login, "x": "y" * (5 << 20)}).text
    assert "larger than 4 MB" in held


def test_cover_art_comes_from_beside_the_file(client, login, model):
    picture = music_of(model) / "Band 0/First/Cover.PNG"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n picture")
    try:
        assert client.get("/rest/getCoverArt", params={**login, "id": "s/0"}).content.startswith(b"\x89PNG")
    finally:
        picture.unlink()
    assert (
        client.get("/rest/getCoverArt", params={**login, "id": "s/0"}).json()["subsonic-response"]["error"]["code"]
        == 70
    )


# ---- published schemas ----


SAMPLES = {
    "getArtist": {"id": "artist"}, "getAlbum": {"id": "album"}, "getMusicDirectory": {"id": "album"},
    "getSong": {"id": "s/0"}, "getSongsByGenre": {"genre": "Low"}, "getAlbumList": {"type": "newest"},
    "getAlbumList2": {"type": "random"}, "search2": {"query": "song"}, "search3": {"query": ""},
    "getTopSongs": {"artist": "Band 0"}, "getSonicSimilarTracks": {"id": "s/0"},
    "findSonicPath": {"startSongId": "s/0", "endSongId": "s/5"}, "getSimilarSongs": {"id": "s/0"},
    "getSimilarSongs2": {"id": "s/0"}, "star": {"id": "s/0"}, "unstar": {"id": "s/0"},
    "setRating": {"id": "s/0", "rating": "4"}, "scrobble": {"id": "s/0"},
    "reportPlayback": {"mediaId": "s/0", "state": "paused"},
    "getPlaylist": {"id": "made-for-you"}, "createPlaylist": {"name": "x", "songId": "s/0"},
    "updatePlaylist": {"playlistId": "playlist"}, "deletePlaylist": {"id": "playlist"},
    "getArtistInfo": {"id": "artist"}, "getArtistInfo2": {"id": "artist"}, "getAlbumInfo": {"id": "album"},
    "getAlbumInfo2": {"id": "album"}, "getLyricsBySongId": {"id": "s/0"},
}  # fmt: skip
BINARY = {"stream", "download", "getCoverArt"}


@pytest.mark.parametrize("name", sorted(set(ENDPOINTS) - BINARY))
def test_every_answer_fits_its_published_schema_and_has_no_other_names(call, name):
    song = call("getSong", id="s/0")["song"]
    call("scrobble", id="s/0", time=1_700_000_000_000)
    call("scrobble", id="s/0", submission="false")
    call("savePlayQueue", id="s/0", current="s/0")
    call("star", id="s/3", albumId=song["albumId"], artistId=song["artistId"])
    own = call("createPlaylist", name="y", songId="s/1")["playlist"]["id"]
    given = {"artist": song["artistId"], "album": song["albumId"], "playlist": own}
    asked = {key: given.get(value, value) for key, value in SAMPLES.get(name, {}).items()}
    if name == "getTopSongs":
        asked = {"artist": "Band 0"}
    held = call(name, **asked)
    assert held["status"] == "ok", held
    assert faults(name, {"subsonic-response": held}) == []


def test_a_wrong_answer_is_noticed():
    answer = {"status": "ok", "version": "1.16.1", "type": "x", "serverVersion": "1", "openSubsonic": True}
    entry = {"id": "1", "title": "x", "isDir": False}
    good = {**answer, "sonicMatch": [{"entry": entry, "similarity": 0.5}]}
    assert faults("getSonicSimilarTracks", {"subsonic-response": good}) == []
    for wrong in (
        answer,
        {**answer, "sonicMatch": [{"entry": entry, "similarity": 2}]},
        {**answer, "sonicMatch": [{"entry": {"id": "1", "title": "x"}, "similarity": 0.5}]},
        {**answer, "sonicMatch": [{"entry": {**entry, "lenght": 3}, "similarity": 0.5}]},
        {**answer, "sonicMatch": [{"entry": {**entry, "duration": "3"}, "similarity": 0.5}]},
    ):
        assert faults("getSonicSimilarTracks", {"subsonic-response": wrong})


# ---- a foreign client, end to end ----


SCRIPT = """
import sys
from libopensonic import Connection
client = Connection("http://127.0.0.1", "user0", sys.argv[1], port=int(sys.argv[2]))
assert client.ping() is True
assert client.get_artists().index[0].artist[0].name.startswith("Band")
song = client.search3("song 21", song_count=5).song[0]
assert song.title == "Song 21", song
assert {one.artist for one in client.get_similar_songs2(song.id, count=3)} == {"Band 0"}
assert client.stream(song.id, byte_range="bytes=0-3").status == 206
assert client.scrobble(song.id) is True
assert client.star(sids=[song.id]) is True
assert any(one.name == "Deep cuts" for one in client.get_playlists())
print("went through")
"""


def test_a_foreign_client_logs_in_browses_streams_scrobbles_and_asks_for_what_sounds_alike(running, state):
    """In a process of its own: the library closes no connection."""
    password = state.accounts.get("user0").password
    words = [sys.executable, "-W", "ignore", "-c", SCRIPT, password, str(running.port)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "went through" in done.stdout, done.stderr
    assert state.listeners["user0"].plays["s/21"] == 1.0


# ---- the facade ----


def test_the_facade_answers_as_plugins_expect(client):
    rows = client.get("/api/similar_tracks", params={"item_id": "s/0", "n": 4}).json()
    assert [set(one) for one in rows] == [{"item_id", "title", "author", "album", "distance"}] * 4
    assert [one["distance"] for one in rows] == sorted(one["distance"] for one in rows)
    assert (
        client.get("/api/similar_tracks", params={"title": "song 3", "artist": "band 0"}).json()[0]["author"]
        == "Band 0"
    )
    path = client.get("/api/find_path", params={"start_song_id": "s/0", "end_song_id": "s/1", "max_steps": 5}).json()
    assert (path["path"][0]["item_id"], path["path"][-1]["item_id"]) == ("s/0", "s/1")
    assert path["total_distance"] > 0
    artists = client.get("/api/similar_artists", params={"artist": "Band 0", "n": 2}).json()
    assert {one["artist"] for one in artists} == {"Band 1", "Band 2"}
    assert artists[0]["component_matches"][0]["artist1_representative_songs"]
    assert client.get("/api/similar_tracks", params={"item_id": "x"}).status_code == 404
    kept = client.post("/api/create_playlist", json={"playlist_name": "Mix", "track_ids": ["s/1"]})
    assert kept.status_code == 201
