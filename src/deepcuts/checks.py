"""Refuse wrong input at the door, with a message that says what to do."""

import difflib
import re
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from deepcuts.errors import InputError, SettingError

MOST_CLOSE = 100  # close options among which the nearest is looked for


def require_package(name: str, extra: str, what: str) -> None:
    """Refuse work that an optional package does, where the package is missing.

    Args:
        name: of the package; it is imported.
        extra: of deepcuts, which installs it.
        what: needs it, for the message.
    Raises:
        SettingError: says how to install it.
    """
    try:
        import_module(name)
    except ImportError as error:
        raise SettingError(
            f"{what}: needs the package {name}, which is not installed ({error}). "
            f"Install it with: pip install 'deepcuts[{extra}]'"
        ) from error


def is_installed(name: str) -> bool:
    """Whether a package is there, without importing it."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """` Did you mean 'n_factors'?` for a near miss, else the list of what is allowed.

    >>> did_you_mean("n_factor", ["n_factors", "alpha"])
    " Did you mean 'n_factors'?"
    """
    options = sorted(allowed)
    near = nearest(word, options)
    if near is not None:
        return f" Did you mean {near!r}?"
    shown = ", ".join(options[:20]) + (", ..." if len(options) > 20 else "")
    return f" Allowed: {shown}."


def nearest(word: str, options: Sequence[str]) -> str | None:
    """The option that was probably meant; None when nothing is close.

    One that differs only in capitals or in zeros before a number; else, of the close ones, that of fewest edits; of
    these the one whose last number is nearest: `song-0007` is `song-00007`, not `song-00070`.
    """
    plain = spelt_plainly(word)
    for option in options:
        if spelt_plainly(option) == plain:
            return option
    near = difflib.get_close_matches(word, options, n=MOST_CLOSE, cutoff=0.6)
    return min(near, key=lambda option: (n_edits(word, option), number_gap(word, option)), default=None)


def spelt_plainly(text: str) -> str:
    """In small letters, and without zeros before a number."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", text.lower())


def number_gap(a: str, b: str) -> int:
    """How far the last numbers in two texts lie apart; 0 when one has none."""
    found = [re.findall(r"\d{1,18}", text) for text in (a, b)]
    return abs(int(found[0][-1]) - int(found[1][-1])) if all(found) else 0


def n_edits(a: str, b: str) -> int:
    """Fewest letters to insert, remove or change to turn `a` into `b` (Levenshtein distance)."""
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (one != other))
    return row[-1]


def check_shape(name: str, array: np.ndarray, expected: Sequence[int | None]) -> None:
    """Refuse an array of another shape; `None` in `expected` allows any length on that axis.

    Raises:
        InputError: names both shapes, and says so when the array looks transposed.
    """
    found = tuple(array.shape)
    if len(found) == len(expected) and all(e is None or e == n for e, n in zip(expected, found, strict=True)):
        return
    wanted = ", ".join("any" if e is None else str(e) for e in expected)
    message = f"{name} has shape {list(found)}, expected [{wanted}]."
    if len(found) == 2 and found[::-1] == tuple(expected):
        message += " It looks transposed: users come first, then songs."
    raise InputError(message)


def check_finite(name: str, array: np.ndarray) -> None:
    """Refuse NaN and infinity; the message names the first place.

    A score that is not a number sorts anywhere and still gives a plausible AUC, so it must never pass.
    """
    good = np.isfinite(array)
    if good.all():
        return
    first = np.argwhere(~good)[0].tolist()
    n_bad = int(good.size - np.count_nonzero(good))
    raise InputError(
        f"{name}{first} = {array[tuple(first)]}: {n_bad} of {good.size} values are not finite. "
        "Look for zero-norm vectors, a diverged fit or silence upstream."
    )


def check_same_length(**arrays: Sequence | np.ndarray) -> None:
    """Refuse columns of different lengths, naming each."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise InputError(f"The columns differ in length: {found}.")
