"""A small house with one artifact of every kind, and ways to damage what lies in it."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepcuts.store import META, read_meta, write_meta

OPTIONAL = ("precision.npy", "n_listeners.npy", "first_played.npy", "event_start.npy", "event_time.npy",
            "learned_from.parquet", "files.parquet", "history.csv", "encoder/weights.safetensors",
            "network.onnx")  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (None, True, -1, 0, 10**12, 1.5, "", "x", "../x", [], {}, [None], {"x": 1}, float("nan"))


def make_house(deepcuts: Callable, home: Path) -> Path:
    """One artifact of every kind, made by commands."""
    plays, sounds = home / "world/plays", home / "world/sounds"
    world = [f"--set={text}" for text in ("n_songs=40", "n_users=60", "seconds=3.2", "mean_listeners=12", "n_jobs=1")]
    mel, small = ["--set=rate=8000", "--set=n_bands=16", "-j", "1"], ["--set=n_factors=4", "--set=n_sweeps=2"]
    split, factors, logmel, pooled = home / "split", home / "factors", home / "logmel", home / "pooled"
    of_split = ["--split", split]
    network = ["--set=n_epochs=2", "--set=batch=8"]
    for words in (
        ["data", "world", "-o", home / "world", *world],
        ["data", "split", plays, "-o", split, "--set", "by=artist"],
        ["data", "split", plays, "-o", home / "other-split", "--set", "by=artist", "--set", "seed=1"],
        ["factors", plays, *of_split, "-o", factors, *small],
        ["factors", plays, "--split", home / "other-split", "-o", home / "other-factors", *small],
        ["audio", "logmel", sounds, "-o", logmel, *mel],
        ["audio", "pool", logmel, "-o", pooled],
        ["audio", "words", logmel, "-o", home / "words", "--set=n_words=8", "--set=variance=0.9"],
        ["audio", "bag", logmel, home / "words", "-o", home / "bag"],
        ["library", sounds, "-o", home / "library"],
        ["predict", "fit", logmel, factors, "--encoder", "linear", *of_split, "-o", home / "linear"],
        ["predict", "fit", pooled, factors, "--encoder", "mlp", *of_split, "-o", home / "mlp", *network],
        ["predict", "fit", pooled, factors, "--encoder", "trees", *of_split, "-o", home / "trees", "--set=n_trees=5"],
        ["predict", "songs", home / "linear", logmel, "-o", home / "predicted"],
        ["predict", "songs", home / "trees", pooled, "-o", home / "other-predicted"],
        ["recommend", factors, "--predicted", home / "predicted", "--which", "cold", "-k", "5", "-o", home / "ranking"],
        ["evaluate", plays, split, factors, "--system", f"linear={home}/predicted", "-o", home / "report",
         "--set=n_bootstrap=20"],
        ["bundle", factors, "--predicted", home / "predicted", "--plays", plays, *of_split, "--songs", home / "library",
         "--encoder", home / "linear", "--music", sounds, "-o", home / "model"],
    ):  # fmt: skip
        told = deepcuts(*words)
        assert told.code == 0, told.err
    return home


def files_of(folder: Path) -> list[Path]:
    """All files below a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files of an output, but for histories: they hold seconds."""
    if not folder.is_dir():
        return {}
    return {str(path.relative_to(folder)): path.read_bytes() for path in files_of(folder) if path.name != "history.csv"}


def damage(folder: Path, donors: Sequence[Path], rng: np.random.Generator) -> tuple[str, str]:
    """Damage one file of an artifact; returns the file's name and what was done to it."""
    listed = [*read_meta(folder).files, META, META]
    name = listed[rng.integers(len(listed))]
    path = folder / name
    if name == META and rng.random() < 0.7:
        return name, edit_meta(path, rng)
    how = str(rng.choice(["flip", "flip", "cut", "empty", "swap", "swap", "gone", "folder", "link", "zeros", "more"]))
    data = path.read_bytes()
    if how == "swap":
        return name, swap(path, donors, rng)
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "link":
        path.symlink_to(path.name)
    elif how != "gone":
        path.write_bytes(changed(data, how, rng))
    return name, how


