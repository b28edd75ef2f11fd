"""`read_model`: a model file is checked from the outside in before anything of it is used.

The zip, its members and their sizes, the version, the hashes, the fields, the tensors. Members are
stored, not compressed, so nothing in a file can be larger than the file.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import BinaryIO

from metaloop.core.damaged_zip import DAMAGED_ZIP
from metaloop.core.errors import ModelFileError
from metaloop.modelfile.format import CARD, TENSOR_MEMBERS, from_members, parse_card
from metaloop.modelfile.model import ModelFile

_MAX_CARD_BYTES = 64 * 2**20  # a million class names
_ZIP_START = b"PK\x03\x04"
_ENCRYPTED = 1  # bit of a member's flags
_ZIP_ERRORS = (  # what zipfile raises on damaged files and on those that it cannot read
    *DAMAGED_ZIP,
    LookupError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


def read_model(path: str | os.PathLike[str]) -> ModelFile:
    """Returns what is in a model file; never runs code from it.

    Raises `ModelFileError`, in one line, if it is missing, no model file, damaged, changed after
    it was written, or from a newer metaloop. Tensors come on the CPU and contiguous.
    """
    with _open(Path(path)) as file:
        try:
            with _open_zip(file) as archive:
                members = _members(archive, os.fstat(file.fileno()).st_size)
                card = parse_card(_read_member(archive, members[CARD]))
                _refuse_unknown(members)  # after the version: a newer one may have more
                packed = {
                    name: _read_member(archive, members[name])
                    for name in TENSOR_MEMBERS
                    if name in members
                }
            return from_members(card, packed)
        except ModelFileError as error:
            raise ModelFileError(f"model file '{path}' {error}") from error
        except (ValueError, RecursionError) as error:
            raise ModelFileError(f"model file '{path}' is damaged: {_line(error)}") from error


def file_hash(path: str | os.PathLike[str]) -> str:
    """Returns the identity of a model file in archives: 16 hexadecimal digits of its SHA-256."""
    sha = hashlib.sha256()
    with _open(Path(path)) as file:
        while block := file.read(2**20):
            sha.update(block)
    return sha.hexdigest()[:16]


def _open(path: Path) -> BinaryIO:
    try:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no ordinary file"
            raise ModelFileError(f"'{path}' is {what}, not a model file")
        return path.open("rb")
    except FileNotFoundError as error:
        raise ModelFileError(f"there is no model file at '{path}'") from error
    except (OSError, ValueError) as error:
        raise ModelFileError(f"model file '{path}' cannot be read: {_line(error)}") from error


def _open_zip(file: BinaryIO) -> zipfile.ZipFile:
    start = file.read(len(_ZIP_START))
    if start != _ZIP_START:
        raise ModelFileError("is empty" if not start else "is not a metaloop model: it is no zip")
    try:
        return zipfile.ZipFile(file)
    except _ZIP_ERRORS as error:
        raise ValueError(f"cut short or changed ({_line(error)})") from error


def _members(archive: zipfile.ZipFile, file_size: int) -> dict[str, zipfile.ZipInfo]:
    """Returns the members by name; refuses missing, doubled and oversized ones."""
    infos = archive.infolist()
    members = {info.filename: info for info in infos}
    missing = [name for name in (CARD, next(iter(TENSOR_MEMBERS))) if name not in members]
    if missing:
        raise ValueError(f"it has no {missing[0]}")
    if len(members) < len(infos):
        raise ValueError("two of its members have one name")
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
            raise ValueError(f"member {info.filename[:80]!r} is compressed or encrypted")
    sizes = [max(info.file_size, info.compress_size) for info in infos]
    if sum(sizes) > file_size or members[CARD].file_size > _MAX_CARD_BYTES:
        raise ValueError("its members claim to be larger than they can be")
    return members


def _refuse_unknown(members: dict[str, zipfile.ZipInfo]) -> None:
    unknown = sorted(set(members) - {CARD, *TENSOR_MEMBERS})
    if unknown:
        raise ValueError(f"it has a member {unknown[0][:80]!r} that does not belong there")


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(info)
    except _ZIP_ERRORS as error:
        raise ValueError(f"{info.filename} is cut short or changed ({_line(error)})") from error


def _line(error: Exception) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join(text.split())[:200]
