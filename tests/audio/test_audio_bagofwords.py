"""Bag of words: what is counted, what is kept, and that nothing is learned from songs set aside."""

import dataclasses
import logging

import numpy as np
import pytest
from sklearn.decomposition import PCA

from deepcuts.artifacts import Features, Lineage, Vocabulary
from deepcuts.audio.bagofwords import (
    BagOfWords,
    Words,
    WordsSettings,
    bag,
    count_words,
    draw_frames,
    learn_bagofwords,
    learn_pca,
    learn_words,
    scale_counts,
)
from deepcuts.errors import ArtifactError, InputError, SettingError

SMALL = WordsSettings(n_words=8, n_frames=400, n_sweeps=10, n_pca_songs=50)


def make_features(clips, kind="mfcc", **settings):
    songs = Vocabulary([f"song-{i}" for i in range(len(clips))])
    starts = np.concatenate([[0], np.cumsum([len(clip) for clip in clips])]).astype(np.int64)
    return Features(songs, np.concatenate(clips).astype(np.float32), starts, kind, settings)


def some_clips(n_songs=12, n_frames=40, n_channels=5, seed=0):
    """Each song mixes a few of ten planted sounds."""
    rng = np.random.default_rng(seed)
    sounds = 4 * rng.standard_normal((10, n_channels))
    mixes = rng.dirichlet(np.full(10, 0.3), n_songs)
    return [
        sounds[rng.choice(10, n_frames, p=mix)] + 0.2 * rng.standard_normal((n_frames, n_channels)) for mix in mixes
    ]


def two_words():
    """Words at 0 and 10 on one channel."""
    return Words(
        centres=np.array([[0.0], [10.0]], np.float32),
        mean=np.zeros(1, np.float32),
        weight=np.ones(1, np.float32),
        made_of={"kind": "mfcc", "recipe": make_features([np.zeros((1, 1))]).recipe, "settings": {}},
        lineage=Lineage(learned_from=Vocabulary(["song-0"])),
        settings=WordsSettings(n_words=2),
    )


# Counting


def test_counts_are_those_worked_by_hand():
    features = make_features([[[1.0], [2.0], [9.0]], [[11.0]], np.empty((0, 1)), [[4.0], [6.0]]])
    assert count_words(features, two_words()).tolist() == [[2, 1], [0, 1], [0, 0], [1, 1]]
    assert count_words(features, two_words(), np.array([3, 0])).tolist() == [[1, 1], [2, 1]]


def test_each_frame_is_compared_on_the_scale_of_the_training_frames():
    words = dataclasses.replace(two_words(), mean=np.array([100.0], np.float32), weight=np.array([10.0], np.float32))
    features = make_features([[[100.1], [100.9]]])
    assert count_words(features, words).tolist() == [[1, 1]]


def test_a_row_of_counts_adds_up_to_the_frames_of_the_song(monkeypatch):
    monkeypatch.setattr("deepcuts.audio.bagofwords.FRAMES_IN_MEMORY", 70)
    clips = [clip[: 5 + 3 * i] for i, clip in enumerate(some_clips())]
    features = make_features(clips)
    words = learn_words(features, np.arange(8), SMALL, np.random.default_rng(0))
    counts = count_words(features, words)
    assert counts.dtype == np.float32
    assert counts.sum(axis=1).tolist() == features.lengths.tolist()
    for i in range(len(clips)):  # parts of any size give what one song alone gives
        np.testing.assert_array_equal(counts[i], count_words(features, words, np.array([i]))[0])


def test_the_order_of_frames_does_not_matter():
    clips, rng = some_clips(), np.random.default_rng(3)
    features, shuffled = make_features(clips), make_features([rng.permutation(clip) for clip in clips])
    learned = learn_bagofwords(features, np.arange(9), SMALL)
    np.testing.assert_array_equal(
        bag(features, learned.words, learned.pca).frames, bag(shuffled, learned.words, learned.pca).frames
    )


