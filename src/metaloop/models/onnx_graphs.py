"""A learner as three ONNX graphs: `embed`, `adapt` and `score`, for any batch, ways and shots.

    features [N, D] = embed(inputs [N, *input])
    state           = adapt(features [S, D], targets [S, C])    one-hot classes, or real targets
    outputs [N, C]  = score(features [N, D], state)             logits, or values in their own units

ONNX has no operator that solves linear systems. There, products of matrices do: the inverse is
found by Newton's iteration X <- X (2 I - A X) in float64, which squares the error at each step
(Schulz 1933, Zeitschrift fuer Angewandte Mathematik und Mechanik).
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from metaloop.core.errors import MetaloopError, missing_extra
from metaloop.core.examples import Examples
from metaloop.core.learner import EmbeddingLearner
from metaloop.models.model import Model

OPSET = 18
_NEWTON_STEPS = 64  # enough for condition numbers of about 1e8
_WAYS, _SUPPORT, _QUERIES = 3, 7, 5  # sizes while graphs are recorded; none is part of a graph
_OTHER_WAYS, _OTHER_SUPPORT = 4, 10  # what differs between the two is an axis that may


@dataclass(frozen=True)
class Labelled(Examples):
    """Examples whose classes are given as one-hot rows, so that their number is an axis."""

    rows: Tensor | None = None

    def one_hot(self) -> Tensor:
        """Returns the rows `[N, classes]`."""
        assert self.rows is not None
        return self.rows


def support_of(model: Model, features: Tensor, targets: Tensor) -> Examples:
    """Returns a support of features `[S, D]` and one-hot classes, or raw real targets `[S, K]`."""
    mask = torch.ones_like(features[:, 0]) > 0
    if not model.spec.ways:
        scaled = model.input_format.standardise_targets(targets).float()
        return Examples(features, scaled, mask)
    ways = targets.shape[1]
    return Labelled(features, targets.argmax(1), mask, ways, rows=targets)


def graphs_of(model: Model) -> dict[str, bytes]:
    """Returns the ONNX files of the three graphs.

    Raises `MetaloopError` where the learner is none that can be one, and if torch cannot record it.
    """
    learner = model.learner
    assert isinstance(learner, EmbeddingLearner)
    net = getattr(learner, "net")  # noqa: B009
    meta, width, shape = model.meta_params, net.num_features, model.input_format.shape

    def embed(inputs: Tensor) -> Tensor:
        return learner.embed(meta, inputs)

    def adapt(features: Tensor, targets: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = learner.fit_head(meta, support_of(model, features, targets))
        return found

    def score(features: Tensor, state: dict[str, Tensor]) -> Tensor:
        outputs = learner.score(meta, state, features)
        return model.input_format.raw_targets(outputs).to(torch.float32)

    features, targets = _example(model, _SUPPORT, _WAYS, width)
    state = adapt(features, targets)
    axes = _axes(state, adapt(*_example(model, _OTHER_SUPPORT, _OTHER_WAYS, width)))
    batch = torch.export.Dim.DYNAMIC
    every = {0: batch}
    both = {0: batch, 1: batch} if model.spec.ways else every
    of_features = {"features": every}
    return {
        "embed": _recorded(
            _OfOne(embed), {"inputs": torch.rand(_QUERIES, *shape)}, ["inputs"], ["features"],
            {"inputs": every},
        ),
        "adapt": _recorded(
            _OfTwo(adapt), {"features": features, "second": targets}, ["features", "targets"],
            list(state), of_features | {"second": both},
        ),
        "score": _recorded(
            _OfTwo(score), {"features": torch.rand(_QUERIES, width), "second": state},
            ["features", *state], ["outputs"], of_features | {"second": axes},
        ),
    }  # fmt: skip


def _example(model: Model, support: int, ways: int, width: int) -> tuple[Tensor, Tensor]:
    features = torch.rand(support, width)
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
    """While inside, linear systems are solved by products of matrices."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Calls the function, or what is in its place."""
        if func is torch.linalg.solve_ex:
            return _solved(*args), None
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
    quiet = logging.getLogger("torch.onnx")
    before = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module, (), kwargs=given, dynamo=True, opset_version=OPSET,
                input_names=inputs, output_names=outputs, verbose=False, dynamic_shapes=axes,
            )  # fmt: skip
        assert program is not None
        content: bytes = program.model_proto.SerializeToString()
    except Exception as error:  # whatever torch cannot record
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        raise MetaloopError(
            f"torch cannot record the learner for ONNX ({type(error).__name__}: {reason})"
        ) from error
    finally:
        quiet.setLevel(before)
    return content
