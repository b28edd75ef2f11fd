"""`FittedView`: a view of raw inputs as tensors, with what it has learned from training examples.

What a view does with them is in the table of `catalogue/views.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from metaloop.core.column_content import hash_into
from metaloop.core.encoder import Encoder
from metaloop.core.records import Choice

Expected = dict[str, tuple[tuple[int, ...], torch.dtype]]  # shape and kind of each asset
TOLD = ("version", "licence", "knows", "citation")  # of an encoder: nothing is seen otherwise


@dataclass(frozen=True, eq=False)
class FittedView:
    """The choice of a view and its `assets`, tensors by name: what was fitted on `train` alone.

    `encoders` are those at hand that it may need, by name and hash of weights (`key_of`).
    """

    choice: Choice
    assets: dict[str, Tensor] = field(default_factory=dict)
    encoders: Mapping[str, Encoder] = field(default_factory=dict, repr=False)

    @property
    def identity(self) -> str:
        """16 hexadecimal digits, equal for what sees the same in everything."""
        deciding = _deciding(self.choice.options)
        sha = hashlib.sha256(f"{self.choice.name}{deciding}".encode())
        hash_into(sha, dict(self.assets))
        return sha.hexdigest()[:16]

    @property
    def pieces(self) -> tuple[FittedView, ...]:
        """The views that it has beside each other: itself where it is one."""
        if self.choice.name != BESIDE:
            return (self,)
        return tuple(
            FittedView(
                Choice(each["name"], each.get("options", {})),
                {
                    name.removeprefix(f"{place}."): tensor
                    for name, tensor in self.assets.items()
                    if name.startswith(f"{place}.")
                },
                self.encoders,
            )
            for place, each in enumerate(self.choice.options["of"])
        )


def _deciding(options: Any) -> Any:
    """Options without what is only told."""
    if isinstance(options, Mapping):
        return sorted((k, _deciding(v)) for k, v in options.items() if k not in TOLD)
    return [_deciding(each) for each in options] if isinstance(options, list | tuple) else options


BESIDE = "beside"  # the view that is others beside each other; they are in its options
AS_IS = FittedView(Choice("as_is"))  # inputs that are tensors already


def beside(views: Sequence[FittedView]) -> FittedView:
    """Returns one view that sees inputs in all of these, flat and one after the other."""
    choices = [{"name": v.choice.name, "options": dict(v.choice.options)} for v in views]
    assets = {
        f"{place}.{name}": tensor
        for place, view in enumerate(views)
        for name, tensor in view.assets.items()
    }
    encoders = {key: one for view in views for key, one in view.encoders.items()}
    return FittedView(Choice(BESIDE, {"of": choices}), assets, encoders)


def as_long(expected: Expected, assets: Mapping[str, Tensor]) -> Expected:
    """Returns the shapes expected, those of any length (-1) as long as they are."""
    found = {}
    for name, (shape, dtype) in expected.items():
        there = tuple(assets[name].shape) if name in assets else ()
        if len(there) == len(shape):
            shape = tuple(n if size < 0 else size for n, size in zip(there, shape, strict=True))
        found[name] = (shape, dtype)
    return found


def key_of(name: str, weights: str) -> str:
    """Returns how an encoder is known: the same weights may see images at several sizes."""
    return f"{name} {weights}"