def test_counts_may_be_square_roots_or_by_length():
    counts = np.array([[4, 0, 12], [0, 0, 0]], dtype=np.float32)
    assert scale_counts(counts, WordsSettings()).tolist() == counts.tolist()
    np.testing.assert_allclose(scale_counts(counts, WordsSettings(counts="root"))[0], [2, 0, 12**0.5])
    np.testing.assert_allclose(scale_counts(counts, WordsSettings(by_length=True)), [[0.25, 0, 0.75], [0, 0, 0]])
    both = scale_counts(counts, WordsSettings(counts="root", by_length=True))
    np.testing.assert_allclose(both[0], [0.5, 0, 0.75**0.5])


# Learning the words


def test_planted_sounds_become_the_words():
    rng = np.random.default_rng(5)
    planted = 5 * rng.standard_normal((8, 4))
    clips = [planted[rng.integers(8, size=60)] + 0.05 * rng.standard_normal((60, 4)) for _ in range(6)]
    words = learn_words(make_features(clips), np.arange(6), SMALL, rng)
    found = words.centres / words.weight + words.mean
    distances = np.linalg.norm(found[:, None] - planted[None], axis=2)
    assert sorted(distances.argmin(axis=1)) == list(range(8))
    assert distances.min(axis=1).max() < 0.1


def test_scale_is_that_of_the_training_frames():
    clips = some_clips()
    words = learn_words(make_features(clips), np.array([4, 1, 2]), SMALL, np.random.default_rng(0))
    frames = np.concatenate([clips[i] for i in (1, 2, 4)])
    np.testing.assert_allclose(words.mean, frames.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(words.weight, 1 / frames.std(axis=0), rtol=1e-5)
    assert words.lineage.learned_from.ids.to_list() == ["song-1", "song-2", "song-4"]


def test_every_training_frame_is_equally_likely_and_no_other_is_drawn():
    clips = [np.full((10, 1), i) + np.arange(10)[:, None] / 100 for i in range(5)]
    features, rng = make_features(clips), np.random.default_rng(0)
    drawn = np.concatenate([draw_frames(features, np.array([0, 2, 4]), 6, rng)[:, 0] for _ in range(2000)])
    values, times = np.unique(drawn, return_counts=True)
    np.testing.assert_allclose(values, np.concatenate([clips[i] for i in (0, 2, 4)])[:, 0], rtol=1e-6)
    assert times.min() > 320  # 400 expected, standard deviation 18
    assert times.max() < 480


def test_all_frames_are_taken_when_there_are_few():
    clips = some_clips(3, 7)
    drawn = draw_frames(make_features(clips), np.array([0, 2]), 100, np.random.default_rng(0))
    np.testing.assert_allclose(drawn, np.concatenate([clips[0], clips[2]]), rtol=1e-6)


def test_songs_set_aside_change_nothing_that_is_learned():
    clips = some_clips()
    poisoned = [*clips[:9], *[np.full((20, 5), 1e6)] * 3]
    good = learn_bagofwords(make_features(clips), np.arange(9), SMALL)
    same = learn_bagofwords(make_features(poisoned), np.arange(9), SMALL)
    assert good.fingerprint == same.fingerprint
    assert good.words.lineage.learned_from.ids.to_list() == [f"song-{i}" for i in range(9)]


def test_even_frames_that_are_not_numbers_do_no_harm_outside_the_training_songs():
    clips = some_clips()
    poisoned = [*clips[:9], *[np.full((20, 5), np.nan)] * 3]
    same = learn_bagofwords(make_features(poisoned), np.arange(9), SMALL)
    assert same.fingerprint == learn_bagofwords(make_features(clips), np.arange(9), SMALL).fingerprint


def test_same_seed_same_words_another_seed_others():
    features = make_features(some_clips())
    settings = dataclasses.replace(SMALL, n_frames=100)
    first, again = (learn_bagofwords(features, np.arange(9), settings) for _ in range(2))
    other = learn_bagofwords(features, np.arange(9), dataclasses.replace(settings, seed=1))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_a_channel_that_never_changes_counts_for_nothing(caplog):
    clips = some_clips(n_channels=3)
    with_constant = [np.column_stack([clip, np.full(len(clip), 7.0)]) for clip in clips]
    with caplog.at_level(logging.WARNING):
        learned = learn_bagofwords(make_features(with_constant), np.arange(9), SMALL)
    assert "channels [3] never change" in caplog.text
    changed = [*with_constant[:9], *[clip + np.array([0, 0, 0, 1000]) for clip in with_constant[9:]]]
    np.testing.assert_array_equal(
        count_words(make_features(with_constant), learned.words), count_words(make_features(changed), learned.words)
    )


def test_half_precision_frames_are_taken():
    features = make_features(some_clips())
    half = dataclasses.replace(features, frames=features.frames.astype(np.float16))
    learned = learn_bagofwords(half, np.arange(9), SMALL)
    assert bag(half, learned.words, learned.pca).frames.dtype == np.float32


# PCA


@pytest.mark.parametrize("n_songs", [15, 90])  # fewer and more than words
@pytest.mark.parametrize("variance", [0.5, 0.95])
def test_components_are_those_of_scikit_learn(n_songs, variance):
    rng = np.random.default_rng(n_songs)
    counts = (rng.poisson(rng.gamma(0.5, 6, size=30), size=(n_songs, 30))).astype(np.float32)
    pca = learn_pca(counts, variance)
    oracle = PCA(n_components=variance, svd_solver="full").fit(counts.astype(np.float64))
    assert len(pca.components) == oracle.n_components_
    assert pca.share == pytest.approx(oracle.explained_variance_ratio_.sum(), abs=1e-6)
    np.testing.assert_allclose(np.abs(np.sum(pca.components * oracle.components_, axis=1)), 1, atol=1e-4)
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(len(pca.components)), atol=1e-5)


