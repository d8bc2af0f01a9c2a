"""Splits: which songs are learned from, which choose settings, and which stay unheard until the end."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from deepcuts.artifacts import TEST, TRAIN, VALIDATION, Plays, Split
from deepcuts.artifacts.vocabulary import composed
from deepcuts.config import require
from deepcuts.data.judge import unix_seconds
from deepcuts.errors import InputError, SettingError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitSettings:
    """How songs are dealt out.

    Attributes:
        by: "song" (uniform, as in the paper), "artist" (no artist stands on both sides), "time" (songs first played
            from `cutoff` on are tested, and later plays are hidden) or "list" (the test songs are given).
        test: fraction of the eligible songs that are tested.
        validation: fraction of the other eligible songs, where settings are chosen; 0 for none.
        seed: of the draw.
        cutoff: for "time": unix seconds, or a date such as 2024-03-05 or 2024-03-05T18:00+01:00 (UTC without an
            offset); None puts it where the latest fraction `test` of the songs begins.
        group_column: column of the songs table that names the group, for "artist".
    """

    by: str = "song"
    test: float = 0.2
    validation: float = 0.1
    seed: int = 0
    cutoff: int | str | None = None
    group_column: str = "artist"

    def __post_init__(self) -> None:
        require(self.by in ("song", "artist", "time", "list"), "by", self.by, "song, artist, time or list")
        require(0 < self.test < 1, "test", self.test, "a fraction strictly between 0 and 1")
        require(0 <= self.validation < 1, "validation", self.validation, "a fraction from 0 up to 1")
        require(self.seed >= 0, "seed", self.seed, "at least 0")
        understood = not isinstance(self.cutoff, str) or cutoff_seconds(self.cutoff) is not None
        require(understood, "cutoff", self.cutoff, "unix seconds or a date such as 2024-03-05 or 2024-03-05T18:00")
        require(self.cutoff is None or self.by == "time", "cutoff", self.cutoff, "none unless by=time")


def cutoff_seconds(cutoff: int | str | None) -> int | None:
    """A cutoff in unix seconds; None where there is none or its text is no date."""
    if isinstance(cutoff, str):
        found = unix_seconds(pl.Series([cutoff], dtype=pl.String), "iso")[0]
        return None if found is None else int(found)
    return cutoff


def make_split(
    plays: Plays,
    settings: SplitSettings,
    *,
    test_songs: Sequence[str] | None = None,
    groups: pl.DataFrame | None = None,
    only: Sequence[str] | None = None,
) -> Split:
    """Deal the songs of `plays` out to train, validation and test.

    Groups are never parted by "artist": whole groups are drawn until the fraction of songs is met as nearly as they
    allow. A group with a song outside `only` therefore stays whole in train.

    Args:
        test_songs: song ids, for by="list" and only there.
        groups: columns song_id and group, instead of `group_column`. A song without a group is a group of its own.
            May also be given with by="song": then it does as "artist" does.
        only: ids of the songs that may be validated or tested, such as those that have sound; the rest is train.
    Returns:
        The split; its settings record how it was made and `plays.fingerprint`.
    Raises:
        InputError: an unknown song id, no times, no group column, or nothing left to learn from or to test.
        SettingError: arguments that do not go with `settings.by`.

    >>> plays = Plays.from_pairs(["ann"] * 10, [f"s{n}" for n in range(10)], [1] * 10)
    >>> split = make_split(plays, SplitSettings(by="song", test=0.2, validation=0.1))
    >>> len(split.test_songs), split.learning_plays(plays).shape
    (2, (1, 8))
    """
    if (test_songs is not None) != (settings.by == "list"):
        advice = "Name them: --test-songs FILE." if test_songs is None else "Set by=list, or leave them out."
        raise SettingError(f"by = {settings.by!r}: test songs go with by=list, and only there. {advice}")
    rng = np.random.default_rng(settings.seed)
    group = group_numbers(plays, settings, groups)
    eligible = _eligible(plays, only)
    record: dict[str, Any] = {k: v for k, v in asdict(settings).items() if k != "cutoff"}
    roles = np.full(len(plays.songs), TRAIN, dtype=np.int8)
    if settings.by == "time":
        record |= _split_by_time(roles, plays, settings, eligible)
    elif settings.by == "list":
        roles[plays.songs.positions(test_songs or [], "test songs")] = TEST
        _draw(roles, VALIDATION, settings.validation, group, eligible & (roles == TRAIN), rng)
    else:
        _draw(roles, TEST, settings.test, group, eligible, rng)
        _draw(roles, VALIDATION, settings.validation, group, eligible & (roles == TRAIN), rng)
    split = _finish(plays, roles, group, record)
    warn_of_hidden_plays(plays, split)
    return split


def warn_of_hidden_plays(plays: Plays, split: Split) -> None:
    """Log a warning with the reason when a split hides more than half of all plays."""
    total = float(plays.counts.data.sum(dtype=np.float64))
    of_tested = float(plays.counts.data[split.roles[plays.counts.indices] == TEST].sum(dtype=np.float64))
    late = 0.0
    if "cutoff" in split.settings:
        learned = split.learning_plays(plays).counts.data.sum(dtype=np.float64)
        late = total - of_tested - float(learned)
    if of_tested + late > total / 2:
        log.warning(
            "the split hides %.0f %% of all plays: %.0f %% are of songs for testing, %.0f %% of other songs from "
            "the cutoff on. Choose a smaller test, a later cutoff, or another way to split.",
            *(100 * part / total for part in (of_tested + late, of_tested, late)),
        )


def folds(
    plays: Plays,
    n_folds: int,
    settings: SplitSettings,
    *,
    groups: pl.DataFrame | None = None,
    only: Sequence[str] | None = None,
) -> list[Split]:
    """`n_folds` splits whose test songs are disjoint and together are all eligible songs; groups stay whole.

    Groups are dealt in random order, each to the fold that has fewest songs so far. `settings.test` and `cutoff` do not
    matter; validation songs are cut from the other folds.

    Raises:
        InputError: fewer groups than folds, and as `make_split`.
        SettingError: by is "time" or "list", or fewer than two folds.
    """
    if settings.by not in ("song", "artist") or n_folds < 2:
        raise SettingError(f"folds: by = {settings.by!r}, n_folds = {n_folds}: expected by song or artist, 2 or more.")
    rng = np.random.default_rng(settings.seed)
    group = group_numbers(plays, settings, groups)
    eligible = _eligible(plays, only)
    order, sizes = _groups_to_draw(group, eligible, rng)
    if len(order) < n_folds:
        raise InputError(f"folds: {len(order)} groups of songs for {n_folds} folds. Ask for fewer folds.")
    fold_of = np.full(int(group.max()) + 1, -1)
    filled = np.zeros(n_folds, dtype=np.int64)
    for one, size in zip(order, sizes, strict=True):
        fold = int(np.argmin(filled))
        fold_of[one] = fold
        filled[fold] += size
    made = []
    for fold in range(n_folds):
        roles = np.where(fold_of[group] == fold, TEST, TRAIN).astype(np.int8)
        _draw(roles, VALIDATION, settings.validation, group, eligible & (roles == TRAIN), rng)
        record = {**asdict(settings), "fold": fold, "n_folds": n_folds, "test": 1 / n_folds}
        del record["cutoff"]
        made.append(_finish(plays, roles, group, record))
    return made


def group_numbers(plays: Plays, settings: SplitSettings, groups: pl.DataFrame | None) -> np.ndarray:
    """int64 [n_songs]: equal for songs of one group. Songs without a group get a number of their own.

    Raises:
        InputError: by artist, and neither the songs table nor `groups` says which song belongs where.
    """
    n_songs = len(plays.songs)
    if groups is not None:
        missing = {"song_id", "group"} - set(groups.columns)
        if missing:
            raise InputError(f"groups: no column {min(missing)!r}; expected song_id and group.")
        table = groups.select(composed(groups["song_id"]).alias("song_id"), "group").unique(maintain_order=True)
        if table["song_id"].n_unique() != table.height:
            twice = table.filter(pl.col("song_id").is_duplicated())["song_id"][0]
            raise InputError(f"groups: song {twice!r} is in two groups. Join the groups, or choose one.")
        names = pl.DataFrame({"song_id": plays.songs.ids}).join(table, on="song_id", how="left", maintain_order="left")
        column = names["group"]
    elif settings.by == "artist":
        name = settings.group_column
        columns = plays.songs_table.columns
        fitting = [one for one in columns if one == name] or [one for one in columns if one.lower() == name.lower()]
        if not fitting:
            known = ", ".join(plays.songs_table.columns)
            raise InputError(
                f"songs table: no column {settings.group_column!r} to split by; the columns are {known}. "
                "Choose with --set group_column=..., or split by=song."
            )
        column = plays.songs_table[fitting[0]]
    else:
        return np.arange(n_songs)
    number = column.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    alone = number == 0
    number[alone] = number.max(initial=0) + 1 + np.arange(np.count_nonzero(alone))
    return np.unique(number, return_inverse=True)[1].astype(np.int64)


def _eligible(plays: Plays, only: Sequence[str] | None) -> np.ndarray:
    if only is None:
        return np.ones(len(plays.songs), dtype=bool)
    eligible = np.zeros(len(plays.songs), dtype=bool)
    found = plays.songs.find(only)
    eligible[found[found >= 0]] = True
    if not eligible.any():
        raise InputError(f"only: none of these {len(only)} ids is a song of the plays. Check which ids they are.")
    return eligible


def _groups_to_draw(group: np.ndarray, eligible: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The groups all of whose songs are eligible, in random order, and their sizes."""
    sizes = np.bincount(group)
    n_eligible = np.bincount(group, weights=eligible).astype(np.int64)
    partly = np.count_nonzero((n_eligible > 0) & (n_eligible < sizes))
    if partly:
        log.warning("%d groups have songs that may not be tested, so they stay whole in train", partly)
    order = rng.permutation(np.flatnonzero((n_eligible == sizes) & (sizes > 0)))
    return order, sizes[order]


