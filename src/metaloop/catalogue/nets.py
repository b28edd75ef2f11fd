"""The table of nets: every architecture by its name, and which one suits which inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import torch
from torch import nn

from metaloop.catalogue.domains import domain_of
from metaloop.catalogue.limits import check_net
from metaloop.core.errors import MetaloopError, unknown_name
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Choice
from metaloop.core.spec import Shape
from metaloop.core.views import View, checked_view
from metaloop.domains.images.lite0_tail import lite0_tail
from metaloop.domains.images.nets import finer as finer
from metaloop.domains.images.nets import on_whole_images as on_whole_images
from metaloop.domains.text.minilm_tail import minilm_tail
from metaloop.domains.text.text_cnn import text_cnn
from metaloop.guests.keras.net import as_net, is_keras_model
from metaloop.nets.conv4 import conv4
from metaloop.nets.costing import (
    LARGEST_LAYER,
    MOST_FEATURES,
    MOST_MULTIPLY_ADDS,
    MOST_PARAMETERS,
    cost_of,
)
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.joined import Joined
from metaloop.nets.lean import lean
from metaloop.nets.mlp import mlp, projection, raw
from metaloop.nets.pixelcnn import pixelcnn
from metaloop.nets.resnet import resnet10, resnet12
from metaloop.nets.sentences import sentences
from metaloop.nets.set_vae import set_vae
from metaloop.nets.strided import strided
from metaloop.nets.temporal import temporal
from metaloop.nets.viewed import Viewed

CUSTOM = "custom"  # the name of a net that is the user's own module
JOINED = "joined"  # the name of trained nets put together; its members are in its options
RAW = "raw"  # the name of the net that does nothing
VIEW = "view"  # the option, of any net of the table, that says in which view it has its inputs
USUAL_VIEW: View = "standardised"
_AXES_OF_IMAGES = 3  # channels, height, width


@dataclass(frozen=True)
class NetEntry:
    """An architecture: its constructor `(input_shape, **options)`, a line about it, its inputs.

    `smallest_side` is the smallest image it takes, in pixels; 0 where any input will do. `view`:
    the form in which it has its inputs, unless another is chosen. `generates`: it is a generative
    net (`nets/generative.py`), which is told how many levels its inputs' values have.
    """

    constructor: Callable[..., nn.Module]
    summary: str
    smallest_side: int = 0
    view: View = USUAL_VIEW
    generates: bool = False


NETS: Mapping[str, NetEntry] = MappingProxyType(
    {
        "conv4": NetEntry(conv4, "the four blocks of 64 channels of the literature", 16),
        "lean": NetEntry(lean, "whitened patches, stages that are pooled early: quick", 8),
        "lite0_tail": NetEntry(
            lite0_tail, "the last block of EfficientNet-Lite0, on lite0-front", view="raw"
        ),
        "minilm_tail": NetEntry(
            minilm_tail, "the last layers of MiniLM, on minilm-front", view="raw"
        ),
        "mlp": NetEntry(mlp, "layers of units, plain or residual, for vectors"),
        "pixelcnn": NetEntry(
            pixelcnn, "pixel by pixel, with attention to a support", 2, generates=True
        ),
        "projection": NetEntry(projection, "a linear map that begins as none, for good features"),
        "raw": NetEntry(raw, "no net: the inputs, standardised or in another view"),
        "resnet10": NetEntry(resnet10, "four residual stages of two convolutions", 8),
        "resnet12": NetEntry(resnet12, "four residual stages of three convolutions", 8),
        "sentences": NetEntry(sentences, "every sentence of a document by itself, for summaries"),
        "set_vae": NetEntry(
            set_vae, "latent variables in two layers, conditioned on a support", 2, generates=True
        ),
        "strided": NetEntry(strided, "five convolutions, most at low resolution: quick", 16),
        "temporal": NetEntry(temporal, "convolutions over time alone, for spectrograms"),
        "text_cnn": NetEntry(text_cnn, "vectors of words and convolutions over their order"),
    }
)


# front of a net, as an encoder -> its other half, which is trained, with its usual options
TAILS: Mapping[str, Choice] = MappingProxyType(
    {"lite0-front": Choice("lite0_tail"), "minilm-front": Choice("minilm_tail")}
)


def tail_of(input_format: InputFormat) -> Choice | None:
    """Returns the net that is the other half of what has made the inputs; None for whole ones."""
    return TAILS.get(input_format.encoder.partition("@")[0])


def default_net(
    input_format: InputFormat, target_kind: str = "classes", quick: bool = False
) -> Choice:
    """Returns the net that suits these inputs under a small budget.

    `quick`: for learners whose steps take long with any net.
    """
    if tail := tail_of(input_format):
        return tail
    return domain_of(input_format).usual_net(input_format, target_kind, quick)


def coarse(net: Choice, input_format: InputFormat) -> Choice:
    """Returns the net as it begins, its tensors the same: on shrunk images, where it can."""
    return domain_of(input_format).beginning(net, input_format)


def companions(input_format: InputFormat) -> tuple[Choice, ...]:
    """Returns nets that differ and can all be trained in a minute: good ones to join.

    None of inputs that are generated: a generative learner has its own net.
    """
    return () if input_format.levels else domain_of(input_format).companions(input_format)


def generates(net: Choice) -> bool:
    """Whether it is a generative net."""
    return net.name in NETS and NETS[net.name].generates


def view_of(net: Choice, otherwise: View = USUAL_VIEW) -> View:
    """Returns the view that a net has of its inputs; raises `MetaloopError` for one unknown."""
    return checked_view(net.options.get(VIEW, otherwise))


def _module(net: Choice, input_format: InputFormat) -> nn.Module:
    """Returns a net of the table for standardised inputs, which it sees as it has chosen to."""
    view = view_of(net, NETS[net.name].view)
    options = {name: value for name, value in net.options.items() if name != VIEW}
    if NETS[net.name].generates:
        options["levels"] = input_format.levels or 2
    module = NETS[net.name].constructor(input_format.shape, **options)
    return module if view == USUAL_VIEW else Viewed(module, input_format, view)


@dataclass(frozen=True)
class _Member:
    """A part of a joined net: which piece of the inputs it sees (None: all), and its format.

    `mirrored`: it looks at every image twice, the second time at its mirror image.
    """

    net: Choice
    piece: int | None
    input_format: InputFormat
    mirrored: bool = False


def _members(net: Choice, input_format: InputFormat) -> list[_Member]:
    """Returns the members of a joined net, in order; `MetaloopError` if they do not fit inputs."""
    found = []
    for member in net.options["members"]:
        piece = member.get("piece")
        known = len(input_format.pieces)
        if (piece is None) != (known == 0) or (piece is not None and not 0 <= piece < known):
            raise MetaloopError(
                f"a member of a joined net sees piece {piece} of inputs that have {known} pieces"
            )
        seen = input_format if piece is None else input_format.pieces[piece]
        mirrored = member.get("mirrored", False)
        if mirrored and len(seen.shape) != _AXES_OF_IMAGES:
            raise MetaloopError(
                f"a member of a joined net sees mirror images of {seen.kind}s of shape "
                f"{tuple(seen.shape)}; only images have any"
            )
        chosen = Choice(member["name"], member.get("options", {}))
        found.append(_Member(chosen, piece, seen, mirrored))
    return found


def _joined(net: Choice, input_format: InputFormat, widths: Sequence[int]) -> nn.Module:
    members = _members(net, input_format)
    modules = [_module(member.net, member.input_format) for member in members]
    pieces = [member.piece for member in members]
    mirrored = [member.mirrored for member in members]
    centred = net.options.get("centred", True)
    return Joined(modules, widths, input_format, pieces, centred, mirrored)


def _fresh(
    choice: Choice, input_format: InputFormat, widths: Sequence[int], shape: Shape
) -> nn.Module:
    """The module of a net: a function of this file, so that a learner can be pickled."""
    if choice.name == JOINED:
        return _joined(choice, input_format, widths)
    return _module(choice, input_format)


def build_net(
    choice: Choice, input_format: InputFormat, module: nn.Module | None = None
) -> FunctionalNet:
    """Returns the chosen net for these inputs; `module` is the user's own, for the name `custom`.

    Raises `UnknownNameError` for an unknown name or option, `MetaloopError` if inputs do not fit or
    the net would be larger than any useful one: that is known before it has any memory.
    """
    if choice.name == CUSTOM:
        if module is None:
            kind = choice.options.get("class", "torch.nn.Module")
            raise MetaloopError(
                f"this model's net is a module of your own ({kind}); load it from Python with "
                f"net=<that module>"
            )
        if is_keras_model(module):
            module = as_net(module, input_format.shape)
        return FunctionalNet(input_format, module=module)
    widths = _checked_widths(choice, input_format)
    build = partial(_fresh, choice, input_format, widths)
    return FunctionalNet(input_format, build=build, num_features=sum(widths))


def skeletons(choice: Choice, input_format: InputFormat) -> list[tuple[str, nn.Module]]:
    """Returns the nets that a chosen one is made of, without memory, by the prefix of their names.

    The prefix is empty where it is one net, else `members.<n>.`. Raises as `build_net` does.
    """
    check_net(choice)
    parts = [_skeleton(part.net, part.input_format) for part in _parts(choice, input_format)]
    if choice.name != JOINED:
        return [("", parts[0])]
    return [(f"members.{place}.", part) for place, part in enumerate(parts)]


def _parts(choice: Choice, input_format: InputFormat) -> list[_Member]:
    """Returns the members of a joined net, or the net itself."""
    if choice.name == JOINED:
        return _members(choice, input_format)
    return [_Member(choice, None, input_format)]


def _checked_widths(choice: Choice, input_format: InputFormat) -> tuple[int, ...]:
    """Returns the number of features of each part; `MetaloopError` if all are too costly."""
    members = _parts(choice, input_format)
    shapes = [member.input_format.shape for member in members]
    parts = [part for _, part in skeletons(choice, input_format)]
    costs = [cost_of(part, shape) for part, shape in zip(parts, shapes, strict=True)]
    looks = [2 if member.mirrored else 1 for member in members]
    adds = sum(n * cost.multiply_adds for n, cost in zip(looks, costs, strict=True))
    for what, cost, most in (
        ("parameters", sum(cost.parameters for cost in costs), MOST_PARAMETERS),
        ("numbers in a layer", max(cost.largest_layer for cost in costs), LARGEST_LAYER),
        ("multiply-adds an input", adds, MOST_MULTIPLY_ADDS),
        ("features", sum(cost.features for cost in costs), MOST_FEATURES),
    ):
        if cost > most:
            raise MetaloopError(
                f"net '{choice.name}' on inputs of shape {tuple(input_format.shape)} has {cost:,} "
                f"{what}, more than {most:,}; use a smaller net or smaller inputs"
            )
    return tuple(cost.features for cost in costs)


def _skeleton(choice: Choice, input_format: InputFormat) -> nn.Module:
    """Returns the structure of one net on torch's device without memory."""
    if choice.name not in NETS:
        raise unknown_name("net", choice.name, NETS)
    entry = NETS[choice.name]
    if entry.smallest_side and len(input_format.shape) < 3:
        raise MetaloopError(
            f"net '{choice.name}' takes images, the data are {input_format.kind}s of shape "
            f"{input_format.shape}; use --net mlp"
        )
    if entry.smallest_side and min(input_format.shape[1:]) < entry.smallest_side:
        raise MetaloopError(
            f"net '{choice.name}' takes images of {entry.smallest_side} pixels or more, the data "
            f"have {min(input_format.shape[1:])}; raise --image-size or use --net mlp"
        )
    try:
        with torch.device("meta"):
            return _module(choice, input_format)
    except TypeError as error:
        raise MetaloopError(f"net '{choice.name}' does not take these options: {error}") from error