def test_the_whole_variance_is_kept_in_as_many_components_as_there_are_directions():
    rng = np.random.default_rng(0)
    counts = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 20))
    pca = learn_pca(counts, 1.0)
    assert len(pca.components) == 3
    np.testing.assert_allclose((counts - pca.mean) @ pca.components.T @ pca.components + pca.mean, counts, atol=1e-4)


def test_the_bag_is_the_counts_along_the_components():
    features = make_features(some_clips())
    learned = learn_bagofwords(features, np.arange(9), dataclasses.replace(SMALL, counts="root"))
    songs = bag(features, learned.words, learned.pca)
    counts = np.sqrt(count_words(features, learned.words))
    np.testing.assert_allclose(songs.frames, (counts - learned.pca.mean) @ learned.pca.components.T, atol=1e-5)
    assert songs.kind == "bagofwords"
    assert songs.lengths.tolist() == [1] * 12
    assert songs.songs == features.songs
    np.testing.assert_allclose(songs.frames[:9].mean(axis=0), 0, atol=1e-5)  # centred on the training songs


def test_bags_of_other_words_have_another_recipe():
    features = make_features(some_clips())
    bags = []
    for seed in (0, 0, 1):
        learned = learn_bagofwords(features, np.arange(9), dataclasses.replace(SMALL, seed=seed, n_frames=100))
        bags.append(bag(features, learned.words, learned.pca))
    assert bags[0].recipe == bags[1].recipe != bags[2].recipe


# The artifact


def test_saved_and_loaded_words_give_the_same_bag(tmp_path):
    features = make_features(some_clips(), rate=22050)
    learned = learn_bagofwords(features, np.arange(9), SMALL)
    learned.save(tmp_path / "words")
    loaded = BagOfWords.load(tmp_path / "words")
    assert loaded.fingerprint == learned.fingerprint
    assert loaded.words.settings == SMALL
    assert loaded.words.lineage.learned_from == learned.words.lineage.learned_from
    before, after = (bag(features, it.words, it.pca) for it in (learned, loaded))
    np.testing.assert_array_equal(before.frames, after.frames)
    assert before.recipe == after.recipe
    before.save(tmp_path / "bag")
    assert Features.load(tmp_path / "bag").recipe == before.recipe


