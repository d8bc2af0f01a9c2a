"""Expected against actual errors: a planted encoder whose errors are known."""

import numpy as np
import pytest

from deepcuts.artifacts import SongFactors, Vocabulary
from deepcuts.errors import InputError
from deepcuts.lab.calibration import calibration, errors_of, expected_with_noise, table


def songs(rows: np.ndarray, expected: np.ndarray | None) -> SongFactors:
    precision = None if expected is None else (1 / expected).astype(np.float32)
    return SongFactors(Vocabulary([f"s{i}" for i in range(len(rows))]), rows.astype(np.float32), precision=precision)


def test_errors_are_measured_against_factors_of_length_1() -> None:
    expected, actual = errors_of(
        songs(np.array([[0.5, 0], [0, 0]]), np.array([0.2, 0.4])), np.array([[4.0, 0], [0, 0]])
    )
    np.testing.assert_allclose(expected, [0.2, 0.4], rtol=1e-6)
    np.testing.assert_allclose(actual, [0.125, 0])  # (0.5 - 1)² / 2


def test_deciles_of_a_sure_encoder_lie_on_the_diagonal() -> None:
    rng = np.random.default_rng(0)
    expected = rng.uniform(0.5, 2, size=5000)
    told = table("songs", expected, expected * rng.exponential(size=5000))
    assert len(told["deciles"]) == 10
    for decile in told["deciles"]:
        assert decile["actual"] == pytest.approx(decile["expected"], rel=0.15)
    assert 0.3 < told["rank_correlation"] < 0.6


def test_the_noise_of_plays_is_learned_from_other_songs() -> None:
    """What sound expects says nothing; errors fall with the listeners by a law of the very form that is fitted."""
    rng = np.random.default_rng(1)

    def made(n: int) -> tuple[SongFactors, np.ndarray, np.ndarray, np.ndarray]:
        listeners = rng.integers(1, 200, size=n)
        error = 0.5 - 0.05 * np.log1p(listeners)
        angle = 2 * np.arcsin(np.sqrt(2 * error) / 2)  # two vectors of length 1, |y - y'|² / 2 = error
        heard = songs(np.tile([1.0, 0.0], (n, 1)), rng.uniform(0.1, 0.2, size=n))
        return heard, np.column_stack([np.cos(angle), np.sin(angle)]), listeners, error

    heard, observed, behind, _ = made(1000)
    new, factors, listeners, error = made(1000)
    found = expected_with_noise(*[errors_of(new, factors)[0], listeners], heard, observed, behind)
    np.testing.assert_allclose(found, error, atol=1e-4)
    tables = calibration(new, factors, listeners, (heard, observed, behind))
    assert tables[2]["rank_correlation"] > 0.999
    assert abs(tables[0]["rank_correlation"]) < 0.2
    assert tables[1]["n_songs"] == int((listeners >= 50).sum())


def test_predictions_that_do_not_know_how_sure_they_are_are_refused() -> None:
    with pytest.raises(InputError, match="without a precision"):
        errors_of(songs(np.ones((2, 2)), None), np.ones((2, 2)))
