"""REST: `/api/…`. Each call is parsed, answered by one call of the recommender, and printed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, File, Query, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse

from deepcuts import __version__
from deepcuts.errors import InputError, SettingError
from deepcuts.serve import tracks
from deepcuts.serve.catalogue import Catalogue, Song
from deepcuts.serve.eventlog import Event
from deepcuts.serve.forms import BatchForm, PlaylistForm, PlaysForm, RecommendForm, Which
from deepcuts.serve.jobs import Job, Jobs
from deepcuts.serve.problems import NotFound
from deepcuts.serve.state import Model, State

K = Annotated[int, Query(ge=1, le=1000, description="How many.")]
Kind = Annotated[Which, Query(description="cold (never played), warm or both.")]
PROBLEM = {"description": "What went wrong (problem+json).", "content": {"application/problem+json": {}}}
PROBLEMS: dict[int | str, dict[str, Any]] = dict.fromkeys((401, 403, 404, 422, 429, 500, 507), PROBLEM)


def song_of(catalogue: Catalogue, song_id: str) -> Song:
    """A song by id.

    Raises:
        NotFound: no such song.
    """
    song = catalogue.by_id.get(song_id)
    if song is None:
        raise NotFound(f"unknown song id {song_id!r}. `/api/songs?q=…` finds songs by name.")
    return song


def about(song: Song) -> dict[str, Any]:
    """A song as REST shows it."""
    row = song.about
    shown = {name: row.get(name) for name in ("title", "artist", "album", "genre", "year", "duration", "mbid", "isrc")}
    return {"song_id": song.song_id, "name": song.name, **shown, "has_file": song.file is not None}


def songs(model: Model, table: pl.DataFrame) -> list[dict[str, Any]]:
    """A table of the recommender as a list, each row with the song's name."""
    by_id = model.catalogue.by_id
    return [{**row, "name": by_id[row["song_id"]].name, "has_file": by_id[row["song_id"]].file is not None}
            for row in table.to_dicts()]  # fmt: skip


def plain(rows: list[dict[str, Any]]) -> Any:
    """Rows of plain numbers and texts as an answer at once: FastAPI would first look at each value of each row."""
    return JSONResponse(rows)


def make_api(state: State, jobs: Jobs) -> APIRouter:
    """All of `/api`."""
    api = APIRouter(prefix="/api", responses=PROBLEMS)
    add_songs(api, state)
    add_listeners(api, state)
    add_tracks_calls(api, state, jobs)
    return api


