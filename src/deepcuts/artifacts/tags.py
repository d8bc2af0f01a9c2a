"""What people call the songs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from deepcuts import store
from deepcuts.artifacts.vocabulary import Vocabulary
from deepcuts.checks import check_shape
from deepcuts.errors import ArtifactError
from deepcuts.store import Meta, read_meta, write_meta, writing


@dataclass(frozen=True)
class Tags:
    """What people call the songs.

    Attributes:
        weights: [n_songs, n_tags] CSR float32, > 0 where a song has a tag.
    """

    songs: Vocabulary
    tags: Vocabulary
    weights: sparse.csr_array

    def __post_init__(self) -> None:
        check_shape("tags", self.weights, [len(self.songs), len(self.tags)])

    @property
    def fingerprint(self) -> str:
        """A hash of ids and weights."""
        w = self.weights
        arrays = (w.indptr.astype(np.int64), w.indices.astype(np.int64), w.data)
        return store.fingerprint(self.songs.fingerprint, self.tags.fingerprint, *arrays)

    def save(self, folder: Path | str) -> None:
        """Write a tidy `tags.parquet` (song_id, tag_id, weight) with the two vocabularies."""
        rows = self.weights.tocoo()
        with writing(folder) as scratch:
            self.songs.save(scratch, "songs")
            self.tags.save(scratch, "tags")
            sparse.save_npz(scratch / "weights.npz", sparse.csr_matrix(self.weights))
            shape = {"n_songs": len(self.songs), "n_tags": len(self.tags), "n_weights": int(rows.nnz)}
            write_meta(
                scratch,
                Meta("tags", self.fingerprint, shape=shape),
            )

    @staticmethod
    def load(folder: Path | str) -> "Tags":
        """Read the folder."""
        folder = Path(folder)
        with store.content_of(folder):
            read_meta(folder, "tags")
            try:
                with (folder / "weights.npz").open("rb") as file:  # by its name it stays open when it is damaged
                    weights = sparse.csr_array(sparse.load_npz(file))
                weights.check_format(full_check=True)
            except store.DAMAGED as error:
                raise ArtifactError(f"{folder}/weights.npz: damaged ({error}). Make the artifact again.") from error
            return Tags(Vocabulary.load(folder, "songs", "song"), Vocabulary.load(folder, "tags", "tag"), weights)
