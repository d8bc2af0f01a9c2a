"""What a running server holds: the model, what listeners did since, jobs, and who may log in."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from deepcuts import store
from deepcuts.artifacts import Bundle
from deepcuts.errors import ArtifactError, DeepcutsError
from deepcuts.recommend import Filters, Recommender
from deepcuts.recommend.blend import solve_song
from deepcuts.recommend.pgvector import Postgres
from deepcuts.recommend.scan import Index
from deepcuts.serve.accounts import Accounts
from deepcuts.serve.catalogue import Catalogue
from deepcuts.serve.eventlog import Event, EventLog, Playlist
from deepcuts.serve.hearing import ChildHearing, hearing_of
from deepcuts.serve.mediaserver import MediaServer, with_ids_of

log = logging.getLogger(__name__)

DISLIKED_BELOW = 3  # stars: 1 and 2 are dislikes, 4 and 5 are likes
STARRED_COUNTS = 5.0  # plays that a star is worth
SKIPS_OF_A_DISLIKE = 2
BLENDED_AT_ONCE = 500_000  # numbers in all song vectors; larger models blend in the background
SECONDS_BETWEEN_BLENDS = 2.0
SECONDS_BETWEEN_LOOKS = 2.0  # at the model's folder, for a newer one


@dataclass(frozen=True)
class Model:
    """A model, ready to answer; never changed, only replaced."""

    answers: Recommender
    catalogue: Catalogue

    @staticmethod
    def of(
        bundle: Bundle,
        hear: ChildHearing | None,
        catalogue: Catalogue | None = None,
        engine: tuple[Index, Index] | None = None,
    ) -> "Model":
        """Ready to answer at once: what is made once is made now."""
        answers = Recommender(bundle, hear, n_threads=1, engine=engine)
        _ = (answers.index, answers.alike, answers.gram, answers.warm)
        return Model(answers, catalogue or Catalogue(bundle))


@dataclass
class Listener:
    """What somebody did since the model was made: plays and marks by song."""

    plays: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    starred: dict[str, int] = field(default_factory=dict)
    ratings: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    skips: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def is_new(self) -> bool:
        """Whether there is anything that the model does not know."""
        return bool(self.plays or self.starred or self.ratings or self.skips)

    def take(self, event: Event) -> None:
        """Take an event."""
        song = event.song_id
        if event.kind == "play":
            self.plays[song] += event.value
            self.last[song] = max(event.time, self.last.get(song, 0))
        elif event.kind == "skip":
            self.skips[song] += 1
        elif event.kind == "star":
            self.starred[song] = event.time
        elif event.kind == "unstar":
            self.starred.pop(song, None)
        elif event.kind == "rate":
            if event.value:
                self.ratings[song] = int(event.value)
            else:
                self.ratings.pop(song, None)

    def history(self, before: Mapping[str, float]) -> dict[str, float]:
        """Counts of songs, plays of the model included; a dislike is negative, and a star counts as several plays.

        A song that was skipped time and again and never played or marked is disliked.
        """
        counts: dict[str, float] = dict(before)
        for song, n in list(self.plays.items()):
            counts[song] = counts.get(song, 0.0) + n
        for song in list(self.starred):
            counts[song] = counts.get(song, 0.0) + STARRED_COUNTS
        for song, stars in list(self.ratings.items()):
            if stars < DISLIKED_BELOW:
                counts[song] = -max(counts.get(song, 1.0), 1.0)
            elif stars > DISLIKED_BELOW:
                counts[song] = counts.get(song, 0.0) + STARRED_COUNTS
        for song, n in list(self.skips.items()):
            if n >= SKIPS_OF_A_DISLIKE and song not in counts and song not in self.ratings:
                counts[song] = -1.0
        return counts


class State:
    """A served model.

    Args:
        folder: of the model.
        data: where the event log, playlists, uploads and accounts lie; `MODEL.serve` when left out.
        users: names that may log in; those without an account get one.
        secured: whether every call needs a login; without, only the players' protocol does.
        server: a media server whose song ids, users and plays are taken over.
        engine: a database that holds the model's vectors and ranks its songs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        data: Path | None = None,
        users: Sequence[str] = (),
        secured: bool = False,
        server: MediaServer | None = None,
        engine: Postgres | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.data = data or self.folder.with_name(f"{self.folder.name}.serve")
        self.secured = secured
        self.server, self.engine = server, engine
        self.log = EventLog(self.data / "events.db")
        self._lock = threading.RLock()
        self._looked = 0.0
        self.listeners: dict[str, Listener] = defaultdict(Listener)
        self._at = 0
        self._stamp = self._read_stamp()
        self.hear: ChildHearing | None = None
        self.model = self._load()
        names = [*users, *(server.users if server is not None else ())] or self._default_users()
        self.accounts = Accounts(self.data / "accounts.json", names)
        self.started = time.time()
        self.now_playing: dict[str, tuple[str, float]] = {}
        self._waiting: set[str] = set()
        self.made: dict[tuple[str, str], tuple[Any, Playlist]] = {}
        self.added: dict[str, int] = {}
        self._take_server()
        self.counts: dict[tuple[str, int], int] = defaultdict(int)
        self.seconds: dict[str, float] = defaultdict(float)
        self._catch_up()

    def _default_users(self) -> list[str]:
        known = self.model.answers.bundle.users.users
        return [known[0]] if len(known) == 1 else ["admin"]

    @property
    def version(self) -> int:
        """Grows with every event: what was made from fewer is stale."""
        return self._at

    # ---- the model ----

    def _load(self) -> Model:
        bundle = Bundle.load(self.folder)
        engine = self.engine.indexes(bundle) if self.engine is not None else None
        if self.server is not None:
            bundle = with_ids_of(bundle, self.server)
        if self.hear is not None:
            self.hear.close()
        self.hear = hearing_of(bundle)
        return Model.of(bundle, self.hear, engine=engine)

    def _read_stamp(self) -> str:
        return store.read_meta(self.folder, "bundle", verify=False).fingerprint

    def current(self) -> Model:
        """The model of this moment. A newer one in the folder is loaded in the background; answers go on meanwhile."""
        if time.monotonic() - self._looked > SECONDS_BETWEEN_LOOKS:
            self._looked = time.monotonic()
            threading.Thread(target=self.reload, daemon=True).start()
        return self.model

    def reload(self) -> bool:
        """Load the model again if its folder holds another; a damaged one is logged, and the old goes on answering."""
        with self._lock:
            try:
                stamp = self._read_stamp()
                if stamp == self._stamp:
                    return False
                model = self._load()
            except DeepcutsError as error:
                log.warning("%s", error)
                return False
            self.model, self._stamp = model, stamp
            self._blend_all()
            log.info("%s: reloaded", self.folder)
            return True

    def _take_server(self) -> None:
        """Take over what the media server counted beyond the plays that the model was made of."""
        if self.server is None:
            return
        before = {user: self._plays_before(user) for user in self.server.users}
        for (user, song), n in self.server.plays.items():
            more = n - before.get(user, {}).get(song, 0)
            if more > 0:
                self.listeners[user].plays[song] += more
        for (user, song), time_ in self.server.last.items():
            self.listeners[user].last[song] = time_
        for user, song in self.server.liked:
            self.listeners[user].starred[song] = int(self.started)
        for user, song in self.server.disliked:
            self.listeners[user].ratings[song] = 1

    # ---- events ----

    def take(self, events: Sequence[Event]) -> int:
        """Write events to the log, then let them count; returns how many were new."""
        n_new = self.log.append(events)
        self._catch_up()
        return n_new

    def _catch_up(self) -> None:
        """Let all events count that have not yet."""
        with self._lock:
            songs = set()
            for number, event in self.log.events(self._at):
                self._at = number
                if event.kind == "add":
                    self.added[event.song_id] = event.time
                    continue
                self.listeners[event.user_id].take(event)
                if event.kind == "play":
                    songs.add(event.song_id)
            if songs:
                self._blend_soon(songs)

    def _blend_soon(self, songs: set[str]) -> None:
        """Blend now where that is quick; in a large model in the background, with what arrives within seconds."""
        if self.model.answers.bundle.songs.vectors.size <= BLENDED_AT_ONCE:
            self._blend(songs)
            return
        self._waiting |= songs
        if len(self._waiting) == len(songs):  # nobody waits yet
            threading.Timer(SECONDS_BETWEEN_BLENDS, self._blend_waiting).start()

    def _blend_waiting(self) -> None:
        with self._lock:
            songs, self._waiting = self._waiting, set()
        self._blend(songs)

    def _blend_all(self) -> None:
        self._blend({song for one in self.listeners.values() for song in one.plays})

    def _blend(self, song_ids: set[str]) -> None:
        """Move songs that somebody has played since towards their plays: known users of the model vote."""
        answers = self.model.answers
        known = [song for song in song_ids if song in self.model.catalogue.by_id]
        if answers.by_sound or not known or not len(answers.bundle.users):
            return
        before, bundle = self.model, answers.bundle
        vectors = bundle.songs.vectors.copy()
        gram = bundle.users.vectors.T.astype(np.float64) @ bundle.users.vectors
        for song in known:
            at = self.model.catalogue.by_id[song].position
            vectors[at] = self._blended(song, at, gram)
        songs = replace(bundle.songs, vectors=vectors)
        made = Model.of(replace(bundle, songs=songs), self.hear, before.catalogue, answers.engine)
        with self._lock:
            if self.model is before:  # else a newer model was loaded meanwhile, and blended by itself
                self.model = made

    def _blended(self, song: str, at: int, gram: np.ndarray) -> np.ndarray:
        """The vector of a song from its prediction or observed factors, and the plays since."""
        answers = self.model.answers
        bundle = self._original()
        users = bundle.users.users
        who = [(users.find([name])[0], one.plays[song]) for name, one in self.listeners.items() if song in one.plays]
        rows = [(int(row), n) for row, n in who if row >= 0]
        start = bundle.songs.vectors[at].astype(np.float64)
        if not rows:
            return start
        surplus = answers.alpha * np.log1p(np.array([n for _, n in rows]) / answers.epsilon)
        prior = max(answers.regularization, 1.0) * np.eye(len(start))
        listeners = bundle.users.vectors[[row for row, _ in rows]]
        return solve_song(listeners, surplus, gram, prior, start, bundle.users.same_part)[1]

    def _original(self) -> Bundle:
        return self.model.catalogue.bundle

    # ---- listeners ----

    def history(self, user_id: str) -> dict[str, float]:
        """Everything a listener played or marked, of songs that the model knows."""
        before = self._plays_before(user_id)
        counts = self.listeners[user_id].history(before) if user_id in self.listeners else before
        return {song: n for song, n in counts.items() if song in self.model.catalogue.by_id}

    def _plays_before(self, user_id: str) -> dict[str, float]:
        """Plays that the model was made of."""
        at = int(self.model.answers.bundle.users.users.find([user_id])[0])
        return self.model.answers.history_of(at) if at >= 0 else {}

    def play_counts(self, user_id: str) -> dict[str, float]:
        """How often a listener played each song, before and since; stars and ratings are no plays."""
        counts = self._plays_before(user_id)
        since = self.listeners.get(user_id)
        for song, n in list(since.plays.items()) if since is not None else ():
            counts[song] = counts.get(song, 0.0) + n
        return counts

    def who(self, user_id: str) -> str | dict[str, float]:
        """A listener as the recommender takes one: by id where the model knows all, else by history."""
        known = self.model.answers.bundle.users.users
        is_known = int(known.find([user_id])[0]) >= 0
        if is_known and not (user_id in self.listeners and self.listeners[user_id].is_new):
            return user_id
        return self.history(user_id)

    def knows(self, user_id: str) -> bool:
        """Whether anything is known of a listener."""
        known = self.model.answers.bundle.users.users
        return int(known.find([user_id])[0]) >= 0 or (user_id in self.listeners and self.listeners[user_id].is_new)

    def recommend(self, user_id: str, k: int, which: str = "both", filters: Filters | None = None) -> pl.DataFrame:
        """Songs for a listener, what they did since included; no rows where nothing is known."""
        who = self.who(user_id)
        if not who:
            return self.model.answers.empty_list()
        table = self.model.answers.recommend(who, k, which=which, filters=filters)
        return table.replace_column(0, pl.Series("user_id", [user_id] * table.height, dtype=pl.String))

    def close(self) -> None:
        """Close the log, and end the child that hears."""
        self.log.close()
        if self.engine is not None:
            self.engine.close()
        if self.hear is not None:
            self.hear.close()


def check_served(folder: Path) -> None:
    """Refuse a folder that is no model.

    Raises:
        ArtifactError: says what makes one.
    """
    if not (folder / store.META).exists():
        raise ArtifactError(
            f"{folder}: no model. Make one with `deepcuts model PLAYS MUSIC -o {folder}`, "
            "or `make demo` for one to try."
        )
