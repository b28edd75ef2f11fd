"""A learner as three ONNX graphs, `embed`, `adapt` and `score`, for any batch, ways and shots.

What they are told is in `onnx_functions.py`; what makes images has a fourth, `draw`, and is told
in `onnx_drawing.py`. ONNX has no operator that solves linear systems. There, products of matrices
do: the inverse is found by Newton's iteration X <- X (2 I - A X) in float64, which squares the
error at each step (Schulz 1933, Zeitschrift fuer Angewandte Mathematik und Mechanik).
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from metaloop.core.errors import MetaloopError, missing_extra
from metaloop.core.sampler import Sampler
from metaloop.models.model import Model
from metaloop.models.onnx_drawing import drawing_of
from metaloop.models.onnx_functions import Functions, functions_of
from metaloop.models.onnx_gradients import differentiated

OPSET = 18
_OUTPUTS = {"embed": "features", "score": "outputs", "draw": "drawn"}  # of what makes images
_PRODUCTS = ("matmul", "__matmul__")
_NEWTON_STEPS = 64  # enough for condition numbers of about 1e8
_WAYS, _SUPPORT, _QUERIES = 3, 7, 5  # sizes while graphs are recorded; none is part of a graph
_OTHER_WAYS, _OTHER_SUPPORT = 4, 10  # what differs between the two is an axis that may


def graphs_of(model: Model) -> dict[str, bytes]:
    """Returns the ONNX files of the graphs by name.

    Raises `MetaloopError` where torch cannot record the learner.
    """
    if isinstance(model.learner, Sampler):
        return _graphs_of_drawing(model)
    of, shape = functions_of(model), model.input_format.shape
    features, targets = _example(model, of, _SUPPORT, _WAYS)
    state = of.adapt(features, targets)
    axes = _axes(state, of.adapt(*_example(model, of, _OTHER_SUPPORT, _OTHER_WAYS)))
    batch = torch.export.Dim.DYNAMIC
    every = {0: batch}
    both = {0: batch, 1: batch} if model.spec.ways else every
    of_features = {"features": every}
    return {
        "embed": _recorded(
            _OfOne(of.embed), {"inputs": torch.rand(_QUERIES, *shape)}, ["inputs"], ["features"],
            {"inputs": every},
        ),
        "adapt": _parsed(of.adapt_graph) if of.adapt_graph else _recorded(
            _OfTwo(of.adapt if not of.differentiates else _without_derivatives(model, of)),
            {"features": features, "second": targets}, ["features", "targets"],
            list(state), of_features | {"second": both},
        ),
        "score": _recorded(
            _OfTwo(of.score), {"features": torch.rand(_QUERIES, *of.features), "second": state},
            ["features", *state], ["outputs"], of_features | {"second": axes},
        ),
    }  # fmt: skip


def _graphs_of_drawing(model: Model) -> dict[str, bytes]:
    of, shape = drawing_of(model), model.input_format.shape
    dynamic, images = torch.export.Dim.DYNAMIC, torch.rand(_QUERIES, *shape)
    adapt = of.functions["adapt"]
    state, other = (adapt({"features": torch.rand(n, *shape)}) for n in (_SUPPORT, _OTHER_SUPPORT))
    functions = dict(of.functions)
    if of.differentiates:
        flat = _differentiated(lambda images: adapt({"features": images}), (images, [0]))
        functions["adapt"] = lambda given: flat(given["features"])
    noise = {
        name: {kind: torch.rand(_QUERIES, width) for kind, width in widths.items() if width}
        for name, widths in of.noise.items()
    }
    pixel = {"images": images, "place": torch.zeros(1, dtype=torch.int64)} if of.calls > 1 else {}
    batches = {
        "embed": {"inputs": images},
        "adapt": {"features": torch.rand(_SUPPORT, *shape)},
        "score": {"features": images, **noise["score"]},
        "draw": {**noise["draw"], **pixel},
    }
    found = {}
    for name, given in batches.items():
        axes = {each: {} if each == "place" else {0: dynamic} for each in given}
        if name in ("score", "draw"):
            given, axes = given | state, axes | _axes(state, other)
        outputs = list(state) if name == "adapt" else [_OUTPUTS[name]]
        module = _OfNamed(functions[name])
        found[name] = _recorded(module, {"given": given}, list(given), outputs, {"given": axes})
    return found


def _without_derivatives(model: Model, of: Functions) -> Callable[[Tensor, Tensor], Any]:
    features, targets = _example(model, of, _SUPPORT, _WAYS)
    moving = [0, 1] if model.spec.ways else [0]
    return _differentiated(of.adapt, (features, [0]), (targets, moving))


def _differentiated(
    function: Callable[..., Any], *given: tuple[Tensor, Sequence[int]]
) -> Callable[..., Any]:
    with _ByProducts():
        try:
            return differentiated(function, *given)
        except Exception as error:  # whatever torch cannot follow
            raise _unrecorded(error) from error


def _parsed(text: str) -> bytes:
    """Returns the ONNX file of a graph in ONNX's own words."""
    try:
        from onnx import parser  # optional extra
    except ImportError as error:
        raise missing_extra("exporting to ONNX", "onnx") from error
    content: bytes = parser.parse_model(text).SerializeToString()
    return content


