"""Dictionaries of tensors as safetensors bytes, and nested ones as flat ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from metaloop.modelfile.model import Tensors

SEPARATOR = "/"  # names of parameters have dots, so a dot could not be undone
_RESERVED = "__metadata__"
_KINDS = frozenset(
    (
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    )
)


def pack(tensors: Tensors) -> bytes:
    """Returns the same bytes for equal tensors, whatever their device, layout or order.

    Raises `ValueError` for a tensor that the format cannot hold (sparse, complex, quantised).
    """
    for name, tensor in tensors.items():
        if name == _RESERVED:
            raise ValueError(f"no tensor can be called {_RESERVED!r}")
        if tensor.dtype not in _KINDS or tensor.layout != torch.strided:
            raise ValueError(f"tensor {name!r} is {tensor.layout} of {tensor.dtype}")
    return save(
        {
            name: tensors[name].detach().cpu().clone(memory_format=torch.contiguous_format)
            for name in sorted(tensors)
        }
    )


def unpack(data: bytes) -> Tensors:
    """Returns contiguous tensors of their own memory; raises `ValueError` if `data` is damaged."""
    try:
        tensors = load(data)
    except (SafetensorError, ArithmeticError, LookupError, RuntimeError, TypeError) as error:
        raise ValueError(f"no valid safetensors: {error}") from error
    except (AssertionError, MemoryError) as error:  # sizes that no file can have
        raise ValueError("no valid safetensors") from error
    for name, tensor in tensors.items():
        if tensor.dtype not in _KINDS:
            raise ValueError(f"tensor {name!r} is of {tensor.dtype}")
    # Copied: torch aligns its own memory, and sums over unaligned memory may differ in last bits.
    return {name: tensors[name].clone() for name in sorted(tensors)}


def flatten_tensors(nested: Mapping[str, Any], prefix: str = "") -> Tensors:
    """Returns nested dictionaries of tensors as one, with keys joined by `/`.

    Raises `TypeError` for a leaf that is no tensor and `ValueError` for a key that has a `/`.
    """
    flat: Tensors = {}
    for key, value in nested.items():
        if SEPARATOR in key:
            raise ValueError(f"the key {key!r} contains {SEPARATOR!r}")
        if isinstance(value, Mapping):
            flat |= flatten_tensors(value, f"{prefix}{key}{SEPARATOR}")
        elif isinstance(value, torch.Tensor):
            flat[prefix + key] = value
        else:
            raise TypeError(f"{prefix}{key} is a {type(value).__name__}, not a tensor")
    return flat


def unflatten_tensors(flat: Tensors) -> dict[str, Any]:
    """Returns the nested dictionaries that `flatten_tensors` made flat (empty ones are lost)."""
    nested: dict[str, Any] = {}
    for name, tensor in flat.items():
        *outer, last = name.split(SEPARATOR)
        place = nested
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = tensor
    return nested
