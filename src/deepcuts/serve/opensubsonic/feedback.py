"""What listeners tell back: stars, ratings, plays and skips. All of it is logged first, and then counts at once."""

import time
from typing import Any

from deepcuts.serve.eventlog import Event
from deepcuts.serve.opensubsonic.call import Call
from deepcuts.serve.opensubsonic.envelope import MISSING, NOT_FOUND, Refused

Content = dict[str, Any]
LATEST = 32_503_680_000  # unix seconds of the year 3000
SHARE_OF_A_PLAY, SECONDS_OF_A_PLAY = 0.5, 240.0  # whichever is reached first makes a play
SECONDS_OF_A_SKIP = 30.0  # what ends before this, and before half of the song, is skipped
STATES = ("starting", "playing", "paused", "stopped")


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
    call.state.take([_play(call, song_id, times[at] if at < len(times) else "") for at, song_id in enumerate(ids)])
    return {}


def _play(call: Call, song_id: str, time_text: str) -> Event:
    """A play; the same play sent twice, as players do after a lost answer, is one where they say its time."""
    if not time_text:
        return Event(call.user, song_id, "play", int(time.time()))
    when = _seconds(time_text)
    return Event(call.user, song_id, "play", when, event_id=f"scrobble:{call.user}:{song_id}:{when}")


def _seconds(text: str) -> int:
    try:
        seconds = int(float(text)) // 1000
    except (ValueError, OverflowError):
        seconds = -1
    if not 0 <= seconds <= LATEST:
        raise Refused(MISSING, f"Parameter 'time' = {text[:30]!r} is not a time in milliseconds since 1970.")
    return seconds


def report_playback(call: Call) -> Content:
    """How far a song was played. What is stopped after half of it or four minutes was played; what is stopped within
    half a minute was skipped.
    """
    song, state = call.song("mediaId"), call.text("state")
    at = call.number("positionMs", 0, high=10**10) / 1000
    if state not in STATES:
        raise Refused(MISSING, f"Parameter 'state' = {state[:20]!r}: expected {', '.join(STATES)}.")
    before = call.state.now_playing.get(call.user)
    began = before[1] if before is not None and before[0] == song.song_id else time.time() - at
    if state != "stopped":
        call.state.now_playing[call.user] = (song.song_id, began)
        return {}
    call.state.now_playing.pop(call.user, None)
    kind = _kind_of(at, song.seconds)
    if kind is not None and not call.flag("ignoreScrobble", False):
        report_id = f"report:{call.user}:{song.song_id}:{int(began)}:{kind}"
        call.state.take([Event(call.user, song.song_id, kind, int(began), event_id=report_id)])
    return {}


def _kind_of(at: float, length: float) -> str | None:
    """Whether a song that stopped at some second was played or skipped; None for neither."""
    if at >= min(SHARE_OF_A_PLAY * length or SECONDS_OF_A_PLAY, SECONDS_OF_A_PLAY):
        return "play"
    return "skip" if at < SECONDS_OF_A_SKIP else None
