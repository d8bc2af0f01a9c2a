"""A running cluster, and work on it as tasks: started or joined, run with retries, and gone when the work is done.

A task that loses its worker or node is run again, a few times: tasks have no effect but their result, or effects that
may be repeated. Errors of our own come back as they were raised.

Ray sends arguments and results between its processes as Python objects; whoever reaches the ports of a cluster can run
code on it. A cluster that is started here listens with a token of its own; for others see the documentation of Ray.
"""

import gc
import importlib
import logging
import os
import secrets
import socket
import subprocess
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from deepcuts import __version__
from deepcuts.checks import require_package
from deepcuts.cluster.place import ClusterSettings, host_and_port
from deepcuts.errors import ResourceError, SettingError
from deepcuts.kernels import native

log = logging.getLogger(__name__)

ATTEMPTS = 8  # at one task, before its deaths are no accident
TASKS_AHEAD = 3  # for each worker: handed out before the first results are back
SECONDS_TO_ANSWER = 10.0  # for a cluster to take a connection
SECONDS_TO_END = 15.0  # for a process of a cluster that was started here
# A started cluster tells nobody of its use, and its workers yield no more to other programs than we do.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
}


class Cluster:
    """Tasks on a running cluster.

    Attributes:
        n_workers: tasks that run at the same time.
        n_nodes: machines that run tasks.
        store_bytes: that the processes of one node share, at the least of all nodes.
    """

    def __init__(self, ray: ModuleType, n_workers: int, n_nodes: int, store_bytes: int) -> None:
        self.ray, self.n_workers, self.n_nodes, self.store_bytes = ray, n_workers, n_nodes, store_bytes
        self._remote: dict[Any, Any] = {}

    def put(self, value: Any) -> Any:
        """Share a value with all tasks: a reference to pass as an argument. Arrays are not copied in a task.

        Raises:
            ResourceError: neither memory nor disk has room for it.
        """
        with explained(self.ray):
            return self.ray.put(value)

    def later(self, work: Callable[..., Any], *arguments: Any, n_results: int = 1, spread: bool = False) -> Any:
        """Call `work` in a task whose result stays on the cluster; it runs beside its largest argument where it can.

        Args:
            work: a function of a module.
            arguments: references are replaced by their values.
            n_results: `work` returns a list of so many, and each gets a reference of its own.
            spread: run on different nodes in turn, wherever the arguments lie.
        Returns:
            a reference to pass as an argument, or a list of `n_results` of them. Ray itself runs the task again when
            its worker dies, or when the node dies that holds its result.
        """
        strategy = "SPREAD" if spread else "DEFAULT"
        key = (work, n_results, strategy)
        if key not in self._remote:
            how = {"num_cpus": 1, "max_retries": ATTEMPTS, "num_returns": n_results, "scheduling_strategy": strategy}
            self._remote[key] = self.ray.remote(**how)(work)
        return self._remote[key].remote(*arguments)

    def run(
        self,
        work: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        attempts: int = ATTEMPTS,
        again: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Call `work` with each of `calls`, in tasks; yields (position, result) in the order they are ready.

        Only some calls are handed out ahead, so neither their arguments nor their results fill the memory.

        Args:
            work: a function of a module, called in another process; arrays reach it without a copy, read-only.
            calls: the arguments of each call; those that are references of `put` are replaced by their values.
            attempts: how often a call may lose its worker before that is an error.
            again: the arguments for the next attempt of a call that lost its worker, from those of the last; None
                keeps them.
        Raises:
            LostTaskError: a call has lost its worker `attempts` times.
            ResourceError: the cluster is gone, or its memory is full.
            Whatever `work` raises.
        """
        coming = (_Call(position, arguments) for position, arguments in enumerate(calls))
        running: dict[Any, _Call] = {}
        try:
            while True:
                for call in islice(coming, TASKS_AHEAD * self.n_workers - len(running)):
                    running[self._submit(work, call.arguments)] = call
                if not running:
                    return
                reference = self._wait(running)
                call = running.pop(reference)
                try:
                    result = self._result(reference)
                except LostTaskError as error:
                    running[self._submit(work, call.after(error, attempts, again))] = call
                else:
                    yield call.position, result
        finally:
            for reference in running:
                self.ray.cancel(reference)

    def run_in_order(self, work: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """The results of `run` in the order of `calls`."""
        early: dict[int, Any] = {}
        due = 0
        for position, result in self.run(work, calls):
            early[position] = result
            while due in early:
                yield early.pop(due)
                due += 1

    def _wait(self, running: Iterable[Any]) -> Any:
        with explained(self.ray):
            return self.ray.wait(list(running), num_returns=1)[0][0]

    def _result(self, reference: Any) -> Any:
        with explained(self.ray):
            return self.ray.get(reference)

    def _submit(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if work not in self._remote:
            # Ray's own retries are silent: `run` has its own.
            self._remote[work] = self.ray.remote(num_cpus=1, max_retries=0)(work)
        return self._remote[work].remote(*arguments)


@dataclass
class _Call:
    """A call, and how often it has lost its worker."""

    position: int
    arguments: tuple[Any, ...]
    n_lost: int = 0

    def after(
        self, error: "LostTaskError", attempts: int, again: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None
    ) -> tuple[Any, ...]:
        """The arguments once more, unless it has been lost too often."""
        self.n_lost += 1
        if self.n_lost >= attempts:
            error.position = self.position
            raise error
        log.warning("a worker died (%s); its task is run again", error.what)
        self.arguments = self.arguments if again is None else again(self.arguments)
        return self.arguments


class LostTaskError(ResourceError):
    """A task whose worker died.

    Attributes:
        what: how Ray calls it.
        position: which of the calls it was.
    """

    position = -1

    def __init__(self, what: str) -> None:
        super().__init__(
            f"workers die again and again at the same task ({what}). Is the memory of a node enough for its workers? "
            "Run the same command again to resume, with fewer of them."
        )
        self.what = what


@contextmanager
def explained(ray: ModuleType) -> Iterator[None]:
    """Errors of Ray as errors of ours, and errors of a task as they were raised in it."""
    known = ray.exceptions
    try:
        yield
    except known.RayTaskError as error:
        cause = getattr(error, "cause", None)
        if not isinstance(cause, Exception):
            raise
        raise cause from None
    except (known.WorkerCrashedError, known.NodeDiedError, known.ObjectLostError, known.OutOfMemoryError) as error:
        raise LostTaskError(type(error).__name__) from error
    except known.ObjectStoreFullError as error:
        raise ResourceError(
            "the object store of the cluster is full, and so is the disk it spills to. Free space in Ray's temporary "
            "folder, or start the cluster with a larger --object-store-memory."
        ) from error
    except known.RaySystemError as error:
        raise ResourceError(f"the Ray cluster is gone ({error}). Run the same command again to resume.") from error


@contextmanager
def running(settings: ClusterSettings) -> Iterator[Cluster]:
    """Start or join a cluster for the length of a `with` block.

    Raises:
        SettingError: ray is not installed; its workers have another version of deepcuts.
        ResourceError: no cluster at the address, or none can be started.
    """
    if not settings.address and "RAY_AUTH_MODE" not in os.environ:  # read when Ray is loaded
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray = load_ray()
    if ray.is_initialized():
        raise SettingError("a Ray cluster is in use in this process already: use that one, or ray.shutdown() first.")
    with TemporaryDirectory(prefix="ray-", dir=_short_folder(), ignore_cleanup_errors=True) as folder:
        try:
            _join(ray, settings.address) if settings.address else _start(ray, settings, folder)
            cluster = Cluster(ray, *_size_of(ray))
            _check_workers(cluster)
            yield cluster
        finally:
            _stop(ray)


def _short_folder() -> str | None:
    """Where a cluster keeps its logs, its sockets and what it spills: the paths of sockets are at most 107 letters."""
    return os.environ.get("RAY_TMPDIR") or ("/tmp" if os.path.isdir("/tmp") else None)


def _stop(ray: ModuleType) -> None:
    """Leave the cluster; the processes of one that was started here are gone when this returns."""
    node = getattr(ray._private.worker, "_global_node", None)
    started = [info.process for infos in getattr(node, "all_processes", {}).values() for info in infos]
    ray.shutdown()
    for process in started:
        try:
            process.wait(timeout=SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    with warnings.catch_warnings():  # Ray itself waits for none of its processes
        warnings.simplefilter("ignore", ResourceWarning)
        del node, started
        gc.collect()


def load_ray() -> ModuleType:
    """The package ray.

    Raises:
        SettingError: it is not installed.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        require_package("ray", "cluster", "--on ray")
        return importlib.import_module("ray")


def _start(ray: ModuleType, settings: ClusterSettings, folder: str) -> None:
    """A cluster on this machine, that ends with this process."""
    _init(
        ray,
        "local",
        num_cpus=settings.workers,
        num_gpus=0,
        include_dashboard=False,
        object_store_memory=settings.store_bytes,
        _temp_dir=folder,
    )


def _join(ray: ModuleType, address: str) -> None:
    place = host_and_port(address)
    if place is not None:
        try:
            socket.create_connection(place, timeout=SECONDS_TO_ANSWER).close()
        except OSError as error:
            raise ResourceError(
                f"--on ray={address}: nobody answers ({error.strerror or error}). Start a cluster with "
                "`ray start --head`, or write --on ray to start one here."
            ) from error
    _init(ray, address)


def _init(ray: ModuleType, address: str, **how: Any) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **how)
    except (OSError, RuntimeError, ValueError, TimeoutError) as error:
        told = str(error).strip().splitlines()
        raise ResourceError(f"--on ray: the cluster cannot be used ({told[0] if told else error!r}).") from error
    _silence(ray)


