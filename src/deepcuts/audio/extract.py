"""Folders of sound to `Features`: on all cores, resumable, and bad files set aside with a reason.

    report = extract("music/", "logmel", LogMelSettings(), Path("mel"))

Every finished file is kept in `.NAME.work` beside the artifact, by the hash of its bytes. A run that is killed goes on
where it was; a run into finished features hears only files whose bytes are new. The artifact holds no times and no
absolute paths, and is the same to the last bit however many processes made it and however often they were killed.
Until the artifact is whole its frames are on the disk twice.

One run at a time may write to an artifact.
"""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import polars as pl

from deepcuts import store
from deepcuts.artifacts import Features, Lineage, Vocabulary
from deepcuts.artifacts.vocabulary import read_parquet
from deepcuts.audio.extractors import find_extractor, recipe_settings
from deepcuts.audio.shards import Known, Outcome, Place, Shelf, by_place, read_shard
from deepcuts.audio.sources import Plan, plan_files
from deepcuts.audio.spool import copy_rows
from deepcuts.audio.workers import Job, Result, Spread, extract_files
from deepcuts.errors import ArtifactError, InputError, SettingError
from deepcuts.kernels.native import n_cores
from deepcuts.progress import progress

log = logging.getLogger(__name__)

SECONDS_BETWEEN_SHARDS = 5.0  # of work that a kill may cost

OUTCOME_TYPES = {
    "content_hash": pl.String,
    "reason": pl.String,
    "detail": pl.String,
    "n_frames": pl.Int64,
    "seconds": pl.Float64,
    "rate": pl.Int64,
    "channels": pl.Int64,
}
FILE_COLUMNS = ("song_id", "file", "content_hash", "n_frames", "seconds", "rate", "channels")
QUARANTINE_COLUMNS = ("file", "reason", "detail", "song_id", "content_hash")


@dataclass(frozen=True)
class ExtractReport:
    """What an extraction did.

    Attributes:
        n_songs: songs with features.
        n_files: files that gave frames.
        n_reused: files whose results were there already, bad ones included.
        quarantine: one row a bad file: file, reason, detail, song_id, content_hash.
        missing: songs of the table without any file.
        ignored: file · reason of what was passed over; see `walk.REASONS`.
        seconds: of sound in the features.
        seconds_heard: of sound decoded in this run.
        cpu_seconds: spent on it, all processes together.
    """

    n_songs: int
    n_files: int
    n_reused: int
    quarantine: pl.DataFrame
    missing: tuple[str, ...]
    ignored: pl.DataFrame
    seconds: float
    seconds_heard: float
    cpu_seconds: float

    @property
    def n_ignored(self) -> int:
        """Sound files that the table does not name."""
        return int((self.ignored["reason"] == "table").sum())

    @property
    def n_quarantined(self) -> int:
        """Files set aside."""
        return self.quarantine.height

    @property
    def times_real_time(self) -> float:
        """Seconds of sound heard in one second of one core; 0 when nothing was heard."""
        return self.seconds_heard / self.cpu_seconds if self.cpu_seconds > 0 else 0.0


def extract(
    source: Path | str | Sequence[Path | str],
    kind: str,
    settings: Any,
    out: Path | str,
    *,
    jobs: int | None = None,
    table: pl.DataFrame | None = None,
    ids: str = "stem",
    overwrite: bool = False,
    isolated: bool = False,
    spread: Spread | None = None,
) -> ExtractReport:
    """Make features of every song below a folder, or of a list of files.

    Writes the folder of `Features` (frames as float16) with two tables more: `files.parquet` (song_id, file,
    content_hash, n_frames, seconds, rate, channels) and `quarantine.parquet`, also as .csv (file, reason, detail,
    song_id, content_hash); ignored.csv lists what was passed over and why. Songs are sorted by id. A song of
    several files has the frames of the good ones.

    Args:
        source: a folder, searched to any depth, or a list of files.
        kind: a key of `FEATURES`.
        settings: of that kind.
        out: the folder to write; the work in progress lies beside it.
        jobs: processes; None takes one a core. 1 works in this one unless `isolated`.
        table: song_id and file (or track_id): which files belong to which song; see `plan_files`.
        ids: without a table, name songs by "stem" or "path".
        overwrite: replace features of another recipe. Features of the same recipe are always brought up to date.
        isolated: decode in a process of its own even with jobs=1: a file that crashes its decoder is then set aside.
            The command line does so; scripts without `if __name__ == "__main__":` cannot.
        spread: how files are shared out; None takes processes of this machine, `jobs` of them. A cluster gives the
            same features to the bit (`deepcuts.cluster.audio`).
    Raises:
        InputError: nothing to hear, two files for one id, or no file gave features.
        ArtifactError: `out` holds features made otherwise (and overwrite is False), or something else.
        ResourceError: disk full; what is done stays done, the same call goes on from there.
    """
    out, extractor = Path(out), find_extractor(kind)
    _check_call(kind, settings, extractor.settings, jobs)
    spread = spread or partial(extract_here, jobs=jobs, isolated=isolated)
    plan = plan_files(source, extractor.suffixes, table, ids)
    recipe = Features(Vocabulary([]), np.zeros((0, 1)), np.zeros(1, np.int64), kind, recipe_settings(settings))
    store.recover(out)
    old = _open_old(out, recipe, overwrite)
    shelf = Shelf(out.with_name(f".{out.name}.work"), recipe.recipe)
    for content_hash, held in _known_of(out, old).items():
        shelf.known.setdefault(content_hash, held)
    job = Job(kind, settings, frozenset(shelf.known), shelf.folder, recipe.recipe)
    outcomes, spent = _hear_plan(plan, job, shelf, spread)
    report = _report(plan, outcomes, spent)
    if report.n_songs == 0:
        first = report.quarantine.row(0, named=True)
        reason = f"{first['file']}: {first['reason']}: {first['detail']}"
        raise InputError(f"none of the {report.n_quarantined} files gave features. The first: {reason}.")
    _assemble(plan, outcomes, shelf.known, recipe, old, out)
    store.write_file(out / "ignored.csv", report.ignored.write_csv())
    shutil.rmtree(shelf.folder, ignore_errors=True)
    return report


