"""Playlists: those that listeners keep, and three that are made for each of them."""

import time
import uuid
from dataclasses import replace
from functools import partial
from typing import Any

from deepcuts.serve.eventlog import Playlist
from deepcuts.serve.made import MADE_LISTS, made_list
from deepcuts.serve.opensubsonic.call import Call, stamp
from deepcuts.serve.opensubsonic.entries import child
from deepcuts.serve.opensubsonic.envelope import FORBIDDEN, MISSING, NOT_FOUND, Refused

Content = dict[str, Any]


def made_playlists(call: Call) -> list[Playlist]:
    """The three lists made for a listener; their ids stay the same, so that players keep their places."""
    return [made_playlist(call, key) for key in MADE_LISTS]


def made_playlist(call: Call, key: str) -> Playlist:
    """One of the lists made for a listener, of this hour and of all that is known now."""
    now = int(time.time())
    stamp_of_list = (now // 3600, id(call.model), call.state.version)
    held = call.state.made.get((call.user, key))
    if held is not None and held[0] == stamp_of_list:
        return held[1]
    state, user = call.state, call.user
    songs = made_list(key, call.model, partial(state.recommend, user), state.added)
    about = MADE_LISTS[key]
    made = Playlist(f"made-{key}", user, about.name, tuple(songs), about.comment, False, int(state.started), now)
    if held is not None and held[1].songs == made.songs:
        made = replace(made, changed=held[1].changed)
    state.made[user, key] = (stamp_of_list, made)
    return made


def _shown(call: Call, playlist: Playlist) -> Content:
    songs = [call.catalogue.by_id[one] for one in playlist.songs if one in call.catalogue.by_id]
    return {
        "id": playlist.playlist_id,
        "name": playlist.name,
        "comment": playlist.comment,
        "owner": playlist.user_id,
        "public": playlist.public,
        "songCount": len(songs),
        "duration": round(sum(song.seconds for song in songs)),
        "created": stamp(playlist.created),
        "changed": stamp(playlist.changed),
        "coverArt": songs[0].song_id if songs else "",
        "readonly": playlist.playlist_id.startswith("made-"),
    }


def _whole(call: Call, playlist: Playlist) -> Content:
    entries = [child(call, call.catalogue.by_id[one]) for one in playlist.songs if one in call.catalogue.by_id]
    return {"playlist": {**_shown(call, playlist), "entry": entries}}


def _of(call: Call, playlist_id: str, *, to_change: bool = False) -> Playlist:
    key = playlist_id.removeprefix("made-")
    if playlist_id.startswith("made-") and key in MADE_LISTS:
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
    old = call.text("playlistId", "")
    if old:
        name = call.text("name", _of(call, old, to_change=True).name)
        call.state.log.change_playlist(old, lambda before: replace(before, name=name, songs=songs, changed=now))
        return _whole(call, _of(call, old))
    made = Playlist(f"pl-{uuid.uuid4().hex[:16]}", call.user, call.text("name"), songs, "", False, now, now)
    call.state.log.save_playlist(made)
    return _whole(call, made)


def update_playlist(call: Call) -> Content:
    """Change name, comment and songs of a playlist."""
    playlist_id = call.text("playlistId")
    _of(call, playlist_id, to_change=True)
    gone = _places(call)
    added = tuple(call.song_of(one).song_id for one in call.texts("songIdToAdd"))

    def changed(old: Playlist) -> Playlist:
        # Places are those that the player saw: songs that the model no longer knows were not shown, and stay.
        seen = [at for at, song in enumerate(old.songs) if song in call.catalogue.by_id]
        dropped = {seen[place] for place in gone if place < len(seen)}
        kept = tuple(song for at, song in enumerate(old.songs) if at not in dropped)
        return replace(
            old, name=call.text("name", old.name), comment=call.text("comment", old.comment), songs=kept + added,
            public=call.flag("public", old.public), changed=int(time.time()),
        )  # fmt: skip

    call.state.log.change_playlist(playlist_id, changed)
    return {}


def _places(call: Call) -> set[int]:
    texts = call.texts("songIndexToRemove")
    for text in texts:
        if not (text.isascii() and text.isdigit()):
            raise Refused(MISSING, f"Parameter 'songIndexToRemove' = {text[:20]!r} is not a place in the list.")
    return {int(text[:18]) for text in texts}


def delete_playlist(call: Call) -> Content:
    """Remove a playlist."""
    call.state.log.delete_playlist(_of(call, call.text("id"), to_change=True).playlist_id)
    return {}
