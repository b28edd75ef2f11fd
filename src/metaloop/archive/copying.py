"""`--archive-to`: a finished run is recorded in another archive, and the next one knows of it."""

from __future__ import annotations

import os
from pathlib import Path

from metaloop.archive.address import ServerAddress, is_same, place_of
from metaloop.archive.archive import Archive
from metaloop.archive.merging import merge
from metaloop.core.errors import MetaloopError, OutputError

Target = str | os.PathLike[str] | ServerAddress


def check_elsewhere(target: Target) -> None:
    """Raises `OutputError` or `ArchiveError` unless a run could be recorded there: ask before it.

    A run that took hours must not end with a name that was wrong from the start. On a server the
    archive is made where there is none.
    """
    place = place_of(target)
    if isinstance(place, Path):
        if place.is_dir() or not place.absolute().parent.is_dir():
            raise OutputError(f"--archive-to names a file in a folder that exists; got '{place}'")
        if not place.exists():
            return
    with Archive.open_or_create(place) as archive:
        archive.check_writable()


def record_elsewhere(source: Path, target: Target) -> None:
    """Brings the run of an archive, earlier tries too, into another one, made where there is none.

    Scores of single episodes and pictures stay behind: what is learned from are results. Raises
    `OutputError` and `ArchiveError` where it cannot be written, with how to try that again.
    """
    place = place_of(target)
    if is_same(source, place):
        return
    try:
        with Archive.open(source, read_only=True) as own, Archive.open_or_create(place) as other:
            merge(own, other)
    except MetaloopError as error:
        raise type(error)(
            f"{error}; the run has finished and is whole in '{source.parent}', only this was not "
            f"recorded: try it again with 'metaloop archive merge {source} --into {place}'"
        ) from None
