"""New tracks at the server: received within limits, heard in a child process, placed, and kept."""

import base64
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import UploadFile

from deepcuts.chain.add import add_tracks
from deepcuts.errors import InputError, SettingError
from deepcuts.serve.eventlog import Event
from deepcuts.serve.problems import NotFound
from deepcuts.serve.state import State

MOST_BYTES = 200 << 20
CHUNK = 1 << 20
N_PEAKS = 600  # of a picture of the sound
N_BANDS = 64  # of a spectrogram, at most
SUFFIX_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


async def receive(upload: UploadFile, folder: Path) -> Path:
    """Write an upload under a name of our own; the sender's name decides nothing but the suffix.

    Raises:
        InputError: empty, or larger than MOST_BYTES.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}{safe_suffix(upload.filename or '')}"
    size = 0
    with path.open("wb") as file:
        while data := await upload.read(CHUNK):
            size += len(data)
            if size > MOST_BYTES:
                path.unlink()
                raise InputError(f"{shown(upload.filename)}: larger than {MOST_BYTES >> 20} MB. Send a song.")
            file.write(data)
    if not size:
        path.unlink()
        raise InputError(f"{shown(upload.filename)}: the file is empty.")
    return path


def safe_suffix(name: str) -> str:
    """The suffix of a name, if it is a plain one."""
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    return f".{suffix}" if 0 < len(suffix) <= 5 and all(one in SUFFIX_LETTERS for one in suffix) else ""


def shown(name: str | None) -> str:
    """A sender's name for a message: its last part, without controls, not too long."""
    last = (name or "the file").replace("\\", "/").rpartition("/")[2]
    return "".join(one for one in last if one.isprintable())[:120] or "the file"


def place(state: State, path: Path, name: str, k: int = 10) -> dict[str, Any]:
    """Where a sound lands: its nearest songs, its listeners, and the seconds that speak for it.

    Raises:
        SettingError: the model holds no encoder.
        InputError: the sound cannot be heard.
    """
    model = state.current()
    if state.hear is None:
        raise SettingError("this model holds no encoder, so it hears no new songs. Bundle it with --encoder.")
    try:
        heard = state.hear.heard(path)
    except InputError as error:
        raise InputError(str(error).replace(path.name, shown(name)).replace(str(path.parent) + "/", "")) from error
    answers, vector = model.answers, heard.song.vectors[0]
    return {
        "name": shown(name),
        "seconds": round(heard.seconds, 2),
        "vector": [round(float(one), 6) for one in vector],
        "similar": answers.like(vector, k).to_dicts(),
        "audience": answers.audience(vector, k).to_dicts(),
        "windows": windows_of(heard, vector),
        "peaks": peaks_of(heard.frames),
        "spectrogram": spectrogram_of(heard.frames),
    }


def seconds_of(state: State, song_id: str, user_id: str | None) -> dict[str, Any]:
    """Which seconds of a song of the model speak for it: to a listener, or for where the song itself stands.

    Raises:
        SettingError: the model holds no encoder.
        NotFound: the model knows no file of the song, or it is gone.
        InputError: the sound cannot be heard.
    """
    model = state.current()
    if state.hear is None:
        raise SettingError("this model holds no encoder, so it hears no songs. Bundle it with --encoder.")
    file = model.catalogue.file_of(song_id)
    if file is None:
        raise NotFound(f"{song_id}: the model knows no file of this song, or it is gone.")
    heard = state.hear.heard(file)
    towards = heard.song.vectors[0] if user_id is None else model.answers.vector_of(state.who(user_id))
    return {
        "song_id": song_id,
        "seconds": round(heard.seconds, 2),
        "windows": windows_of(heard, towards),
        "spectrogram": spectrogram_of(heard.frames),
    }


def windows_of(heard: Any, vector: np.ndarray) -> list[dict[str, float]]:
    """How far each window speaks for where the song lands: its cosine to the song's vector."""
    length = np.linalg.norm(heard.windows, axis=1) * np.linalg.norm(vector)
    share = heard.windows @ vector / np.maximum(length, 1e-12)
    return [
        {"start": round(float(start), 2), "end": round(min(float(start) + 6.0, heard.seconds), 2),
         "share": round(float(one), 4)}
        for start, one in zip(heard.starts, share, strict=True)
    ]  # fmt: skip


def peaks_of(frames: np.ndarray) -> list[float]:
    """How loud a song is from start to end, 0 to 1."""
    level = np.asarray(frames, dtype=np.float64).mean(axis=1)
    pieces = np.array_split(level, min(N_PEAKS, len(level)))
    peaks = np.array([piece.max() for piece in pieces])
    low, high = peaks.min(), peaks.max()
    return [round(float(one), 3) for one in (peaks - low) / max(high - low, 1e-9)]


def spectrogram_of(frames: np.ndarray) -> dict[str, Any]:
    """A small picture of frames [n_frames, n_channels]: base64 of uint8 [n_bands, n_columns], low bands first."""
    columns = np.array_split(np.asarray(frames, dtype=np.float64), min(N_PEAKS, len(frames)))
    picture = np.stack([part.mean(axis=0) for part in columns], axis=1)
    rows = np.array_split(picture, min(N_BANDS, len(picture)))
    picture = np.stack([part.mean(axis=0) for part in rows])
    low, high = picture.min(), picture.max()
    grey = np.round(255 * (picture - low) / max(high - low, 1e-9)).astype(np.uint8)
    return {"n_bands": len(grey), "n_columns": grey.shape[1], "data": base64.b64encode(grey.tobytes()).decode()}


def keep(state: State, path: Path, name: str) -> list[dict[str, Any]]:
    """Add a received track to the model; its file is kept beside the model, under its own name."""
    folder = state.data / "tracks" / path.stem
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / (safe_name(name) or path.name)
    os.replace(path, kept)
    added = add_tracks(state.folder, [kept])
    state.reload()
    state.take([Event("", song_id, "add") for song_id in added.songs["song_id"].to_list()])
    if added.quarantine.height:
        row = added.quarantine.row(0, named=True)
        raise InputError(f"{shown(name)}: {row['reason']} ({row['detail']})")
    return added.songs.to_dicts()


def safe_name(name: str) -> str:
    """A sender's name as a file name: no folders, no controls, no leading dots, at most 120 letters."""
    return shown(name).lstrip(".").replace("/", "_").replace("\x00", "") if name else ""
