"""Plays and music to a model, in one call: good defaults by the size of the data, each step a folder of its own.

    library → plays → matched → logmel → pooled → factors → encoder → predicted → model

Fewer than `enough_listeners` listeners cannot be compared with each other: they get a model by sound alone
(`recommend.content`). With more, plays are factorised and an encoder learns to hear the factors. A fifth of the songs
is kept aside once to tell how far the model can be trusted, and how sure its predictions are.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from deepcuts import store
from deepcuts.artifacts import Bundle, Factors, Features, Plays, SongFactors, Songs, Vocabulary
from deepcuts.artifacts.songs import merged_names
from deepcuts.audio import PoolSettings, pool_features
from deepcuts.audio.extract import ExtractReport, extract
from deepcuts.audio.extractors import SOUND_SUFFIXES
from deepcuts.audio.logmel import LogMelSettings
from deepcuts.chain.add import add_files, added_before
from deepcuts.chain.check import Trust, check_model
from deepcuts.chain.reading import hash_of_files, match_history, read_plays, refuse_swapped
from deepcuts.chain.steps import Steps
from deepcuts.config import require
from deepcuts.data.histories import navidrome_library
from deepcuts.data.library import LibraryReading, read_library
from deepcuts.errors import InputError
from deepcuts.factors import WmfSettings, fit
from deepcuts.locks import only_run
from deepcuts.predict import encoder_of_preset, fit_encoder, load_encoder, predict_songs
from deepcuts.predict.linear import LinearSettings
from deepcuts.recommend.blend import blend, prior_precision
from deepcuts.recommend.content import CONTENT, content_factors
from deepcuts.walk import path_of, text_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelSettings:
    """How a model is made from plays and music.

    Attributes:
        enough_listeners: from so many on plays are factorised; fewer are served by sound alone.
        n_factors: of the factorisation; 0 chooses an eighth of the listeners or songs, whichever are fewer, 4 to 64.
        seed: of everything random.
    """

    enough_listeners: int = 50
    n_factors: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.enough_listeners >= 2, "enough_listeners", self.enough_listeners, "at least 2")
        require(self.n_factors >= 0, "n_factors", self.n_factors, "0 or more")
        require(self.seed >= 0, "seed", self.seed, "0 or more")


@dataclass(frozen=True)
class Built:
    """What was made.

    Attributes:
        bundle: the model.
        trust: how far it can be trusted; None where too little data tells.
        notes: what was found and left out, counted.
        ran: the steps that ran; the others were unchanged.
        n_quarantined: sound files that could not be heard.
        unreadable: files and folders that permissions kept from us.
    """

    bundle: Bundle
    trust: Trust | None
    notes: dict[str, int]
    ran: tuple[str, ...]
    n_quarantined: int
    unreadable: tuple[str, ...]


def build_model(
    plays: Sequence[Path],
    music: Path,
    output: Path,
    settings: ModelSettings | None = None,
    *,
    user: str | None = None,
    jobs: int | None = None,
) -> Built:
    """Make a model, or bring it up to date: only what has changed is done again.

    Args:
        plays: histories, tables of listens, or a folder of plays; empty for a library that nobody has played.
        music: the folder of music; or a Navidrome database, whose ids and files are then used.
        output: the model; its steps lie beside it in `OUTPUT.steps`.
        user: whose one-person history it is.
        jobs: processes that decode sound.
    Raises:
        InputError: no music, no sound that can be heard, no plays.
    """
    settings = settings or ModelSettings()
    refuse_swapped(music)
    sources = {"plays": [str(Path(path).resolve()) for path in plays], "music": str(Path(music).resolve()),
               "user": user, "settings": asdict(settings)}  # fmt: skip
    store.refuse_to_replace(output, kind="bundle")
    with only_run(output):
        added = added_before(output)
        return _keep_added(_build(Steps.beside(output, sources), output, settings, jobs), output, added, jobs)


def update_model(model: Path, *, jobs: int | None = None) -> Built:
    """Bring a model up to date with its plays and music.

    Raises:
        ArtifactError: it was not made by `build_model`, or its steps are gone.
    """
    with only_run(model):
        steps = Steps.beside(model)
        with store.content_of(steps.folder):
            settings = ModelSettings(**steps.sources["settings"])
        added = added_before(model)
        return _keep_added(_build(steps, model, settings, jobs), model, added, jobs)


def _keep_added(built: Built, model: Path, added: Sequence[Path], jobs: int | None) -> Built:
    """The model, with the tracks that `add` brought from elsewhere: heard again, for its factor space may be new."""
    there = [path for path in added if path.is_file()]
    notes = dict(built.notes)
    if gone := len(added) - len(there):
        notes["tracks added earlier whose files are gone, left out"] = gone
    if not there:
        return replace(built, notes=notes)
    bigger = add_files(model, there, jobs)
    notes["tracks added earlier, heard again"] = bigger.songs.height
    return replace(
        built, bundle=bigger.bundle, notes=notes, n_quarantined=built.n_quarantined + bigger.quarantine.height
    )


def _build(steps: Steps, output: Path, settings: ModelSettings, jobs: int | None) -> Built:
    music = Path(steps.sources["music"])
    notes: dict[str, int] = {}
    songs, reading = _library(steps, music)
    matched = _matched(steps, songs, notes)
    report = _hear(steps, songs, music, jobs)
    pooled = steps.run("pooled", [_mark(steps.path("logmel"))], lambda to: _pool(steps.path("logmel"), to),
                       f"deepcuts audio pool {steps.path('logmel')} -o {steps.path('pooled')}")  # fmt: skip
    bundle, trust = _learn(steps, songs, matched, Features.load(pooled), settings)
    bundle.save(output)
    notes = {"songs in the library": len(songs), "songs heard": len(bundle.songs), **notes}
    unreadable = tuple(reading.ignored.filter(pl.col("reason") == "permission")["file"].to_list()) if reading else ()
    return Built(bundle, trust, notes, tuple(steps.ran), report.n_quarantined, unreadable)


def _mark(folder: Path) -> str:
    return store.read_meta(folder, verify=False).fingerprint


def _library(steps: Steps, music: Path) -> tuple[Songs, LibraryReading | None]:
    """The library, read again: files that have not changed are not opened."""
    folder, reading = steps.path("library"), None
    old = Songs.load(folder) if store.is_whole(folder, "songs") else None
    log.info("library: deepcuts library %s -o %s", music, folder)
    if music.is_file():
        songs = navidrome_library(music)
    else:
        reading = read_library(music, SOUND_SUFFIXES, old)
        songs = reading.songs
        for name in ("ignored", "duplicates", "problems"):
            store.write_file(steps.folder / f"{name}.csv", getattr(reading, name).write_csv())
    if old is None or old.fingerprint != songs.fingerprint or reading is None or reading.n_reused < len(songs):
        songs.save(folder)
        steps.finish("library", songs.fingerprint)
    return songs, reading


def _matched(steps: Steps, songs: Songs, notes: dict[str, int]) -> Plays | None:
    """The plays under the library's ids; None when there are none."""
    paths = [Path(path) for path in steps.sources["plays"]]
    if not paths:
        return None
    user = steps.sources["user"]
    given = " ".join(map(str, paths))
    read = steps.run("plays", [hash_of_files(paths), str(user)], lambda to: read_plays(paths, user, to),
                     f"deepcuts data history {given} -o {steps.path('plays')}")  # fmt: skip
    history = Plays.load(read)
    matches = steps.path("matched")
    steps.run("matched", [history.fingerprint, songs.fingerprint], lambda to: match_history(history, songs, to),
              f"deepcuts match {read} {steps.path('library')} -o {matches}")  # fmt: skip
    plays = Plays.load(matches)
    known = songs.ids.find(plays.songs.ids) >= 0
    each = np.asarray(plays.counts.sum(axis=0)).ravel()
    notes |= {"listeners": len(plays.users), "songs played": len(plays.songs),
              "songs played and in the library": int(known.sum()),
              "plays of songs in the library": int(each[known].sum()),
              "plays of songs not in the library": int(each[~known].sum())}  # fmt: skip
    return plays


