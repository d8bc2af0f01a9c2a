"""Tag prediction: what is linear in the factors is found, what is not is not, and nothing leaks between folds."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepcuts import store
from deepcuts.artifacts import Tags, Vocabulary
from deepcuts.errors import InputError, SettingError
from deepcuts.explore.tags import (
    TagSettings,
    compare_tags,
    deal_folds,
    interval,
    mean_over_folds,
    predict_tags,
)


def songs_of(n: int) -> Vocabulary:
    return Vocabulary([f"s{song:04d}" for song in range(n)])


def tags_of(has: np.ndarray, songs: Vocabulary | None = None) -> Tags:
    names = Vocabulary([f"tag{tag}" for tag in range(has.shape[1])], "tag")
    return Tags(songs or songs_of(len(has)), names, sparse.csr_array(has.astype(np.float32)))


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray]:
    """Factors, and tags each of which the songs furthest in some direction have."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 6)) * [1, 5, 1, 0.1, 1, 1] + 3
    along = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=(6, 8))
    return X, along > np.quantile(along, np.linspace(0.5, 0.85, 8), axis=0).diagonal()


def test_tags_that_are_linear_in_the_factors_are_found(planted: tuple[np.ndarray, np.ndarray]) -> None:
    X, has = planted
    scores = predict_tags(X, songs_of(400), tags_of(has), TagSettings(n_tags=8))
    assert scores.mean > 0.95
    assert scores.low <= scores.mean <= scores.high


def test_random_tags_score_a_half() -> None:
    rng = np.random.default_rng(1)
    has = rng.random((500, 15)) < 0.2
    scores = predict_tags(rng.normal(size=(500, 5)), songs_of(500), tags_of(has), TagSettings(n_tags=15))
    assert abs(scores.mean - 0.5) < 0.04
    assert scores.low < 0.5 < scores.high


def test_the_aucs_are_those_of_scikit_learns_own_cross_validation(planted: tuple[np.ndarray, np.ndarray]) -> None:
    X, has = planted
    noisy = X + np.random.default_rng(2).normal(scale=1.5, size=X.shape)
    scores = predict_tags(noisy, songs_of(400), tags_of(has), TagSettings(n_tags=8, n_folds=4, C=0.1))
    column = int(scores.tags[2].removeprefix("tag"))
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, solver="lbfgs", tol=1e-10, max_iter=5000))
    expected = cross_val_score(oracle, noisy, has[:, column], scoring="roc_auc", cv=PredefinedSplit(scores.fold))
    assert np.allclose(scores.auc[:, 2], expected, atol=1e-4)
    assert 0.6 < expected.mean() < 0.98  # else the comparison says little


def test_the_most_popular_tags_are_those_of_most_songs_above_the_least_weight() -> None:
    weights = np.zeros((40, 3))
    weights[:20, 0] = 0.5  # many songs, faintly
    weights[:12, 1] = 3
    weights[:15, 2] = 2
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    names = predict_tags(X, songs_of(40), tags_of(weights), TagSettings(n_tags=2, n_folds=2))
    assert names.tags.ids.to_list() == ["tag0", "tag2"]
    assert names.n_carriers.tolist() == [20, 15]
    strong = predict_tags(X, songs_of(40), tags_of(weights), TagSettings(n_tags=2, n_folds=2, min_weight=1))
    assert strong.tags.ids.to_list() == ["tag2", "tag1"]


def test_tags_are_matched_by_song_id_and_not_by_row(planted: tuple[np.ndarray, np.ndarray]) -> None:
    X, has = planted
    order = np.random.default_rng(5).permutation(400)
    shuffled = tags_of(has[order], songs_of(400).take(order))
    settings = TagSettings(n_tags=8, n_folds=4)
    straight = predict_tags(X, songs_of(400), tags_of(has), settings)
    assert np.array_equal(predict_tags(X, songs_of(400), shuffled, settings).auc, straight.auc)


def test_a_fold_with_one_class_is_left_out_and_counted() -> None:
    has = np.zeros((60, 2), dtype=bool)
    has[[3, 30], 0] = True
    has[:30, 1] = True
    X = np.random.default_rng(0).normal(size=(60, 2))
    scores = predict_tags(X, songs_of(60), tags_of(has), TagSettings(n_tags=2, n_folds=5))
    rare = scores.tags.ids.to_list().index("tag0")
    # with both in one fold nothing can be learned elsewhere; apart, each teaches the other's fold
    apart = scores.fold[3] != scores.fold[30]
    defined = np.isfinite(scores.auc[:, rare])
    assert sorted(np.flatnonzero(defined)) == (sorted({scores.fold[3], scores.fold[30]}) if apart else [])
    assert scores.n_undefined == 5 - defined.sum()


def test_the_mean_is_over_folds_first_and_over_tags_then() -> None:
    nan = float("nan")
    auc = np.array([[0.5, 1.0, nan], [0.7, nan, nan]])
    assert np.allclose(mean_over_folds(auc)[:2], [0.6, 1.0])
    assert np.isnan(mean_over_folds(auc)[2])


def test_songs_the_tags_do_not_know_are_negatives_or_left_out(planted: tuple[np.ndarray, np.ndarray]) -> None:
    X, has = planted
    half = tags_of(has[:200], songs_of(200))
    untagged = int((~has[:200].any(axis=1)).sum()) + 200
    asked = TagSettings(n_tags=8, n_folds=4)
    counted = predict_tags(X, songs_of(400), half, asked)
    assert (len(counted.songs), counted.n_untagged) == (400, untagged)
    left_out = predict_tags(X, songs_of(400), half, TagSettings(n_tags=8, n_folds=4, untagged="leave_out"))
    assert (len(left_out.songs), left_out.n_untagged) == (400 - untagged, 0)
    assert left_out.mean > counted.mean + 0.05  # half the negatives of the first really have the tag


