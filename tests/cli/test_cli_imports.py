"""What the command line loads: torch only where something learns or hears."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        *("cli.main", "cli.evaluate", "cli.explore", "trial.run", "recommend", "artifacts"),
        *("predict", "chain.build", "chain.hear", "serve.app"),
    ],
)
def test_what_learns_no_network_loads_no_torch(module: str) -> None:
    code = f"import sys, deepcuts.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_hears_loads_neither_scikit_learn_nor_pandas() -> None:
    code = "import sys, deepcuts.chain.hear; sys.exit(bool({'sklearn', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
