"""The best songs for each query."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from deepcuts import store
from deepcuts.artifacts.vocabulary import Vocabulary
from deepcuts.store import Meta, write_meta, writing


@dataclass(frozen=True)
class Ranking:
    """The best songs for each query, best first.

    Attributes:
        queries: users (or songs, for similar songs); its noun names the id column.
        songs: the candidates.
        song: int32 [n_queries, k]: positions of the songs; -1 where fewer than k were left.
        scores: float32 [n_queries, k], descending along each row.
    """

    queries: Vocabulary
    songs: Vocabulary
    song: np.ndarray
    scores: np.ndarray
    settings: Mapping[str, Any] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)

    def table(self) -> pl.DataFrame:
        """Tidy rows: `user_id` (or `query_id`), `song_id`, `score`, `rank` from 1."""
        held = self.song >= 0
        query, place = np.nonzero(held)
        name = "user_id" if self.queries.noun == "user" else "query_id"
        return pl.DataFrame(
            {
                name: self.queries.ids.gather(query),
                "song_id": self.songs.ids.gather(self.song[held].astype(np.int64)),
                "score": self.scores[held].astype(np.float32),
                "rank": (place + 1).astype(np.int32),
            }
        )

    def save(self, folder: Path | str) -> None:
        """Write `ranking.parquet` (the tidy table) and meta.json."""
        table = self.table()
        with writing(folder) as scratch:
            table.write_parquet(scratch / "ranking.parquet")
            shape = {"n_queries": len(self.queries), "n_songs": len(self.songs), "n_rows": table.height}
            fingerprint = store.fingerprint(self.queries.fingerprint, self.songs.fingerprint, self.song, self.scores)
            write_meta(scratch, Meta("ranking", fingerprint, self.parents, self.settings, shape))
