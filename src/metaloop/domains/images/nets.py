"""Which nets suit which images, and on how large a copy of an image they begin."""

from __future__ import annotations

from collections.abc import Mapping

from metaloop.core.inputs import InputFormat
from metaloop.core.records import Choice
from metaloop.nets.lean import stem_stride

# On photographs four CPU-minutes of the lean net are worth more than of a narrow residual net,
# which is above the literature's width, and above the strided net. Damped: +0.4 with five examples
# of each class, nothing lost with one (LOG.md).
_FOR_PHOTOGRAPHS = Choice("lean", {"damped": 64})
_WIDER = Choice("lean", {"widths": [32, 48, 96, 192], "activation": "silu", "damped": 64})
_NARROW = Choice("resnet10", {"widths": [32, 64, 128, 160]})
_COMPANIONS_OF_DRAWINGS = (Choice("strided"), _NARROW, Choice("conv4"))
_COMPANIONS_OF_PHOTOGRAPHS = (_FOR_PHOTOGRAPHS, _WIDER, _NARROW)
_FOR_TINY_IMAGES = Choice("mlp", {"width": 256, "depth": 2})
_FOR_REAL_TARGETS = Choice("mlp", {"width": 40, "depth": 2})

SMALLEST_SIDE = 16  # pixels, for convolutions
_RESIZABLE = ("lean", "resnet10", "resnet12")
_COARSEST_SIDE = 14  # pixels of what the first layer that is trained sees


def usual_net(input_format: InputFormat, target_kind: str, quick: bool) -> Choice:
    """Returns the lean net for photographs, a strided one for drawings and where it must be."""
    if suits_convolutions(input_format):
        return Choice("strided") if is_drawing(input_format) or quick else _FOR_PHOTOGRAPHS
    return _FOR_REAL_TARGETS if target_kind == "real" else _FOR_TINY_IMAGES


def companions(input_format: InputFormat) -> tuple[Choice, ...]:
    """Returns nets that differ and can all be trained in a minute; none for the smallest images."""
    if not suits_convolutions(input_format):
        return ()
    return _COMPANIONS_OF_DRAWINGS if is_drawing(input_format) else _COMPANIONS_OF_PHOTOGRAPHS


def beginning(net: Choice, input_format: InputFormat) -> Choice:
    """Returns the net on shrunk images; itself where it cannot be.

    It takes several steps in the time of one, so it is further where there is little time.
    """
    if not is_resizable(net):
        return net
    shrink, side = 1, min(input_format.shape[1:])
    if net.name == "lean":
        side //= stem_stride(input_format.shape)
    while side // (2 * shrink) >= _COARSEST_SIDE:
        shrink *= 2
    return Choice(net.name, {**net.options, "shrink": shrink}) if shrink > 1 else net


def finer(net: Choice) -> Choice | None:
    """Returns the net on images of twice the side, its tensors the same; None if they are whole."""
    shrink = net.options.get("shrink", 1)
    if shrink == 1 or not is_resizable(net):
        return None
    options = {name: value for name, value in net.options.items() if name != "shrink"}
    return Choice(net.name, options if shrink == 2 else {**options, "shrink": shrink // 2})


def on_whole_images(net: Choice) -> Choice:
    """Returns the net as it will be when nothing is shrunk any more."""
    larger = finer(net)
    return net if larger is None else on_whole_images(larger)


def nets(input_format: InputFormat, known: Mapping[str, int]) -> tuple[str, ...]:
    """Returns the nets whose smallest side (0: no image at all) the images have, if any."""
    side = min(input_format.shape[1:])
    fitting = [name for name, smallest in known.items() if 0 < smallest <= side]
    return tuple(fitting) if fitting else (_FOR_TINY_IMAGES.name,)


def is_resizable(net: Choice) -> bool:
    """Whether the net's tensors are the same whatever the size of its images."""
    return net.name in _RESIZABLE and net.options.get("pooling", "mean") == "mean"


def is_drawing(input_format: InputFormat) -> bool:
    """Whether images have one channel."""
    return input_format.shape[0] == 1


def suits_convolutions(input_format: InputFormat) -> bool:
    """Whether images are large enough for the usual convolutional nets."""
    return min(input_format.shape[1:]) >= SMALLEST_SIDE
