"""Songs, albums and artists in the words of the protocol."""

from typing import Any

from deepcuts.serve.catalogue import Song
from deepcuts.serve.opensubsonic.call import Call, stamp, without_none


def child(call: Call, song: Song) -> dict[str, Any]:
    """A song."""
    about, listener = song.about, call.listener
    size, changed = _file_facts(song)
    suffix = song.file.suffix.lstrip(".").lower() if song.file is not None else ""
    return without_none(
        {
            "id": song.song_id,
            "parent": song.album_id,
            "isDir": False,
            "title": song.name,
            "album": song.album,
            "artist": song.artist,
            "track": about.get("track"),
            "discNumber": about.get("disc"),
            "year": about.get("year"),
            **_genres(about.get("genre")),
            "coverArt": song.song_id,
            "size": size,
            "contentType": song.mime,
            "suffix": suffix or None,
            "duration": round(song.seconds) or None,
            "bitRate": round(8 * size / song.seconds / 1000) if size and song.seconds else None,
            "path": about.get("file"),
            "albumId": song.album_id,
            "artistId": song.artist_id,
            "artists": [{"id": one, "name": name} for one, name in song.artists],
            "displayArtist": song.artist,
            "albumArtists": [{"id": song.owner[0], "name": song.owner[1]}],
            "displayAlbumArtist": song.owner[1],
            "type": "music",
            "mediaType": "song",
            "isVideo": False,
            "created": stamp(changed or call.state.started),
            "musicBrainzId": (about.get("mbid") or "").split("; ")[0] or None,
            "isrc": [one for one in (about.get("isrc") or "").split("; ") if one],
            "playCount": int(call.plays.get(song.song_id, 0)),
            "played": _stamp_of(listener.last.get(song.song_id)),
            **_marks(call, song.song_id),
        }
    )


def _file_facts(song: Song) -> tuple[int | None, float | None]:
    """Size in bytes and time of the last change of a song's file."""
    try:
        facts = song.file.stat() if song.file is not None else None
    except (OSError, ValueError):
        facts = None
    return (facts.st_size, facts.st_mtime) if facts is not None else (None, None)


def _genres(genre: str | None) -> dict[str, Any]:
    return {"genre": genre, "genres": [{"name": one} for one in genre.split("; ")] if genre else []}


def _marks(call: Call, item_id: str) -> dict[str, Any]:
    """Star and rating that the listener gave."""
    return {
        "starred": _stamp_of(call.listener.starred.get(item_id)),
        "userRating": call.listener.ratings.get(item_id),
    }


def _stamp_of(seconds: float | None) -> str | None:
    return stamp(seconds) if seconds is not None else None


def album(call: Call, album_id: str) -> dict[str, Any]:
    """An album."""
    songs = call.catalogue.albums[album_id]
    owner_id, owner = songs[0].owner
    last = [call.listener.last[song.song_id] for song in songs if song.song_id in call.listener.last]
    return without_none(
        {
            "id": album_id,
            "parent": owner_id,
            "isDir": True,
            "title": songs[0].album,
            "name": songs[0].album,
            "album": songs[0].album,
            "artist": owner,
            "artistId": owner_id,
            "displayArtist": owner,
            "artists": [{"id": owner_id, "name": owner}],
            "coverArt": album_id,
            "songCount": len(songs),
            "duration": round(sum(song.seconds for song in songs)),
            "playCount": int(sum(call.plays.get(song.song_id, 0) for song in songs)),
            "played": _stamp_of(max(last, default=None)),
            "created": stamp(album_arrived(call, album_id) or call.state.started),
            "year": next((song.about["year"] for song in songs if song.about.get("year")), None),
            **_genres(next((song.about["genre"] for song in songs if song.about.get("genre")), None)),
            "mediaType": "album",
            **_marks(call, album_id),
        }
    )


def album_arrived(call: Call, album_id: str) -> float:
    """When the newest file of an album was last changed, unix seconds; 0 where it has none."""
    arrived = call.catalogue.arrived
    return max(arrived[song.position] for song in call.catalogue.albums[album_id])


def artist(call: Call, artist_id: str) -> dict[str, Any]:
    """An artist."""
    albums = call.catalogue.artists[artist_id]
    return without_none(
        {
            "id": artist_id,
            "name": call.catalogue.artist_name(artist_id),
            "coverArt": albums[0],
            "albumCount": len(albums),
            "mediaType": "artist",
            **_marks(call, artist_id),
        }
    )


def index_letter(name: str) -> str:
    """The letter under which an artist is listed; leading articles do not count."""
    plain = name.casefold()
    for article in ("the ", "a ", "an "):
        if plain.startswith(article):
            plain = plain.removeprefix(article)
            break
    first = plain[:1].upper()
    return first if first.isalpha() else "#"
