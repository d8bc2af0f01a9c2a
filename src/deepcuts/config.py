"""Settings: defaults live in one frozen dataclass beside the code they steer; a TOML file and `--set` change them.

A TOML file has one table for each stage: `[factors]` then `n_factors = 50`.
Order of precedence: dataclass default < TOML file < `--set n_factors=50`.
"""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from deepcuts.checks import did_you_mean
from deepcuts.errors import SettingError

S = TypeVar("S")


def make_settings(
    cls: type[S], *, toml: Path | Sequence[Path] | None = None, table: str = "", assignments: Sequence[str] = ()
) -> S:
    """Settings of the frozen dataclass `cls`: its defaults, then a TOML table, then `name=value` assignments.

    Args:
        cls: a frozen dataclass whose fields are bool, int, float, str or an optional of these. Its
            `__post_init__` may refuse values out of range.
        toml: a settings file, or several: of each key the last file counts.
        table: which table of the file holds these settings, usually the stage's name.
        assignments: texts such as `n_factors=50`.
    Raises:
        SettingError: unknown key ("Did you mean"), wrong type, unreadable file.
    """
    values: dict[str, Any] = {}
    for file in files_of(toml):
        for key, value in read_table(file, table).items():
            values[key] = coerce(cls, key, value, where=f"{file}: [{table}] {key}")
    for text in assignments:
        key, found, value = text.partition("=")
        if not found:
            raise SettingError(f"--set {text!r}: expected name=value, for example --set seed=1.")
        values[key.strip()] = coerce(cls, key.strip(), value.strip(), where=f"--set {key.strip()}")
    return cls(**values)


def files_of(toml: Path | Sequence[Path] | None) -> list[Path]:
    """One settings file, several or none, as a list."""
    if toml is None:
        return []
    return [toml] if isinstance(toml, Path) else list(toml)


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file.

    Raises:
        SettingError: cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"{path}: cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: not valid TOML: {error}.") from error


def read_table(path: Path, table: str) -> dict[str, Any]:
    """One table of a TOML file; empty when the file does not have it."""
    found = read_toml(path).get(table, {})
    if not isinstance(found, dict):
        raise SettingError(f"{path}: {table} = {found!r}: expected a table, written [{table}].")
    return found


def coerce(cls: type, key: str, value: Any, where: str) -> Any:
    """`value` as the type that field `key` of `cls` declares; texts are parsed, other types must already fit."""
    hints = typing.get_type_hints(cls)
    names = {field.name for field in dataclasses.fields(cls)}
    if key not in names:
        raise SettingError(f"{where}: unknown setting.{did_you_mean(key, names)}")
    allowed = _plain_types(hints[key])
    for kind in sorted(allowed, key=lambda kind: kind is not type(None)):  # "none" is not taken for a text
        converted = _convert(value, kind)
        if converted is not _NOTHING:
            return converted
    wanted = " or ".join("none" if kind is type(None) else kind.__name__ for kind in allowed)
    raise SettingError(f"{where} = {value!r}: expected {wanted}.")


_NOTHING = object()


def _plain_types(hint: Any) -> tuple[type, ...]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return typing.get_args(hint)
    return (hint,)


def _convert(value: Any, kind: type) -> Any:
    if kind is type(None):
        return None if value is None or value == "none" else _NOTHING
    if isinstance(value, str) and kind is bool:
        return {"true": True, "false": False}.get(value.lower(), _NOTHING)
    if isinstance(value, str) and kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            return _NOTHING
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    return _NOTHING


def require(holds: bool, name: str, value: Any, allowed: str) -> None:
    """Refuse a setting out of range, from a dataclass's `__post_init__`."""
    if not holds:
        raise SettingError(f"{name} = {value!r}: expected {allowed}.")
