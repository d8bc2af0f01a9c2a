"""Songs, albums and artists in the words of the protocol."""

from typing import Any

from deepcuts.serve.catalogue import Song
from deepcuts.serve.opensubsonic.call import Call, stamp, without_none


def child(call: Call, song: Song) -> dict[str, Any]:
    """A song."""
    about, listener = song.about, call.state.listeners.get(call.user)
    duration, file = about.get("duration"), song.file
    there = file is not None and file.is_file()
    size = file.stat().st_size if there and file is not None else None
    created = file.stat().st_mtime if there and file is not None else call.state.started
    plays = call.state.plays_of(call.user, song.song_id)
    genre = about.get("genre")
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
            "genre": genre,
            "genres": [{"name": one} for one in genre.split("; ")] if genre else [],
            "coverArt": song.album_id,
            "size": size,
            "contentType": song.mime,
            "suffix": file.suffix.lstrip(".").lower() if file is not None else None,
            "duration": round(duration) if duration else None,
            "bitRate": round(8 * size / duration / 1000) if size and duration else None,
            "path": about.get("file"),
            "albumId": song.album_id,
            "artistId": song.artist_id,
            "artists": [{"id": song.artist_id, "name": song.artist}],
            "displayArtist": song.artist,
            "type": "music",
            "mediaType": "song",
            "isVideo": False,
            "created": stamp(created),
            "musicBrainzId": (about.get("mbid") or "").split("; ")[0] or None,
            "isrc": [one for one in (about.get("isrc") or "").split("; ") if one],
            "playCount": plays or None,
            "played": stamp(listener.last[song.song_id]) if listener and song.song_id in listener.last else None,
            "starred": stamp(listener.starred[song.song_id]) if listener and song.song_id in listener.starred else None,
            "userRating": listener.ratings.get(song.song_id) if listener else None,
        }
    )


def album(call: Call, album_id: str) -> dict[str, Any]:
    """An album."""
    songs, listener = call.catalogue.albums[album_id], call.state.listeners.get(call.user)
    first = songs[0]
    genre = next((song.about["genre"] for song in songs if song.about.get("genre")), None)
    artist = call.catalogue.artist_name(first.artist_id)
    return without_none(
        {
            "id": album_id,
            "parent": first.artist_id,
            "isDir": True,
            "title": first.album,
            "name": first.album,
            "album": first.album,
            "artist": artist,
            "artistId": first.artist_id,
            "displayArtist": artist,
            "artists": [{"id": first.artist_id, "name": artist}],
            "coverArt": album_id,
            "songCount": len(songs),
            "duration": round(sum(song.about.get("duration") or 0 for song in songs)),
            "playCount": sum(call.state.plays_of(call.user, song.song_id) for song in songs) or None,
            "created": stamp(call.state.started),
            "year": next((song.about["year"] for song in songs if song.about.get("year")), None),
            "genre": genre,
            "genres": [{"name": one} for one in genre.split("; ")] if genre else [],
            "mediaType": "album",
            "starred": stamp(listener.starred[album_id]) if listener and album_id in listener.starred else None,
        }
    )


def artist(call: Call, artist_id: str) -> dict[str, Any]:
    """An artist."""
    listener = call.state.listeners.get(call.user)
    return without_none(
        {
            "id": artist_id,
            "name": call.catalogue.artist_name(artist_id),
            "coverArt": call.catalogue.artists[artist_id][0],
            "albumCount": len(call.catalogue.artists[artist_id]),
            "mediaType": "artist",
            "starred": stamp(listener.starred[artist_id]) if listener and artist_id in listener.starred else None,
        }
    )


def index_letter(name: str) -> str:
    """The letter under which an artist is listed; leading articles do not count."""
    plain = name.casefold()
    for article in ("the ", "a ", "an "):
        plain = plain.removeprefix(article)
    first = plain[:1].upper()
    return first if first.isalpha() else "#"