def add_songs(api: APIRouter, state: State) -> None:
    """Songs: found, shown, alike, on the way from one to another, as playlists, as sound."""

    @api.get("/info", summary="What the model is")
    def info() -> dict[str, Any]:
        bundle = state.current().answers.bundle
        cold = int((~state.model.answers.warm).sum())
        return {"version": __version__, "users": len(bundle.users), "songs": len(bundle.songs), "cold_songs": cold,
                "hears_new_songs": state.hear is not None, "by_sound": state.model.answers.by_sound,
                "secured": state.secured, "card": dict(bundle.card)}  # fmt: skip

    @api.get("/songs", summary="Find songs by words in name, artist, album or id")
    def find(
        q: Annotated[str, Query(max_length=500)] = "", k: K = 50, offset: Annotated[int, Query(ge=0, le=10**9)] = 0
    ) -> dict[str, Any]:
        found = list(state.current().catalogue.find(q))
        return {"total": len(found), "songs": [about(song) for song in found[offset : offset + k]]}

    @api.get("/songs/{song_id:path}", summary="One song")
    def one(song_id: str) -> dict[str, Any]:
        model = state.current()
        song = song_of(model.catalogue, song_id)
        listeners = model.answers.bundle.songs.n_listeners
        n = None if listeners is None else int(listeners[song.position])
        return {**about(song), "listeners": n, "cold": not bool(model.answers.warm[song.position])}

    @api.get("/similar/{song_id:path}", summary="Songs like a song")
    def similar(song_id: str, k: K = 10, which: Kind = "both") -> list[dict[str, Any]]:
        model = state.current()
        song_of(model.catalogue, song_id)
        return plain(songs(model, model.answers.similar(song_id, k, which=which)))

    @api.post("/similar", summary="Songs like each of several songs")
    def similar_batch(form: BatchForm) -> dict[str, list[dict[str, Any]]]:
        model = state.current()
        for song_id in form.song_ids:
            song_of(model.catalogue, song_id)
        ids = dict.fromkeys(form.song_ids)
        return {one: songs(model, model.answers.similar(one, form.k, which=form.which)) for one in ids}

    @api.get("/path", summary="A way from one song to another in small steps")
    def path(start: str, end: str, k: Annotated[int, Query(ge=2, le=200)] = 10) -> list[dict[str, Any]]:
        model = state.current()
        for song_id in (start, end):
            song_of(model.catalogue, song_id)
        return songs(model, model.answers.path(start, end, k))

    @api.post("/playlist", summary="A playlist around a few songs")
    def playlist(form: PlaylistForm) -> list[dict[str, Any]]:
        model = state.current()
        for song_id in form.seeds:
            song_of(model.catalogue, song_id)
        seeds = list(dict.fromkeys(form.seeds))
        return songs(model, model.answers.playlist(seeds, max(form.k, len(seeds)), filters=form.filters.filters()))

    @api.get("/stream/{song_id:path}", summary="The sound of a song, with ranges", response_class=FileResponse)
    def stream(song_id: str) -> FileResponse:
        catalogue = state.current().catalogue
        song = song_of(catalogue, song_id)
        file = catalogue.file_of(song_id)
        if file is None:
            raise NotFound(f"{song.name}: the model knows no file of this song, or it is gone.")
        return FileResponse(file, media_type=song.mime)

    @api.get("/map", summary="All songs on a plane, near where listeners are shared")
    def song_map() -> dict[str, Any]:
        from deepcuts.serve.songmap import song_map as make

        return make(state.current())


def add_listeners(api: APIRouter, state: State) -> None:
    """Listeners: what to play them and why, who would like a song, what they did."""

    @api.get("/users", summary="Listeners by name")
    def users(q: Annotated[str, Query(max_length=500)] = "", k: K = 50) -> dict[str, Any]:
        ids = state.current().answers.bundle.users.users.ids
        new = pl.Series([one for one in state.listeners if one not in set(ids.to_list())], dtype=pl.String)
        ids = pl.concat([ids.rename("id"), new.rename("id")])
        found = ids.filter(ids.str.to_lowercase().str.contains(q.lower(), literal=True))
        return {"total": len(found), "users": found.head(k).to_list()}

    @api.get("/users/{user_id:path}/history", summary="What a listener played")
    def history(user_id: str, k: K = 100) -> list[dict[str, Any]]:
        known(user_id)
        catalogue = state.current().catalogue
        counts = sorted(state.history(user_id).items(), key=lambda pair: (-pair[1], pair[0]))[:k]
        return [{**about(catalogue.by_id[song]), "plays": n} for song, n in counts]

    def known(user_id: str) -> None:
        if not state.knows(user_id):
            raise NotFound(f"unknown user id {user_id!r}. `/api/users?q=…` finds listeners by name.")

    @api.get("/recommend/{user_id:path}", summary="Songs for a listener")
    def recommend(user_id: str, k: K = 20, which: Kind = "both") -> list[dict[str, Any]]:
        known(user_id)
        return plain(songs(state.current(), state.recommend(user_id, k, which)))

    @api.post("/recommend", summary="Songs for listeners, or for somebody who likes and dislikes a few songs")
    def recommend_batch(form: RecommendForm) -> list[dict[str, Any]]:
        if bool(form.users) == bool(form.liked or form.disliked):
            raise SettingError("recommend: name users, or songs liked and disliked: one of the two.")
        model, filters = state.current(), form.filters.filters()
        for user_id in form.users:
            known(user_id)
        for song_id in (*form.liked, *form.disliked):
            song_of(model.catalogue, song_id)
        if form.users:
            lists = [state.recommend(user, form.k, form.which, filters) for user in dict.fromkeys(form.users)]
            return songs(model, pl.concat(lists))
        counts = {**dict.fromkeys(form.liked, 1.0), **dict.fromkeys(form.disliked, -1.0)}
        return songs(model, model.answers.recommend(counts, form.k, which=form.which, filters=filters))

    @api.get("/audience/{song_id:path}", summary="Who would like a song")
    def audience(song_id: str, k: K = 20) -> list[dict[str, Any]]:
        model = state.current()
        song_of(model.catalogue, song_id)
        return model.answers.audience(song_id, k).to_dicts()

    @api.get("/explain", summary="Why a song is recommended to a listener")
    def explain(user_id: str, song_id: str, k: K = 5) -> list[dict[str, Any]]:
        known(user_id)
        model = state.current()
        song_of(model.catalogue, song_id)
        return songs(model, model.answers.explain(state.who(user_id), song_id, k))

    @api.get("/seconds/{song_id:path}", summary="Which seconds of a song speak for it, to a listener or at all")
    def seconds(song_id: str, user_id: str | None = None) -> dict[str, Any]:
        song_of(state.current().catalogue, song_id)
        if user_id is not None:
            known(user_id)
        return tracks.seconds_of(state, song_id, user_id)

    @api.post("/plays", summary="Plays, stars and ratings arrive", status_code=201)
    def plays(form: PlaysForm) -> dict[str, int]:
        catalogue = state.current().catalogue
        for one in form.plays:
            song_of(catalogue, one.song_id)
        n_new = state.take([Event(**one.model_dump()) for one in form.plays])
        return {"received": len(form.plays), "new": n_new}


