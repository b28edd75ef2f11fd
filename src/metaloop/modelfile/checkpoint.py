"""Weights from files of others: torch's checkpoints, old and new, and safetensors; tensors only.

A checkpoint of torch is a pickle that says which tensors there are, and their numbers beside it:
in a zip (`torch.save` since 1.6) or one behind the other in the same file (before). The pickle is
read by `core/pickled.py`, which runs nothing, with the words below; whatever else it asks for is
refused. Sizes are compared with the file before anything is allocated: a file cannot declare more
numbers than it has. (`torch.load(weights_only=True)` would do it, too; it has been the way to run
code in a process before, CVE-2025-32434, and would be the one place where pickle is allowed.)
"""

from __future__ import annotations

import hashlib
import io
import math
import mmap
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from metaloop.core.damaged_zip import DAMAGED_ZIP
from metaloop.core.errors import DataError
from metaloop.core.pickled import UnsafePickleError, Vocabulary, run_pickle
from metaloop.modelfile.model import Tensors

MOST_BYTES = 8 << 30  # of a file of weights: 2 billion numbers are no net for a few examples
_MAGIC = 0x1950A86A20F9469CFC6C  # how torch's old files begin
_PROTOCOL = 1001
_MOST_OF_NOTHING = 1 << 24  # a side of a tensor without numbers
_KINDS: Mapping[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_NESTED = ("state_dict_ema", "state_dict", "model_ema", "model", "module")  # where tensors may be


def read_weights(path: Path, most_bytes: int = MOST_BYTES) -> Tensors:
    """Returns the tensors of a checkpoint by name, in its order, whatever kind of file it is.

    They are mapped from the file or share memory: do not write into them. Raises `DataError` for a
    file that is damaged, has more than `most_bytes`, or holds anything but tensors, text and
    numbers.
    """
    try:
        size = path.stat().st_size
        if size > most_bytes:
            raise DataError(
                f"'{path}' has {size / 1e9:.1f} GB; weights of at most {most_bytes / 1e9:.1f} GB "
                f"are read: use a smaller net"
            )
        with path.open("rb") as file:
            beginning = file.read(9)
        if not size:
            raise DataError(f"'{path}' is empty; get the file anew")
        if beginning[:2] == b"PK":
            return _of_zip(path)
        is_pickle = beginning[:1] == b"\x80" and beginning[8:] != b"{"  # there, safetensors begin
        return _of_old_file(path) if is_pickle else _of_safetensors(path)
    except UnsafePickleError as error:
        raise DataError(f"'{path}' is no file of weights alone: {error}; it was not run") from error
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error
    except (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError,
            *DAMAGED_ZIP) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:200] or "it ends too early"
        raise DataError(f"'{path}' is a damaged file of weights ({reason}); get it anew") from error


def hash_of_weights(tensors: Mapping[str, Tensor]) -> str:
    """Returns 16 hexadecimal digits of the names, shapes and numbers, whatever file had them."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        sha.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()[:16]


@dataclass(frozen=True)
class _Storage:
    """Numbers that lie outside of the pickle."""

    key: str
    dtype: torch.dtype
    count: int

    @property
    def num_bytes(self) -> int:
        """How long it is in the file."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True)
