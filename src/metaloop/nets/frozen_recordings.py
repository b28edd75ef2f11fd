"""Frozen nets on recordings: how samples go through them, one recording at a time.

What a net returns for a recording hangs on that recording alone: none is padded with others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from metaloop.core.columns import Taken
from metaloop.core.encoder import Encoder, EncoderCard
from metaloop.core.errors import DataError

_LOUDEST = 32768  # of samples of 16 bits

Hear = Callable[[Tensor], Tensor]  # samples float32 [length], -1 to 1 -> features [D]


@final
class RecordingEncoder(Encoder):
    """What `hear` makes of every recording.

    `shortest`: how many samples a recording has at least, with zeros behind it.
    """

    def __init__(self, card: EncoderCard, hear: Hear, shortest: int = 0) -> None:
        self.card = card
        self._hear = hear
        self._shortest = shortest

    def encode(self, inputs: Taken) -> Tensor:
        """Returns float32 `[N, features]`; raises `DataError` for what is no recordings."""
        values = inputs.get("values") if isinstance(inputs, dict) else None
        mask = inputs.get("mask") if isinstance(inputs, dict) else None
        if not isinstance(values, Tensor) or not isinstance(mask, Tensor) or values.dim() != 2:
            raise DataError("the backbone takes recordings; choose another with --backbone")
        scale = 1.0 if values.is_floating_point() else 1 / _LOUDEST
        out = torch.empty(len(values), self.card.features)
        for row in range(len(values)):
            samples = values[row][mask[row]].to(torch.float32) * scale
            missing = max(0, self._shortest - len(samples))
            samples = torch.nn.functional.pad(samples, (0, missing))
            out[row] = _heard(self._hear, samples, f"'{self.card.name}'")
        return out


def features_heard(hear: Hear, samples: int, called: str) -> int:
    """Returns how many features a net has, by so many samples of noise; raises `DataError`."""
    noise = torch.rand(samples, generator=torch.Generator().manual_seed(0)) - 0.5
    features = _heard(hear, noise, f"backbone '{called}'")
    if features.ndim != 1 or not bool(torch.isfinite(features).all()):
        raise DataError(f"backbone '{called}' makes no vector of finite numbers of a recording")
    return len(features)


def _heard(hear: Hear, samples: Tensor, called: str) -> Tensor:
    try:
        with torch.inference_mode():
            return hear(samples)
    except DataError as error:
        raise DataError(f"{called} cannot take a recording: {error}") from error
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"{called} cannot take a recording: {reason}") from error