def _hear(steps: Steps, songs: Songs, music: Path, jobs: int | None) -> ExtractReport:
    """Log-mel frames of all songs; files heard before are not heard again."""
    folder = steps.path("logmel")
    table = songs.table.select("song_id", "file")
    log.info("logmel: deepcuts audio logmel %s --songs %s -o %s", music, steps.path("library"), folder)
    before = _mark(folder) if store.is_whole(folder, "features") else ""
    source: Any = music
    if not songs.music:  # a media server's files, by their whole paths
        source, table = _files_of(table)
    report = extract(source, "logmel", LogMelSettings(), folder, jobs=jobs, table=table, isolated=True)
    if _mark(folder) != before:
        steps.finish("logmel", _mark(folder))
    return report


def _files_of(table: pl.DataFrame) -> tuple[list[Path], pl.DataFrame]:
    """The files that are there, and the table with their names below the folder that holds them all.

    Raises:
        InputError: none of them is there.
    """
    paths = [path_of(file) for file in table["file"].to_list()]
    there = [path.is_file() for path in paths]
    if not any(there):
        raise InputError(f"none of the {len(paths)} files is there, such as {paths[0]}. Mount the music where it was.")
    kept = [path.absolute() for path, one in zip(paths, there, strict=True) if one]
    root = Path(os.path.commonpath([path.parent for path in kept]))
    names = [text_of(path.relative_to(root).as_posix()) for path in kept]
    return kept, table.filter(pl.Series(there)).with_columns(pl.Series("file", names))