def test_another_artifact_is_not_taken_for_words(tmp_path):
    make_features(some_clips()).save(tmp_path / "features")
    with pytest.raises(ArtifactError, match="holds features, expected words"):
        BagOfWords.load(tmp_path / "features")


# Refusals


def test_features_of_another_kind_or_recipe_are_refused():
    learned = learn_bagofwords(make_features(some_clips(), rate=22050, hop=512), np.arange(9), SMALL)
    with pytest.raises(ArtifactError, match="features are logmel, the words were learned from mfcc"):
        bag(make_features(some_clips(), kind="logmel"), learned.words, learned.pca)
    with pytest.raises(ArtifactError, match=r"hop = 256 \(words: 512\)"):
        count_words(make_features(some_clips(), rate=22050, hop=256), learned.words)


def test_more_words_than_frames_are_refused_with_the_largest_number_possible():
    with pytest.raises(InputError, match=r"n_words = 8: the training songs have only 6 different frames.*n_words=6"):
        learn_bagofwords(make_features(some_clips(3, 3)), np.arange(2), SMALL)
    repeated = make_features([np.arange(5.0)[:, None]] * 4)
    with pytest.raises(InputError, match="only 5 different frames"):
        learn_bagofwords(repeated, np.arange(4), SMALL)


def test_as_many_words_as_different_frames_is_the_most():
    learned = learn_bagofwords(make_features(some_clips(4, 4)), np.arange(2), SMALL)
    assert learned.words.centres.shape == (8, 5)


def test_one_training_song_is_not_enough_for_pca():
    with pytest.raises(InputError, match="at least 2 training songs"):
        learn_bagofwords(make_features(some_clips()), np.array([3]), SMALL)


def test_songs_that_are_all_alike_are_refused():
    clip = some_clips(1)[0]
    with pytest.raises(InputError, match="all alike"):
        learn_bagofwords(make_features([clip] * 5), np.arange(5), SMALL)


def test_silence_everywhere_is_refused():
    with pytest.raises(InputError, match="no channel ever changes"):
        learn_bagofwords(make_features([np.zeros((20, 3))] * 4), np.arange(4), SMALL)


def test_no_training_songs_are_refused():
    with pytest.raises(InputError, match="none of them has frames"):
        learn_bagofwords(make_features(some_clips()), np.array([], dtype=int), SMALL)
    with pytest.raises(InputError, match="none of them has frames"):
        learn_bagofwords(make_features([np.empty((0, 5)), *some_clips()]), np.array([0]), SMALL)


def test_a_frame_that_is_not_a_number_names_its_song():
    clips = some_clips()
    clips[3][7, 2] = np.nan
    features = make_features(clips)
    with pytest.raises(InputError, match="features of song 'song-3': a frame is not finite"):
        learn_words(features, np.arange(9), SMALL, np.random.default_rng(0))
    words = learn_words(features, np.array([0, 1, 2]), SMALL, np.random.default_rng(0))
    with pytest.raises(InputError, match="song-3"):
        count_words(features, words)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_words": 1}, "n_words = 1"),
        ({"n_words": 20, "n_frames": 10}, "n_frames = 10: expected at least n_words = 20"),
        ({"counts": "log"}, "counts = 'log'"),
        ({"variance": 0.0}, "variance = 0.0"),
        ({"variance": 1.5}, "variance = 1.5"),
        ({"n_sweeps": 0}, "n_sweeps = 0"),
        ({"tolerance": -1.0}, "tolerance = -1.0"),
        ({"n_pca_songs": 1}, "n_pca_songs = 1"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(SettingError, match=message):
        WordsSettings(**change)
