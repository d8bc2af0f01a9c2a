"""One set of promises for every index: the scan in this process, and PostgreSQL with pgvector, exact or not."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from postgres_server import postgres_address
from scipy import sparse

from deepcuts.artifacts import Bundle, Lineage, SongFactors, UserFactors, Vocabulary
from deepcuts.artifacts.plays import complete_songs_table
from deepcuts.artifacts.songs import with_song_columns
from deepcuts.errors import ArtifactError, InputError, ResourceError, SettingError
from deepcuts.recommend import Recommender, SongIndex
from deepcuts.recommend.pgvector import Postgres
from deepcuts.recommend.scan import Index

N_SONGS, N_FACTORS = 900, 12
KINDS = ("scan", "pgvector", "pgvector, approximate")


def made_bundle(seed: int = 0, n_songs: int = N_SONGS) -> Bundle:
    """Songs of very different lengths; song 3 is zero, songs 5 and 6 are equal."""
    rng = np.random.default_rng(seed)
    users = rng.normal(size=(30, N_FACTORS)).astype(np.float32)
    songs = (rng.normal(size=(n_songs, N_FACTORS)) * rng.lognormal(0, 1, (n_songs, 1))).astype(np.float32)
    songs[3], songs[6] = 0, songs[5]
    ids, lineage = Vocabulary([f"s{at:03d}" for at in range(n_songs)]), Lineage("a fit")
    table = with_song_columns(complete_songs_table(ids, pl.DataFrame({"song_id": ids.ids})))
    held = UserFactors(Vocabulary([f"u{at}" for at in range(30)], "user"), users, lineage)
    return Bundle(held, SongFactors(ids, songs, lineage), table, sparse.csr_array((30, n_songs), dtype=np.float32))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    yield from postgres_address()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return made_bundle()


@pytest.fixture(scope="module")
def indexes(address: str, bundle: Bundle) -> Iterator[dict[str, tuple[Index, Index]]]:
    """By kind: what ranks by factors, and by patterns."""
    answers, held = Recommender(bundle), []
    made: dict[str, tuple[Index, Index]] = {"scan": (answers.index, answers.alike)}
    for kind, approximate in (("pgvector", False), ("pgvector, approximate", True)):
        postgres = Postgres(address, "approximate" if approximate else "exact")
        postgres.load(bundle, answers.patterns, approximate=approximate)
        made[kind] = postgres.indexes(bundle)
        held.append(postgres)
    yield made
    for postgres in held:
        postgres.close()


def best_by_hand(rows: np.ndarray, x: np.ndarray, k: int, gone: list[int]) -> tuple[set[int], np.ndarray]:
    scores = rows.astype(np.float64) @ x.astype(np.float64)
    scores[gone] = -np.inf
    order = np.argsort(-scores, kind="stable")[:k]
    return set(order.tolist()), scores[order]


@pytest.mark.parametrize("kind", KINDS)
class TestIndexes:
    def test_list_the_largest_products_best_first(self, kind, indexes, bundle) -> None:
        index, found_of_all = indexes[kind][0], 0
        for seed in range(20):
            x = np.random.default_rng(seed).normal(size=N_FACTORS).astype(np.float32)
            gone = [7, 8, seed]
            songs, scores = index.best(x, 10, gone)
            wanted, truth = best_by_hand(bundle.songs.vectors, x, 10, gone)
            assert len(songs) == len(set(songs.tolist())) == 10
            assert not set(gone) & set(songs.tolist())
            np.testing.assert_allclose(scores, bundle.songs.vectors[songs] @ x, rtol=1e-5, atol=1e-4)
            assert (np.diff(scores) <= 0).all()
            found_of_all += len(wanted & set(songs.tolist()))
            if "approximate" not in kind:
                assert set(songs.tolist()) == wanted
                np.testing.assert_allclose(scores, truth, rtol=1e-5)
        assert found_of_all >= 190  # of 200: what an approximate index may miss

    def test_rank_by_patterns(self, kind, indexes, bundle) -> None:
        patterns = Recommender(bundle).patterns
        for song in (0, 100, 899):
            query = patterns.take(np.array([song]))[0]
            songs, scores = indexes[kind][1].best(query, 5, [song, 3])
            wanted, truth = best_by_hand(patterns.take(np.arange(N_SONGS)), query, 5, [song, 3])
            assert set(songs.tolist()) == wanted
            np.testing.assert_allclose(scores, truth, atol=1e-6)

    def test_equal_songs_stand_in_one_order_everywhere(self, kind, indexes, bundle) -> None:
        songs, scores = indexes[kind][0].best(bundle.songs.vectors[5], 2)
        expected, _ = indexes["scan"][0].best(bundle.songs.vectors[5], 2)
        if set(expected.tolist()) == {5, 6}:
            assert songs.tolist() == expected.tolist()
            assert scores[0] == scores[1]

    def test_take_a_mask_for_what_is_left_out(self, kind, indexes) -> None:
        gone = np.ones(N_SONGS, bool)
        gone[[11, 13, 17]] = False
        songs, _ = indexes[kind][0].best(np.ones(N_FACTORS, np.float32), 10, gone)
        assert sorted(songs.tolist()) == [11, 13, 17]
        assert len(indexes[kind][0].best(np.ones(N_FACTORS, np.float32), 3, np.ones(N_SONGS, bool))[0]) == 0

    def test_list_all_songs_when_asked_for_more(self, kind, indexes) -> None:
        songs, _ = indexes[kind][0].best(np.ones(N_FACTORS, np.float32), 5_000)
        assert sorted(songs.tolist()) == list(range(N_SONGS))

    @pytest.mark.parametrize(
        ("x", "k", "exclude"),
        [(np.ones(5), 3, ()), (np.full(N_FACTORS, np.nan), 3, ()), (np.ones(N_FACTORS), 3, [N_SONGS])],
    )
    def test_refuse_wrong_input(self, kind, indexes, x, k, exclude) -> None:
        with pytest.raises(InputError):
            indexes[kind][0].best(x, k, exclude)
        with pytest.raises(SettingError, match="k = 0"):
            indexes[kind][0].best(np.ones(N_FACTORS), 0)

    def test_give_a_recommender_the_same_lists(self, kind, indexes, bundle) -> None:
        plain, backed = Recommender(bundle), Recommender(bundle, engine=indexes[kind])
        for ask in (lambda one: one.recommend("u3", 10), lambda one: one.similar("s100", 10)):
            expected, found = ask(plain), ask(backed)
            assert len(set(expected["song_id"]) & set(found["song_id"])) >= (9 if "approximate" in kind else 10)


def test_the_database_refuses_to_rank_another_model(address: str, bundle: Bundle, indexes) -> None:
    with closing(Postgres(address, "exact")) as exact, closing(Postgres(address, "nothing")) as nothing:
        with pytest.raises(ArtifactError, match="holds another version of the model under the name exact"):
            exact.indexes(made_bundle(1))
        with pytest.raises(ArtifactError, match="holds no vectors under the name nothing"):
            nothing.indexes(bundle)


def test_a_load_that_fails_leaves_the_old_vectors(address: str, indexes, bundle: Bundle, monkeypatch) -> None:
    other = made_bundle(2)

    def fail(*given: object) -> bytes:
        raise OSError("the disk is gone")

    monkeypatch.setattr("deepcuts.recommend.pgvector.copy_block", fail)
    with closing(Postgres(address, "exact")) as postgres:
        with pytest.raises(ResourceError, match="the disk is gone"):
            postgres.load(other, Recommender(other).patterns)
        songs, _ = postgres.indexes(bundle)[0].best(np.ones(N_FACTORS), 3)
    assert songs.tolist() == SongIndex(bundle.songs.vectors).best(np.ones(N_FACTORS), 3)[0].tolist()


def test_loading_again_replaces_the_vectors(address: str) -> None:
    for seed, n_songs in ((3, 40), (4, 60)):
        bundle = made_bundle(seed, n_songs)
        with closing(Postgres(address, "twice")) as postgres:
            postgres.load(bundle, Recommender(bundle).patterns)
            assert len(postgres.indexes(bundle)[0].best(np.ones(N_FACTORS), 100)[0]) == n_songs


def test_wrong_addresses_say_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="expected an address such as postgresql"):
        Postgres("localhost:5432")
    with pytest.raises(SettingError, match="expected small letters"):
        Postgres("postgresql://localhost/db", "a; DROP TABLE songs")
    with pytest.raises(ResourceError, match="Is PostgreSQL with pgvector running there") as caught:
        Postgres("postgresql://me:secret@127.0.0.1:1/db").indexes(made_bundle())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("approximate", [False, True])
def test_rows_longer_than_a_page_are_kept_too(address: str, approximate: bool) -> None:
    rng = np.random.default_rng(5)
    n_factors, ids, lineage = 1_100, Vocabulary(["a", "b", "c", "d"]), Lineage("a fit")
    users = UserFactors(Vocabulary(["u"], "user"), rng.normal(size=(1, n_factors)).astype(np.float32), lineage)
    songs = SongFactors(ids, rng.normal(size=(4, n_factors)).astype(np.float32), lineage)
    table = with_song_columns(complete_songs_table(ids, pl.DataFrame({"song_id": ids.ids})))
    bundle = Bundle(users, songs, table, sparse.csr_array((1, 4), dtype=np.float32))
    with closing(Postgres(address, "long")) as postgres:
        postgres.load(bundle, Recommender(bundle).patterns, approximate=approximate)
        assert postgres.indexes(bundle)[0].best(songs.vectors[2], 1)[0].tolist() == [2]
