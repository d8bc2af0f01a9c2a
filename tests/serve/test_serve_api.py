"""REST: what is asked is answered, what is wrong is said, and nothing that arrives is lost."""

import base64
import io
import json
import multiprocessing
import os
import signal
import struct
import time

import numpy as np
import pytest
import schemathesis
import soundfile
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from served_model import N_COLD, N_SONGS, RATE, tone

from deepcuts.artifacts import Bundle
from deepcuts.errors import SettingError
from deepcuts.serve import tracks
from deepcuts.serve.app import create_app
from deepcuts.serve.eventlog import Event, EventLog
from deepcuts.serve.state import State


def test_it_says_what_the_model_is(client):
    info = client.get("/api/info").json()
    assert (info["songs"], info["cold_songs"], info["users"]) == (N_SONGS, N_COLD, 60)
    assert info["hears_new_songs"] is True
    assert client.get("/health").json()["status"] == "ok"


def test_every_song_has_a_name(client):
    assert client.get("/api/songs/s/7").json()["name"] == "07"
    found = client.get("/api/songs", params={"q": "SONG 23"}).json()
    assert (found["total"], found["songs"][0]["song_id"]) == (1, "s/23")
    assert client.get("/api/songs", params={"q": "", "k": 5, "offset": 22}).json()["total"] == N_SONGS


def test_similar_songs_are_of_the_same_style(client):
    rows = client.get("/api/similar/s/0", params={"k": 5}).json()
    assert {one["artist"] for one in rows} == {"Band 0"}
    batch = client.post("/api/similar", json={"song_ids": ["s/0", "s/1"], "k": 2}).json()
    assert [one["song_id"] for one in batch["s/0"]] == [one["song_id"] for one in rows[:2]]


def test_a_listener_gets_unplayed_songs_of_their_style_and_reasons_of_what_they_play(client):
    rows = client.get("/api/recommend/user0", params={"k": 3, "which": "cold"}).json()
    assert {one["artist"] for one in rows[:1]} == {"Band 0"}
    played = {one["song_id"] for one in client.get("/api/users/user0/history").json()}
    everything = {one["song_id"] for one in client.get("/api/recommend/user0", params={"k": 100}).json()}
    assert not played & everything
    reasons = client.get("/api/explain", params={"user_id": "user0", "song_id": rows[0]["song_id"]}).json()
    assert {one["song_id"] for one in reasons} <= played
    assert sum(one["share"] for one in reasons) == pytest.approx(1, abs=0.05)


def test_somebody_new_is_served_by_likes_and_dislikes(client):
    form = {"liked": ["s/1"], "disliked": ["s/0"], "k": 5, "which": "warm"}
    rows = client.post("/api/recommend", json=form).json()
    assert [one["artist"] for one in rows].count("Band 1") >= 4
    assert client.post("/api/recommend", json={"users": ["user0"], "liked": ["s/1"]}).status_code == 422


def test_filters_hold(client):
    filters = {"genres": ["Mid"], "first_year": 1995, "played": True}
    rows = client.post("/api/recommend", json={"users": ["user0", "user1"], "k": 50, "filters": filters}).json()
    assert {one["user_id"] for one in rows} == {"user0", "user1"}
    for one in rows:
        song = client.get(f"/api/songs/{one['song_id']}").json()
        assert song["genre"] == "Mid"
        assert song["year"] >= 1995


def test_a_path_begins_and_ends_where_it_should_and_a_playlist_with_its_seeds(client):
    path = client.get("/api/path", params={"start": "s/0", "end": "s/1", "k": 5}).json()
    assert (path[0]["song_id"], path[-1]["song_id"], len(path)) == ("s/0", "s/1", 5)
    rows = client.post("/api/playlist", json={"seeds": ["s/0", "s/3"], "k": 6}).json()
    assert [one["song_id"] for one in rows[:2]] == ["s/0", "s/3"]


def test_unknown_names_are_problems_in_plain_words(client):
    for name in ("songs/x", "similar/x", "recommend/x", "audience/x", "jobs/x", "nothing"):
        path = f"/api/{name}"
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    assert "unknown song id 'x'" in client.get("/api/songs/x").json()["detail"]


# ---- plays ----


