"""The scan promises one thing: none of the true best rows is missing, whatever the numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcuts.kernels import native, scan

needs_c = pytest.mark.skipif(native.built("_scan") is None, reason="the C loop was not built")


def made_rows(kind: str, n: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Rows that rounding treats well, badly, or not at all."""
    rows = rng.standard_normal((n, width)).astype(np.float32)
    if kind == "one huge factor":
        rows[:, 0] += 1e4
    elif kind == "few levels":  # many equal products
        rows = rng.integers(-2, 3, (n, width)).astype(np.float32)
    elif kind == "nearly equal":
        rows = rows[:1] + np.float32(1e-6) * rows
    elif kind == "far apart":
        rows *= 10.0 ** rng.uniform(-44, 18, (n, 1)).astype(np.float32)
    elif kind == "zeros":
        rows[rng.random(n) < 0.7] = 0
    return rows


KINDS = ["normal", "one huge factor", "few levels", "nearly equal", "far apart", "zeros"]


def true_best(rows, query, k, skip) -> list[int]:
    """By float64 sums and a full sort; of equal products the earlier row."""
    products = rows.astype(np.float64) @ query.astype(np.float64)
    order = np.lexsort((np.arange(len(rows)), -products))
    return [int(row) for row in order if not skip[row]][:k]


def every_way(rows, query, k, skip):
    """What each implementation and instruction set finds."""
    yield "numpy", scan.may_be_best_plainly(rows, scan.longest(rows), query, k, skip)
    if native.built("_scan"):
        rounded = scan.round_rows(rows, np.arange(len(rows)))
        for n_threads in (1, 2):
            yield f"c {n_threads}", scan.may_be_best(rounded, query, k, skip, n_threads)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(KINDS),
    n=st.integers(1, 700),
    width=st.sampled_from([1, 3, 16, 31, 32, 33, 50, 130]),
    k=st.integers(1, 40),
    skipped=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_no_true_best_row_is_missing(seed, kind, n, width, k, skipped):
    rng = np.random.default_rng(seed)
    rows, skip = made_rows(kind, n, width, rng), rng.random(n) < skipped
    # Integers up to 8 sum exactly in float64 whatever the order, so ties of "few levels" are true ties.
    query = rng.integers(-8, 9, width).astype(np.float32)
    for way, found in every_way(rows, query, k, skip):
        assert (np.diff(found) > 0).all(), way
        assert not skip[found].any(), way
        assert set(true_best(rows, query, k, skip)) <= set(found.tolist()), way


@needs_c
@pytest.mark.parametrize("position", range(3))
def test_every_instruction_set_finds_the_same_rows(position):
    module = native.built("_scan")
    if position >= len(module.instructions()):
        pytest.skip("this processor lacks these instructions")
    rng = np.random.default_rng(1)
    for width in (1, 16, 33, 50, 400):
        rows = rng.standard_normal((3000, width)).astype(np.float32)
        rounded = scan.round_rows(rows, np.arange(3000))
        wide = rounded.rows.shape[1]
        query, unit = rng.integers(-5000, 5000, wide).astype(np.int16), 0.01
        products = unit * rounded.scale.astype(float) * (rounded.rows.astype(int) @ query.astype(int))
        apart = 2.0 * rounded.error.astype(float) + 3.0 * rounded.length.astype(float)
        found, high, low = np.empty(3000, np.int32), np.empty(3000), np.empty(20)
        arrays = (rounded.rows, rounded.scale, rounded.error, rounded.length, query, np.zeros(3000, bool))
        n = module.scan_rows(*arrays, found, high, low, unit, 2.0, 3.0, 0, 3000, position)
        np.testing.assert_allclose(high[:n], (products + apart)[found[:n]], rtol=1e-12)
        np.testing.assert_allclose(np.sort(low), np.sort(products - apart)[-20:], rtol=1e-12)
        reached = np.flatnonzero(products + apart > low.min() + 1e-9)
        assert set(reached) <= set(found[:n].tolist())


def test_rounding_is_no_further_off_than_it_says():
    rng = np.random.default_rng(2)
    for kind in KINDS:
        rows, order = made_rows(kind, 200, 37, rng), rng.permutation(200)
        rounded = scan.round_rows(rows, order)
        again = rounded.scale[:, None].astype(float) * rounded.rows.astype(float)
        assert (again[:, 37:] == 0).all()
        off = np.linalg.norm(rows[order].astype(float) - again[:, :37], axis=1)
        assert (off <= rounded.error).all(), kind
        assert (np.linalg.norm(again, axis=1) <= rounded.length).all(), kind


@needs_c
def test_of_thousands_of_songs_only_a_few_are_left_to_look_at():
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((20_000, 100)).astype(np.float32)
    found = scan.may_be_best(scan.round_rows(rows, np.arange(20_000)), rows[0], 10, np.zeros(20_000, bool), n_threads=1)
    assert 10 <= len(found) < 100


@needs_c
def test_a_user_without_tastes_gets_the_first_rows_and_no_others():
    rounded = scan.round_rows(np.ones((5000, 20), np.float32), np.arange(5000))
    found = scan.may_be_best(rounded, np.zeros(20, np.float32), 7, np.zeros(5000, bool), n_threads=1)
    assert found.tolist() == list(range(7))


@needs_c
def test_the_longest_products_do_not_overflow():
    width = 6000  # with p up to ±32767 their sum would not fit 32 bits
    rows = np.stack([np.full(width, 3e38), np.full(width, -3e38)]).astype(np.float32)
    rounded = scan.round_rows(rows, np.arange(2))
    found = scan.may_be_best(rounded, np.full(width, 3e38, np.float32), 1, np.zeros(2, bool))
    assert 0 in found


@needs_c
def test_the_c_loop_guards_its_memory():
    module = native.built("_scan")
    rounded = scan.round_rows(np.ones((4, 32), np.float32), np.arange(4))

    def run(rows=rounded.rows, query=np.ones(32, np.int16), skip=np.zeros(4, bool), low=np.empty(2), end=4, begin=0):  # noqa: B008
        out = (np.empty(4, np.int32), np.empty(4), low)
        about = (rounded.scale, rounded.error, rounded.length)
        return module.scan_rows(rows, *about, query, skip, *out, 1.0, 1.0, 1.0, begin, end, 0)

    assert run() >= 2
    for wrong, message in (
        ({"query": np.ones(31, np.int16)}, "lengths do not fit"),
        ({"query": np.ones(32, np.int32)}, "wrong type"),
        ({"rows": rounded.rows[:3]}, "lengths do not fit"),
        ({"skip": np.zeros(3, bool)}, "lengths do not fit"),
        ({"low": np.empty(0)}, "no places"),
        ({"end": 5}, "not rows"),
        ({"begin": -1}, "not rows"),
        ({"begin": 3, "end": 2}, "not rows"),
    ):
        with pytest.raises(ValueError, match=message):
            run(**wrong)
