"""What the command line loads: torch only where something learns or hears."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["cli.main", "cli.evaluate", "cli.explore", "trial.run", "recommend", "artifacts"])
def test_commands_that_learn_nothing_load_no_torch(module: str) -> None:
    code = f"import sys, deepcuts.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
