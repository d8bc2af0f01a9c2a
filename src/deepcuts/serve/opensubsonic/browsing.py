"""Browsing by tags, and the answers that clients ask for when they start."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from deepcuts.serve.catalogue import Song, plain
from deepcuts.serve.opensubsonic.call import Call
from deepcuts.serve.opensubsonic.entries import album, album_arrived, artist, child, index_letter
from deepcuts.serve.opensubsonic.envelope import FORBIDDEN, MISSING, NOT_FOUND, Refused

EXTENSIONS = {
    "apiKeyAuthentication": [1], "formPost": [1], "indexBasedQueue": [1], "playbackReport": [1], "sonicSimilarity": [1],
}  # fmt: skip
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
        raise Refused(FORBIDDEN, "Only your own account may be asked for.")
    return {"user": _about_user(call)}


def get_users(call: Call) -> Content:
    """The listener's own account: nobody here administers others."""
    return {"users": {"user": [_about_user(call)]}}


def _about_user(call: Call) -> Content:
    no = ("settings", "upload", "coverArt", "comment", "podcast", "jukebox", "share", "videoConversion", "admin")
    roles = {
        **{f"{one}Role": False for one in no},
        **{f"{one}Role": True for one in ("download", "playlist", "stream")},
    }
    return {"username": call.user, "scrobblingEnabled": True, **roles, "folder": [1]}


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
        return {"directory": {"id": asked, "parent": songs[0].owner[0], "name": songs[0].album, "child": inside}}
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


def _orders(call: Call) -> dict[str, Callable[[str], float]]:
    """What albums are ordered by, largest first; those with 0 are left out."""
    albums, listener = call.catalogue.albums, call.listener

    def plays(album_id: str) -> float:
        return sum(call.plays.get(song.song_id, 0) for song in albums[album_id])

    def last(album_id: str) -> float:
        return max(listener.last.get(song.song_id, 0) for song in albums[album_id])

    def rating(album_id: str) -> float:
        given = [listener.ratings[song.song_id] for song in albums[album_id] if song.song_id in listener.ratings]
        return float(listener.ratings.get(album_id, sum(given) / len(given) if given else 0))

    return {"frequent": plays, "recent": last, "highest": rating}


def _albums_of(call: Call) -> list[str]:
    """Albums in the order that a client asks for.

    Raises:
        Refused: an unknown order.
    """
    kind, albums = call.text("type"), call.catalogue.albums
    ids = list(albums)
    if kind == "random":
        return random.sample(ids, len(ids))
    if kind == "newest":
        return sorted(ids, key=lambda one: -album_arrived(call, one))
    if kind == "alphabeticalByName":
        return sorted(ids, key=lambda one: albums[one][0].album.casefold())
    if kind == "alphabeticalByArtist":
        return sorted(ids, key=lambda one: (albums[one][0].owner[1].casefold(), albums[one][0].album.casefold()))
    if kind in (orders := _orders(call)):
        values = {one: orders[kind](one) for one in ids}
        return sorted((one for one in ids if values[one] > 0), key=lambda one: -values[one])
    if kind == "starred":
        return [one for one in ids if one in call.listener.starred]
    if kind == "byYear":
        return _by_year(call)
    if kind == "byGenre":
        wanted = {song.album_id for song in call.catalogue.genres.get(call.text("genre"), [])}
        return [one for one in ids if one in wanted]
    raise Refused(MISSING, f"Unknown list type {kind[:50]!r}.")


def _by_year(call: Call) -> list[str]:
    """Albums of some years; from late to early where the first year asked is the later one."""
    first, last = call.number("fromYear", 0, high=9999), call.number("toYear", 9999, high=9999)
    years = {one: max((song.about.get("year") or 0) for song in held) for one, held in call.catalogue.albums.items()}
    fitting = [one for one, year in years.items() if min(first, last) <= year <= max(first, last)]
    return sorted(fitting, key=lambda one: years[one], reverse=first > last)


def _album_page(call: Call) -> list[Content]:
    begin, n = call.number("offset", 0, high=10**9), call.number("size", 10)
    return [album(call, one) for one in _albums_of(call)[begin : begin + n]]


def get_album_list(call: Call) -> Content:
    """Albums, in the older form."""
    return {"albumList": {"album": _album_page(call)}}


def get_album_list2(call: Call) -> Content:
    """Albums."""
    return {"albumList2": {"album": _album_page(call)}}


def _starred(call: Call) -> Content:
    catalogue, ids = call.catalogue, list(call.listener.starred)
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
    wanted = plain(call.text("artist"))
    songs = [song for song in call.catalogue.songs if wanted in {plain(name) for _, name in song.artists}]
    songs.sort(key=lambda song: -call.plays.get(song.song_id, 0))
    return {"topSongs": {"song": [child(call, song) for song in songs[: call.number("count", 50)]]}}


def empty(**content: Any) -> Callable[[Call], Content]:
    """A call that is answered by nothing."""
    return lambda call: content
