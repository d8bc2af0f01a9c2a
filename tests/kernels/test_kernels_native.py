"""Which loops run is chosen by the environment, told to the user, and the same for all."""

import pytest

from deepcuts.errors import SettingError
from deepcuts.kernels import native


def test_the_kernel_can_be_chosen_and_names_itself(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("DEEPCUTS_KERNEL", "numpy")
    assert native.backend() == "numpy"
    monkeypatch.delenv("DEEPCUTS_KERNEL")
    some = any(native.built(name) for name in native.LOOPS)
    assert ", 3 threads)" in native.backend() if some else native.backend() == "numpy"
    monkeypatch.setenv("DEEPCUTS_KERNEL", "fortran")
    with pytest.raises(SettingError, match="expected c or numpy"):
        native.backend()


def test_c_alone_refuses_to_run_without_the_c_loops(monkeypatch):
    monkeypatch.setenv("DEEPCUTS_KERNEL", "c")
    monkeypatch.setattr(native, "built", lambda _name: None)
    with pytest.raises(SettingError, match="Install a C compiler"):
        native.loop("_als")


def test_a_loop_that_was_not_built_is_named(monkeypatch):
    class Built:
        @staticmethod
        def instructions():
            return ["plain", "avx2"]

    monkeypatch.delenv("DEEPCUTS_KERNEL", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(native, "built", lambda name: Built if name == "_als" else None)
    assert native.backend() == "c (avx2, 2 threads); numpy for lines, places, scan"