def _example(model: Model, of: Functions, support: int, ways: int) -> tuple[Tensor, Tensor]:
    features = torch.rand(support, *of.features)
    if not model.spec.ways:
        return features, torch.rand(support, *model.spec.target_shape)
    return features, torch.eye(ways)[torch.arange(support) % ways]


def _axes(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, dict[int, Any]]:
    """Which axes of a task's state hang on its ways or its shots."""
    dynamic = torch.export.Dim.DYNAMIC
    return {
        name: {
            axis: dynamic
            for axis, (one, other) in enumerate(zip(tensor.shape, second[name].shape, strict=True))
            if one != other
        }
        for name, tensor in first.items()
    }


class _ByProducts(TorchFunctionMode):
    """While inside, linear systems are solved by products of matrices, and vectors are matrices.

    onnxruntime 1.32 fuses a transposed matrix with its product with a vector into what is wrong.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Calls the function, or what is in its place."""
        if func is torch.linalg.solve_ex:
            return _solved(*args), None
        if getattr(func, "__name__", "") in _PRODUCTS:
            left, right = args
            if left.dim() > 1 and right.dim() == 1:
                return func(left, right.unsqueeze(-1)).squeeze(-1)
        return func(*args, **(kwargs or {}))


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    """Returns `matrix^-1 right` of a square matrix, in the type of `right`."""
    a = matrix.double()
    identity = torch.eye(a.shape[-1], dtype=torch.float64)
    lengths = a.abs().sum(-1).amax(-1) * a.abs().sum(-2).amax(-1)
    inverse = a.mT / lengths
    for _ in range(_NEWTON_STEPS):
        inverse = inverse @ (2 * identity - a @ inverse)
    return (inverse @ right.double()).to(right.dtype)


class _OfOne(nn.Module):
    """A function of inputs as a module, which is what torch records."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, inputs: Tensor) -> Any:
        """Calls it."""
        return self._function(inputs)


class _OfNamed(nn.Module):
    """The same of tensors by name."""

    def __init__(self, function: Callable[[dict[str, Tensor]], Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, given: dict[str, Tensor]) -> Any:
        """Calls it."""
        with _ByProducts():
            return self._function(given)


class _OfTwo(nn.Module):
    """The same of features and of targets, or of a task's state."""

    def __init__(self, function: Callable[[Tensor, Any], Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, features: Tensor, second: Any) -> Any:
        """Calls it."""
        with _ByProducts():
            return self._function(features, second)


def _recorded(
    module: nn.Module,
    given: dict[str, Any],
    inputs: list[str],
    outputs: list[str],
    axes: dict[str, Any],
) -> bytes:
    try:
        import onnxscript  # noqa: F401  # optional extra
    except ImportError as error:
        raise missing_extra("exporting to ONNX", "onnx") from error
    try:
        with torch.no_grad(), _quietly():
            program = torch.onnx.export(
                module, (), kwargs=given, dynamo=True, opset_version=OPSET,
                input_names=inputs, output_names=outputs, verbose=False, dynamic_shapes=axes,
            )  # fmt: skip
        assert program is not None
        content: bytes = program.model_proto.SerializeToString()
    except Exception as error:  # whatever torch cannot record
        raise _unrecorded(error) from error
    return content


@contextmanager
def _quietly() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir")]
    before = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)


def _unrecorded(error: Exception) -> MetaloopError:
    reason = " ".join(str(error.__cause__ or error).split())[:200]
    return MetaloopError(
        f"torch cannot record the learner for ONNX ({type(error).__name__}: {reason})"
    )
