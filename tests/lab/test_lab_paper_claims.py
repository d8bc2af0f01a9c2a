"""How the paper's claims are answered, on numbers small enough to check by hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import spearmanr

from deepcuts.artifacts import Features, Vocabulary
from deepcuts.errors import ArtifactError, SettingError
from deepcuts.evaluate import EvaluateSettings, Evaluation, System, evaluate
from deepcuts.evaluate.audit import AuditReport
from deepcuts.lab.cache import kept, kept_json, part
from deepcuts.lab.paper.claims import claim, mean_with_interval, paired, paired_gaps, rank_correlation, ratio, verdict
from deepcuts.lab.paper.settings import SCALES, PaperSettings
from deepcuts.lab.paper.systems import averaged

N_USERS, N_SONGS = 60, 40


def measured(*names: str, noise: tuple[float, ...]) -> Evaluation:
    """Systems that know the truth but for noise of a given size; truth and noise have the same seed every time."""
    rng = np.random.default_rng(0)
    users, songs = rng.standard_normal((N_USERS, 3)), rng.standard_normal((N_SONGS, 3))
    plays = sparse.csr_array((users @ songs.T > 1.5).astype(np.float32))
    systems = [
        System(name, users, songs + size * rng.standard_normal(songs.shape))
        for name, size in zip(names, noise, strict=True)
    ]
    return evaluate(systems, plays, EvaluateSettings(n_bootstrap=50))


def test_a_claim_holds_only_when_every_interval_lies_above_zero() -> None:
    above, below, across = {"low": 0.1, "high": 0.2}, {"low": -0.2, "high": -0.1}, {"low": -0.1, "high": 0.1}
    assert verdict([above, above]) == "holds"
    assert verdict([above, across]) == "holds in part: 1 of 2 tests, the others are undecided"
    assert verdict([above, below]) == "mixed: 1 of 2 tests agree, 1 contradict"
    assert verdict([across, across]) == "undecided: no test tells"
    assert verdict([across, below]) == "does not hold: 1 of 2 tests contradict"
    assert verdict([below, below]) == "does not hold: the contrary does"


def test_a_claim_that_holds_needs_no_cause_and_any_other_gets_one() -> None:
    good = {"what": "a − b", "metric": "AUC", "difference": 0.1, "low": 0.05, "high": 0.2, "p": 0.01}
    assert "likely_cause" not in claim("a", "A is better.", [good], "because")
    assert claim("a", "A is better.", [{**good, "low": -0.1}], "because")["likely_cause"] == "because"


def test_the_better_system_is_found_better_in_both_metrics() -> None:
    tests = paired(measured("near", "far", noise=(0.1, 3.0)), "near", "far")
    assert [test["metric"] for test in tests] == ["mAP@500", "AUC"]
    assert verdict(tests) == "holds"


def test_a_gap_between_gaps_is_the_difference_of_differences() -> None:
    outcome = measured("a", "b", "c", "d", noise=(0.1, 3.0, 0.5, 1.0))
    values = {name: outcome.row(name).mean("auc") for name in "abcd"}
    test = paired_gaps(outcome, ("a", "b"), ("c", "d"))[1]
    assert test["difference"] == pytest.approx(values["a"] - values["b"] - values["c"] + values["d"])
    assert test["low"] < test["difference"] < test["high"]
    same = paired_gaps(outcome, ("a", "b"), ("a", "b"))[0]
    assert [same["low"], same["difference"], same["high"]] == pytest.approx([0, 0, 0], abs=1e-12)


def test_a_ratio_is_of_means_and_one_of_a_system_with_itself() -> None:
    outcome = measured("near", "far", noise=(0.1, 3.0))
    told = ratio(outcome, "near", "far", 2.1)
    assert told["ours"] == pytest.approx(outcome.row("near").mean("map") / outcome.row("far").mean("map"))
    assert told["low"] < told["ours"] < told["high"]
    assert told["paper"] == 2.1
    alone = ratio(outcome, "far", "far", 1.0)
    assert [alone["low"], alone["ours"], alone["high"]] == pytest.approx([1, 1, 1])


def test_rank_correlation_is_scipys_and_nothing_for_a_constant() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(6, size=200).astype(float)
    b = a + rng.integers(9, size=200)
    told = rank_correlation(a, b, 100, 0.95, rng)
    assert told["correlation"] == pytest.approx(spearmanr(a, b).statistic)
    assert told["low"] < told["correlation"] < told["high"]
    flat = rank_correlation(a, np.ones(200), 10, 0.95, rng)
    assert flat == {"correlation": 0.0, "low": 0.0, "high": 0.0}


def test_the_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    rng = np.random.default_rng(2)
    told = mean_with_interval(rng.standard_normal(400), 2000, 0.95, rng)
    assert told["high"] - told["low"] == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.15)


def test_seeds_are_averaged_user_by_user_and_draw_by_draw() -> None:
    outcome = measured("random", "net 0", "net 1", "net 2", noise=(9.0, 0.5, 1.0, 2.0))
    scored = averaged(outcome, AuditReport("clean", [], N_SONGS, {}))
    one, *several = outcome.rows
    assert [row.name for row in scored.evaluation.rows] == ["random", "net"]
    assert scored.evaluation.row("random").mean("map") == one.mean("map")
    net = scored.evaluation.row("net")
    for metric in ("map", "auc"):
        np.testing.assert_allclose(net.values[metric], sum(row.values[metric] for row in several) / 3)
        np.testing.assert_allclose(net.draws[metric], sum(row.draws[metric] for row in several) / 3)
        assert scored.by_seed["net"][metric] == [row.mean(metric) for row in several]
    assert list(scored.by_seed) == ["net"]


def test_the_scale_of_the_paper_has_the_papers_sizes() -> None:
    paper = SCALES["paper"]
    assert (paper.n_songs, paper.n_users, paper.seconds, paper.n_factors) == (9_330, 20_000, 29, 50)
    assert round(paper.test * paper.n_songs) == 1_881
    assert (paper.n_words, paper.n_hidden) == (4_000, 1_000)
    mel, mfcc = paper.logmel(), paper.mfcc()
    assert (mel.rate, mel.window, mel.hop, mel.n_channels) == (22_050, 1_024, 512, 128)
    assert (mfcc.window, mfcc.hop, mfcc.n_mfcc, mfcc.n_channels) == (1_024, 512, 13, 39)


def test_a_part_of_the_songs_is_visited_as_many_times_in_all() -> None:
    small = SCALES["small"]
    whole, part_of = small.training_set("cnn_mse", 0), small.training_set("cnn_mse", 0, part=small.small_part)
    assert part_of.n_epochs * small.small_part == whole.n_epochs  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "value"),
    [("protocol", "dirty"), ("by", "album"), ("n_seeds", 0), ("small_part", 1.0), ("n_songs", 1), ("n_words", 1)],
)
def test_settings_out_of_range_are_refused_before_any_work(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=name):
        PaperSettings(**{name: value})  # type: ignore[arg-type]


def test_other_settings_make_another_part(tmp_path: Path) -> None:
    first = part(tmp_path, "words", SCALES["tiny"].words())
    assert first == part(tmp_path, "words", SCALES["tiny"].words())
    assert first != part(tmp_path, "words", SCALES["small"].words())
    assert first.name.startswith("words-")


def test_what_is_kept_is_not_made_again(tmp_path: Path) -> None:
    made = []

    def make() -> Features:
        made.append(1)
        return Features(Vocabulary(["a"]), np.ones((2, 3), np.float32), np.array([0, 2]), "mfcc")

    for _ in range(2):
        found = kept(tmp_path / "part", Features.load, make)
        np.testing.assert_array_equal(found.frames, np.ones((2, 3)))
    assert made == [1]


def test_kept_numbers_are_read_back_and_damage_is_told(tmp_path: Path) -> None:
    assert kept_json(tmp_path / "n", lambda: {"a": (1, 2)}) == {"a": [1, 2]}
    assert kept_json(tmp_path / "n", lambda: {"a": "another"}) == {"a": [1, 2]}
    (tmp_path / "n.json").write_text("{")
    with pytest.raises(ArtifactError, match="Remove it"):
        kept_json(tmp_path / "n", dict)
    with pytest.raises(ValueError, match="JSON"):
        kept_json(tmp_path / "nan", lambda: {"a": float("nan")})
    assert not (tmp_path / "nan.json").exists()
