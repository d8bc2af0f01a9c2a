"""The one object that answers: songs for a listener, songs like a song, who would like a new song, and why.

The command line, a server and a notebook are skins over it. What costs time (Gram matrix, index, usage patterns) is
made once; every method may be called from several threads.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from deepcuts.artifacts import SongFactors, same_space
from deepcuts.artifacts.bundle import Bundle
from deepcuts.config import require
from deepcuts.errors import InputError, SettingError
from deepcuts.kernels.als import gram as gram_of
from deepcuts.recommend.content import ContentTaste, is_content
from deepcuts.recommend.filters import Filters, capped, distinct, fits
from deepcuts.recommend.patterns import Patterns
from deepcuts.recommend.playlists import spaced
from deepcuts.recommend.scan import Index, SongIndex
from deepcuts.recommend.topk import WHICH

Listener = str | Mapping[str, float]


class Recommender:
    """Answers from a bundle.

    Args:
        bundle: users, songs, plays and names.
        hear: sound file → its predicted song factors, one row, for `place`; None for a model that hears no new songs.
        n_threads: for one answer; None takes all processors, and 1 suits a server that answers many at once.
        engine: what ranks songs by factors, and by patterns; None scans them in this process, exactly.
    """

    def __init__(
        self,
        bundle: Bundle,
        hear: Callable[[Path], SongFactors] | None = None,
        *,
        n_threads: int | None = None,
        engine: tuple[Index, Index] | None = None,
    ) -> None:
        self.bundle = bundle
        self.hear = hear
        self.n_threads = n_threads
        self.engine = engine
        settings = bundle.users.settings
        self.alpha, self.epsilon = float(settings.get("alpha", 2.0)), float(settings.get("epsilon", 1e-6))
        self.regularization = max(float(settings.get("regularization", 1.0)), 1e-6)
        self.by_sound = is_content(bundle)
        self.taste = ContentTaste(bundle)

    @cached_property
    def index(self) -> Index:
        """All songs, ready to be ranked for one vector."""
        return (
            self.engine[0]
            if self.engine is not None
            else SongIndex(self.bundle.songs.vectors, n_threads=self.n_threads)
        )

    @cached_property
    def alike(self) -> Index:
        """All songs, ready to be ranked by how like a pattern they are."""
        return self.engine[1] if self.engine is not None else SongIndex(self.patterns, n_threads=self.n_threads)

    @cached_property
    def _names(self) -> pl.DataFrame:
        """What every list shows of a song."""
        return self.bundle.table.select("song_id", "title", "artist")

    @cached_property
    def warm(self) -> np.ndarray:
        """Which songs somebody has played [n_songs] bool."""
        listeners = self.bundle.songs.n_listeners
        return np.ones(len(self.bundle.songs), bool) if listeners is None else listeners > 0

    @cached_property
    def gram(self) -> np.ndarray:
        """YᵀY + λI of the songs with plays: what every unplayed song says against a listener [n_factors, n_factors]."""
        vectors = self.bundle.songs.vectors[self.warm]
        return gram_of(vectors) + self.regularization * np.eye(vectors.shape[1])

    @cached_property
    def patterns(self) -> Patterns:
        """Unit vectors whose products are cosines of usage patterns; of a content model, of how songs sound."""
        if self.by_sound:
            return Patterns(self.bundle.songs.vectors)
        return Patterns.of_usage(self.bundle.users.vectors, self.bundle.songs.vectors)

    # ---- who is asking ----

    def fold_in(self, plays: Mapping[str, float]) -> np.ndarray:
        """The vector of a listener who was not there when the model was learned.

            x = (YᵀY + λI + Σ_i s_i y_i y_iᵀ)⁻¹ Σ_liked (1 + s_i) y_i

        Args:
            plays: song id → count; a negative count is a dislike of that strength: it adds to the matrix and not to
                the right side.
        Returns:
            x [n_factors] float64; zeros when no song is liked.
        Raises:
            InputError: an unknown song id, or a count that is 0 or not finite.
        Source: Hu et al. 2008, eq. 4; dislikes are preferences of 0 with confidence.
        """
        rows, surplus, liked = self._evidence(plays)
        if self.by_sound:
            return self.taste.vector(rows, liked)
        y = self.bundle.songs.vectors[rows].astype(np.float64)
        matrix = (self.gram + (y * surplus[:, None]).T @ y) * self.bundle.users.same_part
        return np.linalg.solve(matrix, y[liked].T @ (1 + surplus[liked]))

    def _evidence(self, plays: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if not plays:
            raise InputError("plays: contain no songs. Name at least one liked song.")
        rows = self.bundle.songs.songs.positions(list(plays), where="plays")
        counts = np.array(list(plays.values()), dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(counts) | (counts == 0))
        if len(bad):
            song_id = list(plays)[int(bad[0])]
            raise InputError(f"plays[{song_id!r}] = {counts[bad[0]]}: expected a finite count other than 0.")
        surplus = self.alpha * np.log1p(np.abs(counts) / self.epsilon)
        return rows, surplus, counts > 0

    def history_of(self, user: int) -> dict[str, float]:
        """Song id → plays of the user at a position, as the model holds them."""
        p = self.bundle.plays
        span = slice(p.indptr[user], p.indptr[user + 1])
        ids = self.bundle.songs.songs.ids[p.indices[span].astype(np.int64)].to_list()
        return dict(zip(ids, p.data[span].tolist(), strict=True))

    def _listener(self, who: Listener) -> tuple[str, np.ndarray, dict[str, float], str]:
        """Name, vector, history and method of a known user or of a history."""
        if isinstance(who, str):
            user = int(self.bundle.users.users.positions([who], where="model")[0])
            name, history, vector = who, self.history_of(user), self.bundle.users.vectors[user].astype(np.float64)
        else:
            name, history = "you", dict(who)
            vector = self.fold_in(who)
        if vector.any() and (self.by_sound or len(self.bundle.users) > 1):
            return name, vector, history, "content" if self.by_sound else "factors"
        if not any(count > 0 for count in history.values()):  # dislikes alone say what not to play, not what to play
            return name, vector, history, "none"
        return name, self._content_vector(history), history, "content"

    def vector_of(self, who: Listener) -> np.ndarray:
        """The taste of a known user, or of a history, in the space of the song vectors [n_factors] float64.

        Raises:
            InputError: an unknown user or song id.
        """
        return self._listener(who)[1]

    def _content_vector(self, history: Mapping[str, float]) -> np.ndarray:
        """Taste of one listener in the space of the song vectors: for those whom a factorisation cannot serve."""
        rows, _, liked = self._evidence(history)
        return self.taste.vector(rows, liked)

    # ---- answers ----

    def recommend(
        self, users: Listener | Sequence[str], k: int = 20, *, which: str = "both", filters: Filters | None = None
    ) -> pl.DataFrame:
        """The best songs for listeners.

        Args:
            users: a user id, several, or a history {song_id: count} of somebody new (negative counts: disliked).
            k: songs for each.
            which: "cold" (played by nobody), "warm" or "both".
        Returns:
            user_id · song_id · score · rank · title · artist · method, best first. `method` is "factors", or "content"
            where a listener is served by the taste posterior. Listeners about whom nothing is known get no rows.
        Raises:
            InputError: an unknown user or song id.
        """
        require(k >= 1, "k", k, "at least 1")
        many: Sequence[Listener] = [users] if isinstance(users, str | Mapping) else users
        filters = filters or Filters()
        allowed = self._allowed(which, filters)
        lists = [self._list(who, k, allowed, filters) for who in many]
        return lists[0] if len(lists) == 1 else pl.concat(lists)

    def _list(self, who: Listener, k: int, allowed: np.ndarray, filters: Filters) -> pl.DataFrame:
        name, vector, history, method = self._listener(who)
        if method == "none":
            return self._rows(name, np.zeros(0, np.int64), np.zeros(0), method)
        may = allowed.copy()
        if not filters.played:
            known = self.bundle.songs.songs.find(list(history))
            may[known[known >= 0]] = False
        if not may.any():
            return self._rows(name, np.zeros(0, np.int64), np.zeros(0), method)
        songs, scores = self._ranked(vector, k, may, filters)
        return self._rows(name, songs, scores, method)

    def _ranked(self, vector: np.ndarray, k: int, may: np.ndarray, filters: Filters) -> tuple[np.ndarray, np.ndarray]:
        if filters.per_artist is None and filters.per_album is None and not filters.deeper:
            return self.index.best(vector, k, np.flatnonzero(~may))
        scores = self.bundle.songs.vectors @ vector
        if filters.deeper:
            listeners = self.bundle.songs.n_listeners
            fame = np.log1p(np.zeros(len(scores)) if listeners is None else listeners)
            scores = scores - filters.deeper * scores.std() * (fame - fame.mean()) / (fame.std() or 1.0)
        order = np.flatnonzero(may)
        order = order[np.lexsort((self.index.place[order], -scores[order]))]
        chosen = capped(order, k, self.bundle.table, filters)
        return chosen, scores[chosen]

    def _allowed(self, which: str, filters: Filters) -> np.ndarray:
        """Which songs may be listed [n_songs] bool.

        Raises:
            SettingError: `which` is not one of WHICH.
        """
        if which not in WHICH:
            raise SettingError(f"which = {which!r}: expected {', '.join(WHICH)}.")
        may = np.full(len(self.bundle.songs), True) if which == "both" else np.equal(self.warm, which == "warm")
        may = may & fits(self.bundle.table, filters)
        if filters.exclude:
            left_out = self.bundle.songs.songs.find(list(filters.exclude))
            may[left_out[left_out >= 0]] = False
        return may

    def _rows(self, name: str, songs: np.ndarray, scores: np.ndarray, method: str) -> pl.DataFrame:
        """A list for somebody, in the form of `recommend`."""
        listed = self._listed(songs, scores)
        who, how = (pl.Series([value] * len(songs), dtype=pl.String) for value in (name, method))
        return pl.DataFrame({"user_id": who, **listed, "method": how})

    def _listed(self, songs: np.ndarray, scores: np.ndarray) -> dict[str, pl.Series]:
        """The columns of a list of songs: a query of polars would take longer than to find the songs."""
        shown = self._names[songs]
        rank = pl.Series(np.arange(1, len(songs) + 1, dtype=np.int32))
        score = pl.Series(np.asarray(scores, dtype=np.float32))
        names = {column: shown[column] for column in ("title", "artist")}
        return {"song_id": shown["song_id"], "score": score, "rank": rank, **names}

    def empty_list(self) -> pl.DataFrame:
        """A list without songs, in the form of `recommend`."""
        return self._rows("", np.zeros(0, np.int64), np.zeros(0), "none")

    def similar(self, song_id: str, k: int = 10, *, which: str = "both") -> pl.DataFrame:
        """The songs whose listeners would be the same: cosine of usage patterns.

        Returns:
            song_id · score (−1 to 1) · rank · title · artist, most alike first.
        Raises:
            InputError: an unknown song id.
        """
        song = int(self.bundle.songs.songs.positions([song_id], where="model")[0])
        return self._like(self.patterns.take(np.array([song]))[0], k, which, leave_out=song)

    def _like(self, pattern: np.ndarray, k: int, which: str, leave_out: int | None = None) -> pl.DataFrame:
        require(k >= 1, "k", k, "at least 1")
        may: np.ndarray = self._allowed(which, Filters()) & self.patterns.held
        if leave_out is not None:
            may[leave_out] = False
        if not may.any() or not pattern.any():
            return pl.DataFrame(self._listed(np.zeros(0, np.int64), np.zeros(0)))
        songs, scores = self.alike.best(pattern, k, ~may)
        return pl.DataFrame(self._listed(songs, scores))

    def path(self, start: str, end: str, n: int = 10) -> pl.DataFrame:
        """A way from one song to another in small steps: each step is the unused song nearest to the line between.

        Returns:
            song_id · score (likeness to the start) · rank · title · artist; first the start, last the end.
        """
        require(n >= 2, "n", n, "at least 2")
        a, b = self.bundle.songs.songs.positions([start, end], where="model").tolist()
        chosen = [a]
        free = self.patterns.held.copy()
        free[[a, b]] = False
        ends = self.patterns.take(np.array([a, b]))
        for step in range(1, n - 1):
            point = ends[0] * (1 - step / (n - 1)) + ends[1] * (step / (n - 1))
            if not free.any():
                break
            nearest = int(np.argmax(np.where(free, self.patterns.dot(point), -np.inf)))
            chosen.append(nearest)
            free[nearest] = False
        order = np.array(chosen if a == b and n == 2 else [*chosen, b], dtype=np.int64)
        return pl.DataFrame(self._listed(order, self.patterns.take(order) @ ends[0]))

    def playlist(self, seeds: Sequence[str], k: int = 25, *, filters: Filters | None = None) -> pl.DataFrame:
        """Songs around several seeds, the seeds first, near-duplicates left out and artists spaced.

        Returns:
            song_id · score (mean likeness to the seeds) · rank · title · artist.
        """
        require(k >= len(seeds) >= 1, "k", k, "at least as many as there are seeds")
        rows = self.bundle.songs.songs.positions(list(seeds), where="model")
        filters = filters or Filters(per_artist=3)
        may: np.ndarray = self._allowed("both", filters) & self.patterns.held
        may[rows] = False
        scores = self.patterns.dot(self.patterns.take(rows).mean(axis=0))
        order = np.flatnonzero(may)
        order = distinct(order[np.lexsort((self.index.place[order], -scores[order]))], rows, self.bundle.table)
        best = capped(np.concatenate([rows, order]), len(order) + len(rows), self.bundle.table, filters)
        rest = best[~np.isin(best, rows)][: k - len(rows)]  # the seeds count towards the caps, and always stay
        artists = self.bundle.table["artist"].gather([rows[-1], *rest]).to_list()
        after = [at - 1 for at in spaced(artists)[1:]]  # apart from the last seed too, which stays where it is
        chosen = np.concatenate([rows, rest[after]])
        return pl.DataFrame(self._listed(chosen, scores[chosen]))

    # ---- new songs, and reasons ----

    def place(self, sound: Path, k: int = 10) -> tuple[SongFactors, pl.DataFrame]:
        """Where a new song lands: its predicted factors, and the songs most like it.

        Raises:
            SettingError: the model holds no encoder.
            InputError: the sound cannot be heard, or the encoder belongs to another factorisation.
        """
        if self.hear is None:
            raise SettingError("this model holds no encoder, so it hears no new songs. Make one with --encoder.")
        song = self.hear(Path(sound))
        same_space(self.bundle.lineage, song.lineage, what=("the model", "the encoder's prediction"))
        return song, self.like(song.vectors[0], k)

    def like(self, vector: np.ndarray, k: int = 10, *, which: str = "warm") -> pl.DataFrame:
        """The songs most like a new one, given its vector [n_factors]; as `similar`. Where nobody has played any song,
        all are listed.
        """
        return self._like(self.patterns.of(vector[None])[0], k, which if self.warm.any() else "both")

    def audience(self, song: str | np.ndarray, k: int = 20) -> pl.DataFrame:
        """The listeners most likely to care for a song, and the artists they play most.

        Args:
            song: a song id, or the vector of a new one [n_factors].
        Returns:
            user_id · score · rank · typical_artists; listeners who have played the song are left out, and
            so are those of whom nothing is known.
        """
        require(k >= 1, "k", k, "at least 1")
        vector, known = song, np.zeros(0, np.int64)
        if isinstance(song, str):
            at = int(self.bundle.songs.songs.positions([song], where="model")[0])
            vector = self.bundle.songs.vectors[at]
            known = self.bundle.plays[:, [at]].nonzero()[0]
        vectors = self.bundle.users.vectors
        scores, may = vectors @ vector, np.array(vectors.any(axis=1))
        may[known] = False
        order = np.flatnonzero(may)
        order = order[np.lexsort((order, -scores[order]))][:k]
        return pl.DataFrame(
            {
                "user_id": self.bundle.users.users.ids.gather(order),
                "score": scores[order].astype(np.float32),
                "rank": np.arange(1, len(order) + 1, dtype=np.int32),
                "typical_artists": pl.Series([self._typical_artists(int(user)) for user in order], dtype=pl.String),
            }
        )

    def _typical_artists(self, user: int, n: int = 3) -> str:
        p = self.bundle.plays
        span = slice(p.indptr[user], p.indptr[user + 1])
        names = self.bundle.table["artist"].gather(p.indices[span].astype(np.int64))
        plays = pl.DataFrame({"artist": names, "n": p.data[span]}).drop_nulls("artist")
        best = plays.group_by("artist").agg(pl.col("n").sum()).sort(["n", "artist"], descending=[True, False])
        return ", ".join(best["artist"].head(n).to_list())

    def explain(self, user: Listener, song_id: str, k: int = 5) -> pl.DataFrame:
        """Which of a listener's songs a recommendation leans on.

        With A = YᵀY + λI + Σ s_j y_j y_jᵀ the score is a sum over the songs j that the listener liked:

            x · y_i = Σ_j (1 + s_j) y_iᵀ A⁻¹ y_j

        Returns:
            song_id · contribution · share (of the positive part) · title · artist, largest first; their sum over all
            songs is the score of the exactly folded-in listener.
        Raises:
            InputError: an unknown id, or a listener without plays.
        Source: Hu, Koren, Volinsky 2008, section 5.
        """
        at = int(self.bundle.songs.songs.positions([song_id], where="model")[0])
        history = self._listener(user)[2]
        if not history:
            raise InputError(f"user {user!r}: the model holds no plays of this listener, so there are no reasons.")
        rows, surplus, liked = self._evidence(history)
        parts = self._parts(rows, surplus, liked, at)
        order = np.argsort(-parts, kind="stable")[:k]
        positive = max(float(np.maximum(parts, 0).sum()), 1e-30)
        shown = self.bundle.table[rows[order]].select("song_id", "title", "artist")
        return shown.select(
            "song_id",
            pl.Series("contribution", parts[order]),
            pl.Series("share", np.maximum(parts[order], 0) / positive),
            "title",
            "artist",
        )

    def _parts(self, rows: np.ndarray, surplus: np.ndarray, liked: np.ndarray, song: int) -> np.ndarray:
        """What each song of a history adds to the score of another [n]."""
        if self.by_sound:
            return self.taste.parts(rows, liked, song)
        y = self.bundle.songs.vectors[rows].astype(np.float64)
        matrix = (self.gram + (y * surplus[:, None]).T @ y) * self.bundle.users.same_part
        towards = np.linalg.solve(matrix, self.bundle.songs.vectors[song].astype(np.float64))
        return np.where(liked, (1 + surplus) * (y @ towards), 0.0)
