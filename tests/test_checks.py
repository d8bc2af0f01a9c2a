"""Near misses: what `did_you_mean` names."""

import pytest

from deepcuts.checks import did_you_mean, n_edits

SONGS = [f"song-{n:05d}" for n in range(1, 101)]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("song-0007", "song-00007"),  # one zero short; song-00070 and eight more are one edit away too
        ("song-000042", "song-00042"),
        ("Song-00042", "song-00042"),
        ("song-99", "song-00099"),
        ("sogn-00042", "song-00042"),
        ("song-00101", "song-00100"),
        ("song-0010x", "song-00100"),
        ("T1", None),
    ],
)
def test_the_numbered_id_that_was_meant_is_named(word: str, meant: str | None) -> None:
    told = did_you_mean(word, SONGS)
    assert told == f" Did you mean {meant!r}?" if meant else told.startswith(" Allowed: song-00001, ")


def test_the_fewest_edits_win_over_the_longest_common_part() -> None:
    assert did_you_mean("n_factor", ["n_factors", "factor", "n_sweeps"]) == " Did you mean 'n_factors'?"
    assert did_you_mean("pedal", ["n_sweeps", "seed"]) == " Allowed: n_sweeps, seed."


@pytest.mark.parametrize(
    ("a", "b", "n"), [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("same", "same", 0)]
)
def test_edits_by_hand(a: str, b: str, n: int) -> None:
    assert n_edits(a, b) == n_edits(b, a) == n
