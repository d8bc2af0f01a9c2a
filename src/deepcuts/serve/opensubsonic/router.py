"""`/rest/NAME` and `/rest/NAME.view`, by GET or as a form: one dict says what is answered."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from deepcuts.errors import DeepcutsError
from deepcuts.serve.opensubsonic import browsing, media, playlists, sonic
from deepcuts.serve.opensubsonic.call import Call, login
from deepcuts.serve.opensubsonic.envelope import GENERIC, WRONG_LOGIN, Refused, answer, refusal
from deepcuts.serve.security import Limits
from deepcuts.serve.state import State

FORM_BYTES = 4 << 20

ENDPOINTS: dict[str, Callable[[Call], Any]] = {
    "ping": browsing.ping,
    "getLicense": browsing.get_license,
    "tokenInfo": browsing.token_info,
    "getUser": browsing.get_user,
    "getMusicFolders": browsing.get_music_folders,
    "getScanStatus": browsing.get_scan_status,
    "startScan": browsing.get_scan_status,
    "getArtists": browsing.get_artists,
    "getIndexes": browsing.get_indexes,
    "getArtist": browsing.get_artist,
    "getAlbum": browsing.get_album,
    "getMusicDirectory": browsing.get_music_directory,
    "getSong": browsing.get_song,
    "getGenres": browsing.get_genres,
    "getSongsByGenre": browsing.get_songs_by_genre,
    "getRandomSongs": browsing.get_random_songs,
    "getAlbumList": browsing.get_album_list,
    "getAlbumList2": browsing.get_album_list2,
    "search2": browsing.search2,
    "search3": browsing.search3,
    "getStarred": browsing.get_starred,
    "getStarred2": browsing.get_starred2,
    "getNowPlaying": browsing.get_now_playing,
    "getTopSongs": browsing.get_top_songs,
    "getPlayQueue": browsing.get_play_queue,
    "savePlayQueue": browsing.empty(),
    "getArtistInfo": browsing.empty(artistInfo={}),
    "getArtistInfo2": browsing.empty(artistInfo2={}),
    "getAlbumInfo": browsing.empty(albumInfo={}),
    "getAlbumInfo2": browsing.empty(albumInfo={}),
    "getLyrics": browsing.empty(lyrics={"value": ""}),
    "getLyricsBySongId": browsing.empty(lyricsList={"structuredLyrics": []}),
    "getInternetRadioStations": browsing.empty(internetRadioStations={"internetRadioStation": []}),
    "getPodcasts": browsing.empty(podcasts={"channel": []}),
    "getNewestPodcasts": browsing.empty(newestPodcasts={"episode": []}),
    "getBookmarks": browsing.empty(bookmarks={"bookmark": []}),
    "getShares": browsing.empty(shares={"share": []}),
    "getVideos": browsing.empty(videos={"video": []}),
    "getSonicSimilarTracks": sonic.get_sonic_similar_tracks,
    "findSonicPath": sonic.find_sonic_path,
    "getSimilarSongs": sonic.get_similar_songs,
    "getSimilarSongs2": sonic.get_similar_songs2,
    "star": sonic.star,
    "unstar": sonic.unstar,
    "setRating": sonic.set_rating,
    "scrobble": sonic.scrobble,
    "reportPlayback": sonic.report_playback,
    "getPlaylists": playlists.get_playlists,
    "getPlaylist": playlists.get_playlist,
    "createPlaylist": playlists.create_playlist,
    "updatePlaylist": playlists.update_playlist,
    "deletePlaylist": playlists.delete_playlist,
    "stream": media.stream,
    "download": media.download,
    "getCoverArt": media.get_cover_art,
}


def make_opensubsonic(state: State, limits: Limits) -> APIRouter:
    """All of `/rest`."""
    rest = APIRouter()

    @rest.api_route("/rest/{name}", methods=["GET", "POST", "HEAD"], include_in_schema=False)
    async def call(name: str, request: Request) -> Response:
        given = await _given(request)
        form = (given.get("f") or ["xml"])[0]
        callback = (given.get("callback") or [""])[0]
        address = request.client.host if request.client else ""
        try:
            held = await run_in_threadpool(_answered, state, limits, name.removesuffix(".view"), given, address)
        except Refused as refused:
            return refusal(refused.code, refused.message, form, callback)
        except DeepcutsError as error:
            return refusal(GENERIC, str(error), form, callback)
        return held if isinstance(held, Response) else answer(held, form, callback)

    return rest


async def _given(request: Request) -> dict[str, list[str]]:
    """Parameters of the query, and of a form."""
    given = parse_qs(request.url.query, keep_blank_values=True)
    kind = request.headers.get("content-type", "")
    if request.method == "POST" and kind.startswith("application/x-www-form-urlencoded"):
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > FORM_BYTES:
                break
        for key, values in parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True).items():
            given.setdefault(key, []).extend(values)
    return given


def _answered(state: State, limits: Limits, name: str, given: Mapping[str, list[str]], address: str) -> Any:
    """What an endpoint says, after the login is checked."""
    if name == "getOpenSubsonicExtensions":
        return {
            "openSubsonicExtensions": [{"name": one, "versions": held} for one, held in browsing.EXTENSIONS.items()]
        }
    if limits.is_locked(address):
        raise Refused(WRONG_LOGIN, "Too many wrong logins. Wait a minute and try again.")
    try:
        account = login(state, given)
    except Refused as refused:
        if refused.code in (40, 44):
            limits.fail(address)
        raise
    if name not in ENDPOINTS:
        raise Refused(GENERIC, f"{name!r} is not offered by this server.")
    return ENDPOINTS[name](Call(state, given, account, state.current()))
