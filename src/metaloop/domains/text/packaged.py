"""Files that installed packages carry, found by metadata; nothing of a package is imported."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from pathlib import Path


@cache
def packaged_file(package: str, ending: str) -> Path | None:
    """Returns the one file of an installed package whose path ends so; None where there is none."""
    try:
        files = metadata.distribution(package).files or []
    except metadata.PackageNotFoundError:
        return None
    found = [Path(str(each.locate())) for each in files if f"/{each.as_posix()}".endswith(ending)]
    return found[0] if len(found) == 1 and found[0].is_file() else None
