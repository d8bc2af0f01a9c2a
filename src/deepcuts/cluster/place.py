"""Where tasks run: what `--on` means."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from deepcuts.config import require
from deepcuts.errors import SettingError
from deepcuts.kernels.native import n_cores

EXAMPLES = "ray (a process a core), ray=4 (four processes here), ray=HOST:PORT, ray=auto or ray=ray://HOST:PORT"
LEAST_STORE = 80 << 20  # bytes; Ray refuses less than 75 MB
SHARE_OF_MEMORY = 0.25
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class ClusterSettings:
    """Which cluster to use.

    Attributes:
        address: of a running cluster, as `ray.init` takes it; "" starts one on this machine for the length of the work.
        n_workers: processes of a cluster that is started; 0 takes one a core.
        object_store_memory: bytes that a started cluster may share between its processes; what does not fit goes to
            disk. 0 takes a quarter of the memory, or what /dev/shm has when that is less.
    """

    address: str = ""
    n_workers: int = 0
    object_store_memory: int = 0

    def __post_init__(self) -> None:
        require(self.n_workers >= 0, "n_workers", self.n_workers, "0 (a process a core) or more")
        enough = self.object_store_memory == 0 or self.object_store_memory >= LEAST_STORE
        require(enough, "object_store_memory", self.object_store_memory, f"0, or at least {LEAST_STORE} bytes")

    @property
    def workers(self) -> int:
        """Processes of a cluster that is started."""
        return self.n_workers or n_cores()

    @property
    def store_bytes(self) -> int:
        """Bytes that a started cluster shares."""
        return self.object_store_memory or max(LEAST_STORE, min(_memory_quarter(), _free_shared_memory()))


def parse_on(text: str) -> ClusterSettings:
    """What `--on` says: `ray`, `ray=4` (processes on this machine) or `ray=ADDRESS` (a running cluster).

    Raises:
        SettingError: an engine other than ray, or neither a number nor an address.
    """
    engine, given, told = text.strip().partition("=")
    if engine != "ray" or (given and not told):
        raise SettingError(f"--on {text!r}: expected {EXAMPLES}.")
    if not given:
        return ClusterSettings()
    if told.isdigit():
        if int(told) == 0:
            raise SettingError(f"--on {text!r}: expected at least 1 process.")
        return ClusterSettings(n_workers=int(told))
    if told != "auto" and host_and_port(told) is None:
        raise SettingError(f"--on {text!r}: {told!r} is no address. Expected {EXAMPLES}.")
    return ClusterSettings(address=told)


def host_and_port(address: str) -> tuple[str, int] | None:
    """Host and port of an address, `HOST:PORT` or `ray://HOST:PORT`; None when it is neither."""
    host, found, port = address.removeprefix("ray://").rpartition(":")
    if not found or not host or not port.isdigit() or not 0 < int(port) < 65536 or "/" in host or " " in host:
        return None
    return host.strip("[]"), int(port)


def _memory_quarter() -> int:
    """A share of the memory of this machine, bytes; of its control group where that has a limit."""
    total = _kilobytes("MemTotal") * 1024
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(file).read_text().strip() if Path(file).is_file() else ""
        if text.isdigit():
            total = min(total, int(text))
    return int(total * SHARE_OF_MEMORY)


def _kilobytes(name: str) -> int:
    """A line of /proc/meminfo; where there is none, four gigabytes."""
    file = Path("/proc/meminfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 4 << 20)


def _free_shared_memory() -> int:
    """Nine tenths of what /dev/shm has left, bytes: with more, Ray would use a file on disk in its place."""
    if not SHARED_MEMORY.is_dir():
        return 1 << 62
    return int(shutil.disk_usage(SHARED_MEMORY).free * 0.9)
