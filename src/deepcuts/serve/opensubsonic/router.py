"""`/rest/NAME` and `/rest/NAME.view`, by GET or as a form: one dict says what is answered."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from deepcuts.errors import DeepcutsError
from deepcuts.serve.opensubsonic import browsing, feedback, media, playlists, queues, search, similar
from deepcuts.serve.opensubsonic.auth import login
from deepcuts.serve.opensubsonic.call import Call
from deepcuts.serve.opensubsonic.envelope import GENERIC, WRONG_LOGIN, Refused, answer, refusal
from deepcuts.serve.security import Limits
from deepcuts.serve.state import State

FORM_BYTES = 4 << 20

ENDPOINTS: dict[str, Callable[[Call], Any]] = {
    "ping": browsing.ping,
    "getLicense": browsing.get_license,
    "tokenInfo": browsing.token_info,
    "getUser": browsing.get_user,
    "getUsers": browsing.get_users,
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
    "search2": search.search2,
    "search3": search.search3,
    "getStarred": browsing.get_starred,
    "getStarred2": browsing.get_starred2,
    "getNowPlaying": browsing.get_now_playing,
    "getTopSongs": browsing.get_top_songs,
    "getPlayQueue": queues.get_play_queue,
    "getPlayQueueByIndex": queues.get_play_queue_by_index,
    "savePlayQueue": queues.save_play_queue,
    "savePlayQueueByIndex": queues.save_play_queue_by_index,
    "getArtistInfo": similar.get_artist_info,
    "getArtistInfo2": similar.get_artist_info2,
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
    "getSonicSimilarTracks": similar.get_sonic_similar_tracks,
    "findSonicPath": similar.find_sonic_path,
    "getSimilarSongs": similar.get_similar_songs,
    "getSimilarSongs2": similar.get_similar_songs2,
    "star": feedback.star,
    "unstar": feedback.unstar,
    "setRating": feedback.set_rating,
    "scrobble": feedback.scrobble,
    "reportPlayback": feedback.report_playback,
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
        return await _response(state, limits, name.removesuffix(".view"), request)

    @rest.options("/rest/{name}", include_in_schema=False)
    def allowed(name: str) -> Response:
        return Response(status_code=204)

    return rest


async def _response(state: State, limits: Limits, name: str, request: Request) -> Response:
    given = parse_qs(request.url.query, keep_blank_values=True)
    address = request.client.host if request.client else ""
    form, callback = "xml", ""
    try:
        given = await _with_form(given, request)
        form, callback = (given.get("f") or ["xml"])[0], (given.get("callback") or [""])[0]
        held = await run_in_threadpool(_answered, state, limits, name, given, address)
    except Refused as refused:
        return refusal(refused.code, refused.message, form, callback)
    except DeepcutsError as error:
        return refusal(GENERIC, str(error), form, callback)
    return held if isinstance(held, Response) else answer(held, form, callback)


async def _with_form(given: dict[str, list[str]], request: Request) -> dict[str, list[str]]:
    """Parameters of the query, and those of a form behind them.

    Raises:
        Refused: the form is too large.
    """
    kind = request.headers.get("content-type", "")
    if request.method != "POST" or not kind.startswith("application/x-www-form-urlencoded"):
        return given
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            raise Refused(GENERIC, f"The form is larger than {FORM_BYTES >> 20} MB. Send it in pieces.")
    form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: [*given.get(name, []), *form.get(name, [])] for name in {**given, **form}}


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
