"""Every way deepcuts refuses to go on: one kind of error for each thing a person can do about it.

A message says where = what was found: what is allowed. What to do. For example
`plays has shape [7, 4], expected [4, 7]. It looks transposed: pass plays.T.`
"""

import errno
from pathlib import Path


class DeepcutsError(Exception):
    """Something a person can mend. The command line prints it as one line and leaves with `exit_code`."""

    exit_code = 1


class SettingError(DeepcutsError):
    """A setting or option is unknown, of the wrong type or out of range. Change the setting."""

    exit_code = 2


class InputError(DeepcutsError):
    """The data is wrong: a bad count, a missing column, an unknown id. Mend the data."""

    exit_code = 3


class ArtifactError(DeepcutsError):
    """A folder is missing, half-written, of another kind or made with other settings. Make it again."""

    exit_code = 4


class LeakageError(DeepcutsError):
    """Plays of test songs reached something that was learned. The evaluation would be worthless."""

    exit_code = 5


class ResourceError(DeepcutsError):
    """The machine refuses: disk full, file unreadable, decoder missing. Mend the machine."""

    exit_code = 6


class QuarantineError(DeepcutsError):
    """The work is done and saved, but some inputs were set aside; the report names each with its reason."""

    exit_code = 7


def explain_os_error(error: OSError, where: Path | str) -> ResourceError:
    """An operating-system error as one that says what to do."""
    short_write = error.errno is None and "requested and" in str(error)  # how NumPy tells it
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or short_write:
        return ResourceError(f"{where}: the disk is full. Free some space and run the same command again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ResourceError(f"{where}: {error.strerror}. Check the permissions.")
    return ResourceError(f"{where}: {error.strerror or error}.")
