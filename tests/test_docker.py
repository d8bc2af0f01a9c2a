"""The image definition and the compose file are of a form that a builder takes; nothing is built here."""

import re
from pathlib import Path

DOCKER = Path(__file__).parents[1] / "docker"


def test_the_image_serves_with_a_login_and_runs_as_nobody_special():
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    instructions = [line.split()[0] for line in text.splitlines() if line and not line.startswith(("#", " "))]
    assert instructions[0] == "FROM"
    assert instructions.index("USER") < instructions.index("CMD")
    assert '"--login"' in text.splitlines()[-1]
    assert "constraints.txt" in text


def test_the_compose_file_has_navidrome_beside_deepcuts():
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    assert "\t" not in text
    assert re.findall(r"^  (\w+):$", text, re.MULTILINE) == ["navidrome", "deepcuts"]
    assert "navidrome:/navidrome:ro" in text  # its database is read, never written
