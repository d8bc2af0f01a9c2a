"""A listener of whom nothing is known gets no list of chance: they are named and left out."""

import logging

import numpy as np
import pytest

from deepcuts.artifacts import Lineage, UserFactors, Vocabulary
from deepcuts.errors import InputError
from deepcuts.recommend import known_users

USERS = UserFactors(
    Vocabulary(["ann", "bob", "cy"], "user"),
    np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], np.float32),
    Lineage("a fit"),
)


def test_a_listener_of_whom_nothing_is_known_is_named_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert known_users(USERS).ids.to_list() == ["ann", "cy"]
    assert "1 users get no list, nothing is known of them" in caplog.text
    assert "'bob'" in caplog.text


def test_asking_only_for_unknown_listeners_is_refused() -> None:
    with pytest.raises(InputError, match="nothing is known of 'bob'; no plays were learned from"):
        known_users(USERS, ["bob"])


def test_those_asked_for_stand_in_the_order_asked() -> None:
    assert known_users(USERS, ["cy", "ann"]).ids.to_list() == ["cy", "ann"]
