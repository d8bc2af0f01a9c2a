"""Songs that sound alike, ways between songs, and what listeners tell back."""

import time
from typing import Any

import polars as pl

from deepcuts.serve.catalogue import Song
from deepcuts.serve.eventlog import Event
from deepcuts.serve.opensubsonic.call import Call
from deepcuts.serve.opensubsonic.entries import child
from deepcuts.serve.opensubsonic.envelope import MISSING, NOT_FOUND, Refused

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


def _marked(call: Call, kind: str) -> Content:
    ids = [*call.texts("id"), *call.texts("albumId"), *call.texts("artistId")]
    if not ids:
        raise Refused(MISSING, "Required parameter 'id' is missing.")
    for one in ids:
        known = one in call.catalogue.by_id or one in call.catalogue.albums or one in call.catalogue.artists
        if not known:
            raise Refused(NOT_FOUND, f"Nothing with the id {one!r} was found.")
    call.state.take([Event(call.user, one, kind) for one in ids])
    return {}


def star(call: Call) -> Content:
    """Star songs, albums and artists."""
    return _marked(call, "star")


def unstar(call: Call) -> Content:
    """Take stars back."""
    return _marked(call, "unstar")


def set_rating(call: Call) -> Content:
    """Rate a song from 1 to 5; 0 takes the rating back."""
    asked, rating = call.text("id"), call.text("rating")
    if rating not in ("0", "1", "2", "3", "4", "5"):
        raise Refused(MISSING, f"Parameter 'rating' = {rating[:20]!r}: expected 0 to 5.")
    if asked not in call.catalogue.albums and asked not in call.catalogue.artists:
        call.song_of(asked)
    call.state.take([Event(call.user, asked, "rate", value=float(rating))])
    return {}


def scrobble(call: Call) -> Content:
    """Plays that a player reports; ids and times repeat. submission=false says what plays now."""
    ids, times = call.texts("id"), call.texts("time")
    if not ids:
        raise Refused(MISSING, "Required parameter 'id' is missing.")
    for one in ids:
        call.song_of(one)
    if not call.flag("submission", True):
        call.state.now_playing[call.user] = (ids[-1], time.time())
        return {}
    now, events = int(time.time()), []
    for at, song_id in enumerate(ids):
        when = _seconds(times[at]) if at < len(times) else now
        # The same play sent twice, as players do after a lost answer, is one.
        mark = f"scrobble:{call.user}:{song_id}:{when}" if at < len(times) else ""
        events.append(Event(call.user, song_id, "play", when, event_id=mark))
    call.state.take(events)
    return {}


def _seconds(text: str) -> int:
    try:
        return int(float(text)) // 1000
    except (ValueError, OverflowError) as error:
        raise Refused(MISSING, f"Parameter 'time' = {text[:30]!r} is not a time in milliseconds.") from error


def report_playback(call: Call) -> Content:
    """How far a song was played: stopped early is a skip, the only one that players tell."""
    song_id = call.text("mediaId", call.text("id", ""))
    song = call.song_of(song_id)
    state, at = call.text("state", "playing"), call.number("positionMs", 0, high=10**10)
    length = float(song.about.get("duration") or 0)
    call.state.now_playing[call.user] = (song_id, time.time())
    if state == "stopped" and length and at / 1000 < min(30.0, length / 2):
        call.state.take([Event(call.user, song_id, "skip")])
    return {}
