"""A file imports from lower floors and from its own folder: never sideways, never up (docs/design.md)."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "deepcuts"
FLOORS = {
    "errors": 0,
    "checks": 1,
    "config": 1,
    "locks": 1,
    "progress": 1,
    "store": 1,
    "walk": 1,
    "artifacts": 2,
    "kernels": 2,
    "data": 3,
    "factors": 3,
    "audio": 3,
    "predict": 3,
    "recommend": 3,
    "evaluate": 3,
    "explore": 3,
    "worlds": 4,
    "cluster": 4,
    "trial": 5,
    "chain": 6,
    "lab": 7,
    "serve": 7,
    "cli": 8,
    "__main__": 9,
    "__init__": 0,
}
# Siblings on one floor that may meet: the small tools of floor 1, and the nouns and kernels of floor 2.
MAY_MEET = {("config", "checks"), ("store", "checks"), ("store", "locks")}


def room_of(path: Path, root: Path = SOURCE) -> str:
    part = path.relative_to(root).parts[0]
    return part.removesuffix(".py")


def imports_of(path: Path) -> list[tuple[str, int, bool]]:
    """(room imported from, line, at module level) for each import of our own package."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "deepcuts":
            parts = (node.module or "").split(".")
            names = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
            found += [(name, node.lineno, id(node) in top) for name in names]
        elif isinstance(node, ast.Import):
            found += [
                (alias.name.split(".")[1], node.lineno, id(node) in top)
                for alias in node.names
                if alias.name.startswith("deepcuts.")
            ]
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.append(("a relative import: write the whole name", node.lineno, True))
    return found


def complaints(root: Path) -> list[str]:
    told = []
    for path in sorted(root.rglob("*.py")):
        room = room_of(path, root)
        for other, line, _ in imports_of(path):
            if other in (room, "__version__"):
                continue
            if other not in FLOORS:
                told.append(f"{path.relative_to(root)}:{line}: {other}: no such room")
            elif FLOORS[other] >= FLOORS[room] and (room, other) not in MAY_MEET:
                told.append(f"{path.relative_to(root)}:{line}: {room} must not import {other}")
    return told


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in SOURCE.rglob("*.py")}
    assert rooms <= set(FLOORS)


def test_no_file_imports_sideways_or_up() -> None:
    assert complaints(SOURCE) == []


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("data/thing.py", "from deepcuts.factors import wmf"),
        ("factors/thing.py", "import deepcuts.cli.main"),
        ("store.py", "from deepcuts import artifacts"),
        ("audio/thing.py", "def f():\n    from deepcuts.predict import cnn"),
        ("audio/thing.py", "from . import decode"),
    ],
)
def test_a_wrong_import_is_noticed(tmp_path: Path, place: str, line: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(line + "\n")
    assert len(complaints(tmp_path)) == 1


def test_no_pickle_anywhere() -> None:
    forbidden = ("import pickle", "torch.load", "torch.save", "joblib.dump", "allow_pickle=True")
    found = [
        f"{path.relative_to(SOURCE)}: {word}"
        for path in SOURCE.rglob("*.py")
        for word in forbidden
        if word in path.read_text(encoding="utf-8")
    ]
    assert found == []


# Loaded only where CUDA is wanted.
WITH_TORCH = {"kernels/als_torch.py", "kernels/places_torch.py", "kernels/device.py"}


def test_torch_stays_in_predict_and_in_the_kernels_for_its_devices() -> None:
    for path in SOURCE.rglob("*.py"):
        if "import torch" in path.read_text(encoding="utf-8"):
            known = path.relative_to(SOURCE).as_posix() in WITH_TORCH
            assert known or room_of(path) in {"predict", "cli"}, path