def test_songs_of_one_group_never_part_and_folds_stay_even() -> None:
    rng = np.random.default_rng(0)
    groups = [f"artist {rng.integers(30)}" if rng.random() < 0.9 else None for _ in range(300)]
    fold = deal_folds(300, 5, rng, groups)
    for name in {group for group in groups if group is not None}:
        assert len({int(fold[song]) for song in range(300) if groups[song] == name}) == 1
    sizes = np.bincount(fold, minlength=5)
    assert sizes.max() - sizes.min() <= 5
    alone = [int(fold[song]) for song in range(300) if groups[song] is None]
    assert len(set(alone)) > 1


def test_without_groups_fold_sizes_differ_by_one_at_most() -> None:
    assert sorted(np.bincount(deal_folds(23, 5, np.random.default_rng(0)))) == [4, 4, 5, 5, 5]


def test_groups_stop_artists_from_telling_their_own_tags() -> None:
    rng = np.random.default_rng(3)
    artist = np.repeat(np.arange(40), 10)
    X = np.eye(40)[artist] + rng.normal(scale=0.05, size=(400, 40))  # the inputs tell the artist and nothing else
    has = (rng.random((40, 6)) < 0.4)[artist]
    settings = TagSettings(n_tags=6, n_folds=5)
    loose = predict_tags(X, songs_of(400), tags_of(has), settings)
    strict = predict_tags(X, songs_of(400), tags_of(has), settings, groups=[f"a{one}" for one in artist])
    assert loose.mean > 0.99
    assert strict.mean < 0.6


def test_the_same_seed_gives_the_same_scores(planted: tuple[np.ndarray, np.ndarray]) -> None:
    X, has = planted
    one, two = (predict_tags(X, songs_of(400), tags_of(has), TagSettings(n_tags=4, n_folds=3)) for _ in range(2))
    assert np.array_equal(one.auc, two.auc)
    assert (one.low, one.high) == (two.low, two.high)


def test_better_inputs_are_better_by_a_paired_interval(planted: tuple[np.ndarray, np.ndarray]) -> None:
    X, has = planted
    settings = TagSettings(n_tags=8, n_folds=4)
    good = predict_tags(X, songs_of(400), tags_of(has), settings)
    noise = predict_tags(np.random.default_rng(9).normal(size=X.shape), songs_of(400), tags_of(has), settings)
    gap = compare_tags(good, noise, settings)
    assert gap["difference"] == pytest.approx(good.mean - noise.mean)
    assert 0.3 < gap["low"] < gap["high"]
    assert compare_tags(good, good) == {"difference": 0, "low": 0, "high": 0}
    other = predict_tags(X[:300], songs_of(300), tags_of(has[:300]), settings)
    with pytest.raises(InputError, match="same songs with the same seed"):
        compare_tags(good, other)


def test_an_even_table_has_an_interval_of_no_width() -> None:
    assert interval(np.full((4, 3), 0.75), 0.95, 50, np.random.default_rng(0)) == (0.75, 0.75)


def test_asking_for_what_is_not_there_says_what_is(planted: tuple[np.ndarray, np.ndarray]) -> None:
    X, has = planted
    songs, tags = songs_of(400), tags_of(has)
    with pytest.raises(InputError, match="Set n_tags to 8 or fewer"):
        predict_tags(X, songs, tags)
    with pytest.raises(InputError, match="Did you mean 'tag1'"):
        predict_tags(X, songs, tags, chosen=["tagg1"])
    nobody = tags_of(np.hstack([has, np.zeros((400, 1))]))
    with pytest.raises(InputError, match="'tag8': 0 of 400 songs have it"):
        predict_tags(X, songs, nobody, chosen=["tag0", "tag8"])
    with pytest.raises(InputError, match="too few for 10 folds"):
        predict_tags(X[:15], songs_of(15), tags, TagSettings(n_tags=2))
    with pytest.raises(InputError, match="groups: 2, too few for 10 folds"):
        predict_tags(X, songs, tags, TagSettings(n_tags=2), groups=["a", "b"] * 200)
    with pytest.raises(InputError, match="know none of these 400 songs"):
        predict_tags(X, Vocabulary([f"other{song}" for song in range(400)]), tags)
    with pytest.raises(InputError, match="not finite"):
        predict_tags(np.where(X.max() - 1e-9 < X, np.nan, X), songs, tags)
    with pytest.raises(SettingError, match="negative or leave_out"):
        TagSettings(untagged="drop")


def test_chosen_tags_are_scored_in_the_order_asked_for(planted: tuple[np.ndarray, np.ndarray]) -> None:
    X, has = planted
    scores = predict_tags(X, songs_of(400), tags_of(has), TagSettings(n_folds=3), chosen=["tag5", "tag1"])
    assert scores.tags.ids.to_list() == ["tag5", "tag1"]


def test_scores_are_saved_with_their_settings(planted: tuple[np.ndarray, np.ndarray], tmp_path) -> None:
    X, has = planted
    scores = predict_tags(X, songs_of(400), tags_of(has), TagSettings(n_tags=3, n_folds=3))
    scores.save(tmp_path / "scores")
    meta = store.read_meta(tmp_path / "scores", "tagscores")
    assert meta.settings["n_tags"] == 3
    assert meta.settings["mean_auc"] == scores.mean
    assert np.array_equal(store.load_array(tmp_path / "scores", "auc"), scores.auc)
    assert scores.table()["auc"].is_sorted(descending=True)