def test_plays_change_what_a_listener_gets_at_once(client):
    before = client.get("/api/recommend/user0", params={"k": 1, "which": "cold"}).json()[0]
    plays = [{"user_id": "new one", "song_id": "s/2"}, {"user_id": "new one", "song_id": "s/8"}]
    assert client.post("/api/plays", json={"plays": plays}).json() == {"received": 2, "new": 2}
    rows = client.get("/api/recommend/new one", params={"k": 4}).json()
    assert rows[0]["artist"] == "Band 2"
    assert "s/2" not in {one["song_id"] for one in rows}
    after = client.get("/api/recommend/user0", params={"k": 1, "which": "cold"}).json()[0]
    assert after["song_id"] == before["song_id"]


def test_an_event_sent_twice_counts_once(client):
    play = {"user_id": "ann", "song_id": "s/2", "event_id": "e1"}
    assert client.post("/api/plays", json={"plays": [play, play]}).json()["new"] == 1
    assert client.post("/api/plays", json={"plays": [play]}).json()["new"] == 0
    assert client.get("/api/users/ann/history").json()[0]["plays"] == 1


def test_a_cold_song_moves_towards_those_who_play_it(state, client):
    cold = f"s/{N_SONGS - 1}"  # of the third style
    before = state.model.answers.bundle.songs.rows([cold])[0].copy()
    plays = [{"user_id": f"user{u}", "song_id": cold} for u in range(0, 60, 3)]  # listeners of the first style
    client.post("/api/plays", json={"plays": plays})
    after = state.model.answers.bundle.songs.rows([cold])[0]
    who = state.model.answers.bundle.users.rows(["user0"])[0]
    assert who @ after > who @ before


def test_a_large_model_blends_in_the_background(state, client, monkeypatch):
    monkeypatch.setattr("deepcuts.serve.state.BLENDED_AT_ONCE", 0)
    monkeypatch.setattr("deepcuts.serve.state.SECONDS_BETWEEN_BLENDS", 0.05)
    cold = f"s/{N_SONGS - 1}"
    before = state.model.answers.bundle.songs.rows([cold])[0].copy()
    client.post("/api/plays", json={"plays": [{"user_id": "user0", "song_id": cold}]})
    end = time.monotonic() + 30
    while (state.model.answers.bundle.songs.rows([cold])[0] == before).all() and time.monotonic() < end:
        time.sleep(0.02)
    assert (state.model.answers.bundle.songs.rows([cold])[0] != before).any()


def test_plays_outlive_a_restart(model, tmp_path):
    first = State(model, data=tmp_path / "data")
    first.take([Event("ann", "s/2", "play"), Event("ann", "s/5", "star"), Event("ann", "s/8", "rate", value=1)])
    wanted = first.history("ann")
    first.close()
    second = State(model, data=tmp_path / "data")
    assert second.history("ann") == wanted == {"s/2": 1.0, "s/5": 5.0, "s/8": -1.0}
    second.close()


def append_for_ever(path, pipe):
    log = EventLog(path)
    for number in range(1_000_000):
        log.append([Event("ann", "s/1", event_id=f"e{number}")])
        pipe.send(number)


@pytest.mark.parametrize("round_number", range(3))
def test_a_kill_loses_no_play_that_was_answered_and_doubles_none(tmp_path, round_number):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=append_for_ever, args=(tmp_path / "events.db", theirs))
    child.start()
    answered = -1
    until = time.monotonic() + 30
    while answered < 20 and time.monotonic() < until:
        answered = ours.recv()
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    while ours.poll():
        answered = ours.recv()
    ids = [event.event_id for _, event in EventLog(tmp_path / "events.db").events()]
    assert len(ids) == len(set(ids))
    assert {f"e{number}" for number in range(answered + 1)} <= set(ids)


# ---- new tracks ----


def upload(path) -> dict:
    return {"file": (path.name, path.read_bytes(), "application/octet-stream")}


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_a_new_track_lands_among_its_kind(client, tmp_path, suffix):
    answer = client.post("/api/place", params={"k": 5}, files=upload(tone(tmp_path / f"new.{suffix}", 1, 99, 12.0)))
    placed = answer.json()
    assert answer.status_code == 200
    assert placed["similar"][0]["artist"] == "Band 1"
    assert placed["seconds"] == pytest.approx(12, abs=0.3)
    assert placed["audience"][0]["typical_artists"] == "Band 1"
    assert placed["windows"][-1]["end"] <= 12.3
    assert min(placed["peaks"]) >= 0
    assert max(placed["peaks"]) <= 1


