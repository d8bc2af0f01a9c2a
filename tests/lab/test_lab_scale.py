"""The cost model of a cluster, by hand."""

import json

import numpy as np
import pytest

from deepcuts.errors import InputError, SettingError
from deepcuts.lab import scale
from deepcuts.lab.scale import Node, Rates, ScaleBench

# Round numbers: a pair takes 1 µs + 10 ns a factor; 1 GFLOP/s in float32, half of that in float64.
RATES = Rates(pair=1e-6, pair_factor=1e-8, basis=1e9, gram=5e8, copy=1e9, task=0.0)
NODE = Node(cores=10, memory=1e12, network=1e9, dollars=2.0)


def test_a_half_sweep_sent_whole_is_the_sum_of_its_parts():
    """10⁸ pairs, f = 100, 10⁶ rows, 10⁵ fixed rows, two nodes of ten cores."""
    found = scale.half_sweep(1e6, 1e5, 1e8, 100, NODE, 2, RATES, driver=Node(5, 1e12, 1e9, 1.0))
    assert found["sent"] == "whole"
    assert found["bytes_sent"] == 2 * 4e7  # 4 bytes × 100 × 10⁵ for each node
    # Pairs: 10⁸ × 2 µs = 200 s; rows there and back: 10⁶ × 4 × 10⁴ / 10⁹ = 40 s; Gram: 10⁶ × 2 × 10⁴ / 5·10⁸ = 40 s.
    assert found["seconds"]["computing"] == pytest.approx((200 + 40 + 40) / 20)
    assert found["seconds"]["network"] == pytest.approx(2 * 4e7 / 1e9)
    assert found["seconds"]["driver's network"] == pytest.approx((4e7 + 2 * 4e8) / 1e9)
    assert found["seconds"]["driver alone"] == pytest.approx(2 * 1e4 * 1e5 / 1e9 / 5)
    assert found["total"] == pytest.approx(sum(found["seconds"].values()))


def test_a_side_that_does_not_fit_a_node_is_sent_in_pieces():
    small = Node(10, 1e8, 1e9, 2.0)  # 40 % of 30 % of 100 MB are 12 MB; the side has 40 MB
    found = scale.half_sweep(1e6, 1e5, 1e8, 100, small, 2, RATES)
    assert found["sent"] == "pieces"
    groups = 160  # eight for each of twenty cores: more than 10⁸ / 2²⁴
    needed = 1e5 * (1 - np.exp(-1e8 / groups / 1e5))
    assert found["bytes_sent"] == pytest.approx(groups * needed * 404)


def test_the_rates_come_back_from_half_sweeps_that_the_model_made():
    cases = []
    for n, f in [(1_000_000, 64), (4_000_000, 128), (2_000_000, 256)]:
        case = {"n_users": 20_000, "n_songs": 10_000, "n_plays": n, "n_factors": f}
        seconds = {
            half: (n * (1e-6 + 1e-8 * f) + scale._dense(case, half, 1e9, 5e8)) / 2 for half in ("users", "songs")
        }
        cases.append({**case, "local_seconds": seconds, "ray_seconds": seconds})
    measured = {"machine": {"threads": 2, "cores": 2}, "load": 0.5, "cases": cases,
                "rates": {"basis_flops": 1e9, "gram_flops": 5e8, "put_bytes": 1e9, "task_seconds": 0.0}}  # fmt: skip
    rates = scale.rates_of(measured)
    assert (rates.pair, rates.pair_factor) == pytest.approx((1e-6, 1e-8), rel=1e-6)
    for row in scale.check(measured, rates):
        assert row["model"] == pytest.approx(row["measured"], rel=1e-6)
    content = json.loads(json.dumps(scale.simulate(ScaleBench(), measured)))
    assert len(content["refresh"]) == 3 * 3 * 3
    assert "| 400 | 128 × r7i.48xlarge |" in scale.page(content)


def test_hours_and_dollars_are_those_of_all_sweeps_and_nodes():
    bench = ScaleBench(n_users=1e6, n_songs=1e5, n_plays=1e8, plays_a_pair=1, n_sweeps=10)
    found = scale.refresh(bench, 100, "c7i.24xlarge", 4, RATES)
    seconds = 10 * (found["users"]["total"] + found["songs"]["total"])
    assert found["hours"] == pytest.approx(seconds / 3600)
    assert found["dollars"] == pytest.approx(seconds / 3600 * (4 * 4.28 + 13.34))


def test_the_hottest_song_is_one_task():
    hot = scale.hot_row(ScaleBench(n_users=1e6, hot_share=0.1), 100, RATES)
    assert hot["plays"] == 1e5
    assert hot["seconds"] == pytest.approx(0.2)
    assert hot["bytes"] == 4e7


@pytest.mark.parametrize("measured", [{}, {"rates": {}}, {"rates": 3}])
def test_numbers_of_something_else_are_refused(measured):
    with pytest.raises(InputError, match=r"bench/ray_als\.py"):
        scale.rates_of(measured)


def test_an_unknown_node_is_refused_with_the_known_ones():
    with pytest.raises(SettingError, match=r"Did you mean 'r7i\.24xlarge'"):
        scale.refresh(ScaleBench(), 128, "r7i.24xlage", 8, RATES)


def test_the_command_says_what_to_run_first(deepcuts, tmp_path):
    told = deepcuts("experiment", "scale", tmp_path / "ray.json", "-o", tmp_path)
    assert told.code == 3
    assert "bench/ray_als.py" in told.err