def extract_here(paths: Sequence[Path], job: Job, *, jobs: int | None, isolated: bool) -> Iterator[tuple[int, Result]]:
    """The `Spread` over processes of this machine; jobs and isolated as `extract` takes them."""
    alone = jobs == 1 and not isolated
    return extract_files(paths, job, 0 if alone else min(n_cores() if jobs is None else jobs, len(paths)))


def _check_call(kind: str, settings: Any, wanted: type, jobs: int | None) -> None:
    if not isinstance(settings, wanted):
        raise SettingError(f"settings are {type(settings).__name__}: {kind} takes {wanted.__name__}.")
    if jobs is not None and jobs < 1:
        raise SettingError(f"jobs = {jobs}: expected at least 1.")


def _open_old(out: Path, recipe: Features, overwrite: bool) -> Features | None:
    """The features already there, if they may be added to."""
    there = out.exists() or out.with_name(f".{out.name}.old").exists()
    store.refuse_to_replace(out, kind="features")
    if not there or not store.is_whole(out, "features"):
        return None
    meta, old = store.read_meta(out, "features", verify=False), Features.load(out)
    if old.recipe == recipe.recipe and "files.parquet" in meta.files:
        return old
    if overwrite:
        return None
    new, held = {"kind": recipe.kind, **recipe.settings}, {"kind": old.kind, **old.settings}
    names = [name for name in sorted({*new, *held}) if new.get(name) != held.get(name)]
    differences = ", ".join(f"{name} = {held.get(name)!r} there and {new.get(name)!r} here" for name in names)
    raise ArtifactError(
        f"{out}: holds features made otherwise ({differences or 'not by extract'}). "
        "Choose another -o, or pass --overwrite."
    )


def _known_of(out: Path, old: Features | None) -> Known:
    """The results in the artifact, by content hash."""
    if old is None:
        return {}
    known: Known = {}
    start = 0
    for row in read_parquet(out / "files.parquet", *FILE_COLUMNS).iter_rows(named=True):
        outcome = Outcome(**{name: row[name] for name in FILE_COLUMNS[2:]})
        known[outcome.content_hash] = (outcome, Place(None, start))
        start += outcome.n_frames
    if start != len(old.frames):
        raise ArtifactError(f"{out}/files.parquet: tells of {start} frames, expected {len(old.frames)}. Make it again.")
    for row in read_parquet(out / "quarantine.parquet", *QUARANTINE_COLUMNS).iter_rows(named=True):
        outcome = Outcome(row["content_hash"], row["reason"], row["detail"])
        if outcome.lasting:
            known.setdefault(outcome.content_hash, (outcome, Place(None, 0)))
    return known


@dataclass
class _Spent:
    n_reused: int = 0
    seconds_heard: float = 0.0
    cpu_seconds: float = 0.0


def _hear_plan(plan: Plan, job: Job, shelf: Shelf, spread: Spread) -> tuple[list[Outcome], _Spent]:
    """An outcome for each file of the plan, in its order; the frames go to the shelf."""
    paths = [one.path for one in plan.files]
    outcomes: list[Outcome] = [Outcome("")] * len(paths)
    spent = _Spent()
    with progress("extract", total=len(paths), unit="file") as bar, _flushed(shelf):
        written = monotonic()
        for place, result in spread(paths, job):
            outcome = result.outcome
            if result.is_known:
                outcome = shelf.known[outcome.content_hash][0]
                spent.n_reused += 1
                bar.skip(1)
            else:
                if result.path is not None:
                    shelf.take(outcome, result.path, result.start)
                elif outcome.lasting and result.frames is not None:
                    shelf.add(outcome, result.frames)
                spent.seconds_heard += outcome.seconds
                spent.cpu_seconds += result.cpu_seconds
                speed = spent.seconds_heard / max(spent.cpu_seconds, 1e-9)
                bar.advance(1, note=f"{speed:.0f}× real time a core")
            outcomes[place] = outcome
            if monotonic() - written > SECONDS_BETWEEN_SHARDS:
                shelf.flush()
                written = monotonic()
    return outcomes, spent