def wav_of_rate(rate: int, claim: int | None = None) -> bytes:
    body = np.random.default_rng(0).integers(-9000, 9000, 8000, dtype=np.int16).tobytes()
    size = claim if claim is not None else len(body)
    fmt = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<I", 16) + fmt
    return head + b"data" + struct.pack("<I", size) + body


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.wav", wav_of_rate(1)), ("a.wav", wav_of_rate(8000, 10 * 3600 * 16_000)), ("a.flac", b"fLaC" + bytes(200)),
     ("../../etc/passwd", b"root:x:0:0"), ("a.mp3", b"\xff\xfb" + os.urandom(0) + bytes(range(256)) * 40),
     ("<script>.ogg", b"OggS" + bytes(60)), ("a.m4a", b"\x00\x00\x00\x18ftypM4A " + bytes(400)), ("a", b"x")],
)  # fmt: skip
def test_a_hostile_upload_is_a_problem_and_leaves_nothing(state, client, tmp_path, name, content):
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    answer = client.post("/api/place", files={"file": (name, content, "audio/wav")})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert str(tmp_path) not in answer.json()["detail"]
    left = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert not [path for path in left if "events" not in path.name]
    assert client.get("/health").status_code == 200


def test_an_added_track_is_found_and_a_bad_one_is_told(tmp_path, client_of_own_model):
    client, _ = client_of_own_model
    good, bad = tone(tmp_path / "Fresh Tune.ogg", 0, 123), b"not a sound"
    files = [("files", ("Fresh Tune.ogg", good.read_bytes(), "audio/ogg")), ("files", ("bad.mp3", bad, "audio/mpeg"))]
    job = client.post("/api/tracks", files=files).json()
    told = [json.loads(line[6:]) for line in client.get(f"/api/jobs/{job['job_id']}/events").text.splitlines() if line]
    assert told[-1]["state"] == "done"
    assert told[-1]["done"] == told[-1]["total"] == 2
    assert told[-1]["results"][0]["songs"][0]["song_id"] == "Fresh Tune"
    assert "bad.mp3" in told[-1]["results"][1]["error"]
    assert client.get("/api/songs", params={"q": "fresh tune"}).json()["total"] == 1
    assert client.get("/api/similar/Fresh Tune", params={"k": 1}).json()[0]["artist"] == "Band 0"
    assert client.get("/api/stream/Fresh Tune").status_code == 200


@pytest.fixture
def client_of_own_model(tmp_path, model):
    bundle = Bundle.load(model)
    bundle.save(tmp_path / "own/model")
    state = State(tmp_path / "own/model", users=["user0"])
    yield TestClient(create_app(state), base_url="http://localhost"), state
    state.close()


def test_a_newer_model_is_taken_up_and_a_damaged_one_is_not(client_of_own_model, tmp_path):
    client, state = client_of_own_model
    bundle = Bundle.load(state.folder)
    smaller = bundle.songs.take(np.arange(20))
    from dataclasses import replace

    replace(bundle, songs=smaller, plays=bundle.plays[:, :20], table=bundle.table[:20], encoder=None).save(state.folder)
    assert state.reload() is True
    assert client.get("/api/info").json()["songs"] == 20
    (state.folder / "song_factors.npy").write_bytes(b"broken")
    meta = json.loads((state.folder / "meta.json").read_text())
    meta["fingerprint"] = "0" * 32
    (state.folder / "meta.json").write_text(json.dumps(meta))
    assert state.reload() is False
    assert client.get("/api/info").json()["songs"] == 20


# ---- sound ----