def add_tracks_calls(api: APIRouter, state: State, jobs: Jobs) -> None:
    """New tracks: placed at once, or added as jobs that can be watched."""

    @api.post("/place", summary="Where a new track lands: its neighbours, its listeners, its seconds")
    async def place(file: Annotated[UploadFile, File()], k: K = 10) -> dict[str, Any]:
        path = await tracks.receive(file, state.data / "uploads")
        try:
            placed = await run_in_threadpool(tracks.place, state, path, file.filename or "", k)
        finally:
            path.unlink(missing_ok=True)
        return {**placed, "similar": songs(state.model, pl.DataFrame(placed["similar"])) if placed["similar"] else []}

    @api.post("/tracks", summary="Add new tracks to the model, as a job", status_code=202)
    async def add(files: Annotated[list[UploadFile], File()]) -> dict[str, Any]:
        if state.hear is None:
            raise SettingError("this model holds no encoder, so it hears no new songs. Bundle it with --encoder.")
        received: list[tuple[Path, str]] = []
        for file in files:
            received.append((await tracks.receive(file, state.data / "uploads"), file.filename or ""))
        return jobs.start(len(received), lambda job: _add_all(state, job, received)).tell()

    @api.get("/jobs", summary="All jobs, newest first")
    def all_jobs() -> list[dict[str, Any]]:
        return [job.tell() for job in jobs.all()]

    @api.get("/jobs/{job_id}", summary="How far a job has come")
    def job(job_id: str) -> dict[str, Any]:
        return job_of(job_id).tell()

    def job_of(job_id: str) -> Job:
        found = jobs.get(job_id)
        if found is None:
            raise NotFound(f"unknown job {job_id!r}.")
        return found

    @api.get("/jobs/{job_id}/events", summary="The progress of a job, as server-sent events",
             responses={200: {"content": {"text/event-stream": {}}}}, response_class=StreamingResponse)  # fmt: skip
    def events(job_id: str) -> StreamingResponse:
        found = job_of(job_id)

        def lines() -> Iterator[str]:
            for progress in found.watch():
                yield f"data: {json.dumps(progress)}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _add_all(state: State, job: Job, received: list[tuple[Path, str]]) -> None:
    for path, name in received:
        try:
            job.step({"name": tracks.shown(name), "songs": tracks.keep(state, path, name)})
        except InputError as error:
            job.step({"name": tracks.shown(name), "error": str(error)})
        finally:
            path.unlink(missing_ok=True)
