"""The three routes that published plugins of media servers already call: Instant Mix and Radio come from deepcuts when
item ids are the media server's ids.

Answers have the form of AudioMuse-AI's API; no code of it is used.
"""

import time
import uuid
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query

from deepcuts.recommend.filters import distinct
from deepcuts.serve.catalogue import Catalogue, Song
from deepcuts.serve.eventlog import Playlist
from deepcuts.serve.forms import Id, Strict
from deepcuts.serve.problems import NotFound
from deepcuts.serve.state import Model, State

N = Annotated[int, Query(ge=1, le=1000)]


class PlaylistRequest(Strict):
    """A playlist to keep."""

    playlist_name: str
    track_ids: list[Id]


def make_facade(state: State) -> APIRouter:
    """The routes of the facade."""
    facade = APIRouter(tags=["plugins"])

    @facade.get("/api/similar_tracks", summary="Songs like a song (plugins)")
    def similar_tracks(
        item_id: str = "", n: N = 10, title: str = "", artist: str = "", eliminate_duplicates: bool = True,
        radius_similarity: bool = False,
    ) -> list[dict[str, Any]]:  # fmt: skip
        model = state.current()
        song = _song(model.catalogue, item_id, title, artist)
        table = model.answers.similar(song.song_id, min(2 * n + 20, 1000) if eliminate_duplicates else n)
        kept = table["song_id"].to_list()
        scores = dict(zip(kept, table["score"].to_list(), strict=True))
        if eliminate_duplicates:
            kept = _distinct(model, song, kept)
        return [{**_item(model.catalogue.by_id[one]), "distance": _distance(scores[one])} for one in kept[:n]]

    @facade.get("/api/find_path", summary="A way between two songs (plugins)")
    def find_path(
        start_song_id: str, end_song_id: str, max_steps: Annotated[int, Query(ge=2, le=200)] = 25
    ) -> dict[str, Any]:
        model = state.current()
        start, end = (_song(model.catalogue, one) for one in (start_song_id, end_song_id))
        ids = model.answers.path(start.song_id, end.song_id, max_steps)["song_id"].to_list()
        rows = model.answers.patterns[[model.catalogue.by_id[one].position for one in ids]]
        steps = [_distance(float(a @ b)) for a, b in pairwise(rows)]
        return {"path": [_item(model.catalogue.by_id[one]) for one in ids], "total_distance": round(sum(steps), 6)}

    @facade.get("/api/similar_artists", summary="Artists like an artist (plugins)")
    def similar_artists(artist: str = "", artist_id: str = "", n: N = 10) -> list[dict[str, Any]]:
        return _similar_artists(state.current(), artist, artist_id, n)

    @facade.get("/api/search_tracks", summary="Find songs by words (plugins)")
    def search_tracks(title: str = "", artist: str = "", limit: N = 20) -> list[dict[str, Any]]:
        found = state.current().catalogue.find(f"{title} {artist}")
        return [_item(song) for _, song in zip(range(limit), found, strict=False)]

    @facade.get("/api/max_distance", summary="The greatest distance between songs (plugins)")
    def max_distance(item_id: str = "") -> dict[str, Any]:
        return {"max_distance": 1.0}

    @facade.post("/api/create_playlist", summary="Keep a playlist (plugins)", status_code=201)
    def create_playlist(form: PlaylistRequest) -> dict[str, Any]:
        catalogue, now = state.current().catalogue, int(time.time())
        songs = tuple(_song(catalogue, one).song_id for one in form.track_ids)
        owner = state.accounts.names[0]
        made = Playlist(f"pl-{uuid.uuid4().hex[:16]}", owner, form.playlist_name, songs, "", True, now, now)
        state.log.save_playlist(made)
        return {"message": f"Playlist {form.playlist_name!r} was kept.", "playlist_id": made.playlist_id}

    return facade


def _song(catalogue: Catalogue, item_id: str, title: str = "", artist: str = "") -> Song:
    if item_id in catalogue.by_id:
        return catalogue.by_id[item_id]
    wanted = (title.casefold(), artist.casefold())
    for song in catalogue.songs if title else []:
        if (song.name.casefold(), song.artist.casefold()) == wanted:
            return song
    raise NotFound(f"unknown song id {item_id or title!r}.")


def _item(song: Song) -> dict[str, Any]:
    return {"item_id": song.song_id, "title": song.name, "author": song.artist, "album": song.album}


def _distance(cosine: float) -> float:
    return round(min(max((1 - cosine) / 2, 0.0), 1.0), 6)


def _distinct(model: Model, song: Song, ids: list[str]) -> list[str]:
    order = np.array([model.catalogue.by_id[one].position for one in ids], dtype=np.int64)
    kept = distinct(order, np.array([song.position]), model.answers.bundle.table)
    return [model.catalogue.songs[at].song_id for at in kept.tolist()]


def _similar_artists(model: Model, artist: str, artist_id: str, n: int) -> list[dict[str, Any]]:
    catalogue, patterns = model.catalogue, model.answers.patterns
    names = {one: catalogue.artist_name(one) for one in catalogue.artists}
    asked = artist_id if artist_id in names else next(
        (one for one, name in names.items() if name.casefold() == artist.casefold()), None)  # fmt: skip
    if asked is None:
        raise NotFound(f"unknown artist {artist or artist_id!r}.")
    means = {one: patterns[[song.position for song in catalogue.songs_of_artist(one)]].mean(axis=0) for one in names}
    others = sorted((one for one in names if one != asked), key=lambda one: -float(means[one] @ means[asked]))[:n]
    mine = _representative(catalogue, asked)
    return [
        {"artist": names[one], "artist_id": one,
         "component_matches": [{"artist1_representative_songs": mine,
                                "artist2_representative_songs": _representative(catalogue, one)}]}
        for one in others
    ]  # fmt: skip


def _representative(catalogue: Catalogue, artist_id: str, n: int = 3) -> list[dict[str, str]]:
    return [{"item_id": song.song_id, "title": song.name} for song in catalogue.songs_of_artist(artist_id)[:n]]
