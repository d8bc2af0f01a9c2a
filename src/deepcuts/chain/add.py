"""New tracks into a model: heard, placed, and listed with the songs and listeners nearest to them."""

import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from deepcuts.artifacts import Bundle, Features, SongFactors, Songs
from deepcuts.audio import pool_features
from deepcuts.audio.extract import extract
from deepcuts.audio.extractors import SOUND_SUFFIXES
from deepcuts.chain.hear import Hearing
from deepcuts.data.filetags import from_names, read_tags
from deepcuts.errors import ArtifactError, InputError, SettingError, explain_os_error
from deepcuts.locks import only_run
from deepcuts.predict import predict_songs
from deepcuts.recommend import Recommender
from deepcuts.store import is_whole
from deepcuts.walk import path_of, text_of, walk

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Added:
    """What became of new tracks.

    Attributes:
        bundle: the model with them.
        songs: song_id · title · artist · file · nearest (three known songs) · audience (three listeners).
        quarantine: file · reason · detail of those that could not be heard.
        n_there: files that the model had already.
    """

    bundle: Bundle
    songs: pl.DataFrame
    quarantine: pl.DataFrame
    n_there: int


def add_tracks(model: Path, tracks: Sequence[Path], *, jobs: int | None = None) -> Added:
    """Hear new tracks and save the model with them. Two at once are right: the second waits or is told.

    Args:
        tracks: sound files, or folders of them.
        jobs: processes that decode sound.
    Raises:
        SettingError: the model holds no encoder.
        InputError: no sound files, or not one that can be heard.
        ArtifactError: another process is changing the model.
        ResourceError: the disk is full, or refuses; the model stays as it was.
    """
    try:
        return _added(model, tracks, jobs)
    except OSError as error:
        raise explain_os_error(error, error.filename or model) from error


def _added(model: Path, tracks: Sequence[Path], jobs: int | None) -> Added:
    with only_run(model):
        return add_files(model, _files(tracks), jobs)


def add_files(model: Path, paths: Sequence[Path], jobs: int | None) -> Added:
    """`add_tracks` of files, for a caller that holds the model."""
    bundle = Bundle.load(model)
    if bundle.encoder is None:
        raise SettingError(f"{model}: holds no encoder, so it hears no new songs. Bundle it with --encoder.")
    there = _files_of(bundle)
    new = [path for path in paths if str(path) not in there]
    if not new:
        return Added(bundle, _empty(), pl.DataFrame(), len(paths))
    hearing = Hearing.load(bundle.encoder)
    table = _named(new, bundle)
    predicted, quarantine = _heard(hearing, new, table, float(bundle.card.get("scale", 1.0)), jobs)
    table = table.filter(pl.col("song_id").is_in(predicted.songs.ids.implode()))
    bigger = _with_encoder_kept(bundle.plus(predicted, table), model)
    return Added(bigger, _told(bigger, predicted), quarantine, len(paths) - len(new))


def added_before(model: Path) -> list[Path]:
    """The files of a model that lie outside its music: tracks that were added. None where there is no model yet."""
    if not is_whole(model, "bundle"):
        return []
    try:
        bundle = Bundle.load(model)
    except ArtifactError as error:  # it is made anew; what was added to it cannot be known
        log.warning("%s. Tracks that were added must be added again.", error)
        return []
    if not bundle.card.get("music"):  # a media server's files all stand by their whole paths
        return []
    return [path_of(file) for file in bundle.table["file"].drop_nulls().to_list() if path_of(file).is_absolute()]


def _with_encoder_kept(bundle: Bundle, model: Path) -> Bundle:
    """Save over the model that the encoder lies in: it is moved aside first."""
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) / "encoder"
        if bundle.encoder is not None:
            shutil.copytree(bundle.encoder, kept)
        replace(bundle, encoder=kept if bundle.encoder is not None else None).save(model)
    return Bundle.load(model)


def _files(tracks: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for track in tracks:
        if track.is_dir():
            found += [path.resolve() for _, path in walk(track, SOUND_SUFFIXES).files]
        elif track.is_file():
            found.append(track.resolve())
        else:
            raise InputError(f"{track}: no such file or folder.")
    if not found:
        raise InputError("add: no sound files. Name files, or folders that hold some.")
    return list(dict.fromkeys(found))


def _files_of(bundle: Bundle) -> set[str]:
    music = str(bundle.card.get("music", ""))
    return {str(Path(music, file)) for file in bundle.table["file"].drop_nulls().to_list()}


def _named(paths: Sequence[Path], bundle: Bundle) -> pl.DataFrame:
    """Ids and names of new files: an id is the path below the music folder, else the name of the file."""
    music = str(bundle.card.get("music", ""))
    taken, rows = set(bundle.songs.songs.ids.to_list()), []
    for path in paths:
        inside = bool(music) and path.is_relative_to(music)
        below = text_of(path.relative_to(music).as_posix()) if inside else text_of(path.name)
        tags, _ = read_tags(path)
        names = from_names(below) if inside or not tags.get("title") else {}
        rows.append({**names, **tags, "file": below if inside else text_of(path), "song_id": _free(below, taken)})
    return Songs.of(pl.DataFrame(rows, infer_schema_length=None)).table


def _free(file: str, taken: set[str]) -> str:
    folder, slash, name = file.rpartition("/")
    wanted = folder + slash + (name.rpartition(".")[0] or name)
    chosen, n = wanted, 2
    while chosen in taken:
        chosen, n = f"{wanted} ({n})", n + 1
    taken.add(chosen)
    return chosen


def _heard(
    hearing: Hearing, paths: Sequence[Path], table: pl.DataFrame, scale: float, jobs: int | None
) -> tuple[SongFactors, pl.DataFrame]:
    with tempfile.TemporaryDirectory() as scratch:
        folder, recipe = Path(scratch) / "features", hearing.recipe
        names = [text_of(path) for path in paths]
        root = Path(_common(paths))
        below = [text_of(path.relative_to(root).as_posix()) for path in paths]
        asked = pl.DataFrame({"song_id": table["song_id"], "file": below})
        report = extract(list(paths), recipe.kind, recipe.settings, folder, jobs=jobs, table=asked, isolated=True)
        features = Features.load(folder)
        if recipe.pooled is not None:
            features = pool_features(features, recipe.pooled)
        predicted = predict_songs(hearing.encoder, features)
        predicted = replace(predicted, vectors=np.array(predicted.vectors) * np.float32(scale))
    full = dict(zip(below, names, strict=True))
    quarantine = report.quarantine.with_columns(pl.col("file").replace(full)).select("file", "reason", "detail")
    return predicted, quarantine


def _common(paths: Sequence[Path]) -> str:
    from os.path import commonpath

    return commonpath([path.parent for path in paths])


def _told(bundle: Bundle, predicted: SongFactors) -> pl.DataFrame:
    """What to say of each new song."""
    answers = Recommender(bundle)
    rows = []
    for song_id in predicted.songs.ids.to_list():
        row = bundle.table.row(int(bundle.songs.songs.positions([song_id])[0]), named=True)
        near = answers.similar(song_id, 3)["song_id"].to_list()
        who = answers.audience(song_id, 3)["user_id"].to_list()
        rows.append((song_id, row["title"], row["artist"], row["file"], " · ".join(near), " · ".join(who)))
    return pl.DataFrame(rows, schema=_empty().schema, orient="row")


def _empty() -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(("song_id", "title", "artist", "file", "nearest", "audience"), pl.String))
