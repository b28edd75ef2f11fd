"""Everything a user can do wrong is one class of error, each with one line that helps.

A message says what was expected, what came and what to do. The command line prints it and exits
with 2; from Python it is an ordinary exception. Anything else that escapes is a bug.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class MetaloopError(Exception):
    """Base of all errors that the user, not the program, can mend."""


class DataError(MetaloopError):
    """The data could not be read as a family of tasks."""


class InputError(MetaloopError, ValueError):
    """What an estimator was given does not fit it (a `ValueError` too, as scikit-learn has it)."""


class EpisodeError(MetaloopError):
    """The data is fine but too small for the episodes that were asked for."""


class BudgetError(MetaloopError):
    """The budget is not a positive amount of seconds or steps."""


class UnknownNameError(MetaloopError):
    """No learner, net, family or option has this name."""


class ModelFileError(MetaloopError):
    """A model file is damaged, from a newer version, or does not fit what it is used for."""


class ArchiveError(MetaloopError):
    """An archive cannot be opened, read or written."""


class OutputError(MetaloopError):
    """A result cannot be written where it was asked to go."""


class DivergenceError(MetaloopError):
    """Training or adaptation produced numbers that are not finite."""


class GuestError(MetaloopError):
    """Another library, behind a learner or a view, failed, or answered what nobody can use."""


class MissingExtraError(MetaloopError):
    """A library that something needs is not installed; the message names the extra."""


class MachineError(MetaloopError):
    """The machine failed, not what was tried on it: a lost folder, a full disk, no memory."""


# What no program can mend, and no learner has caused.
ERRNOS_OF_THE_MACHINE = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EMFILE,
        errno.ENAMETOOLONG,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.EPERM,
        errno.EROFS,
    }
)
_NO_MEMORY = ("out of memory", "can't allocate memory")  # torch has no class for it on the CPU


def is_of_the_machine(error: BaseException) -> bool:
    """Whether files could not be read or written, or what was done before with them is gone."""
    return isinstance(error, OSError | OutputError | MachineError)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether something needed more memory than there was."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in _NO_MEMORY)


def missing_extra(what: str, extra: str) -> MissingExtraError:
    """Returns the error for a library that is not installed, with the extra that brings it.

    >>> print(missing_extra("learner 'keras_cnn'", "keras"))
    learner 'keras_cnn' needs an extra that is not installed: pip install 'metaloop[keras]'
    """
    return MissingExtraError(
        f"{what} needs an extra that is not installed: pip install 'metaloop[{extra}]'"
    )


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Returns the error for a wrong `name`, naming near matches, or else all that are known.

    >>> print(unknown_name("learner", "protonets", ["maml", "protonet", "ridge"]))
    no learner is called 'protonets'; did you mean 'protonet'?
    """
    known = sorted(known)
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}"
    return UnknownNameError(f"no {kind} is called {name!r}; {hint}")
