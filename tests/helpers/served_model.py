"""A small model with tags and sounds, and a real server over it on a free port."""

import socket
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import soundfile
import uvicorn

from deepcuts.artifacts import Bundle, Features, Plays, SongFactors, Vocabulary
from deepcuts.audio.extract import extract
from deepcuts.audio.logmel import LogMelSettings
from deepcuts.factors import WmfSettings, fit
from deepcuts.predict import fit_encoder, predict_songs
from deepcuts.predict.linear import LinearSettings
from deepcuts.serve.app import create_app
from deepcuts.serve.state import State

RATE, N_SONGS, N_COLD, N_USERS = 22_050, 24, 4, 60
SETTINGS = LogMelSettings(n_bands=32)
HOSTILE = '<img src=x onerror="window.hacked=1">'


def tone(path: Path, style: int, seed: int, seconds: float = 4.0) -> Path:
    rng = np.random.default_rng(seed)
    t = np.arange(int(RATE * seconds)) / RATE
    pitch = (220.0, 880.0, 2200.0)[style] * (1 + 0.05 * rng.normal())
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), 0.3 * np.sin(2 * np.pi * pitch * t) + rng.normal(0, 0.01, len(t)), RATE)
    return path


def make_model(folder: Path) -> Path:
    """Three styles of songs, listeners who keep to one, four songs that nobody played."""
    music, rows = folder / "music", []
    for at in range(N_SONGS):
        style = at % 3
        file = f"Band {style}/First/{at:02d}.flac"
        tone(music / file, style, at)
        title = HOSTILE if at == 5 else f"Song {at}"
        genre = ("Low", "Mid", "High")[style]
        rows.append({"song_id": f"s/{at}", "title": title, "artist": f"Band {style}", "album": "First", "file": file,
                     "year": 1990 + at, "genre": genre, "duration": 4.0, "track": at})  # fmt: skip
    rows[7]["title"] = None
    table = pl.DataFrame(rows)
    rng = np.random.default_rng(0)
    pairs = [(f"user{u}", f"s/{s}") for u in range(N_USERS) for s in range(N_SONGS - N_COLD)
             if (s - u) % 3 == 0 and (s < 3 or rng.random() < 0.6)]  # fmt: skip
    plays = Plays.from_pairs([u for u, _ in pairs], [s for _, s in pairs], np.ones(len(pairs)), songs_table=table)
    factors = fit(plays, WmfSettings(n_factors=4, regularization=1.0, n_sweeps=30)).factors
    factors.save(folder / "factors")
    extract(music, "logmel", SETTINGS, folder / "mel", jobs=1, table=table.select("song_id", "file"))
    mel = Features.load(folder / "mel")
    encoder = fit_encoder("linear", mel, factors, LinearSettings(ridge=1.0, validation=0.0))
    encoder.save(folder / "encoder")
    cold = Vocabulary([f"s/{at}" for at in range(N_SONGS - N_COLD, N_SONGS)])
    predicted: SongFactors = predict_songs(encoder, mel, cold)
    card = {"music": str(music)}
    Bundle.of(factors, predicted, plays, songs_table=table, encoder=folder / "encoder", card=card).save(
        folder / "model"
    )
    return folder / "model"


class Running:
    """A real server on a free port."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.server = uvicorn.Server(uvicorn.Config(create_app(state), log_level="error", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()
        until = time.monotonic() + 30
        while not self.server.started and time.monotonic() < until:
            time.sleep(0.02)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.socket.close()