def _silence(ray: ModuleType) -> None:
    """Keep Ray from writing to stdout, which is for data: the deaths of workers are logged by `Cluster.run`."""
    worker = ray._private.worker
    if hasattr(worker, "_worker_logs_enabled"):
        worker._worker_logs_enabled = False


def _size_of(ray: ModuleType) -> tuple[int, int, int]:
    """Tasks that run at the same time, the nodes they run on, and the least bytes of an object store among these."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise ResourceError("--on ray: the cluster has no node with a CPU for tasks. Start one with `ray start`.")
    n_workers = sum(int(node["CPU"]) for node in nodes)
    return n_workers, len(nodes), int(min(node.get("object_store_memory", 0) for node in nodes))


def about_worker() -> tuple[str, str]:
    """For a task: the version of deepcuts and the kernels of the process that runs it."""
    return __version__, native.backend().partition(",")[0]


def _check_workers(cluster: Cluster) -> None:
    """Workers must have this version of deepcuts; with other kernels the results differ by rounding.

    Raises:
        SettingError: another version, or none.
    """
    try:
        [(_, told)] = cluster.run(about_worker, [()])
    except ImportError as error:
        raise SettingError(f"--on ray: the workers have no deepcuts ({error}). Install it on every node.") from error
    version, kernels = told
    if version != __version__:
        raise SettingError(
            f"--on ray: the workers have deepcuts {version}, here is {__version__}. Install the same on every node."
        )
    if kernels != about_worker()[1]:
        log.warning("the workers compute with %s, here is %s: results differ by rounding", kernels, about_worker()[1])
