"""The pages we write, opened in real headless Chromium: scripts run, and what they draw is there."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from deepcuts.evaluate import EvaluateSettings, System, evaluate
from deepcuts.evaluate.report import write_report
from deepcuts.explore.page import map_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Without a browser these tests are left out, but never in CI, which installs one.
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium: apt install chromium"
)
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0",
)  # fmt: skip


def opened(page: Path, profile: Path) -> tuple[str, str]:
    """The page's elements after its scripts ran, and what the browser's console said."""
    assert CHROMIUM is not None, "CI must install Chromium"
    command = [
        CHROMIUM,
        *QUIET,
        f"--user-data-dir={profile}",
        "--virtual-time-budget=3000",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return done.stdout, "\n".join(re.findall(r".*CONSOLE.*", done.stderr))


def test_the_map_page_draws_its_legend_and_has_no_script_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    page = tmp_path / "map.html"
    styles = ["rock", "hip-hop"]
    artists = [f"Artist {i} <b>&" for i in range(40)]
    page.write_text(map_page(rng.normal(size=(40, 2)), np.arange(40) % 2, styles, artists), encoding="utf-8")
    elements, said = opened(page, tmp_path / "profile")
    assert said == ""
    legend = re.search(r'id="legend".*?</div>', elements, re.DOTALL)
    assert legend is not None
    assert legend[0].count("<button") >= 2
    assert "rock" in legend[0]
    assert "Artist 0 <b>&amp;</b>" not in elements  # a name is never taken for markup


def test_the_report_page_opens_without_errors_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    users, songs = rng.normal(size=(30, 3)).astype(np.float32), rng.normal(size=(12, 3)).astype(np.float32)
    played = sparse.csr_array(rng.random((30, 12)) < 0.3)
    system = System("cnn <script>", users, songs)
    write_report(evaluate([system], played, EvaluateSettings(n_bootstrap=10)), tmp_path / "report")
    page = tmp_path / "report" / "report.html"
    elements, said = opened(page, tmp_path / "profile")
    assert said == ""
    assert "cnn &lt;script&gt;" in elements
    assert not re.search(r'(src|href)="(https?:)?//', page.read_text(encoding="utf-8"))