def _draw(
    roles: np.ndarray, role: int, fraction: float, group: np.ndarray, eligible: np.ndarray, rng: np.random.Generator
) -> None:
    """Give `role` to random whole groups until about `fraction` of the eligible songs have it.

    A group that would lead further past the aim than it now falls short is passed over: one giant does not swallow all.
    """
    order, sizes = _groups_to_draw(group, eligible, rng)
    aim = round(fraction * np.count_nonzero(eligible))
    taken, drawn = 0, []
    for one, size in zip(order.tolist(), sizes.tolist(), strict=True):
        if taken >= aim:
            break
        if taken + size - aim <= aim - taken:
            drawn.append(one)
            taken += size
    roles[np.isin(group, drawn)] = role


def _split_by_time(roles: np.ndarray, plays: Plays, settings: SplitSettings, eligible: np.ndarray) -> dict[str, int]:
    """Songs first played from the cutoff on are tested; the latest of the others validate. Returns both cutoffs."""
    if plays.first_played is None:
        raise InputError("plays: have no times, so they cannot be split by time. Read them with --set time=COLUMN.")
    born = np.full(len(plays.songs), np.iinfo(np.int64).max)
    np.minimum.at(born, plays.counts.indices, plays.first_played)
    cutoff = cutoff_seconds(settings.cutoff)
    if cutoff is None:
        cutoff = _latest(born[eligible], settings.test)
    roles[eligible & (born >= cutoff)] = TEST
    others = eligible & (roles == TRAIN)
    cutoffs = {"cutoff": int(cutoff)}
    if settings.validation and others.any():
        cutoffs["validation_cutoff"] = _latest(born[others], settings.validation)
        roles[others & (born >= cutoffs["validation_cutoff"])] = VALIDATION
    return cutoffs


def _latest(times: np.ndarray, fraction: float) -> int:
    """The time from which the latest `fraction` of songs (at least one) begins."""
    n_late = max(round(fraction * len(times)), 1)
    return int(np.sort(times)[len(times) - n_late])


def _finish(plays: Plays, roles: np.ndarray, group: np.ndarray, record: dict[str, Any]) -> Split:
    for role, what in ((TEST, "test"), (TRAIN, "learn from")):
        if not (roles == role).any():
            raise InputError(
                f"split: of {len(roles)} songs none is left to {what}. Change the fractions or the cutoff."
            )
    return Split(plays.songs, roles, group, {**record, "plays": plays.fingerprint})
