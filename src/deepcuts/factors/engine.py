"""Where the arithmetic of a fit runs: the loop over rows and the Gram matrices, behind two functions.

`fit` holds factors, checkpoints and the history; an engine holds the plays where they are used. All engines give the
objective to rounding; those that run the same kernel on the same blocks give the same bits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from scipy import sparse

from deepcuts.checks import require_package
from deepcuts.kernels import als

# (fixed rows, their Gram matrix, rows to improve in place) → what the plays of each row add to the objective.
Solve: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Engine:
    """The arithmetic of a fit.

    Attributes:
        gram: rows [n, n_factors] → `als.gram` of them.
        hold: surplus confidence of one side [n_rows, n_fixed] CSR, kept for the length of the fit → its half-sweep.
    """

    gram: Callable[[np.ndarray], np.ndarray]
    hold: Callable[[sparse.csr_array], Solve]


# (λ, steps of conjugate gradient or 0 for exact, device) → an engine.
MakeEngine: TypeAlias = Callable[[float, int, str], Engine]


def local_engine(regularization: float, n_steps: int, device: str) -> Engine:
    """All cores of this machine, or a device of torch.

    Raises:
        SettingError: the device is not there.
    """
    if device == "cpu":
        return Engine(als.gram, partial(_hold, partial(als.solve_rows, regularization=regularization, n_steps=n_steps)))
    require_package("torch", "torch", f"device = {device!r}")
    from deepcuts.kernels import als_torch  # torch takes seconds to import
    from deepcuts.kernels import device as devices

    where = devices.pick_device(device)
    solve = partial(als_torch.solve_rows, regularization=regularization, n_steps=n_steps, device=where)
    return Engine(partial(als_torch.gram, device=where), partial(_hold, solve))


def _hold(solve: Callable[..., np.ndarray], side: sparse.csr_array) -> Solve:
    return partial(solve, side.indptr, side.indices, side.data)
