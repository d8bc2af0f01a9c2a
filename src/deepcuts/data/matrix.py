"""Plays from a SciPy sparse matrix and its files of ids."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from deepcuts.artifacts import Plays, Vocabulary
from deepcuts.data.reading import Reading, open_bytes, read_lines
from deepcuts.errors import InputError
from deepcuts.store import DAMAGED


@dataclass(frozen=True)
class MatrixSettings:
    """Where the ids of a matrix lie: text files beside it, one id a line, in the order of rows and of columns.

    Attributes:
        users, songs: names of the two files.
    """

    users: str = "users.txt"
    songs: str = "songs.txt"


def read_matrix(path: Path | str, settings: MatrixSettings) -> Reading:
    """Plays from a SciPy sparse matrix [n_users, n_songs] (`scipy.sparse.save_npz`) and its ids.

    Stored zeros mean "not played" and are left out; so are users and songs without any play. Both are noted.

    Raises:
        InputError: the shape does not fit the ids ("It looks transposed"), a count is not positive, a damaged file.
    """
    path = Path(path)
    matrix = _load_npz(path)
    users = Vocabulary(read_lines(path.parent / settings.users)[0], "user")
    songs = Vocabulary(read_lines(path.parent / settings.songs)[0], "song")
    _check_matrix_shape(path, matrix.shape, (len(users), len(songs)))
    n_stored = matrix.nnz
    matrix.sum_duplicates()
    pairs = matrix.tocoo()
    row, column = pairs.coords
    played = pairs.data != 0
    record: dict[str, Any] = {"reader": "matrix", **dataclasses.asdict(settings)}
    plays = Plays.from_pairs(
        users.ids.gather(row[played]), songs.ids.gather(column[played]), pairs.data[played], settings=record
    )
    notes = {
        "stored values read": n_stored,
        "stored zeros left out": int(np.count_nonzero(~played)),
        "users without plays left out": len(users) - len(plays.users),
        "songs without plays left out": len(songs) - len(plays.songs),
    }
    return Reading(plays, None, notes)


def _load_npz(path: Path) -> sparse.csr_array:
    with open_bytes(path) as stream:
        try:
            found = sparse.csr_array(sparse.load_npz(stream))
            found.check_format(full_check=True)
        except DAMAGED as error:
            raise InputError(f"{path}: not a matrix of scipy.sparse.save_npz ({error}). Save it again.") from error
    return found


def _check_matrix_shape(path: Path, found: tuple[int, ...], expected: tuple[int, int]) -> None:
    if found == expected:
        return
    message = f"{path}: has shape {list(found)}, expected {list(expected)} ({expected[0]} users, {expected[1]} songs)."
    if found[::-1] == expected:
        message += " It looks transposed: users come first. Save matrix.T."
    raise InputError(message)
