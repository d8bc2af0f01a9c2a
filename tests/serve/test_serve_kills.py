"""SIGKILL while tracks are added, plays arrive and playlists change; and a disk that is full.

Nothing that was answered is lost, nothing is doubled, and the server starts again. CI kills a server twice; `make fuzz`
fifty times.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from fuzz_share import keep_counts, n_of
from served_model import tone

from deepcuts.artifacts import Bundle
from deepcuts.chain.add import add_tracks
from deepcuts.errors import DeepcutsError, ResourceError
from deepcuts.serve.accounts import Accounts
from deepcuts.serve.eventlog import Event, EventLog, Playlist
from deepcuts.serve.state import State

N_KILLS = n_of(50, 2)
SECONDS_UP = 120.0  # for a server to start on a busy machine
SERVER = """
import sys
from pathlib import Path
import uvicorn
from deepcuts.serve import security
from deepcuts.serve.app import create_app
from deepcuts.serve.state import State

if __name__ == "__main__":
    security.REQUESTS_A_SECOND = 1e9
    state = State(Path(sys.argv[1]), data=Path(sys.argv[2]), users=["ann"])
    config = uvicorn.Config(create_app(state), port=0, log_level="error")
    socket = config.bind_socket()
    print(socket.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[socket])
"""


class Server:
    """A server in processes of its own, which can be killed all at once."""

    def __init__(self, script: Path, model: Path, data: Path) -> None:
        command = [sys.executable, str(script), str(model), str(data)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def ask(self, path: str, content: bytes | None = None, kind: str = "application/json") -> Any:
        """The answer; None when the server was killed before it."""
        request = urllib.request.Request(self.url + path, data=content, headers={"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=SECONDS_UP) as answer:
                return json.load(answer)
        except (OSError, ValueError, EOFError):
            return None


class Caller(threading.Thread):
    """Asks with one number after another until the server is gone: what was sent, and what was answered."""

    def __init__(self, ask: Callable[[int], bool], first: int) -> None:
        super().__init__(daemon=True)
        self.ask, self.sent, self.answered = ask, [first], list[int]()
        self.start()

    def run(self) -> None:
        while self.ask(self.sent[-1]):
            self.answered.append(self.sent[-1])
            self.sent.append(self.sent[-1] + 1)


def callers(server: Server, folder: Path, password: str, turn: int) -> list[Caller]:
    """Plays, edits of a playlist and new tracks, all at once."""

    def play(number: int) -> bool:
        one = {"user_id": "ann", "song_id": song_of(number), "event_id": f"play {number}"}
        return server.ask("/api/plays", json.dumps({"plays": [one]}).encode()) is not None

    def edit(number: int) -> bool:
        login = {"u": "ann", "p": password, "v": "1.16.1", "c": "test", "f": "json"}
        asked = urllib.parse.urlencode({**login, "playlistId": "list", "songIdToAdd": song_of(number)})
        answer = server.ask(f"/rest/updatePlaylist.view?{asked}")
        return answer is not None and answer["subsonic-response"]["status"] == "ok"

    def add(number: int) -> bool:
        sound = tone(folder / f"new{number}.wav", number % 3, number, 1.0).read_bytes()
        head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="new{number}.wav"\r\n\r\n'
        content = head.encode() + sound + b"\r\n--x--\r\n"
        job = server.ask("/api/tracks", content, "multipart/form-data; boundary=x")
        while job is not None and job["state"] not in ("done", "failed"):
            time.sleep(0.05)
            job = server.ask(f"/api/jobs/{job['job_id']}")
        return job is not None and job["state"] == "done"

    return [Caller(ask, 10_000 * (turn + 1)) for ask in (play, edit, add)]


def song_of(number: int) -> str:
    return f"s/{number % 20}"


def is_within(some: Sequence[str], all_of_them: Sequence[str]) -> bool:
    """Whether the one stand among the others in the same order."""
    rest = iter(all_of_them)
    return all(one in rest for one in some)


@pytest.mark.slow
def test_a_kill_loses_nothing_that_was_answered_and_doubles_nothing(model: Path, tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    copytree(model, tmp_path / "model")
    data, rng = tmp_path / "data", np.random.default_rng(0)
    password = Accounts(data / "accounts.json", ["ann"]).get("ann").password
    log = EventLog(data / "events.db")
    log.save_playlist(Playlist("list", "ann", "A list", (), created=1, changed=1))
    log.close()
    sent: list[list[int]] = [[], [], []]
    answered: list[list[int]] = [[], [], []]
    for turn in range(N_KILLS):
        server = Server(tmp_path / "server.py", tmp_path / "model", data)
        running = callers(server, tmp_path, password, turn)
        until = time.monotonic() + SECONDS_UP
        while not (running[0].answered and running[1].answered) and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 4)))
        server.kill()
        for at, caller in enumerate(running):
            caller.join(SECONDS_UP)
            sent[at] += caller.sent
            answered[at] += caller.answered
    check_all(tmp_path / "model", data, sent, answered)
    note = ", ".join(f"{len(one):,} {what}" for one, what in zip(answered, ("plays", "edits", "tracks"), strict=True))
    keep_counts("SIGKILL of a server under plays, edits and uploads", N_KILLS, N_KILLS, 0, f"{note} answered")


def check_all(model: Path, data: Path, sent: list[list[int]], answered: list[list[int]]) -> None:
    """What a server that starts again holds: all that was answered, in order, once; and nothing that was never sent."""
    state = State(model, data=data)
    try:
        events = [event for _, event in state.log.events()]
        plays = [event.event_id for event in events if event.kind == "play"]
        assert len(plays) == len(set(plays))
        assert {f"play {n}" for n in answered[0]} <= set(plays) <= {f"play {n}" for n in sent[0]}
        assert sum(state.listeners["ann"].plays.values()) == len(plays)
        songs = state.log.playlist("list").songs  # type: ignore[union-attr]
        assert is_within([song_of(n) for n in answered[1]], songs)
        assert is_within(songs, [song_of(n) for n in sent[1]])
        ids = [one for one in Bundle.load(model).songs.songs.ids.to_list() if one.startswith("new")]
        assert {f"new{n}" for n in answered[2]} <= set(ids) <= {f"new{n}" for n in sent[2]}
        added = [event.song_id for event in events if event.kind == "add"]
        assert len(added) == len(set(added))
        assert {f"new{n}" for n in answered[2]} <= set(added)
        assert not list(model.parent.glob(".model.*.partial"))
    finally:
        state.close()


# ---- a full disk ----


@contextmanager
def files_at_most(n_bytes: int) -> Iterator[None]:
    """Every write beyond the first bytes of a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_refuses_plays_and_playlists_and_keeps_what_was_there(model: Path, tmp_path: Path) -> None:
    state = State(model, data=tmp_path / "data")
    try:
        state.take([Event("ann", "s/1", event_id="before")])
        state.log.save_playlist(Playlist("list", "ann", "A list", ("s/1",)))
        full = max(path.stat().st_size for path in (tmp_path / "data").iterdir())
        with files_at_most(full):
            for n in range(2):
                with pytest.raises(ResourceError, match=r"events\.db: cannot be written .*Nothing was changed"):
                    state.take([Event("ann", "s/2", event_id=f"{n}, {at}") for at in range(5_000)])
            with pytest.raises(ResourceError, match="Nothing was changed"):
                state.log.save_playlist(Playlist("list", "ann", "A list", ("s/1",) * 100_000))
            assert state.history("ann") == {"s/1": 1.0}
        assert [event.event_id for _, event in state.log.events()] == ["before"]
        assert state.log.playlist("list").songs == ("s/1",)  # type: ignore[union-attr]
        assert state.take([Event("ann", "s/2", event_id="after")]) == 1
        assert state.history("ann") == {"s/1": 1.0, "s/2": 1.0}
    finally:
        state.close()


@pytest.mark.parametrize("n_bytes", [0, 1_000, 4_000])
def test_a_full_disk_refuses_a_new_track_and_keeps_the_model(model: Path, tmp_path: Path, n_bytes: int) -> None:
    copytree(model, tmp_path / "model")
    sound = tone(tmp_path / "new.wav", 1, 5)
    before = Bundle.load(tmp_path / "model").fingerprint
    with files_at_most(n_bytes), pytest.raises((DeepcutsError, OSError)) as caught:
        add_tracks(tmp_path / "model", [sound], jobs=1)
    assert isinstance(caught.value, ResourceError), repr(caught.value)
    assert Bundle.load(tmp_path / "model").fingerprint == before
    assert not list(tmp_path.glob(".model.*.partial"))
    assert "new" in add_tracks(tmp_path / "model", [sound], jobs=1).songs["song_id"].to_list()
