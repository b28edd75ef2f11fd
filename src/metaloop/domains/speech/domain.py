"""Spectrograms as a domain: pictures whose rows are bands of pitch and whose columns are times."""

from __future__ import annotations

from collections.abc import Mapping

from metaloop.core.domain import Domain
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Choice

_USUAL = Choice("temporal")
_COMPANIONS = (_USUAL, Choice("strided"), Choice("temporal", {"activation": "silu"}))
SMALLEST_SIDE = 16  # bands or frames, for convolutions


def usual_net(input_format: InputFormat, target_kind: str, quick: bool) -> Choice:
    """Returns convolutions over time: quick, and above others after equal seconds (LOG.md)."""
    return _USUAL


def companions(input_format: InputFormat) -> tuple[Choice, ...]:
    """Returns nets that differ and can all be trained in a minute."""
    return _COMPANIONS


def beginning(net: Choice, input_format: InputFormat) -> Choice:
    """Returns the net itself: spectrograms are small already."""
    return net


def nets(input_format: InputFormat, known: Mapping[str, int]) -> tuple[str, ...]:
    """Returns the temporal net, and the convolutional ones that the sides are large enough for."""
    side = min(input_format.shape[1:])
    fitting = [name for name, smallest in known.items() if 0 < smallest <= side]
    return (*fitting, _USUAL.name)


def is_one(shape: tuple[int, ...]) -> bool:
    """Whether an array of that shape is one spectrogram."""
    return len(shape) in (2, 3)


SPECTROGRAMS = Domain(
    name="spectrogram",
    axes=3,
    most_numbers=1 << 20,
    usual_net=usual_net,
    companions=companions,
    beginning=beginning,
    nets=nets,
    plan={"optimiser": "muon"},
    augmentation=lambda input_format: Choice("sound"),
    augmentations=("none", "sound"),
    without_meaning=lambda input_format: frozenset(),
    can_work=lambda input_format, operator: True,
    quick_to_tell=False,
    is_one=is_one,
)
