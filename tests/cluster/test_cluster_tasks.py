"""Clusters are started, joined, and gone; what goes wrong in a task is told as one machine would."""

import os
import socket
import sys

import pytest

from deepcuts.cluster import ClusterSettings, parse_on, running, tasks
from deepcuts.cluster.place import LEAST_STORE
from deepcuts.cluster.tasks import LostTaskError
from deepcuts.errors import InputError, ResourceError, SettingError


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("ray", ClusterSettings()),
        ("ray=4", ClusterSettings(n_workers=4)),
        ("ray=auto", ClusterSettings(address="auto")),
        ("ray=head:6379", ClusterSettings(address="head:6379")),
        ("ray=ray://head:10001", ClusterSettings(address="ray://head:10001")),
        ("ray=[::1]:6379", ClusterSettings(address="[::1]:6379")),
    ],
)
def test_on_names_a_new_cluster_or_a_running_one(text, settings):
    assert parse_on(text) == settings


@pytest.mark.parametrize(
    "text", ["", "spark", "Ray", "ray=", "ray=0", "ray=-1", "ray=head", "ray=head:", "ray=:6379", "ray=head:port",
             "ray=head:99999", "ray=http://head/x:1"],
)  # fmt: skip
def test_on_refuses_what_is_neither_and_shows_what_is_allowed(text):
    with pytest.raises(SettingError, match=r"--on"):
        parse_on(text)


def test_a_store_has_room_for_ray_and_fits_the_machine():
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert LEAST_STORE <= ClusterSettings().store_bytes <= max(LEAST_STORE, free // 4)


def test_without_ray_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingError, match=r"pip install 'deepcuts\[cluster\]'"), running(ClusterSettings()):
        pass


def test_an_address_where_nobody_listens_is_told_at_once():
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ResourceError, match="nobody answers"):
            tasks._join(tasks.load_ray(), address)


def test_a_second_cluster_in_one_process_is_refused(cluster):
    with pytest.raises(SettingError, match="in use in this process"), running(ClusterSettings()):
        pass


def test_results_come_in_the_order_of_the_calls(cluster):
    assert list(cluster.run_in_order(lambda n: n * n, [(n,) for n in range(40)])) == [n * n for n in range(40)]


def test_an_error_of_a_task_is_the_error_itself(cluster):
    def fail() -> None:
        raise InputError("row 3 is wrong")

    with pytest.raises(InputError, match=r"^row 3 is wrong$"):
        list(cluster.run(fail, [()]))


def test_a_task_that_always_kills_its_worker_is_given_up(deadly):
    cluster = deadly(*range(100))
    with pytest.raises(LostTaskError, match="workers die again and again") as lost:
        list(cluster.run(lambda n: n, [(2,)], attempts=2))
    assert lost.value.position == 0
    assert cluster.n_died == 2


def test_another_version_of_deepcuts_on_the_workers_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(tasks, "__version__", "9.9")
    with pytest.raises(SettingError, match=r"here is 9\.9"):
        tasks._check_workers(cluster)


def test_workers_compute_with_one_thread_and_without_torch(cluster):
    def told() -> tuple[str | None, bool]:
        import deepcuts.cluster.factors

        return os.environ.get("OMP_NUM_THREADS"), "torch" in sys.modules and bool(deepcuts.cluster.factors)

    assert next(cluster.run(told, [()]))[1] == ("1", False)
