"""The table of primitives: all that a program can be made of.

`mean`, `matmul`, `solve` and `norm` are here; prototypes, ridge regression and cosine similarity
are not: those are programs, and finding them is the business of the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from torch import Tensor

from metaloop.core.errors import unknown_name
from metaloop.programs import operations, rules
from metaloop.programs.errors import ProgramError
from metaloop.programs.rules import Typing
from metaloop.programs.types import FEATURES, ValueType, vec

VECTOR, GRADIENT = "vector", "grad"


@dataclass(frozen=True)
class Primitive:
    """One primitive: how it is typed, computed and paid for.

    `num_arguments` counts values, without `axis`; None (only `grad`) means as many as the state
    has. `axis`: whether a call states one. `slots`: where it may be called; None is anywhere.
    `function(*tensors, axis=, mask=)` gets those of the two that its `Typing` names; that of `grad`
    makes the function to call.
    """

    name: str
    summary: str
    num_arguments: int | None
    rule: rules.Rule
    function: Callable[..., Any]
    cost: rules.Cost = rules.elements
    axis: Literal["never", "optional", "always"] = "never"
    commutative: bool = False
    slots: frozenset[str] | None = None


def _vector_rule(types: rules.Types, axis: int | None) -> Typing:
    rules.entrywise(types, axis)
    return Typing(vec(FEATURES))


def _entrywise(name: str, summary: str, function: Callable[..., Tensor]) -> Primitive:
    return Primitive(name, summary, 1, rules.entrywise, function)


def _pair(name: str, summary: str, function: Callable[..., Tensor], commutative: bool) -> Primitive:
    return Primitive(
        name, summary, 2, rules.broadcast, function, axis="optional", commutative=commutative
    )


def _over_axis(
    name: str, summary: str, function: Callable[..., Tensor], keeps_axis: bool = False
) -> Primitive:
    rule = rules.along if keeps_axis else rules.reduction
    return Primitive(name, summary, 1, rule, function, axis="always")


_WITH_FEATURES = frozenset({"embed_map", "adapt", "predict"})

_TABLE = (
    _pair("add", "a + b", operations.add, True),
    _pair("subtract", "a - b", operations.subtract, False),
    _pair("multiply", "a * b, entry by entry", operations.multiply, True),
    _pair("divide", "a / b, safe at zero", operations.divide, False),
    _pair("maximum", "the larger of a and b", operations.maximum, True),
    _pair("minimum", "the smaller of a and b", operations.minimum, True),
    _entrywise("negate", "-x", operations.negate),
    _entrywise("square", "x * x", operations.square),
    _entrywise("sqrt", "square root, 0 below zero", operations.sqrt),
    _entrywise("absolute", "|x|", operations.absolute),
    _entrywise("exp", "e to the power x, clamped", operations.exp),
    _entrywise("log", "natural logarithm, safe at zero", operations.log),
    _entrywise("sign", "-1, 0 or 1", operations.sign),
    _entrywise("relu", "the positive part", operations.relu),
    _entrywise("tanh", "hyperbolic tangent", operations.tanh),
    _entrywise("sigmoid", "logistic function", operations.sigmoid),
    Primitive("power", "sign(x) |x|^exponent", 2, rules.powers, operations.power),
    _over_axis("sum", "sum over an axis", operations.sum),
    _over_axis("mean", "mean over an axis", operations.mean),
    _over_axis("max", "largest entry along an axis", operations.max),
    _over_axis("norm", "Euclidean length along an axis", operations.norm),
    _over_axis("logsumexp", "smooth maximum along an axis", operations.logsumexp),
    _over_axis("softmax", "shares that sum to one along an axis", operations.softmax, True),
    _over_axis("log_softmax", "logarithm of softmax", operations.log_softmax, True),
    Primitive("matmul", "product", 2, rules.product, operations.matmul, rules.product_cost),
    Primitive("transpose", "rows become columns", 1, rules.exchange, operations.transpose),
    Primitive("solve", "a^-1 b", 2, rules.system, operations.solve, rules.system_cost),
    Primitive(
        "identity",
        "identity matrix over an axis of x",
        1,
        rules.unit,
        operations.identity,
        axis="always",
    ),
    Primitive(
        "add_diagonal",
        "a square matrix with a value added to its diagonal",
        2,
        rules.on_diagonal,
        operations.add_diagonal,
    ),
    Primitive(
        VECTOR,
        "a trainable Vec[D] that starts as one number everywhere",
        1,
        _vector_rule,
        operations.vector,
        slots=_WITH_FEATURES,
    ),
    Primitive(
        GRADIENT,
        "derivative of inner_loss on the support by the state value of number wrt",
        None,
        rules.entrywise,  # by the type of the state value; the rest is checked by inference
        operations.support_gradient,
        slots=frozenset({"adapt"}),
    ),
)

PRIMITIVES: Mapping[str, Primitive] = MappingProxyType(
    {primitive.name: primitive for primitive in _TABLE}
)


def primitive(name: str) -> Primitive:
    """Returns the primitive of this name; raises `ProgramError` naming near matches."""
    if name not in PRIMITIVES:
        raise ProgramError(str(unknown_name("primitive", name, PRIMITIVES)))
    return PRIMITIVES[name]


def typing_of(name: str, types: tuple[ValueType, ...], axis: int | None = None) -> Typing:
    """Returns what a call of a primitive with such arguments gives; raises `ProgramError`.

    For `grad`, `types` is the one type of the state value that is differentiated.
    """
    called = primitive(name)
    wanted = 1 if called.num_arguments is None else called.num_arguments
    if len(types) != wanted:
        values = "value" if wanted == 1 else "values"
        raise ProgramError(f"'{name}' takes {wanted} {values}, got {len(types)}")
    try:
        return called.rule(types, axis)
    except ProgramError as error:
        raise ProgramError(f"'{name}': {error}") from error
