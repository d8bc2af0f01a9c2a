"""What songs sound like, frame by frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts import store
from deepcuts.artifacts.lineage import Lineage
from deepcuts.artifacts.vocabulary import Vocabulary
from deepcuts.checks import check_shape
from deepcuts.errors import InputError
from deepcuts.store import Meta, load_array, read_meta, save_array, write_meta, writing

FRAMES_AT_ONCE = 2**16  # hashed at a time


@dataclass(frozen=True)
class Features:
    """What the songs sound like: for each a row of frames.

    Attributes:
        songs: the songs that have features.
        frames: [n_frames of all songs, n_channels] float16 or float32, song after song; usually mapped from disk.
        starts: int64 [n_songs + 1]: song i has the frames starts[i] to starts[i + 1].
        kind: "logmel", "echonest", ... the way they were made; encoders refuse features of another kind.
        settings: that made them (frame_rate in frames a second, n_channels, ...).
        lineage: the songs whose sound shaped a dictionary or a projection these features went through, and what a
            frozen encoder was pretrained on; features live in no factor space.
    """

    songs: Vocabulary
    frames: np.ndarray
    starts: np.ndarray
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    lineage: Lineage = field(default_factory=Lineage)

    def __post_init__(self) -> None:
        check_shape("starts", self.starts, [len(self.songs) + 1])
        if int(self.starts[0]) != 0 or (np.diff(self.starts) < 0).any():
            raise InputError("features: starts must ascend from 0. Make the features again.")
        check_shape("frames", self.frames, [int(self.starts[-1]), None])

    def __getitem__(self, song: int) -> np.ndarray:
        """The frames [n_frames, n_channels] of the song at a position."""
        return self.frames[self.starts[song] : self.starts[song + 1]]

    @property
    def n_channels(self) -> int:
        """Values in a frame."""
        return self.frames.shape[1]

    @property
    def one_frame(self) -> bool:
        """Every song is one frame, already pooled (their makers mark them so)."""
        return bool(self.settings.get("one_frame", False))

    @property
    def lengths(self) -> np.ndarray:
        """Frames of each song [n_songs]."""
        return np.diff(self.starts)

    @cached_property
    def recipe(self) -> str:
        """A hash of how the features were made: equal recipes may be mixed."""
        return store.fingerprint(self.kind, repr(sorted(self.settings.items())))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of ids, lengths, recipe and all numbers."""
        digest = [store.fingerprint(np.asarray(self.frames[begin : begin + FRAMES_AT_ONCE]))
                  for begin in range(0, len(self.frames), FRAMES_AT_ONCE)]  # fmt: skip
        return store.fingerprint(self.songs.fingerprint, self.starts.astype(np.int64), self.recipe, *digest)

    def save(self, folder: Path | str) -> None:
        """Write the folder, whole or not at all."""
        with writing(folder) as scratch:
            save_array(scratch, "frames", self.frames)
            self.save_index(scratch)

    def save_index(self, scratch: Path) -> None:
        """Write everything but frames.npy, which may have been streamed to `scratch` already."""
        self.songs.save(scratch, "songs")
        save_array(scratch, "starts", self.starts.astype(np.int64))
        record = self.lineage.save(scratch)
        shape = {"n_songs": len(self.songs), "n_frames": int(self.starts[-1]), "n_channels": self.n_channels}
        settings = {"kind": self.kind, **self.settings}
        parents = self.lineage.parents
        write_meta(scratch, Meta("features", self.fingerprint, parents, settings, shape, lineage=record))

    @staticmethod
    def load(folder: Path | str) -> "Features":
        """Open the folder; frames stay on disk until touched.

        Raises:
            ArtifactError: missing, half-written, damaged or of another kind.
        """
        folder = Path(folder)
        with store.content_of(folder):
            meta = read_meta(folder, "features")
            settings = dict(meta.settings)
            kind = str(settings.pop("kind"))
            frames = load_array(folder, "frames", mapped=True)
            songs, starts = Vocabulary.load(folder, "songs", "song"), load_array(folder, "starts")
            return Features(songs, frames, starts, kind, settings, Lineage.load(folder, meta.lineage, meta.parents))
