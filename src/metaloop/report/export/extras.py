"""Optional packages: said in one line how to install the one that is missing."""

from __future__ import annotations

from metaloop.core.errors import MetaloopError


class MissingExtraError(MetaloopError):
    """A package that only some exports need is not installed."""


def missing_extra(package: str, extra: str) -> MissingExtraError:
    """Returns the error for a missing package, with the command that installs it."""
    return MissingExtraError(
        f"this export needs {package}, which is not installed; "
        f"pip install {package}, or metaloop with it: pip install 'metaloop[{extra}]'"
    )
