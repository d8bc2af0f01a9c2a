"""The loop that splits plain triplets, against a dictionary."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcuts.kernels import native

lines = native.built("_lines")
pytestmark = pytest.mark.skipif(lines is None, reason="the C loops were not built")


def split(table, block: bytes, separator: str = "\t"):
    """What the loop makes of a block: users, songs, counts, or None."""
    rows = np.full((3, (len(block) + 5) // 6), -1, dtype=np.int32)
    n = table.split(block, ord(separator), *rows)
    return None if n is None else rows[:, :n].tolist()


def numbered(rows, seen: tuple[dict, dict]):
    """The same by dictionaries that number ids as they come."""
    users, songs = seen
    user = [users.setdefault(u, len(users)) for u, _, _ in rows]
    song = [songs.setdefault(s, len(songs)) for _, s, _ in rows]
    return [user, song, [c for _, _, c in rows]]


def text_of(rows, separator: str = "\t") -> bytes:
    return "".join(f"{u}{separator}{s}{separator}{c}\n" for u, s, c in rows).encode()


ids = st.text(st.sampled_from("ab0 ~!'"), min_size=1, max_size=20)
triplets = st.lists(st.tuples(ids, ids, st.integers(1, 999_999_999)), min_size=1, max_size=70)


@given(st.lists(triplets, min_size=1, max_size=4), st.sampled_from("\t,;|"))
@settings(max_examples=150, deadline=None)
def test_ids_are_numbered_as_a_dictionary_would_over_all_blocks(blocks, separator):
    table, seen = lines.Table(), ({}, {})
    for rows in blocks:
        assert split(table, text_of(rows, separator), separator) == numbered(rows, seen)
    for which in (0, 1):
        assert table.ids(which).decode().splitlines() == list(seen[which])


def test_many_ids_of_all_lengths_outgrow_the_first_table():
    rng = np.random.default_rng(0)
    names = [f"{i:x}" * (1 + i % 9) for i in range(40_000)]
    rows = [(names[u], names[s], int(c)) for u, s, c in rng.integers(1, 40_000, (120_000, 3))]
    table, seen = lines.Table(), ({}, {})
    for part in (rows[:70_000], rows[70_000:]):
        assert split(table, text_of(part)) == numbered(part, seen)
    assert table.ids(1).decode().splitlines() == list(seen[1])


def test_an_id_that_another_one_begins_with_is_another_id():
    rows = [("anna", "s", 1), ("ann", "s1", 1), ("annab", "s", 1), ("anna", "s12", 1)]
    assert split(lines.Table(), text_of(rows)) == [[0, 1, 2, 0], [0, 1, 0, 2], [1, 1, 1, 1]]


def test_the_last_line_may_lack_its_end_and_leading_zeros_are_nothing():
    assert split(lines.Table(), b"a\tx\t1\na\ty\t0012") == [[0, 0], [0, 1], [1, 12]]
    assert split(lines.Table(), b"") == [[], [], []]


@pytest.mark.parametrize(
    "odd",
    ["a\tx\t0", "a\tx\t", "a\tx\t-1", "a\tx\t1.5", "a\tx\t 1", "a\tx\t1 ", "a\tx\t1234567890", "a\tx\t1\t", "a\tx", "a",
     "", "\tx\t1", "a\t\t1", "a\tx\t1\r", 'a\t"x"\t1', "a\tx\x00\t1", "a\té\t1", "\x1fa\tx\t1"],
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 1, 50])
def test_a_block_with_an_odd_line_is_refused_whole(odd, place):
    rows = ["b\ty\t2"] * 60
    block = "\n".join([*rows[:place], odd, *rows[place:]]).encode() + b"\n"
    assert split(lines.Table(), block) is None


def test_wrong_arrays_and_separators_are_refused():
    table, good = lines.Table(), np.zeros(9, dtype=np.int32)
    for bad in (np.zeros(0, np.int32), good[::2], np.zeros(9, np.int64), np.zeros((3, 3), np.int32), b"12345678"):
        with pytest.raises((ValueError, BufferError, TypeError)):
            table.split(b"a\tx\t1\n", 9, good, bad, good)
    for separator in (ord("\n"), ord("1"), ord("a"), ord('"'), -1, 300):
        with pytest.raises(ValueError, match="separator"):
            table.split(b"a\tx\t1\n", separator, good, good, good)
    with pytest.raises(ValueError, match="users"):
        table.ids(2)


def test_a_table_serves_one_thread_at_a_time():
    table, block = lines.Table(), b"".join(b"user%d\tsong%d\t1\n" % (i, i) for i in range(300_000))
    told = []

    def work():
        try:
            told.append(len(split(table, block)[0]))
        except ValueError as error:
            told.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 300_000 in told
    assert all(one == 300_000 or "another thread" in one for one in told)