@contextmanager
def _flushed(shelf: Shelf) -> Iterator[None]:
    """Whatever ends the block, what was heard is kept."""
    try:
        yield
    finally:
        shelf.flush()


def _tables(plan: Plan, outcomes: Sequence[Outcome]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The good files in the order of their frames, and the bad ones in the order of their names."""
    named = pl.DataFrame(
        {"song_id": [one.song_id for one in plan.files], "file": [one.file for one in plan.files]},
        schema={"song_id": pl.String, "file": pl.String},
    )
    rows = named.hstack(pl.DataFrame([asdict(outcome) for outcome in outcomes], schema=OUTCOME_TYPES))
    files = rows.filter(pl.col("reason") == "").select(FILE_COLUMNS)
    quarantine = rows.filter(pl.col("reason") != "").select(QUARANTINE_COLUMNS).sort("file", "song_id")
    return files.rechunk(), quarantine.rechunk()


def _report(plan: Plan, outcomes: Sequence[Outcome], spent: _Spent) -> ExtractReport:
    files, quarantine = _tables(plan, outcomes)
    return ExtractReport(
        n_songs=files["song_id"].n_unique(),
        n_files=files.height,
        n_reused=spent.n_reused,
        quarantine=quarantine,
        missing=plan.missing,
        ignored=pl.DataFrame(plan.ignored, schema={"file": pl.String, "reason": pl.String}, orient="row"),
        seconds=float(files["seconds"].sum()),
        seconds_heard=spent.seconds_heard,
        cpu_seconds=spent.cpu_seconds,
    )


def _assemble(
    plan: Plan, outcomes: Sequence[Outcome], known: Known, recipe: Features, old: Features | None, out: Path
) -> None:
    """Write the artifact, unless the one there is the same already."""
    files, quarantine = _tables(plan, outcomes)
    if old is not None and _same(out, files, quarantine):
        log.info("%s: nothing has changed", out)
        return
    ids, counts = [], []
    for song_id, group in groupby(files.select("song_id", "n_frames").iter_rows(), key=lambda row: row[0]):
        ids.append(song_id)
        counts.append(sum(n_frames for _, n_frames in group))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    parents = {"files": store.fingerprint("\n".join(files["content_hash"]))}
    with store.writing(out) as scratch:
        _write_frames(scratch / "frames.npy", files, known, recipe.settings["n_channels"], old)
        files.write_parquet(scratch / "files.parquet")
        quarantine.write_parquet(scratch / "quarantine.parquet")
        quarantine.write_csv(scratch / "quarantine.csv")
        frames = store.load_array(scratch, "frames", mapped=True)
        features = Features(Vocabulary(ids), frames, starts, recipe.kind, recipe.settings, Lineage(parents=parents))
        features.save_index(scratch)


def _same(out: Path, files: pl.DataFrame, quarantine: pl.DataFrame) -> bool:
    return read_parquet(out / "files.parquet").equals(files) and read_parquet(out / "quarantine.parquet").equals(
        quarantine
    )


def _write_frames(path: Path, files: pl.DataFrame, known: Known, n_channels: int, old: Features | None) -> None:
    """`frames.npy`, song after song, filled shard by shard.

    Written, not mapped: on a full disk a write says so, and a mapped page kills the process.
    """
    ends = np.cumsum(files["n_frames"].to_numpy())
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float16)), "fortran_order": False}
    groups = by_place(known, files["content_hash"].to_list())
    with path.open("wb") as file, progress("gather", total=files.height, unit="file") as bar:
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (int(ends[-1]), n_channels)})
        origin = file.tell()
        for shard, entries in groups.items():
            spooled = shard is not None and shard.suffix == ".npy"
            held = None if spooled else _frames_of(shard, old)
            for entry in entries:
                outcome, place = known[files["content_hash"][entry]]
                file.seek(origin + (int(ends[entry]) - outcome.n_frames) * n_channels * 2)
                if held is None and shard is not None:
                    copy_rows(shard, place.start, outcome.n_frames, file)
                elif held is not None:
                    file.write(np.ascontiguousarray(held[place.start : place.start + outcome.n_frames]).data)
                bar.advance()


def _frames_of(shard: Path | None, old: Features | None) -> np.ndarray:
    if shard is not None:
        return read_shard(shard)
    if old is None:
        raise ArtifactError("results refer to features that are not there. Run the same command again.")
    return old.frames
