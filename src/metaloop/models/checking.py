"""Whether the parts of a model file fit each other: formats, weights, what was learned from a task.

A file may come from a stranger. Numbers that decide how large things are have limits, and tensors
have exactly the names, shapes and kinds of numbers that its own learner would begin with; what
those are is found out on torch's device without memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from metaloop.catalogue.domains import domain_of
from metaloop.catalogue.nets import CUSTOM, skeletons
from metaloop.catalogue.views import VIEWS
from metaloop.core.errors import MetaloopError, ModelFileError
from metaloop.core.fitted_view import FittedView
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import BUFFER_PREFIX, Learner
from metaloop.core.objective import objective
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Choice
from metaloop.core.spec import TaskSpec

_MOST_COUNTED = 1 << 24  # ways, shots, queries, training classes
_MOST_TARGETS = 1 << 16  # numbers in one real target
_NET = "net."

Shapes = dict[str, tuple[tuple[int, ...], torch.dtype]]  # name -> shape and kind of numbers


def check_formats(input_format: InputFormat, spec: TaskSpec) -> None:
    """Raises `ModelFileError` unless inputs and tasks are of a possible size and fit each other."""
    shape = tuple(input_format.shape)
    domain = domain_of(input_format)
    if len(shape) != domain.axes or min(shape) < 1:
        raise _wrong(f"inputs of shape {_short(shape)} are no {input_format.kind}s")
    most = domain.most_numbers
    if math.prod(shape) > most:
        raise _wrong(f"an input has up to {most:,} numbers, its shape is {_short(shape)}")
    for piece in input_format.pieces:
        check_formats(piece, replace(spec, input_shape=tuple(piece.shape)))
    known = 0 if input_format.pieces else shape[0]
    for what in ("mean", "deviation"):
        values = getattr(input_format, what)
        if len(values) != known or not all(map(math.isfinite, values)):
            raise _wrong(
                f"its inputs' {what} is expected to be {known} finite numbers, got "
                f"{len(values)}: {_short(values)}"
            )
    if input_format.columns and len(set(input_format.columns)) != shape[0]:
        raise _wrong(
            f"its inputs are {shape[0]} numbers, and it names {len(input_format.columns)} columns"
        )
    if min(input_format.deviation, default=1.0) <= 0:
        raise _wrong(f"deviations are above 0, got {min(input_format.deviation)}")
    _check_target_scale(input_format, spec)
    if tuple(spec.input_shape) != shape:
        raise _wrong(f"its tasks have inputs of shape {_short(spec.input_shape)}, not {shape}")
    for what in ("ways", "shots", "queries", "num_training_classes"):
        if not 0 <= getattr(spec, what) <= _MOST_COUNTED:
            raise _wrong(f"its {what} are not between 0 and {_MOST_COUNTED:,}")
    _check_targets(spec)
    levels = spec.target_shape[0] if objective(spec.objective).target_kind == "inputs" else 0
    if input_format.levels != levels:
        raise _wrong(f"its inputs have {input_format.levels} levels, its tasks {levels}")


def check_net_tensors(tensors: Mapping[str, Tensor], net: Choice, inputs: InputFormat) -> None:
    """Raises `ModelFileError` unless the tensors of the net itself are those of its structure.

    Nothing is allocated, so it comes before the net is built.
    """
    if net.name == CUSTOM:
        return  # the user's own module
    expected: Shapes = {}
    for prefix, module in skeletons(net, inputs):
        named: list[tuple[str, str, Tensor]]
        named = [(_NET, *pair) for pair in module.named_parameters()]
        named += [(f"{BUFFER_PREFIX}{_NET}", *pair) for pair in module.named_buffers()]
        for start, name, tensor in named:
            expected[f"{start}{prefix}{name}"] = (tuple(tensor.shape), tensor.dtype)
    own = {name: tensors[name] for name in expected if name in tensors}
    check_tensors("weights", own, expected)


def check_weights(tensors: Mapping[str, Tensor], learner: Learner, spec: TaskSpec) -> None:
    """Raises `ModelFileError` unless the weights are what `init` would give, and finite."""
    with torch.device("meta"), _WithoutDrawing():
        started = learner.init(spec, torch_stream(0, "shapes"))
    check_tensors("weights", tensors, shapes_of(started))


def check_tensors(what: str, tensors: Mapping[str, Tensor], expected: Shapes) -> None:
    """Raises `ModelFileError` naming the first tensor that lacks, is too many or another kind."""
    for name in sorted({*tensors} ^ {*expected}):
        if name in expected:
            raise _wrong(f"its {what} lack '{name[:80]}'")
        raise _wrong(f"its {what} have '{name[:80]}', which does not belong there")
    for name, (shape, dtype) in expected.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape or tensor.dtype != dtype:
            raise _wrong(
                f"its {what} '{name[:80]}' are expected to be {_kind(dtype)} {_short(shape)}, got "
                f"{_kind(tensor.dtype)} {_short(tuple(tensor.shape))}"
            )
        check_finite(what, name, tensor)


def check_assets(view: FittedView) -> None:
    """Raises `ModelFileError` unless assets of the right shapes fit each other, too."""
    for piece in view.pieces:
        if piece.choice.name in VIEWS:
            VIEWS[piece.choice.name].check(piece.assets, int(piece.choice.options["features"]))


def check_finite(what: str, name: str, tensor: Tensor) -> None:
    """Raises `ModelFileError` for a tensor that is not finite: nothing learned is so."""
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise _wrong(f"its {what} '{name[:80]}' have values that are not finite")


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    """Returns the shape and the kind of numbers of each tensor."""
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}


def with_one_step(learner: Learner) -> Learner:
    """Returns the learner with a single step of adaptation: its states have the same shapes."""
    assert is_dataclass(learner)
    steps = {"inner_steps", "num_steps", "num_iterations"}
    known = {field.name for field in fields(learner)} & steps
    shortened: Learner = replace(learner, **dict.fromkeys(known, 1))
    return shortened


def _check_target_scale(input_format: InputFormat, spec: TaskSpec) -> None:
    """Raises unless there is no scale of targets, or one for every target."""
    mean, deviation = input_format.target_mean, input_format.target_deviation
    bounds = input_format.target_range
    if bounds and not (len(bounds) == 2 and -math.inf < bounds[0] < bounds[1] < math.inf):
        raise _wrong(f"targets range from a number to a larger one, got {_short(bounds)}")
    if not mean and not deviation:
        return
    number = spec.target_shape[0] if len(spec.target_shape) == 1 else 0
    if not len(mean) == len(deviation) == number or not all(map(math.isfinite, mean + deviation)):
        raise _wrong(f"the scale of its targets is expected to be {number} finite numbers each")
    if min(deviation) <= 0:
        raise _wrong(f"deviations of targets are above 0, got {min(deviation)}")


def _check_targets(spec: TaskSpec) -> None:
    try:
        kind = objective(spec.objective).target_kind
    except MetaloopError as error:
        raise _wrong(str(error)) from error
    shape = tuple(spec.target_shape)
    if kind == "classes" and shape:
        raise _wrong(f"targets that are classes have no shape, got {_short(shape)}")
    if kind == "inputs" and (len(shape) != 1 or not 2 <= shape[0] <= 256):
        raise _wrong(f"values of generated images have 2 to 256 levels, got {_short(shape)}")
    if kind == "real" and (
        len(shape) != 1 or not 1 <= shape[0] <= _MOST_TARGETS or spec.num_training_classes
    ):
        raise _wrong(
            f"real targets are 1 to {_MOST_TARGETS:,} numbers without classes, got {_short(shape)}"
        )


class _WithoutDrawing(TorchFunctionMode):
    """Leaves generators away where tensors have no memory: nothing is drawn, so none is needed."""

    def __torch_function__(
        self, function: Any, kinds: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("device") is None:  # then it goes to the device without memory
            kwargs.pop("generator", None)
        return function(*args, **kwargs)


def _wrong(problem: str) -> ModelFileError:
    return ModelFileError(f"the model file does not fit itself: {problem}; get it again")


def _kind(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
