"""The crew does every block once, shares its threads among callers, and survives errors and forks."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from deepcuts.kernels import crew
from deepcuts.kernels.crew import Crew, each, every
from deepcuts.recommend.scan import SongIndex

LARGE = crew.WORTH_THREADS


def test_the_blocks_cover_all_rows_and_the_last_may_be_shorter() -> None:
    assert every(7, 3) == [(0, 3), (3, 6), (6, 7)]
    assert every(7, 3, begin=6) == [(6, 7)]
    assert every(0, 3) == []


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_every_block_is_done_once(n_threads: int) -> None:
    done: list[tuple[int, int]] = []
    each(done.append, every(1000, 7), n_threads, LARGE)
    assert sorted(done) == every(1000, 7)


def test_a_lone_caller_has_several_threads_and_little_work_has_one() -> None:
    names: set[str] = set()

    def work(_: tuple[int, int]) -> None:
        names.add(threading.current_thread().name)
        time.sleep(0.02)

    each(work, every(8, 1), 3, LARGE - 1)
    assert names == {threading.current_thread().name}
    each(work, every(8, 1), 3, LARGE)
    assert len(names) > 1


def test_callers_at_once_share_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    hands, most, lock = Crew(), [0], threading.Lock()
    working = [0]

    def work(_: tuple[int, int]) -> None:
        with lock:
            working[0] += 1
            most[0] = max(most[0], working[0])
        time.sleep(0.01)
        with lock:
            working[0] -= 1

    with ThreadPoolExecutor(4) as callers:
        list(callers.map(lambda _: hands.run(work, every(6, 1), 2), range(4)))
    assert most[0] <= 5  # four callers, and the helper that the first of them took
    assert hands.n_working == 0


@pytest.mark.parametrize("at", [0, 3])
def test_the_first_error_is_raised_and_the_crew_works_on(at: int) -> None:
    hands = Crew()

    def fail(block: tuple[int, int]) -> None:
        if block[0] >= at:
            raise ValueError("this block is bad")

    with pytest.raises(ValueError, match="this block is bad"):
        hands.run(fail, every(9, 1), 3)
    assert hands.n_working == 0
    done: list[tuple[int, int]] = []
    hands.run(done.append, every(9, 1), 3)
    assert len(done) == 9


def test_work_may_call_the_crew_again() -> None:
    done: list[tuple[int, int]] = []
    each(lambda block: each(done.append, every(4, 1), 4, LARGE), every(6, 1), 4, LARGE)
    assert len(done) == 24


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_has_a_crew_of_its_own() -> None:
    each(lambda _: time.sleep(0.001), every(8, 1), 3, LARGE)
    child = os.fork()
    if child == 0:
        done: list[tuple[int, int]] = []
        each(done.append, every(8, 1), 3, LARGE)
        os._exit(0 if len(done) == 8 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_index_gives_the_same_lists_to_callers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepcuts.kernels.scan.WORTH_THREADS", 0)
    monkeypatch.setattr(crew, "WORTH_THREADS", 0)
    rng = np.random.default_rng(0)
    index = SongIndex(rng.standard_normal((3000, 16)).astype(np.float32), n_threads=2)
    users = rng.standard_normal((40, 16)).astype(np.float32)
    alone = [index.best(user, 10)[0].tolist() for user in users]
    with ThreadPoolExecutor(4) as callers:
        assert list(callers.map(lambda user: index.best(user, 10)[0].tolist(), users)) == alone
