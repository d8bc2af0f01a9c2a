"""Everything an answer needs, in one portable folder: a model that can be handed on, served, and opened in a second."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from deepcuts import store
from deepcuts.artifacts.factors import Factors
from deepcuts.artifacts.lineage import Lineage, same_space
from deepcuts.artifacts.plays import Plays, complete_songs_table
from deepcuts.artifacts.song_factors import SongFactors
from deepcuts.artifacts.songs import with_song_columns
from deepcuts.artifacts.user_factors import UserFactors
from deepcuts.artifacts.vocabulary import Vocabulary, read_parquet
from deepcuts.checks import check_shape
from deepcuts.errors import ArtifactError, InputError
from deepcuts.store import Meta, load_array, read_meta, save_array, write_meta, writing

CARD, ENCODER = "card.json", "encoder"


@dataclass(frozen=True)
class Bundle:
    """A model, complete.

    Attributes:
        users: x_u, with the settings of their factorisation.
        songs: y_i of all songs that may be listed, from plays and from sound; n_listeners is 0 for a cold song.
        table: one row a song in the order of `songs`: song_id, then title, artist, album, year, duration, file, mbid,
            isrc, tags where they are known.
        plays: counts [n_users, n_songs] CSR in the order of `users` and `songs`: what is left out of lists and what
            reasons rest on; may be empty.
        encoder: the folder of the encoder, which holds its feature recipe; None for a model that hears no new songs.
        card: what the model is: protocol, data, held-out quality, licences.
        split: hash of the split under which it was learned; "" when all plays were used.
    """

    users: UserFactors
    songs: SongFactors
    table: pl.DataFrame
    plays: sparse.csr_array
    encoder: Path | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    split: str = ""

    def __post_init__(self) -> None:
        same_space(self.users.lineage, self.songs.lineage, what=("the users", "the songs"))
        check_shape("bundle: plays", self.plays, [len(self.users), len(self.songs)])
        if not self.table["song_id"].equals(self.songs.songs.ids):
            raise InputError("bundle: the song table is not in the order of the song factors.")

    @property
    def lineage(self) -> Lineage:
        """Of the songs, which know of users and sound alike."""
        return self.songs.lineage

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the numbers."""
        p = self.plays
        arrays = (p.indptr.astype(np.int64), p.indices.astype(np.int64), p.data)
        return store.fingerprint(self.users.fingerprint, self.songs.fingerprint, *arrays)

    @staticmethod
    def of(
        observed: Factors,
        predicted: SongFactors | None = None,
        plays: Plays | None = None,
        *,
        songs_table: pl.DataFrame | None = None,
        encoder: Path | None = None,
        card: Mapping[str, Any] | None = None,
        split: str = "",
    ) -> "Bundle":
        """A bundle from what the stages made.

        Args:
            observed: users and songs from plays.
            predicted: songs from sound; those with observed factors keep these.
            plays: of the users; None for a model without reasons.
            songs_table: song_id and whatever is known of songs; that of the plays when left out.
        Raises:
            InputError: predictions of another factorisation.
        """
        songs = observed.songs if predicted is None else _join(observed, predicted)
        table = songs_table if songs_table is not None or plays is None else plays.songs_table
        counts = sparse.csr_array((len(observed.users), len(songs)), dtype=np.float32)
        if plays is not None:
            counts = plays.counts_of(observed.users.users, songs.songs)
        complete = with_song_columns(complete_songs_table(songs.songs, table))
        return Bundle(observed.users, songs, complete, counts, encoder, dict(card or {}), split)

    def plus(self, songs: SongFactors, table: pl.DataFrame) -> "Bundle":
        """The same model with songs that nobody has played; a song whose id is there already is replaced if it is cold.

        Args:
            songs: predicted factors of new songs; table: their names, by song_id.
        Raises:
            InputError: another factor space.
        """
        same_space(self.lineage, songs.lineage, what=("the model", "the new songs"))
        listeners = self.songs.n_listeners if self.songs.n_listeners is not None else np.ones(len(self.songs), np.int64)
        known = songs.songs.find(self.songs.songs.ids) >= 0
        kept = np.flatnonzero(~(known & (listeners == 0)))
        new = songs.without(self.songs.songs.take(kept))
        old = replace(self.songs.take(kept), n_listeners=listeners[kept])
        ids = Vocabulary(pl.concat([old.songs.ids, new.songs.ids]))
        both = SongFactors(
            ids, np.concatenate([old.vectors, new.vectors]), old.lineage,
            n_listeners=np.concatenate([listeners[kept], np.zeros(len(new), np.int64)]), settings=old.settings,
        )  # fmt: skip
        plays = sparse.csr_array(self.plays[:, kept])
        plays.resize((len(self.users), len(ids)))
        names = pl.concat([with_song_columns(table), self.table], how="diagonal_relaxed")
        return replace(self, songs=both, plays=plays, table=with_song_columns(complete_songs_table(ids, names)))

    def save(self, folder: Path | str) -> None:
        """Write the folder, whole or not at all; the encoder is copied into it.

        Raises:
            ArtifactError: the encoder is damaged, or is none.
        """
        with writing(folder) as scratch:
            self.users.write(scratch)
            self.songs.write(scratch)
            self.table.write_parquet(scratch / "table.parquet")
            save_array(scratch, "count", self.plays.data.astype(np.float32))
            save_array(scratch, "song", self.plays.indices.astype(np.int32))
            save_array(scratch, "user_start", self.plays.indptr.astype(np.int64))
            if self.encoder is not None:
                store.copy_artifact(self.encoder, scratch / ENCODER, "encoder")
            store.write_file(scratch / CARD, json.dumps(dict(self.card), indent=2, ensure_ascii=False) + "\n")
            record = self.songs.lineage.save(scratch)
            shape = {"n_users": len(self.users), "n_songs": len(self.songs), "n_factors": self.users.n_factors}
            settings = {"factorisation": dict(self.users.settings), "split": self.split}
            parents = self.songs.lineage.parents
            write_meta(scratch, Meta("bundle", self.fingerprint, parents, settings, shape, lineage=record))

    @staticmethod
    def load(folder: Path | str) -> "Bundle":
        """Open a bundle; every file is compared with its hash.

        Raises:
            ArtifactError: missing, damaged, of another kind or version.
        """
        folder = Path(folder)
        with store.content_of(folder):
            meta = read_meta(folder, "bundle", verify=True)
            lineage = Lineage.load(folder, meta.lineage, meta.parents)
            settings = meta.settings.get("factorisation", {})
            users = UserFactors(
                Vocabulary.load(folder, "users", "user"), load_array(folder, "user_factors"), lineage, settings
            )
            songs = SongFactors.read(folder, meta, lineage, settings)
            parts = (load_array(folder, "count"), load_array(folder, "song"), load_array(folder, "user_start"))
            try:
                plays = sparse.csr_array(parts, shape=(len(users), len(songs)))
                plays.check_format(full_check=True)
                card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            except ValueError as error:
                raise ArtifactError(f"{folder}: its plays or card are damaged ({error}). Make it again.") from error
            encoder = folder / ENCODER if any(name.startswith(f"{ENCODER}/") for name in meta.files) else None
            table = with_song_columns(read_parquet(folder / "table.parquet", "song_id"))
            return Bundle(users, songs, table, plays, encoder, card, str(meta.settings.get("split", "")))


def _joined(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """Two precisions one after the other; None where one is unknown."""
    return None if first is None or second is None else np.concatenate([first, second])


def _join(observed: Factors, predicted: SongFactors) -> SongFactors:
    """Songs with plays as observed, then the songs that only sound speaks for."""
    from_plays = observed.songs
    same_space(from_plays.lineage, predicted.lineage, what=("the observed factors", "the predicted factors"))
    cold = predicted.without(from_plays.songs)
    listeners = from_plays.n_listeners if from_plays.n_listeners is not None else np.ones(len(from_plays), np.int64)
    return SongFactors(
        Vocabulary(pl.concat([from_plays.songs.ids, cold.songs.ids])),
        np.concatenate([from_plays.vectors, cold.vectors]),
        predicted.lineage.with_parents(observed=observed.fingerprint, predicted=predicted.fingerprint),
        precision=_joined(from_plays.precision, cold.precision),
        n_listeners=np.concatenate([listeners, np.zeros(len(cold), np.int64)]),
        settings=observed.settings,
    )
