"""`InputFormat`: how raw inputs (images of any size, vectors) become what a net is given.

It also holds the scale of real targets, where that was measured: learners are given standardised
targets, so that their rates do not hang on a unit, and results are told in the targets' own units.

It is measured once on the training classes, stored in the model file, and applied unchanged to
everything the model ever sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from metaloop.core.pixels import quantised
from metaloop.core.spec import Shape

# Inputs embedded at once: what a processor's cache holds (benchmarks/embedding.py), or a GPU fills.
_AT_ONCE_ON_CPU, _AT_ONCE_ELSEWHERE = 64, 2048

_LATER = {"later": True}  # not written where it has its default, so that files stay as they were


@dataclass(frozen=True)
class InputFormat:
    """Shape, scale and polarity of inputs.

    `kind` is the name of a domain: `image` (`shape` = channels, height, width; stored as uint8),
    `spectrogram` (1, bands, frames; uint8), `vector` (`[features]`), or one that was added to the
    table.
    `mean`, `deviation`: one number per channel or feature, in units of the float input
    (images: 0 to 1). `polarity`: `ink` if images whose border is bright are inverted when read, so
    that what is drawn is high; `as_is` otherwise. `target_mean`, `target_deviation`: one number for
    every real target; empty where targets are classes, or are taken as they are. `target_range`:
    the smallest and the largest that a target can be (ratings); predictions keep to it.
    `pieces`: of a vector that is several inputs beside each other (what joined nets see that have
    views of their own), the format of each, in order; its own `mean` and `deviation` are empty.
    `encoder`: of features, the frozen net that has made them.
    `columns`: the names of a vector's numbers where they come from a table, in order.
    `levels`: of images that are generated, how many values a channel of a pixel can have: 2 for
    black and white, 256; 0 where images are not generated.
    """

    kind: str
    shape: Shape
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    polarity: Literal["as_is", "ink"] = "as_is"
    target_mean: tuple[float, ...] = field(default=(), metadata=_LATER)
    target_deviation: tuple[float, ...] = field(default=(), metadata=_LATER)
    pieces: tuple[InputFormat, ...] = field(default=(), metadata=_LATER)
    encoder: str = field(default="", metadata=_LATER)
    columns: tuple[str, ...] = field(default=(), metadata=_LATER)
    target_range: tuple[float, ...] = field(default=(), metadata=_LATER)
    levels: int = field(default=0, metadata=_LATER)

    @staticmethod
    def beside(pieces: Sequence[InputFormat]) -> InputFormat:
        """Returns the format of inputs of these formats, flat and one behind the other."""
        total = sum(math.prod(piece.shape) for piece in pieces)
        return InputFormat("vector", (total,), (), (), pieces=tuple(pieces))

    def to_float(self, inputs: Tensor) -> Tensor:
        """Returns float32 inputs `[..., *shape]`: images 0 to 1, vectors as they are."""
        if inputs.dtype == torch.uint8:
            return inputs.to(torch.float32).div_(255.0)
        return inputs.to(torch.float32)

    def quantise(self, inputs: Tensor) -> Tensor:
        """Returns float inputs with every number at one of the format's levels."""
        return quantised(inputs, self.levels)

    def standardise_targets(self, targets: Tensor) -> Tensor:
        """Returns real targets `[..., targets]` as learners are given them, float32."""
        if not self.target_mean:
            return targets
        mean, deviation = self._target_moments(targets)
        return ((targets - mean) / deviation).to(torch.float32)

    def raw_targets(self, outputs: Tensor) -> Tensor:
        """Returns standardised targets or predictions `[..., targets]` in the targets' own units.

        They are float64 then; where nothing was standardised they are returned as they are.
        """
        if not self.target_mean:
            return outputs
        mean, deviation = self._target_moments(outputs)
        values = outputs.double() * deviation + mean
        return values.clamp(*self.target_range) if self.target_range else values

    def normalise(self, inputs: Tensor) -> Tensor:
        """Returns `(inputs - mean) / deviation` of float inputs `[..., *shape]`."""
        if self.pieces:
            parts = zip(self.pieces, self.parted(inputs), strict=True)
            axes = [piece.normalise(part).flatten(-len(piece.shape)) for piece, part in parts]
            return torch.cat(axes, dim=-1)
        device = inputs.device
        moments = self._moments.get(device)
        if moments is None:  # what is stored is not read again: two threads may make two tables
            moments = self._moments[device] = _apart(lambda: self._made_moments(device))
        mean, deviation = moments
        return (inputs - mean) / deviation

    def parted(self, inputs: Tensor) -> list[Tensor]:
        """Returns the pieces of inputs `[..., features]`, each `[..., *shape]` of its format."""
        sizes = [math.prod(piece.shape) for piece in self.pieces]
        parts = torch.split(inputs, sizes, dim=-1)
        return [
            part.reshape(*part.shape[:-1], *piece.shape)
            for piece, part in zip(self.pieces, parts, strict=True)
        ]

    def _target_moments(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean = torch.tensor(self.target_mean, dtype=torch.float64, device=like.device)
        return mean, torch.tensor(self.target_deviation, dtype=torch.float64, device=like.device)

    @cached_property
    def _moments(self) -> dict[torch.device, tuple[Tensor, Tensor]]:
        """Mean and deviation on each device where inputs were normalised."""
        return {}

    def _made_moments(self, device: torch.device) -> tuple[Tensor, Tensor]:
        ones = (1,) * (len(self.shape) - 1)
        mean = torch.tensor(self.mean, device=device).view(-1, *ones)
        return mean, torch.tensor(self.deviation, device=device).view(-1, *ones)


def _apart(make: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Returns what `make` makes in a thread of its own.

    No mode or transform of the caller (`vmap`, `grad`, inference) is in force there: the tensors
    will be used in others.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(make).result()


def embedded_at_once(device: torch.device) -> int:
    """Returns how many inputs a net should embed at once there."""
    return _AT_ONCE_ON_CPU if device.type == "cpu" else _AT_ONCE_ELSEWHERE
