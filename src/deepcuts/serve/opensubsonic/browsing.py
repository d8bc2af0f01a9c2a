"""Browsing by tags, searching, and the answers that clients ask for when they start."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from deepcuts.serve.catalogue import Song
from deepcuts.serve.opensubsonic.call import Call, stamp
from deepcuts.serve.opensubsonic.entries import album, artist, child, index_letter
from deepcuts.serve.opensubsonic.envelope import MISSING, NOT_FOUND, Refused

EXTENSIONS = {"apiKeyAuthentication": [1], "formPost": [1], "sonicSimilarity": [1], "playbackReport": [1]}
ARTICLES = "The A An"
Content = dict[str, Any]


def ping(call: Call) -> Content:
    """Nothing: the login was right."""
    return {}


def get_license(call: Call) -> Content:
    """Free software is always licensed."""
    return {"license": {"valid": True}}


def token_info(call: Call) -> Content:
    """Whose key this is."""
    return {"tokenInfo": {"username": call.user}}


def get_user(call: Call) -> Content:
    """What the listener may do."""
    wanted = call.text("username", call.user)
    if wanted != call.user:
        raise Refused(50, "Only your own account may be asked for.")
    roles = ("settings", "upload", "coverArt", "comment", "podcast", "jukebox", "share", "videoConversion", "admin")
    yes = ("download", "playlist", "stream")
    roles_held = {f"{one}Role": False for one in roles} | {f"{one}Role": True for one in yes}
    return {"user": {"username": call.user, "scrobblingEnabled": True, **roles_held, "folder": [1]}}


def get_music_folders(call: Call) -> Content:
    """One folder: the model's songs."""
    return {"musicFolders": {"musicFolder": [{"id": 1, "name": "Music"}]}}


def get_scan_status(call: Call) -> Content:
    """Nothing is ever scanned: the model is made elsewhere."""
    return {"scanStatus": {"scanning": False, "count": len(call.catalogue.songs)}}


def _indexed(call: Call, shown: Callable[[Call, str], Content]) -> list[Content]:
    letters: dict[str, list[Content]] = {}
    names = sorted(call.catalogue.artists, key=lambda one: call.catalogue.artist_name(one).casefold())
    for artist_id in names:
        letters.setdefault(index_letter(call.catalogue.artist_name(artist_id)), []).append(shown(call, artist_id))
    return [{"name": letter, "artist": held} for letter, held in sorted(letters.items())]


def get_artists(call: Call) -> Content:
    """All artists by letter."""
    return {"artists": {"ignoredArticles": ARTICLES, "index": _indexed(call, artist)}}


def get_indexes(call: Call) -> Content:
    """All artists by letter, in the older form."""

    def shown(call: Call, artist_id: str) -> Content:
        return {"id": artist_id, "name": call.catalogue.artist_name(artist_id)}

    modified = int(call.state.started * 1000)
    return {"indexes": {"ignoredArticles": ARTICLES, "lastModified": modified, "index": _indexed(call, shown)}}


def get_artist(call: Call) -> Content:
    """An artist with albums."""
    artist_id = call.text("id")
    if artist_id not in call.catalogue.artists:
        raise Refused(NOT_FOUND, f"Artist {artist_id!r} not found.")
    albums = [album(call, one) for one in call.catalogue.artists[artist_id]]
    return {"artist": {**artist(call, artist_id), "album": albums}}


def get_album(call: Call) -> Content:
    """An album with songs."""
    album_id = call.text("id")
    if album_id not in call.catalogue.albums:
        raise Refused(NOT_FOUND, f"Album {album_id!r} not found.")
    return {"album": {**album(call, album_id), "song": [child(call, song) for song in call.catalogue.albums[album_id]]}}


def get_music_directory(call: Call) -> Content:
    """An artist or an album as a folder."""
    asked, catalogue = call.text("id"), call.catalogue
    if asked in catalogue.artists:
        held = [album(call, one) for one in catalogue.artists[asked]]
        return {"directory": {"id": asked, "name": catalogue.artist_name(asked), "child": held}}
    if asked in catalogue.albums:
        songs = catalogue.albums[asked]
        inside = [child(call, song) for song in songs]
        return {"directory": {"id": asked, "parent": songs[0].artist_id, "name": songs[0].album, "child": inside}}
    raise Refused(NOT_FOUND, f"Folder {asked!r} not found.")


def get_song(call: Call) -> Content:
    """A song."""
    return {"song": child(call, call.song())}


def get_genres(call: Call) -> Content:
    """All genres."""
    genres = [{"value": name, "songCount": len(songs), "albumCount": len({song.album_id for song in songs})}
              for name, songs in call.catalogue.genres.items()]  # fmt: skip
    return {"genres": {"genre": genres}}


def get_songs_by_genre(call: Call) -> Content:
    """Songs of a genre."""
    songs = call.catalogue.genres.get(call.text("genre"), [])
    begin, n = call.number("offset", 0, high=10**9), call.number("count", 10)
    return {"songsByGenre": {"song": [child(call, song) for song in songs[begin : begin + n]]}}