def changed(data: bytes, how: str, rng: np.random.Generator) -> bytes:
    """The bytes with a bit flipped, cut short, none, a part of zeros, or with more behind them."""
    at = int(rng.integers(len(data)))
    if how == "flip":
        return data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :]
    if how == "cut":
        return data[:at]
    if how == "zeros":
        n = min(int(rng.integers(1, 64)), len(data) - at)
        return data[:at] + b"\x01" * n + data[at + n :]
    return data + rng.bytes(int(rng.integers(1, 50))) if how == "more" else b""


def swap(path: Path, donors: Sequence[Path], rng: np.random.Generator) -> str:
    """Put another artifact's file in its place: one of the same name where there is one, else of the same suffix."""
    own = path.read_bytes()
    same = [one for one in donors if one.name == path.name and one.read_bytes() != own]
    alike = [one for one in donors if one.suffix == path.suffix and one.read_bytes() != own]
    pool = same if same and rng.random() < 0.7 else alike or [one for one in donors if one.read_bytes() != own]
    other = pool[rng.integers(len(pool))]
    path.write_bytes(other.read_bytes())
    return f"swap with {other.parent.name}/{other.name}"


def edit_meta(path: Path, rng: np.random.Generator) -> str:
    """Drop a key, put an odd value in the place of another, or add a key, anywhere in meta.json."""
    content = json.loads(path.read_text(encoding="utf-8"))
    places = list(places_of(content))
    inside, key = places[rng.integers(len(places))]
    how, told = str(rng.choice(["drop", "value", "value", "nudge", "nudge", "add"])), f"{key}"
    if how == "drop":
        del inside[key]
    elif how == "add" and isinstance(inside, dict):
        inside[f"{key}2"] = inside[key]
    elif how == "nudge":
        inside[key] = nudged(inside[key])
    else:
        odd = [value for value in ODD_VALUES if json.dumps(value) != json.dumps(inside[key])]
        inside[key] = odd[rng.integers(len(odd))]
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return f"{how} {told}"


def places_of(content: Any) -> Any:
    """(container, key or position) of every value in it."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        yield content, key
        yield from places_of(value)


def nudged(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    return [*value, *value, 1] if isinstance(value, list) else {**value, "more": 1}


def add_unlisted(folder: Path, donors: Sequence[Path], rng: np.random.Generator) -> str:
    """Lay a file of another artifact under a name that this kind could have and does not list."""
    free = [name for name in OPTIONAL if name not in read_meta(folder).files and not (folder / name).exists()]
    name = free[rng.integers(len(free))]
    alike = [one for one in donors if one.suffix == Path(name).suffix] or donors
    (folder / name).parent.mkdir(exist_ok=True)
    shutil.copyfile(alike[rng.integers(len(alike))], folder / name)
    return name


def reseal(folder: Path, name: str, donors: Sequence[Path], rng: np.random.Generator) -> str:
    """Damage one file, and let meta.json vouch for it: what another program, or another version, might write."""
    meta = read_meta(folder)
    if name == META:
        return reseal_meta(folder, rng)
    path = folder / name
    if rng.random() < 0.5:
        how = swap(path, donors, rng)
    else:
        how = str(rng.choice(["flip", "flip", "cut", "empty", "zeros", "more"]))
        path.write_bytes(changed(path.read_bytes(), how, rng))
    write_meta(folder, meta)
    return how


def reseal_meta(folder: Path, rng: np.random.Generator) -> str:
    """Change settings, shape or lineage, and let meta.json vouch for them."""
    meta = read_meta(folder)
    parts = {"settings": meta.settings, "shape": meta.shape, "lineage": meta.lineage, "parents": meta.parents}
    scratch = folder / "edited.json"
    scratch.write_text(json.dumps({name: dict(part) for name, part in parts.items() if part}), encoding="utf-8")
    how = edit_meta(scratch, rng)
    edited = json.loads(scratch.read_text(encoding="utf-8"))
    scratch.unlink()
    said = {name: edited.get(name) if isinstance(edited.get(name), dict) else {} for name in parts}
    write_meta(folder, type(meta)(meta.kind, meta.fingerprint, **said))
    return how