def test_a_song_streams_with_ranges_and_only_songs_of_the_model_do(client, model):
    whole = client.get("/api/stream/s/0")
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/flac")
    part = client.get("/api/stream/s/0", headers={"Range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, whole.content[4:12])
    assert client.get("/api/stream/s/0", headers={"Range": "bytes=99999999-"}).status_code == 416
    for name in ("../model/meta.json", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "%2e%2e/events.db"):
        assert client.get(f"/api/stream/{name}").status_code in (404, 422)
    assert len(soundfile.read(io.BytesIO(whole.content))[0]) == 4 * RATE


# ---- who may ask ----


def test_without_a_login_only_loopback_names_are_answered_and_no_other_site_may_write(client):
    assert client.get("/health", headers={"Host": "evil.example"}).status_code == 403
    play = {"plays": [{"user_id": "a", "song_id": "s/1"}]}
    assert client.post("/api/plays", json=play, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.post("/api/plays", json=play, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.post("/api/plays", json=play, headers={"Origin": "http://localhost"}).status_code == 201


def test_with_a_login_every_call_needs_one_and_guessing_is_stopped(model, tmp_path):
    state = State(model, data=tmp_path / "data", users=["ann"], secured=True)
    client = TestClient(create_app(state), base_url="http://music.example")
    account = state.accounts.get("ann")
    assert client.get("/api/info").status_code == 401
    assert client.get("/").status_code == 401
    assert client.get("/health").status_code == 200
    assert client.get("/api/info", auth=("ann", account.password)).status_code == 200
    assert client.get("/api/info", headers={"Authorization": f"Bearer {account.api_key}"}).status_code == 200
    assert (tmp_path / "data/accounts.json").stat().st_mode & 0o077 == 0
    for _ in range(25):
        last = client.get("/api/info", auth=("ann", "guess")).status_code
    assert last == 429
    state.close()


def test_every_answer_carries_security_headers(client):
    for path in ("/", "/api/info", "/nothing"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_a_wide_host_without_a_login_is_refused():
    from deepcuts.cli.serve import check_host

    with pytest.raises(SettingError, match="--login"):
        check_host("0.0.0.0", False)
    check_host("0.0.0.0", True)
    check_host("127.0.0.1", False)


def test_metrics_count_requests(client):
    client.get("/api/info")
    text = client.get("/metrics").text
    assert 'deepcuts_requests_total{path="/api/info",status="200"}' in text
    assert f"deepcuts_songs {N_SONGS}" in text


# ---- its own description ----


def test_no_request_of_its_own_description_is_answered_by_a_fault(state):
    described = schemathesis.openapi.from_asgi("/api/openapi.json", create_app(state), headers={"Host": "localhost"})
    n_calls = 0
    for operation in described.get_all_operations():

        @given(case=operation.ok().as_strategy())
        @settings(
            max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True
        )
        def ask(case):
            nonlocal n_calls
            n_calls += 1
            assert case.call(headers={"Host": "localhost"}, timeout=120).status_code < 500, case

        ask()
    assert n_calls > 100


def test_rows_of_the_catalogue_share_texts_and_keep_kinds(state):
    """Equal texts are one object; a track 1 and a duration 1.0 stay an int and a float."""
    one, two = (state.model.catalogue.by_id[song_id] for song_id in ("s/0", "s/3"))
    assert one.about["artist"] is two.about["artist"]
    assert isinstance(two.about["track"], int)
    assert isinstance(two.about["duration"], float)
    assert dict(one.about)["song_id"] == "s/0"
    assert one.about.get("no such column") is None


def test_refusals_and_errors_are_counted_and_carry_the_headers(client, state):
    for path, status in (("/api/songs/nosuch", 404), ("/api/similar/s/0?k=0", 422), ("/health", 200)):
        answer = client.get(path)
        assert answer.status_code == status
        assert answer.headers["X-Frame-Options"] == "DENY"
    assert client.get("/health", headers={"host": "evil.example"}).status_code == 403
    assert state.counts["/health", 200] == 1
    assert state.counts["other", 403] == 1
    assert state.counts["/api/songs/{song_id:path}", 404] == 1


# ---- which seconds speak for a song ----


def test_the_seconds_that_speak_to_a_listener_are_those_of_their_style(state, tmp_path):
    """12 seconds of one style, then 12 of another: each listener's own half speaks more."""
    parts = [soundfile.read(tone(tmp_path / f"{style}.wav", style, style, 12.0)) for style in (0, 1)]
    soundfile.write(tmp_path / "both.wav", np.concatenate([sound for sound, _ in parts]), parts[0][1])
    heard = state.hear.heard(tmp_path / "both.wav")
    for user, first_half in (("user0", True), ("user1", False)):
        windows = tracks.windows_of(heard, state.model.answers.vector_of(user))
        early = np.mean([one["share"] for one in windows if one["end"] <= 12])
        late = np.mean([one["share"] for one in windows if one["start"] >= 12])
        assert (early > late) == first_half


def test_seconds_of_a_song_come_with_its_spectrogram(client):
    found = client.get("/api/seconds/s/0", params={"user_id": "user0"}).json()
    assert found["seconds"] == pytest.approx(4, abs=0.2)
    assert found["windows"][0]["start"] == 0
    assert -1 <= found["windows"][0]["share"] <= 1
    picture = found["spectrogram"]
    levels = np.frombuffer(base64.b64decode(picture["data"]), np.uint8).reshape(
        picture["n_bands"], picture["n_columns"]
    )
    assert levels.min() == 0
    assert levels.max() == 255
    assert levels.mean(axis=1).argmax() < len(levels) / 2  # a tone of 220 Hz lies in a low band, which comes first
    assert client.get("/api/seconds/nosuch").status_code == 404
    assert client.get("/api/seconds/s/0", params={"user_id": "nobody"}).status_code == 404