class _Declared:
    """A tensor as a pickle describes it."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, content: Mapping[str, Tensor]) -> Tensor:
        """Returns it, given the bytes of every storage."""
        numbers = content[self.storage.key].view(self.storage.dtype)
        return numbers.as_strided(self.shape, self.strides, self.offset)


def _of_zip(path: Path) -> Tensors:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        described = [
            name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")
        ]
        if len(described) != 1:
            raise DataError(
                f"'{path}' is a zip without weights; a checkpoint of torch was expected"
            )
        folder = described[0].removesuffix("data.pkl")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise DataError(f"'{path}' is a compressed zip; a checkpoint of torch is none")
        order = folder + "byteorder"
        if order in entries and archive.read(order) != b"little":
            raise DataError(f"'{path}' was written on a big-endian machine; write it on another")
        declared = _declared(run_pickle(io.BytesIO(archive.read(described[0])), _WORDS), path)
        content = {}
        storages = {each.storage.key: each.storage for each in declared.values()}
        if sum(each.num_bytes for each in storages.values()) > path.stat().st_size:
            raise ValueError("it declares more numbers than it has")
        for storage in storages.values():
            name = f"{folder}data/{storage.key}"
            if name not in entries or entries[name].file_size != storage.num_bytes:
                raise ValueError(f"storage {storage.key} is not as long as declared")
            content[storage.key] = _bytes(bytearray(archive.read(name)))
    return {name: each.of(content) for name, each in declared.items()}


def _of_old_file(path: Path) -> Tensors:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        beginning = [run_pickle(mapped, _WORDS) for _ in range(2)]
        if beginning != [_MAGIC, _PROTOCOL]:
            raise DataError(f"'{path}' is a pickle, but no checkpoint of torch")
        machine = run_pickle(mapped, _WORDS)
        if not isinstance(machine, dict) or machine.get("little_endian") is not True:
            raise DataError(f"'{path}' was written on a big-endian machine; write it on another")
        declared = _declared(run_pickle(mapped, _WORDS), path)
        wanted = {each.storage.key: each.storage for each in declared.values()}
        content = {}
        for key in run_pickle(mapped, _WORDS):
            count = int.from_bytes(mapped.read(8), "little")
            if key not in wanted or count != wanted[key].count:
                raise ValueError(f"storage {key} is not as long as declared")
            if mapped.tell() + wanted[key].num_bytes > len(mapped):
                raise ValueError("it ends in the middle of a tensor")
            content[key] = _bytes(bytearray(mapped.read(wanted[key].num_bytes)))
    return {name: each.of(content) for name, each in declared.items()}


def _of_safetensors(path: Path) -> Tensors:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise DataError(
            f"'{path}' is no file of weights: neither a checkpoint of torch nor safetensors"
        ) from error


def _bytes(content: bytearray) -> Tensor:
    return torch.frombuffer(content, dtype=torch.uint8) if content else torch.empty(0).byte()


def _declared(value: Any, path: Path) -> dict[str, _Declared]:
    """The tensors of a pickled state, which may lie beside other things."""
    for key in _NESTED:
        inner = value.get(key) if isinstance(value, dict) else None
        if isinstance(inner, dict) and any(isinstance(v, _Declared) for v in inner.values()):
            value = inner
            break
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise DataError(f"'{path}' has no tensors by name; save the `state_dict()` of a net")
    found = {name: item for name, item in value.items() if isinstance(item, _Declared)}
    if not found:
        raise DataError(f"'{path}' has no tensors; save the `state_dict()` of a net")
    return found


def _storage(said: Any) -> _Storage:
    """What lies outside of the pickle, by what it says of it."""
    if type(said) is not tuple or said[:1] != ("storage",) or said[5:] not in ((), (None,)):
        raise UnsafePickleError("it has parts that are no numbers of tensors")
    kind, key, count = said[1].function(), said[2], said[4]
    if not isinstance(kind, torch.dtype) or type(key) is not str or type(count) is not int:
        raise UnsafePickleError("it has tensors of unknown numbers")
    if count < 0:
        raise UnsafePickleError("it has tensors of less than no numbers")
    return _Storage(key, kind, count)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Declared:
    """A tensor that lies within its storage, and has no more numbers than that."""
    sizes = (offset, *shape, *strides)
    if type(storage) is not _Storage or not all(type(n) is int and n >= 0 for n in sizes):
        raise UnsafePickleError("it has tensors without a shape")
    if len(shape) != len(strides) or len(shape) > 16:
        raise UnsafePickleError("it has tensors without a shape")
    if math.prod(shape):
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if last >= storage.count or math.prod(shape) > storage.count:
            raise UnsafePickleError("it has tensors that are larger than their numbers")
    elif max(sizes) > _MOST_OF_NOTHING:
        raise UnsafePickleError("it has empty tensors of an absurd shape")
    return _Declared(storage, offset, tuple(shape), tuple(strides))


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _dictionary(*pairs: Any) -> dict[Any, Any]:
    if pairs not in ((), ([],)):
        raise UnsafePickleError("it has dictionaries that are not empty when made")
    return {}


def _nothing(*_: Any) -> None:
    """What a net notes of its versions is not needed."""


def _kind_of(name: str) -> Any:
    return lambda: _KINDS[name]


_WORDS = Vocabulary(
    functions=MappingProxyType(
        {
            "collections OrderedDict": _dictionary,
            "torch._utils _rebuild_tensor_v2": _tensor,
            "torch._utils _rebuild_parameter": _parameter,
            "torch Size": lambda sizes=(): tuple(sizes),
            **{f"torch {name}": _kind_of(name) for name in _KINDS},
        }
    ),
    completers=MappingProxyType({dict: _nothing}),
    outside=_storage,
)
