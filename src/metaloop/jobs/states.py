"""Where the states of a run's nodes are, as bytes by name: jobs need no folder that they share.

A run on one machine keeps them in its folder. On several machines each worker has such a folder,
and the executor carries the files of one to the other (`carrying.py`). Who keeps states elsewhere
gives `Workplace(folder, states=...)` something that fetches and sends them.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Protocol, runtime_checkable

from metaloop.core.errors import MachineError, OutputError


@runtime_checkable
class States(Protocol):
    """Bytes by name. A name is written once, by one job, and read by later ones."""

    def read(self, name: str) -> bytes:
        """Returns what was written; raises `MachineError` if it is not there."""

    def write(self, name: str, content: bytes) -> None:
        """Keeps the bytes, whole or not at all; raises `OutputError` if that cannot be done."""


class FolderStates:
    """States as files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> bytes:
        """Returns the content of the file of that name."""
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise MachineError(
                f"what was trained before cannot be read: {self.folder / name} ({error.strerror})"
            ) from error

    def write(self, name: str, content: bytes) -> None:
        """Writes the file in one move."""
        temporary = self.folder / f".{name}.{secrets.token_hex(4)}"
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.folder / name)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OutputError(f"cannot write '{self.folder / name}': {error.strerror}") from error