def _pool(features: Path, to: Path) -> None:
    pool_features(Features.load(features), PoolSettings()).save(to)


# ---- learning ----


def _learn(
    steps: Steps, songs: Songs, plays: Plays | None, pooled: Features, settings: ModelSettings
) -> tuple[Bundle, Trust | None]:
    """The model: by sound alone, or factors and an encoder that hears them."""
    served = 0 if plays is None else _listeners_with_sound(plays, pooled)
    by_sound = served < settings.enough_listeners
    why = (f"{served:,} listeners with plays of songs that can be heard, {settings.enough_listeners} are needed to "
           f"compare listeners: {'served by sound alone' if by_sound else 'plays are factorised'}")  # fmt: skip
    log.info("choice: %s", why)
    if by_sound:
        factors, encoder, predicted, trust = _learn_by_sound(steps, plays, pooled)
    else:
        factors, encoder, predicted, trust = _learn_factors(steps, plays, pooled, settings)  # type: ignore[arg-type]
    few = "trust: not measured, too few songs have both plays and sound"
    log.info("%s", trust.sentence() if trust is not None else few)
    card = {"what": "Made from plays and music by one command.", "choice": why, "music": songs.music,
            "protocol": "all plays", "trust": trust.record() if trust else None,
            "scale": predicted.settings["scale"] if predicted is not None else 1.0,
            "settings": asdict(settings)}  # fmt: skip
    table = songs.table if plays is None else merged_names(songs.table, plays.songs_table)
    return Bundle.of(factors, predicted, plays, songs_table=table, encoder=encoder, card=card), trust


def _listeners_with_sound(plays: Plays, pooled: Features) -> int:
    return int((np.diff(plays.counts_of(plays.users, pooled.songs).indptr) > 0).sum())


Made = tuple[Factors, Path, SongFactors | None, Trust | None]


def _learn_by_sound(steps: Steps, plays: Plays | None, pooled: Features) -> Made:
    factors = content_factors(pooled, plays)
    trust = None
    if plays is not None:
        trust = check_model(plays, pooled, lambda hidden, songs: _same_songs(content_factors(pooled, hidden)))
    frames = Features.load(steps.path("logmel"))
    exact = replace(factors.songs, n_listeners=None)
    chosen = LinearSettings(ridge=1e-6, validation=0.0)
    encoder = steps.run("encoder", [factors.songs.fingerprint, frames.fingerprint],
                        lambda to: fit_encoder("linear", frames, exact, chosen).save(to))  # fmt: skip
    return factors, encoder, None, trust


def _same_songs(factors: Factors) -> tuple[Factors, SongFactors]:
    return factors, factors.songs


