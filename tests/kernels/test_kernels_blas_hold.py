"""BLAS is held to one thread while our own threads work, and given back, whoever calls at once."""

import threading
import time

from threadpoolctl import threadpool_info

from deepcuts.kernels.crew import one_blas_thread


def blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_concurrent_holds_overlap_and_the_last_gives_blas_back() -> None:
    before = blas_threads()

    def hold(wait: float) -> None:
        time.sleep(wait)
        with one_blas_thread():
            time.sleep(0.05)

    for _ in range(5):
        callers = [threading.Thread(target=hold, args=(0.01 * at,)) for at in range(4)]
        for one in callers:
            one.start()
        for one in callers:
            one.join()
    assert blas_threads() == before


def test_holds_may_be_nested() -> None:
    before = blas_threads()
    with one_blas_thread():
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == before
