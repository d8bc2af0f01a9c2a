"""The README's Python runs as it stands, from a file, on a little music."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

README = Path(__file__).parents[1] / "README.md"


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    block = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    rng = np.random.default_rng(0)
    for folder, songs in (("known", range(12)), ("new", range(12, 15))):
        (tmp_path / "music" / folder).mkdir(parents=True)
        for song in songs:
            sound = 0.1 * rng.normal(size=4 * 22_050) * np.sin(np.arange(4 * 22_050) * (song + 1) / 500)
            soundfile.write(tmp_path / "music" / folder / f"s{song:02}.wav", sound, 22_050)
    rows = [f"u{u},s{s:02},{rng.integers(1, 9)}" for u in range(9) for s in range(12) if rng.random() < 0.4]
    (tmp_path / "plays.csv").write_text("user,song,plays\n" + "\n".join(rows) + "\n")
    (tmp_path / "script.py").write_text(block[1], encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert "user_id" in run.stdout
    assert "s12" in run.stdout
