"""Playlists: those that listeners keep, and three that are made for each of them."""

import time
import uuid
from typing import Any

from deepcuts.recommend import Filters
from deepcuts.serve.eventlog import Playlist
from deepcuts.serve.opensubsonic.call import Call, stamp
from deepcuts.serve.opensubsonic.entries import child
from deepcuts.serve.opensubsonic.envelope import FORBIDDEN, MISSING, NOT_FOUND, Refused

Content = dict[str, Any]
MADE = {
    "for-you": ("For you", "Songs that you have not played, picked for you."),
    "deep-cuts": ("Deep cuts", "Songs that nobody has played yet."),
    "new-this-week": ("New this week", "The newest songs of the library, best for you first."),
}
LENGTH, WEEK = 50, 7 * 86_400


def made_playlists(call: Call) -> list[Playlist]:
    """The three lists made for a listener, those with songs; their ids stay the same."""
    return [one for key in MADE if (one := made_playlist(call, key)).songs]


def made_playlist(call: Call, key: str) -> Playlist:
    """One of the lists made for a listener, of this hour."""
    hour = int(time.time()) // 3600
    held = call.state.made.get((call.user, key))
    if held is not None and held[0] == (hour, id(call.model), call.state.version):
        return held[1]
    songs = _songs_of(call, key)
    name, comment = MADE[key]
    made = Playlist(f"made-{key}", call.user, name, tuple(songs), comment, False, int(call.state.started), hour * 3600)
    call.state.made[call.user, key] = ((hour, id(call.model), call.state.version), made)
    return made


def _songs_of(call: Call, key: str) -> list[str]:
    if key == "deep-cuts":
        return _listed(call, "cold", Filters(per_artist=3))
    if key == "for-you":
        return _listed(call, "both", Filters(per_artist=3))
    newest = {one for one, at in call.state.added.items() if at > time.time() - WEEK}
    if not newest:
        return []
    ranked = _listed(call, "both", Filters(), k=len(call.catalogue.songs))
    return [one for one in ranked if one in newest][:LENGTH] or sorted(newest)[:LENGTH]


def _listed(call: Call, which: str, filters: Filters, k: int = LENGTH) -> list[str]:
    """Ids of songs for the listener; for somebody of whom nothing is known, those that most listeners play."""
    table = call.state.recommend(call.user, k, which, filters)
    if table.height:
        return [str(one) for one in table["song_id"].to_list()]
    answers = call.model.answers
    listeners = answers.bundle.songs.n_listeners
    if which == "cold" or listeners is None:
        return [song.song_id for song in call.catalogue.songs if which != "cold" or not answers.warm[song.position]][:k]
    return [call.catalogue.songs[at].song_id for at in (-listeners).argsort(kind="stable")[:k]]


def _shown(call: Call, playlist: Playlist) -> Content:
    songs = [call.catalogue.by_id[one] for one in playlist.songs if one in call.catalogue.by_id]
    return {
        "id": playlist.playlist_id,
        "name": playlist.name,
        "comment": playlist.comment,
        "owner": playlist.user_id,
        "public": playlist.public,
        "songCount": len(songs),
        "duration": round(sum(song.about.get("duration") or 0 for song in songs)),
        "created": stamp(playlist.created),
        "changed": stamp(playlist.changed),
        "coverArt": songs[0].album_id if songs else "",
        "readonly": playlist.playlist_id.startswith("made-"),
    }


def _whole(call: Call, playlist: Playlist) -> Content:
    entries = [child(call, call.catalogue.by_id[one]) for one in playlist.songs if one in call.catalogue.by_id]
    return {"playlist": {**_shown(call, playlist), "entry": entries}}


def _of(call: Call, playlist_id: str, *, to_change: bool = False) -> Playlist:
    key = playlist_id.removeprefix("made-")
    if playlist_id.startswith("made-") and key in MADE:
        if to_change:
            raise Refused(FORBIDDEN, "This list is made for you and cannot be changed. Copy it into one of your own.")
        return made_playlist(call, key)
    found = call.state.log.playlist(playlist_id)
    if found is None or (found.user_id != call.user and not found.public):
        raise Refused(NOT_FOUND, f"Playlist {playlist_id!r} not found.")
    if to_change and found.user_id != call.user:
        raise Refused(FORBIDDEN, "This is somebody else's playlist.")
    return found


def get_playlists(call: Call) -> Content:
    """The listener's playlists: made ones first."""
    own = call.state.log.playlists(call.user)
    return {"playlists": {"playlist": [_shown(call, one) for one in [*made_playlists(call), *own]]}}


def get_playlist(call: Call) -> Content:
    """A playlist with its songs."""
    return _whole(call, _of(call, call.text("id")))


def create_playlist(call: Call) -> Content:
    """A new playlist; or, with playlistId, other songs for an old one."""
    songs = tuple(call.song_of(one).song_id for one in call.texts("songId"))
    now = int(time.time())
    if old := call.text("playlistId", ""):
        before = _of(call, old, to_change=True)
        made = Playlist(old, call.user, call.text("name", before.name), songs, before.comment, before.public,
                        before.created, now)  # fmt: skip
    else:
        made = Playlist(f"pl-{uuid.uuid4().hex[:16]}", call.user, call.text("name"), songs, "", False, now, now)
    call.state.log.save_playlist(made)
    return _whole(call, made)


def update_playlist(call: Call) -> Content:
    """Change name, comment and songs of a playlist."""
    old = _of(call, call.text("playlistId"), to_change=True)
    gone = set()
    for text in call.texts("songIndexToRemove"):
        if not text.isdigit():
            raise Refused(MISSING, f"Parameter 'songIndexToRemove' = {text[:20]!r} is not a place in the list.")
        gone.add(int(text))
    kept = [song for at, song in enumerate(old.songs) if at not in gone]
    kept += [call.song_of(one).song_id for one in call.texts("songIdToAdd")]
    call.state.log.save_playlist(
        Playlist(old.playlist_id, old.user_id, call.text("name", old.name), tuple(kept),
                 call.text("comment", old.comment), call.flag("public", old.public), old.created, int(time.time()))
    )  # fmt: skip
    return {}


def delete_playlist(call: Call) -> Content:
    """Remove a playlist."""
    call.state.log.delete_playlist(_of(call, call.text("id"), to_change=True).playlist_id)
    return {}
