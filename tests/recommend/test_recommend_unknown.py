"""A listener of whom nothing is known gets no list of chance, but that of the average listener, and is named."""

import logging

import numpy as np
import pytest

from deepcuts.artifacts import Lineage, UserFactors, Vocabulary
from deepcuts.errors import InputError
from deepcuts.recommend import serve_unknown_users

FIT = Lineage("a fit")
USERS = Vocabulary(["ann", "bob", "cy"], "user")
SOME = UserFactors(USERS, np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 3.0]], np.float32), FIT)


def test_nothing_known_means_the_average_of_the_others(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        served = serve_unknown_users(SOME)
    assert served.vectors.tolist() == [[1.0, 0.0], [0.5, 1.5], [0.0, 3.0]]
    assert "1 users get the list of the average listener, no plays of theirs were learned from: 'bob'" in caplog.text


def test_who_is_not_asked_for_is_not_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert serve_unknown_users(SOME, ["cy", "ann"]) is SOME
    assert not caplog.text


def test_where_nothing_is_known_of_anybody_it_is_refused() -> None:
    nobody = UserFactors(USERS, np.zeros((3, 2), np.float32), FIT)
    with pytest.raises(InputError, match="nothing is known of anybody"):
        serve_unknown_users(nobody)
