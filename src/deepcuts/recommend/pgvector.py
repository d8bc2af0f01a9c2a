"""A catalogue in PostgreSQL with pgvector: for models that outgrow one process, or a cluster that is there already.

A model's vectors lie in a schema of their own, one row a song:

    songs (song int, place int, factors vector, pattern vector [, lifted vector])        model (fingerprint, …)

`song` is the row of the song in the bundle, which goes on holding names, listeners and plays. A scan of all rows is
exact up to the rounding of float32 sums. With approximate=True two HNSW graphs stand in for the scans: candidates come
from the graph, and their scores are exact. A graph finds neighbours by angle, not the largest products, so factors are
lifted by one number to equal lengths, [y, sqrt(M² - |y|²)] / M with M the longest: then the two orders are one.

Source: Bachrach et al. 2014 for the lift; Malkov, Yashunin 2018 for HNSW.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, LifoQueue
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from deepcuts.artifacts.bundle import Bundle
from deepcuts.checks import check_shape, require_package
from deepcuts.config import require
from deepcuts.errors import ArtifactError, ResourceError, SettingError
from deepcuts.progress import progress
from deepcuts.recommend.patterns import Patterns
from deepcuts.recommend.scan import as_float32, excluded_positions, ties

ROWS_AT_ONCE = 2_000  # sent in one piece
CANDIDATES = 10  # times k, taken from a graph and scored exactly
MOST_CANDIDATES = 1_000  # that pgvector looks for at a time
BYTES_IN_A_PAGE = 7_500  # for a row
COPY_HEAD, COPY_END = b"PGCOPY\n\xff\r\n\x00" + bytes(8), b"\xff\xff"


class Postgres:
    """A database with pgvector.

    Args:
        address: postgresql://user:password@host:port/database; ?host=/folder names a socket.
        model: the schema that holds the model's vectors.
    Raises:
        SettingError: no such address, or a name that is no plain word; pg8000 is not installed.
    """

    def __init__(self, address: str, model: str = "deepcuts") -> None:
        require_package("pg8000", "engine", "an index in PostgreSQL")
        parts = urlsplit(address)
        if parts.scheme not in ("postgresql", "postgres"):
            raise SettingError(f"index {address!r}: expected an address such as postgresql://user@host:5432/database.")
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", model):
            raise SettingError(f"name {model!r}: expected small letters, digits and _, a letter first.")
        socket = parse_qs(parts.query).get("host", [None])[0]
        where = (
            {"unix_sock": f"{socket}/.s.PGSQL.{parts.port or 5432}"}
            if socket
            else {"host": parts.hostname or "localhost"}
        )
        self._where: dict[str, Any] = {
            **where, "user": unquote(parts.username or "postgres"), "database": parts.path.strip("/") or None,
            "password": unquote(parts.password) if parts.password else None, "port": parts.port or 5432,
        }  # fmt: skip
        self.name = f"{parts.scheme}://{parts.hostname or socket}/{parts.path.strip('/')}"  # without the password
        self.model = model
        self._idle: LifoQueue[Any] = LifoQueue()

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection of its own for as long as it lasts; one that failed is not used again.

        Raises:
            ResourceError: the database cannot be reached, or refuses.
        """
        import pg8000.exceptions
        import pg8000.native

        failures = (pg8000.exceptions.DatabaseError, pg8000.exceptions.InterfaceError, OSError)
        held = None
        try:
            try:
                held = self._idle.get_nowait()
            except Empty:
                held = pg8000.native.Connection(**self._where)
            yield held
        except failures as error:
            detail = error.args[0].get("M", error) if error.args and isinstance(error.args[0], dict) else error
            raise ResourceError(f"{self.name}: {detail}. Is PostgreSQL with pgvector running there?") from error
        else:
            self._idle.put(held)
            held = None
        finally:
            if held is not None:
                with suppress(*failures):
                    held.close()

    def close(self) -> None:
        """Close all idle connections."""
        while not self._idle.empty():
            self._idle.get_nowait().close()

    # ---- loading ----

    def load(self, bundle: Bundle, patterns: Patterns, *, approximate: bool = False) -> None:
        """Write a model's vectors; those of an older model stay until the new ones are whole.

        Args:
            patterns: of the bundle's songs.
            approximate: build graphs too.
        Raises:
            ResourceError: the database cannot be reached, or refuses.
        """
        new, vectors = f"{self.model}_new", bundle.songs.vectors
        n_songs, n_factors = vectors.shape
        with self.connection() as held:
            held.run("CREATE EXTENSION IF NOT EXISTS vector")
            held.run("BEGIN")
            for work in tables_of(new, n_factors, approximate):
                held.run(work)
            held.run(f"COPY {new}.songs FROM STDIN (FORMAT binary)", stream=copy_rows(vectors, patterns, approximate))
            for column in ("lifted", "pattern") if approximate else ():
                held.run(f"CREATE INDEX ON {new}.songs USING hnsw ({column} vector_ip_ops)")
            held.run(f"INSERT INTO {new}.model VALUES (:f, :n, :d, :a)", f=bundle.fingerprint, n=n_songs, d=n_factors,
                     a=approximate)  # fmt: skip
            held.run(f"DROP SCHEMA IF EXISTS {self.model} CASCADE")
            held.run(f"ALTER SCHEMA {new} RENAME TO {self.model}")
            held.run("COMMIT")
            held.run(f"ANALYZE {self.model}.songs")

    def indexes(self, bundle: Bundle) -> tuple["PgvectorIndex", "PgvectorIndex"]:
        """What ranks songs by factors, and by patterns.

        Raises:
            ArtifactError: the database holds no model of this name, or another than the bundle.
        """
        with self.connection() as held:
            there = held.run("SELECT to_regclass(:name) IS NOT NULL", name=f"{self.model}.model")[0][0]
            row = held.run(f"SELECT fingerprint, approximate FROM {self.model}.model")[0] if there else ("", False)
        if row[0] != bundle.fingerprint:
            found = "holds another version of the model" if there else "holds no vectors"
            raise ArtifactError(f"{self.name}: {found} under the name {self.model}. Load them with `deepcuts index`.")
        length = np.linalg.norm(bundle.songs.vectors, axis=1).max(initial=0)
        shape, approximate = bundle.songs.vectors.shape, bool(row[1])
        return (PgvectorIndex(self, "factors", shape, approximate, float(length)),
                PgvectorIndex(self, "pattern", shape, approximate))  # fmt: skip


