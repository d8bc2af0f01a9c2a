"""Songs and artists that are alike, and ways between songs."""

from typing import Any

import polars as pl

from deepcuts.serve.alike import artists_alike
from deepcuts.serve.catalogue import Song
from deepcuts.serve.opensubsonic.call import Call
from deepcuts.serve.opensubsonic.entries import artist, child
from deepcuts.serve.opensubsonic.envelope import NOT_FOUND, Refused

Content = dict[str, Any]


def _match(call: Call, table: pl.DataFrame) -> list[Content]:
    """Songs with their similarity, 0 to 1."""
    return [
        {
            "entry": child(call, call.catalogue.by_id[song_id]),
            "similarity": round(min(max((1 + score) / 2, 0.0), 1.0), 6),
        }
        for song_id, score in table.select("song_id", "score").iter_rows()
    ]


def get_sonic_similar_tracks(call: Call) -> Content:
    """The songs most like one, most alike first."""
    song, n = call.song(), call.number("count", 10)
    return {"sonicMatch": _match(call, call.model.answers.similar(song.song_id, n)) if n else []}


def find_sonic_path(call: Call) -> Content:
    """A way between two songs: the first entry is the start, the last the end; likeness is that to the start."""
    start, end = call.song("startSongId"), call.song("endSongId")
    n = call.number("count", 25, low=2)
    return {"sonicMatch": _match(call, call.model.answers.path(start.song_id, end.song_id, n))}


def _seeds(call: Call) -> list[Song]:
    """The songs that an id of a song, an album or an artist stands for."""
    asked, catalogue = call.text("id"), call.catalogue
    if asked in catalogue.by_id:
        return [catalogue.by_id[asked]]
    if asked in catalogue.albums:
        return catalogue.albums[asked]
    if asked in catalogue.artists:
        return catalogue.songs_of_artist(asked)
    raise Refused(NOT_FOUND, f"Nothing with the id {asked!r} was found.")


def _similar(call: Call) -> list[Content]:
    seeds, n = _seeds(call), call.number("count", 50)
    if not n:
        return []
    ids = [song.song_id for song in seeds[:100]]
    if len(ids) == 1:
        table = call.model.answers.similar(ids[0], n)
    else:
        table = call.model.answers.playlist(ids, n + len(ids)).slice(len(ids), n)
    return [child(call, call.catalogue.by_id[one]) for one in table["song_id"].to_list()]


def get_similar_songs(call: Call) -> Content:
    """Songs like a song, an album or an artist, in the older form."""
    return {"similarSongs": {"song": _similar(call)}}


def get_similar_songs2(call: Call) -> Content:
    """Songs like a song, an album or an artist."""
    return {"similarSongs2": {"song": _similar(call)}}


def _artist_info(call: Call) -> Content:
    """What is known of an artist: others like them, all of this library. Texts and pictures of others are not."""
    asked = call.text("id")
    if asked not in call.catalogue.artists:
        raise Refused(NOT_FOUND, f"Artist {asked!r} not found.")
    n = call.number("count", 20)
    return {"similarArtist": [artist(call, one) for one, _ in artists_alike(call.model, asked, n)]}


def get_artist_info(call: Call) -> Content:
    """Artists like an artist, in the older form."""
    return {"artistInfo": _artist_info(call)}


def get_artist_info2(call: Call) -> Content:
    """Artists like an artist."""
    return {"artistInfo2": _artist_info(call)}
