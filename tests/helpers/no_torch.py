"""A process in which `import torch` fails, as on a machine where it was never installed; its children as well."""

import os
import subprocess
import sys
from pathlib import Path

BLOCK = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "onnx"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, NoTorch())
"""


def run_without_torch(code: str, scratch: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python code, or with code = "" the command line, where neither torch nor onnx can be imported."""
    (scratch / "sitecustomize.py").write_text(BLOCK)
    above = [str(scratch), *filter(None, [os.environ.get("PYTHONPATH")])]
    what = ["-c", code] if code else ["-m", "deepcuts"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(above)}
    return subprocess.run(
        [sys.executable, *what, *words], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
