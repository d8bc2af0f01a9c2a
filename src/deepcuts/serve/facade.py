"""The routes that published plugins of media servers already call: Instant Mix and Radio come from deepcuts when
item ids are the media server's ids.

Answers have the form of AudioMuse-AI's API; no code of it is used.
"""

import time
import uuid
from itertools import islice, pairwise
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from deepcuts.recommend.filters import distinct
from deepcuts.serve.alike import artists_alike, typical_songs
from deepcuts.serve.catalogue import Catalogue, Song, guid, plain
from deepcuts.serve.eventlog import Playlist
from deepcuts.serve.forms import Id
from deepcuts.serve.problems import NotFound
from deepcuts.serve.security import account_of
from deepcuts.serve.state import Model, State

N_MOST, STEPS_MOST = 1000, 200
N = Annotated[int, Query(description="How many, 1 to 1,000; other numbers count as the nearest of these.")]


Unused = Annotated[bool, Query(description="Plugins send it; it changes nothing here.")]


class PlaylistRequest(BaseModel):
    """A playlist to keep; names that are not known here are passed over, as plugins differ."""

    playlist_name: Annotated[str, Field(min_length=1, max_length=200)]
    track_ids: Annotated[list[Id], Field(max_length=10_000)]


def make_facade(state: State) -> APIRouter:
    """The routes of the facade."""
    facade = APIRouter(tags=["plugins"])

    @facade.get("/api/similar_tracks", summary="Songs like a song (plugins)")
    def similar_tracks(
        item_id: str = "", n: N = 10, title: str = "", artist: str = "", eliminate_duplicates: bool = True,
        radius_similarity: Unused = False,
    ) -> list[dict[str, Any]]:  # fmt: skip
        model, n = state.current(), min(max(n, 1), N_MOST)
        song = _song(model.catalogue, item_id, title, artist)
        table = model.answers.similar(song.song_id, 2 * n + 20 if eliminate_duplicates else n)
        kept = table["song_id"].to_list()
        scores = dict(zip(kept, table["score"].to_list(), strict=True))
        if eliminate_duplicates:
            kept = _distinct(model, song, kept)
        return [{**_item(model.catalogue.by_id[one]), "distance": _distance(scores[one])} for one in kept[:n]]

    @facade.get("/api/find_path", summary="A way between two songs (plugins)")
    def find_path(start_song_id: str, end_song_id: str, max_steps: int = 25) -> dict[str, Any]:
        model = state.current()
        start, end = (_song(model.catalogue, one) for one in (start_song_id, end_song_id))
        n = min(max(max_steps, 2), STEPS_MOST)
        ids = model.answers.path(start.song_id, end.song_id, n)["song_id"].to_list()
        rows = model.answers.patterns.take(np.array([model.catalogue.by_id[one].position for one in ids]))
        steps = [_distance(float(a @ b)) for a, b in pairwise(rows)]
        return {"path": [_item(model.catalogue.by_id[one]) for one in ids], "total_distance": round(sum(steps), 6)}

    @facade.get("/api/similar_artists", summary="Artists like an artist (plugins)")
    def similar_artists(artist: str = "", artist_id: str = "", n: N = 10) -> list[dict[str, Any]]:
        model = state.current()
        asked = _artist(model.catalogue, artist_id, artist)
        alike = artists_alike(model, asked, min(max(n, 1), N_MOST))
        mine = _typical(model, asked)
        return [
            {"artist": model.catalogue.artist_name(one), "artist_id": one, "divergence": _distance(score),
             "component_matches": [{"artist1_representative_songs": mine,
                                    "artist2_representative_songs": _typical(model, one)}]}
            for one, score in alike
        ]  # fmt: skip

    @facade.get("/api/search_tracks", summary="Find songs by words (plugins)")
    def search_tracks(title: str = "", artist: str = "", search_query: str = "", limit: N = 20) -> list[dict[str, Any]]:
        found = state.current().catalogue.find(f"{title} {artist} {search_query}")
        return [_item(song) for song in islice(found, min(max(limit, 1), N_MOST))]

    @facade.get("/api/max_distance", summary="The song least like a song, and how far it is (plugins)")
    def max_distance(item_id: str) -> dict[str, Any]:
        model = state.current()
        patterns = model.answers.patterns
        scores = patterns.dot(patterns.take(np.array([_song(model.catalogue, item_id).position]))[0])
        farthest = int(np.where(patterns.held, scores, np.inf).argmin())
        return {"max_distance": _distance(float(scores[farthest])),
                "farthest_item_id": model.catalogue.songs[farthest].song_id}  # fmt: skip

    @facade.post("/api/create_playlist", summary="Keep a playlist (plugins)", status_code=201)
    def create_playlist(form: PlaylistRequest, request: Request) -> dict[str, Any]:
        catalogue, now = state.current().catalogue, int(time.time())
        songs = tuple(_song(catalogue, one).song_id for one in form.track_ids)
        account = account_of(request, state)
        owner = account.name if account is not None else state.accounts.names[0]
        made = Playlist(f"pl-{uuid.uuid4().hex[:16]}", owner, form.playlist_name, songs, "", True, now, now)
        state.log.save_playlist(made)
        return {"message": f"Playlist {form.playlist_name!r} was kept.", "playlist_id": made.playlist_id}

    return facade


def _song(catalogue: Catalogue, item_id: str, title: str = "", artist: str = "") -> Song:
    """The song that an id means, in the form of the media server; else the one with a title and an artist."""
    if item_id:
        for form in (item_id, guid(item_id)):
            if form in catalogue.by_id:
                return catalogue.by_id[form]
        if (found := catalogue.by_guid.get(guid(item_id))) is not None:
            return found
    wanted = (plain(title), plain(artist))
    for song in catalogue.songs if title else []:
        if (plain(song.name), plain(song.artist)) == wanted:
            return song
    raise NotFound(f"unknown song id {item_id or title!r}.")


def _artist(catalogue: Catalogue, artist_id: str, artist: str) -> str:
    """The artist that is meant by an id or a name; plugins write ids in place of names too."""
    for one in (artist_id, artist):
        if one in catalogue.artists:
            return one
    wanted = plain(artist)
    found = next((one for one, name in catalogue.artist_names.items() if plain(name) == wanted), None)
    if found is None or not artist:
        raise NotFound(f"unknown artist {artist or artist_id!r}.")
    return found


def _item(song: Song) -> dict[str, Any]:
    return {"item_id": song.song_id, "title": song.name, "author": song.artist, "album": song.album}


def _distance(cosine: float) -> float:
    return round(min(max((1 - cosine) / 2, 0.0), 1.0), 6)


def _distinct(model: Model, song: Song, ids: list[str]) -> list[str]:
    order = np.array([model.catalogue.by_id[one].position for one in ids], dtype=np.int64)
    kept = distinct(order, np.array([song.position]), model.answers.bundle.table)
    return [model.catalogue.songs[at].song_id for at in kept.tolist()]


def _typical(model: Model, artist_id: str) -> list[dict[str, str]]:
    return [{"item_id": song.song_id, "title": song.name} for song in typical_songs(model, artist_id)]
