"""`write_model`: a model file appears whole or not at all.

Members in fixed order with fixed times, so equal models give equal bytes.
"""

from __future__ import annotations

import io
import os
import secrets
import zipfile
from contextlib import suppress
from pathlib import Path

from metaloop.core.errors import ModelFileError, OutputError
from metaloop.modelfile.format import to_members
from metaloop.modelfile.model import ModelFile

_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold
_UNIX = 3
_PERMISSIONS = 0o644


def write_model(path: str | os.PathLike[str], model: ModelFile, *, overwrite: bool = False) -> None:
    """Writes `model` to `path`, which until then stays as it is, whatever happens.

    Raises `OutputError` if something is there (without `overwrite`) or it cannot be written, and
    `ModelFileError` for tensors that the format cannot hold.
    """
    path = Path(path)
    _require_free(path, overwrite)
    try:
        data = _zipped(to_members(model))
    except ValueError as error:
        raise ModelFileError(f"cannot be saved as a model file: {error}") from error
    temporary = path.with_name(f".{secrets.token_hex(6)}.metaloop.tmp")
    try:
        _write_through(temporary, data)
        _require_free(path, overwrite)
        os.replace(temporary, path)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise OutputError(f"cannot write model file '{path}': {reason}") from error
    finally:
        with suppress(OSError, ValueError):
            os.unlink(temporary)
    _sync_folder(path.parent)


def _require_free(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise OutputError(f"cannot write model file '{path}': it is a folder")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write model file '{path}': there is no folder '{path.parent}'")
    if not overwrite and os.path.lexists(path):
        raise OutputError(f"'{path}' already exists; choose another name or remove it first")


def _zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system = _UNIX
            info.external_attr = _PERMISSIONS << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def _write_through(path: Path, data: bytes) -> None:
    """Writes a new file and waits until the disk has it."""
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not everywhere can a folder be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