class PgvectorIndex:
    """Songs in a database, ranked for one vector at a time; as `SongIndex`, safe from several threads.

    Args:
        column: "factors" or "pattern".
        shape: (n_songs, n_factors).
        approximate: whether the database built graphs.
        longest: the longest vector, for "factors".
    """

    def __init__(
        self, postgres: Postgres, column: str, shape: tuple[int, ...], approximate: bool, longest: float = 1.0
    ) -> None:
        self.postgres, self.column, self.shape, self.approximate = postgres, column, shape, approximate
        self.longest = longest
        self.place = ties(shape[0], 0)[1]

    def best(
        self, user_vector: np.ndarray, k: int = 20, exclude: Sequence[int] | np.ndarray = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k songs with the largest products, best first; arguments, answers and errors as of `SongIndex.best`.

        Raises:
            ResourceError: the database cannot be reached.
        """
        n_songs, n_factors = self.shape
        check_shape("user_vector", user_vector, [n_factors])
        require(k >= 1, "k", k, "at least 1")
        x, left_out = as_float32("user_vector", user_vector), excluded_positions(exclude, n_songs)
        if not n_songs:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        with self.postgres.connection() as held:
            rows = self._graph(held, x, min(k, n_songs), left_out) if self.approximate and x.any() else None
            if rows is None:
                rows = self._scan(held, x, min(k, n_songs), left_out)
        songs, scores = zip(*rows, strict=True) if rows else ((), ())
        return np.array(songs, dtype=np.int64), np.array(scores, dtype=np.float32)

    def _scan(self, held: Any, x: np.ndarray, k: int, left_out: np.ndarray) -> list[Any]:
        found: list[Any] = held.run(
            f"SELECT song, -({self.column} <#> :x ::vector) AS score FROM {self.postgres.model}.songs "
            "WHERE NOT song = ANY(:gone ::int[]) ORDER BY score DESC, place LIMIT :k",
            x=_text(x), gone=_array(left_out), k=k,
        )  # fmt: skip
        return found

    def _graph(self, held: Any, x: np.ndarray, k: int, left_out: np.ndarray) -> list[Any] | None:
        """Candidates of the graph, scored exactly; None where so many are left out that it might find too few."""
        n = CANDIDATES * k
        if n > MOST_CANDIDATES or len(left_out) > n:
            return None
        near, query = ("lifted", np.append(x, 0)) if self.column == "factors" else ("pattern", x)
        held.run("BEGIN")
        held.run(f"SET LOCAL hnsw.ef_search = {max(n, 40)}")
        held.run("SET LOCAL hnsw.iterative_scan = relaxed_order")
        found: list[Any] = held.run(
            f"WITH near AS MATERIALIZED (SELECT song, place, {self.column} FROM {self.postgres.model}.songs "
            f"WHERE NOT song = ANY(:gone ::int[]) ORDER BY {near} <#> :q ::vector LIMIT :n) "
            f"SELECT song, -({self.column} <#> :x ::vector) AS score FROM near ORDER BY score DESC, place LIMIT :k",
            q=_text(query), x=_text(x), gone=_array(left_out), n=n, k=k,
        )  # fmt: skip
        held.run("COMMIT")
        return found


def tables_of(schema: str, n_factors: int, approximate: bool) -> list[str]:
    """The statements that make the tables of a model. Vectors that fit a page are kept in it, and read faster."""
    lift = f", lifted vector({n_factors + 1})" if approximate else ""
    vectors = f"factors vector({n_factors}), pattern vector({n_factors}){lift}"
    columns = ("factors", "pattern", "lifted") if approximate else ("factors", "pattern")
    plain = ", ".join(f"ALTER {column} SET STORAGE PLAIN" for column in columns)
    fits = len(columns) * 4 * (n_factors + 1) <= BYTES_IN_A_PAGE
    return [
        f"DROP SCHEMA IF EXISTS {schema} CASCADE",
        f"CREATE SCHEMA {schema}",
        f"CREATE TABLE {schema}.model (fingerprint text, n_songs int, n_factors int, approximate bool)",
        f"CREATE TABLE {schema}.songs (song int PRIMARY KEY, place int, {vectors})",
        *([f"ALTER TABLE {schema}.songs {plain}"] if fits else []),
    ]


def _text(vector: np.ndarray) -> str:
    """A vector as pgvector reads it; every float32 comes back as it was."""
    return f"[{','.join(map(repr, vector.astype(float).tolist()))}]"


def _array(positions: np.ndarray) -> str:
    return f"{{{','.join(map(str, positions.tolist()))}}}"


def copy_rows(vectors: np.ndarray, patterns: Patterns, approximate: bool) -> Iterator[bytes]:
    """All songs in PostgreSQL's binary copy format, some at a time."""
    place, n_songs = ties(len(vectors), 0)[1], len(vectors)
    longest = float(np.linalg.norm(vectors, axis=1).max(initial=0)) or 1.0
    yield COPY_HEAD
    with progress("load", total=n_songs, unit="song") as bar:
        for begin in range(0, n_songs, ROWS_AT_ONCE):
            songs = np.arange(begin, min(begin + ROWS_AT_ONCE, n_songs))
            columns = [vectors[songs], patterns.take(songs)]
            if approximate:
                columns.append(lifted(vectors[songs], longest))
            yield copy_block(songs, place[songs], columns)
            bar.advance(len(songs))
    yield COPY_END


def lifted(rows: np.ndarray, longest: float) -> np.ndarray:
    """Rows [n, n_factors] with one number more, so that all have length 1: [y, sqrt(M² - |y|²)] / M."""
    rest = np.sqrt(np.maximum(longest**2 - (rows.astype(np.float64) ** 2).sum(axis=1), 0))
    return np.asarray(np.column_stack([rows, rest]) / longest)


def copy_block(songs: np.ndarray, places: np.ndarray, columns: list[np.ndarray]) -> bytes:
    """Rows of two integers and some vectors, in network order, each value after its number of bytes."""
    kinds: list[Any] = [("n", ">i2"), ("bytes of song", ">i4"), ("song", ">i4"), ("bytes of place", ">i4"),
                        ("place", ">i4")]  # fmt: skip
    for at, column in enumerate(columns):
        kinds += [(f"bytes {at}", ">i4"), (f"n {at}", ">i2"), (f"unused {at}", ">i2")]
        kinds += [(f"vector {at}", ">f4", column.shape[1:])]
    block = np.zeros(len(songs), np.dtype(kinds))
    block["n"], block["bytes of song"], block["bytes of place"] = 2 + len(columns), 4, 4
    block["song"], block["place"] = songs, places
    for at, column in enumerate(columns):
        n = column.shape[1]
        block[f"bytes {at}"], block[f"n {at}"], block[f"vector {at}"] = 4 + 4 * n, n, column
    return block.tobytes()
