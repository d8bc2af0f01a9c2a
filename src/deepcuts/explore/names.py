"""What songs are called, and which tags they have, in the order of some songs."""

import numpy as np
import polars as pl
from scipy import sparse

from deepcuts.artifacts import Tags, Vocabulary
from deepcuts.checks import did_you_mean
from deepcuts.errors import InputError


def column_of(songs: Vocabulary, table: pl.DataFrame, column: str = "artist") -> list[str | None]:
    """One column of a songs table, in the order of `songs`; None where the table does not say.

    Raises:
        InputError: the table has no such column.
    """
    if column not in table.columns:
        raise InputError(f"songs table: no column {column!r}.{did_you_mean(column, table.columns)}")
    asked = pl.DataFrame({"song_id": songs.ids})
    names = table.select("song_id", pl.col(column).cast(pl.String)).unique("song_id", keep="first")
    return asked.join(names, on="song_id", how="left", maintain_order="left")[column].to_list()


def song_names(songs: Vocabulary, table: pl.DataFrame) -> list[str]:
    """`artist – title` in the order of `songs`; one of both where they are equal or one is missing, else the id."""
    known = [column_of(songs, table, name) if name in table.columns else [None] * len(songs)
             for name in ("artist", "title")]  # fmt: skip
    names = []
    for song_id, artist, title in zip(songs.ids, *known, strict=True):
        parts = [part for part in (artist, title) if part]
        names.append(" – ".join(dict.fromkeys(parts)) or song_id)
    return names


def tag_rows(songs: Vocabulary, tags: Tags, min_weight: float = 0.0) -> sparse.csr_array:
    """Weights [n_songs, n_tags] CSR in the order of `songs`; rows of songs that the tags do not know are empty.

    Args:
        min_weight: only weights above this are kept.
    Raises:
        InputError: the tags know none of the songs.
    """
    found = tags.songs.find(songs.ids)
    known = np.flatnonzero(found >= 0)
    if not len(known):
        raise InputError(
            f"tags: know none of these {len(songs)} songs (theirs look like {tags.songs[0]!r}, these like "
            f"{songs[0]!r}). Pass tags of the same source."
        )
    place = sparse.csr_array((np.ones(len(known)), (known, found[known])), shape=(len(songs), len(tags.songs)))
    rows = sparse.csr_array(place @ tags.weights)
    rows.data[rows.data <= min_weight] = 0
    rows.eliminate_zeros()
    return rows


def carriers_of(rows: sparse.csr_array) -> np.ndarray:
    """How many songs have each tag: int64 [n_tags]."""
    return np.bincount(rows.indices, minlength=rows.shape[1]).astype(np.int64)


def by_popularity(carriers: np.ndarray) -> np.ndarray:
    """Positions of tags, those of most songs first; equal ones in the order of their positions."""
    return np.argsort(-carriers, kind="stable")
