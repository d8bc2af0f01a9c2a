"""What plays are made of: columns of numbered ids, and the times of events."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from deepcuts.artifacts.vocabulary import Vocabulary, composed


class Numbered(NamedTuple):
    """A column of ids: row i has `names[numbers[i]]`. Names are distinct texts."""

    names: pl.Series
    numbers: np.ndarray


class Events(NamedTuple):
    """When each play happened: those of stored pair j are `time[start[j]:start[j + 1]]`, ascending.

    start int64 [n_stored + 1] from 0; time int64 [n_events], unix seconds. Each play has a time, so pair j has
    `counts.data[j]` of them.
    """

    start: np.ndarray
    time: np.ndarray

    def take(self, stored: np.ndarray) -> "Events":
        """The events of some stored pairs [n], in the order given."""
        n_each = np.diff(self.start)[stored]
        start = np.concatenate([[0], np.cumsum(n_each)])
        places = np.arange(start[-1]) + np.repeat(self.start[:-1][stored] - start[:-1], n_each)
        return Events(start, self.time[places])


def fits(events: Events, counts: sparse.csr_array) -> bool:
    """Whether there is one event for each play of each stored pair."""
    start, n = events.start, len(events.time)
    whole = len(start) == counts.nnz + 1 and start[0] == 0 and start[-1] == n
    return bool(whole and (np.diff(start) == counts.data).all())


def same_form(ids: Sequence[str] | pl.Series | Numbered) -> tuple[Numbered, int]:
    """Ids numbered, with those joined that differ only in Unicode form (NFC and NFD); and how many were joined."""
    names, numbers = ids if isinstance(ids, Numbered) else number_ids(ids)
    one_form = composed(names)
    if one_form.equals(names) or one_form.n_unique() == len(one_form):
        return Numbered(one_form, numbers), 0
    distinct = one_form.unique(maintain_order=True)
    found = Vocabulary(distinct, "id").find(one_form) if not (distinct == "").any() else _ranks(one_form, distinct)
    return Numbered(distinct, found.astype(np.int32)[numbers]), len(one_form) - len(distinct)


def _ranks(ids: pl.Series, distinct: pl.Series) -> np.ndarray:
    places = {name: i for i, name in enumerate(distinct.to_list())}
    return np.array([places[name] for name in ids.to_list()], dtype=np.int64)


def number_ids(ids: Sequence[str] | pl.Series) -> Numbered:
    """The distinct ids, and the number of each row's. Categories have numbers too, but not dense ones."""
    series = ids if isinstance(ids, pl.Series) else pl.Series(values=ids, dtype=pl.String)
    if series.dtype != pl.Categorical:
        series = series.cast(pl.String).cast(pl.Categorical)
    categories = series.to_physical().to_numpy()
    last_row = np.full(int(categories.max()) + 1 if len(categories) else 0, -1)
    last_row[categories] = np.arange(len(categories))
    there = np.flatnonzero(last_row >= 0)
    dense = np.zeros(len(last_row), dtype=np.int32)
    dense[there] = np.arange(len(there), dtype=np.int32)
    return Numbered(series.gather(last_row[there]).cast(pl.String), dense[categories])