def _learn_factors(steps: Steps, plays: Plays, pooled: Features, settings: ModelSettings) -> Made:
    wmf = wmf_settings(plays, settings)
    frames = Features.load(steps.path("logmel"))
    name, best = encoder_of_preset("best", frames)
    how = replace(best, seed=settings.seed)

    def learn(some: Plays, songs: Vocabulary) -> tuple[Factors, SongFactors]:
        made = fit(some, wmf).factors
        encoder = fit_encoder(name, frames, made, how)
        heard = on_scale(predict_songs(encoder, frames), made.songs)
        return made, heard.take(heard.songs.positions(songs.ids))

    marks = [plays.fingerprint, repr(wmf)]
    folder = steps.run("factors", marks, lambda to: fit(plays, wmf).factors.save(to),
                       f"deepcuts factors {steps.path('matched')} -o {steps.path('factors')}")  # fmt: skip
    factors = Factors.load(folder)
    encoder = steps.run(
        "encoder", [*marks, frames.fingerprint, name],
        lambda to: fit_encoder(name, frames, factors, how).save(to),
        f"deepcuts predict fit {steps.path('logmel')} {folder} --preset best -o {steps.path('encoder')}",
    )  # fmt: skip
    predicted = on_scale(predict_songs(load_encoder(encoder), frames), factors.songs)
    trust = check_model(plays, frames, learn, settings.seed)
    return blended(factors, predicted, plays, pooled.songs, trust), encoder, predicted, trust


def wmf_settings(plays: Plays, settings: ModelSettings) -> WmfSettings:
    """Settings of a factorisation by the size of the data, and by how large its counts are.

    Sizes: an eighth of the listeners or songs, whichever are fewer, from 4 to 64. Where half of all pairs have 20 plays
    or more, counts say much and weigh as on the real artists benchmark; else as in the demonstration.
    """
    fewest = min(plays.shape)
    n_factors = settings.n_factors or int(np.clip(fewest // 8, 4, 64))
    if float(np.median(plays.counts.data)) >= 20:
        return WmfSettings(n_factors, alpha=10.0, epsilon=100.0, regularization=50.0, n_sweeps=12, seed=settings.seed)
    return WmfSettings(n_factors, regularization=100.0, n_sweeps=12, seed=settings.seed)


def blended(
    factors: Factors, predicted: SongFactors, plays: Plays, library: Vocabulary, trust: Trust | None
) -> Factors:
    """Factors of the library's songs with plays, each between its sound and its plays.

    Songs that are not in the library helped to learn, and are not listed: nobody could play them.
    """
    heard = Vocabulary(predicted.songs.ids.filter(factors.songs.songs.find(predicted.songs.ids) >= 0))
    if not len(heard):
        raise InputError("model: none of the songs played can be heard. Check that plays and music belong together.")
    known = predicted.take(predicted.songs.positions(heard.ids))
    precision = None
    if trust is not None and trust.errors is not None:
        precision = prior_precision(trust.errors, float(factors.users.settings["regularization"]))
    songs = blend(plays.counts_of(factors.users.users, heard), factors.users, known, precision)
    return Factors(factors.users, replace(songs, settings=factors.songs.settings))


def on_scale(predicted: SongFactors, observed: SongFactors) -> SongFactors:
    """Predictions on the scale of the observed factors (their mean length): unit targets lose it.

    The factor is kept as `scale` in the settings, for songs that are added later.
    """
    both = np.flatnonzero(predicted.songs.find(observed.songs.ids) >= 0)
    ids = observed.songs.ids.gather(both)
    lengths = [float(np.linalg.norm(one.rows(ids), axis=1).mean()) for one in (observed, predicted)]
    scale = lengths[0] / lengths[1] if lengths[1] > 0 else 1.0
    vectors = predicted.vectors * np.float32(scale)
    return replace(predicted, vectors=vectors, settings={**predicted.settings, "scale": scale})


def is_by_sound(bundle: Bundle) -> bool:
    """Whether a model is one by sound alone."""
    return bundle.users.settings.get("model") == CONTENT
