"""One small cluster for all tests of a session, and one whose workers die when they are told to."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from deepcuts.cluster import Cluster, ClusterSettings, running
from deepcuts.cluster.place import LEAST_STORE


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running(ClusterSettings(n_workers=2, object_store_memory=LEAST_STORE)) as made:
        yield made


class DeadlyCluster(Cluster):
    """Tasks number themselves as they begin, and those with a fatal number kill their process.

    Half of the deaths come before the work of the task and half after it, when its effects are there.
    """

    def __init__(self, cluster: Cluster, folder: Path, deaths: Sequence[int]) -> None:
        super().__init__(cluster.ray, cluster.n_workers, cluster.n_nodes, cluster.store_bytes)
        self.folder, self.deaths = folder, deaths
        self._deadly: dict[Callable[..., Any], Callable[..., Any]] = {}

    def _submit(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if work not in self._deadly:
            self._deadly[work] = dying(work, str(self.folder), tuple(self.deaths))
        return super()._submit(self._deadly[work], arguments)

    @property
    def n_died(self) -> int:
        n_begun = len(list(self.folder.iterdir()))
        return sum(number < n_begun for number in self.deaths)


def dying(work: Callable[..., Any], folder: str, deaths: tuple[int, ...]) -> Callable[..., Any]:
    """`work`, which kills its process when it is the call of a fatal number; a closure: workers get its code."""

    def number_of_call() -> int:
        number = len(os.listdir(folder))
        while True:
            try:
                os.close(os.open(f"{folder}/{number}", os.O_CREAT | os.O_EXCL))
                return number
            except FileExistsError:
                number += 1

    def deadly(*arguments: Any) -> Any:
        number = number_of_call()
        if number in deaths and number % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        result = work(*arguments)
        if number in deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return deadly


@pytest.fixture
def deadly(cluster: Cluster, tmp_path: Path) -> Callable[..., DeadlyCluster]:
    """`deadly(3, 8)` is the cluster, and its fourth and ninth task kill their workers."""

    def make(*deaths: int) -> DeadlyCluster:
        folder = tmp_path / "calls"
        folder.mkdir()
        return DeadlyCluster(cluster, folder, deaths)

    return make
