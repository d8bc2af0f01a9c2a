"""A factorisation laid aside between sweeps, so that a killed run goes on where it stopped."""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from deepcuts.errors import ArtifactError
from deepcuts.store import Meta, content_of, load_array, read_meta, save_array, write_file, write_meta, writing

log = logging.getLogger(__name__)

KIND = "wmf-checkpoint"
# Of the time: a million users with 400 factors take two gigabytes, and as long to write as a good part of a sweep.
WRITING_SHARE = 0.05


class HalfSweep(TypedDict):
    """One half-sweep: `half` is "users" or "songs", `objective` its value after it, `seconds` its wall time."""

    sweep: int
    half: str
    objective: float
    seconds: float


class Pace:
    """How often to write, so that writing takes no more than WRITING_SHARE of the time; `with pace:` around writing."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0  # the first is due at once

    def due(self) -> bool:
        """Whether enough time has gone by since the last."""
        return self.ended - self.began <= WRITING_SHARE * (time.monotonic() - self.began)

    def __enter__(self) -> None:
        self.began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.ended = time.monotonic()


def save_checkpoint(
    folder: Path, plays: str, settings: Mapping[str, Any], X: np.ndarray, Y: np.ndarray, history: list[HalfSweep]
) -> None:
    """Write users X, songs Y and the history, whole or not at all; `plays` is the fingerprint of the plays."""
    with writing(folder) as scratch:
        save_array(scratch, "user_factors", X)
        save_array(scratch, "song_factors", Y)
        write_file(scratch / "history.json", json.dumps(history))
        write_meta(scratch, Meta(KIND, "", {"plays": plays}, settings, {"n_sweeps": len(history) // 2}))


def read_checkpoint(
    folder: Path, plays: str, settings: Mapping[str, Any], n_sweeps: int
) -> tuple[np.ndarray, np.ndarray, list[HalfSweep]] | None:
    """What an earlier run left: X, Y and the history; None when that is nothing, damaged or of another fit.

    Whatever is passed over is named in the log, for it will be written over.

    Args:
        plays: fingerprint of the plays.
        settings: those that shape the course of the fit; all must be equal.
        n_sweeps: how long this fit shall go on; a checkpoint beyond that cannot be gone back from.
    """
    try:
        with content_of(folder):
            meta = read_meta(folder, KIND, verify=True)
            X, Y = load_array(folder, "user_factors"), load_array(folder, "song_factors")
            history: list[HalfSweep] = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    except ArtifactError as error:
        if folder.exists():
            log.warning("starting over: %s", error)
        return None
    differing = [name for name in settings if meta.settings.get(name) != settings[name]]
    if meta.shape["n_sweeps"] > n_sweeps:
        differing.append("n_sweeps")
    if meta.parents.get("plays") != plays:
        differing.append("plays")
    if differing:
        log.warning("%s: the checkpoint was written with other %s; starting over.", folder, ", ".join(differing))
        return None
    log.info("%s: resuming after sweep %d", folder, meta.shape["n_sweeps"])
    return X, Y, history