def get_random_songs(call: Call) -> Content:
    """Songs by chance."""
    songs: Sequence[Song] = call.catalogue.songs
    if genre := call.text("genre", ""):
        songs = call.catalogue.genres.get(genre, [])
    first, last = call.number("fromYear", 0, high=9999), call.number("toYear", 9999, high=9999)
    if (first, last) != (0, 9999):
        songs = [song for song in songs if song.about.get("year") and first <= song.about["year"] <= last]
    chosen = random.sample(list(songs), min(call.number("size", 10), len(songs)))
    return {"randomSongs": {"song": [child(call, song) for song in chosen]}}


def _albums_of(call: Call) -> list[str]:
    """Albums in the order that a client asks for."""
    kind, albums = call.text("type"), call.catalogue.albums
    ids = list(albums)

    def plays(album_id: str) -> int:
        return sum(call.state.plays_of(call.user, song.song_id) for song in albums[album_id])

    def year(album_id: str) -> int:
        return max((song.about.get("year") or 0) for song in albums[album_id])

    listener = call.state.listeners.get(call.user)
    if kind == "random":
        return random.sample(ids, len(ids))
    if kind == "alphabeticalByName":
        return sorted(ids, key=lambda one: albums[one][0].album.casefold())
    if kind == "alphabeticalByArtist":
        return sorted(ids, key=lambda one: (albums[one][0].artist.casefold(), albums[one][0].album.casefold()))
    if kind in ("frequent", "recent", "highest"):
        return [one for one in sorted(ids, key=plays, reverse=True) if plays(one)]
    if kind == "starred":
        return [one for one in ids if listener and one in listener.starred]
    if kind == "byYear":
        first, last = call.number("fromYear", 0, high=9999), call.number("toYear", 9999, high=9999)
        low, high = min(first, last), max(first, last)
        return sorted((one for one in ids if low <= year(one) <= high), key=year, reverse=first > last)
    if kind == "byGenre":
        wanted = {song.album_id for song in call.catalogue.genres.get(call.text("genre"), [])}
        return [one for one in ids if one in wanted]
    if kind == "newest":
        return ids[::-1]
    raise Refused(MISSING, f"Unknown list type {kind!r}.")


def _album_page(call: Call) -> list[Content]:
    begin, n = call.number("offset", 0, high=10**9), call.number("size", 10)
    return [album(call, one) for one in _albums_of(call)[begin : begin + n]]


def get_album_list(call: Call) -> Content:
    """Albums, in the older form."""
    return {"albumList": {"album": _album_page(call)}}


def get_album_list2(call: Call) -> Content:
    """Albums."""
    return {"albumList2": {"album": _album_page(call)}}


def _found(call: Call) -> Content:
    """Artists, albums and songs that hold all words; everything for an empty query: clients sync with it."""
    found = list(call.catalogue.find(call.text("query", "")))
    albums = list(dict.fromkeys(song.album_id for song in found))
    artists = list(dict.fromkeys(song.artist_id for song in found))

    def page(name: str, held: list[Any]) -> list[Any]:
        begin = call.number(f"{name}Offset", 0, high=10**9)
        return held[begin : begin + call.number(f"{name}Count", 20, high=10_000)]

    return {
        "artist": [artist(call, one) for one in page("artist", artists)],
        "album": [album(call, one) for one in page("album", albums)],
        "song": [child(call, one) for one in page("song", found)],
    }


def search2(call: Call) -> Content:
    """Search, in the older form."""
    return {"searchResult2": _found(call)}


def search3(call: Call) -> Content:
    """Search."""
    return {"searchResult3": _found(call)}


def _starred(call: Call) -> Content:
    listener, catalogue = call.state.listeners.get(call.user), call.catalogue
    ids = list(listener.starred) if listener else []
    return {
        "artist": [artist(call, one) for one in ids if one in catalogue.artists],
        "album": [album(call, one) for one in ids if one in catalogue.albums],
        "song": [child(call, catalogue.by_id[one]) for one in ids if one in catalogue.by_id],
    }


def get_starred(call: Call) -> Content:
    """What the listener starred, in the older form."""
    return {"starred": _starred(call)}


def get_starred2(call: Call) -> Content:
    """What the listener starred."""
    return {"starred2": _starred(call)}


def get_now_playing(call: Call) -> Content:
    """What listeners play in these minutes."""
    entries = []
    for user, (song_id, began) in call.state.now_playing.items():
        minutes = int((time.time() - began) / 60)
        if minutes < 60 and song_id in call.catalogue.by_id:
            about = {"username": user, "minutesAgo": minutes, "playerId": 1}
            entries.append({**child(call, call.catalogue.by_id[song_id]), **about})
    return {"nowPlaying": {"entry": entries}}


def get_top_songs(call: Call) -> Content:
    """The songs of an artist that the listener plays most."""
    wanted = call.text("artist")
    songs = [song for song in call.catalogue.songs if song.artist == wanted]
    songs.sort(key=lambda song: -call.state.plays_of(call.user, song.song_id))
    return {"topSongs": {"song": [child(call, song) for song in songs[: call.number("count", 50)]]}}


def empty(**content: Any) -> Callable[[Call], Content]:
    """A call that is answered by nothing."""
    return lambda call: content


def get_play_queue(call: Call) -> Content:
    """Queues are not kept."""
    return {"playQueue": {"username": call.user, "changed": stamp(call.state.started), "changedBy": "", "entry": []}}
