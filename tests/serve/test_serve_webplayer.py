"""A foreign client library as players use it that are web pages: in real Chromium, from another origin."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Without a browser these tests are left out, but never in CI, which installs one.
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium: apt install chromium"
)
LIBRARY = Path(__file__).parents[1] / "helpers" / "subsonic-api"
PLAYER = """
async ({url, password, post}) => {
  const {SubsonicAPI} = await import("/index.js");
  const api = new SubsonicAPI({url, auth: {username: "user0", password}, post});
  const told = {};
  told.ping = (await api.ping()).status;
  told.artists = (await api.getArtists()).artists.index[0].artist.map(one => one.name);
  const song = (await api.search3({query: "song 21"})).searchResult3.song[0];
  told.title = song.title;
  const stream = await api.stream({id: song.id});
  told.stream = [stream.status, (await stream.arrayBuffer()).byteLength === song.size];
  told.alike = (await api.getSimilarSongs2({id: song.id, count: 3})).similarSongs2.song.map(one => one.artist);
  told.sonic = (await api.customJSON("getSonicSimilarTracks", {id: song.id, count: 2})).sonicMatch.length;
  const path = await api.customJSON("findSonicPath", {startSongId: song.id, endSongId: "s/1", count: 4});
  told.path = path.sonicMatch.map(one => one.entry.id);
  told.scrobble = (await api.scrobble({id: song.id, submission: true})).status;
  told.star = (await api.star({id: song.id})).status;
  told.starred = (await api.getStarred2()).starred2.song.map(one => one.id);
  told.lists = (await api.getPlaylists()).playlists.playlist.map(one => one.name);
  const part = await fetch(`${url}/rest/stream?u=user0&p=${password}&id=${encodeURIComponent(song.id)}`,
                           {headers: {Range: "bytes=0-3"}});
  told.range = [part.status, part.headers.get("content-range"), await part.text()];
  return told;
}
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; an empty page for /."""

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>player</title>")

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def player():
    handler = functools.partial(Quiet, directory=str(LIBRARY))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.parametrize("post", [False, True], ids=["by query", "by form"])
def test_a_player_of_another_origin_goes_end_to_end(running, state, player, post):
    password = state.accounts.get("user0").password
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(player)
        told = page.evaluate(PLAYER, {"url": running.url.rstrip("/"), "password": password, "post": post})
        browser.close()
    size = state.model.catalogue.by_id["s/21"].file.stat().st_size
    assert told == {
        "ping": "ok", "artists": ["Band 0", "Band 1", "Band 2"], "title": "Song 21", "stream": [200, True],
        "alike": ["Band 0"] * 3, "sonic": 2, "path": told["path"], "scrobble": "ok", "star": "ok", "starred": ["s/21"],
        "lists": ["For you", "Deep cuts", "New this week"], "range": [206, f"bytes 0-3/{size}", "fLaC"],
    }  # fmt: skip
    assert (told["path"][0], told["path"][-1]) == ("s/21", "s/1")
    assert state.listeners["user0"].plays["s/21"] == 1.0
