"""Random well-typed programs, and stacked episodes of features to run programs on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.randomness import numpy_stream, torch_stream
from metaloop.programs.episodes import episode_logits
from metaloop.programs.errors import ProgramError
from metaloop.programs.inference import TypedProgram, infer_types
from metaloop.programs.interpreter import initial_constants
from metaloop.programs.primitives import GRADIENT, PRIMITIVES, VECTOR, typing_of
from metaloop.programs.slots import SLOTS
from metaloop.programs.syntax import (
    Argument,
    Function,
    Literal,
    Name,
    Program,
    Statement,
    make_program,
)
from metaloop.programs.types import SCALAR, ValueType, mat

Draw = np.random.Generator
_TRIES = 400


@pytest.fixture(scope="session")
def random_program() -> Callable[[int], Program]:
    """A well-typed program for each seed: random statements around a nearest mean."""
    return _random_program


@pytest.fixture(scope="session")
def random_episodes() -> Callable[..., EpisodeBatch]:
    """Stacked episodes of random features, float64, `padding` examples at the end of supports."""
    return _random_episodes


@pytest.fixture(scope="session")
def run() -> Callable[..., Tensor]:
    """The logits of one task, in float64, with `center` 0.1 everywhere."""

    def logits(program: Program | TypedProgram, episodes: EpisodeBatch) -> Tensor:
        typed = infer_types(program) if isinstance(program, Program) else program
        width = episodes.query.features.shape[-1]
        constants = {n: t.double() for n, t in initial_constants(typed, width).items()}
        center = torch.full((width,), 0.1, dtype=torch.float64)
        return episode_logits(typed, constants, center, episodes)

    return logits


def _random_program(seed: int) -> Program:
    draw = numpy_stream(seed, "random program")
    with_map, with_loss = draw.random(2) < 0.5
    functions = [_adapt(draw), _predict(draw)]
    if with_map:
        functions.append(_filled("embed_map", ("x", "center"), [], draw))
    if with_loss:
        start = [
            _call("a1", "log_softmax", "logits", axis=1),
            _call("a2", "multiply", "y", "a1"),
            _call("a3", "sum", "a2", axis=1),
            _call("a4", "mean", "a3", axis=0),
        ]
        functions.append(_filled("inner_loss", ("logits", "y"), start, draw))
    return make_program(functions)


def _adapt(draw: Draw) -> Function:
    start = [
        _call("a1", "transpose", "y"),
        _call("a2", "matmul", "a1", "x"),
        _call("a3", "vector", 0.5),
        _call("a4", "grad", "a2"),
        _call("a5", "subtract", "a2", "a4"),
    ]
    if draw.random() < 0.5:
        start = start[:3]
    return _filled("adapt", ("x", "y"), start, draw)


def _predict(draw: Draw) -> Function:
    start = [_call("a1", "transpose", "w"), _call("a2", "matmul", "x", "a1")]
    return _filled("predict", ("x", "w"), start, draw)


def _filled(slot: str, parameters: tuple[str, ...], start: list[Statement], draw: Draw) -> Function:
    """Returns `start` and some random statements, returning the last value of the right type."""
    statements = list(start)
    types = _types(slot, parameters, statements)
    wanted = 3 + int(draw.integers(6))
    for attempt in range(_TRIES):
        if len(statements) >= len(start) + wanted:
            break
        candidate = _random_statement(f"b{attempt}", list(types), draw)
        typing = _typing(candidate, types)
        if typing is not None and _fits(
            slot, parameters, [*statements, candidate], candidate.target, any_type=True
        ):
            statements.append(candidate)
            types[candidate.target] = typing
    names = [*parameters, *(s.target for s in statements)]
    for name in reversed(names):
        if _fits(slot, parameters, statements, name):
            return Function(slot, parameters, tuple(statements), (name,))
    raise AssertionError("there is always a value of the right type")


def _types(
    slot: str, parameters: tuple[str, ...], statements: list[Statement]
) -> dict[str, ValueType]:
    """Returns the types of all names, most by the rules of single statements."""
    given = SLOTS[slot].parameter_types((mat("C", "D"),))
    types = dict(zip(parameters, given, strict=True))
    for statement in statements:
        typing = _typing(statement, types)
        assert typing is not None
        types[statement.target] = typing
    return types


def _typing(statement: Statement, types: dict[str, ValueType]) -> ValueType | None:
    given = tuple(types[a.name] if isinstance(a, Name) else SCALAR for a in statement.arguments)
    try:
        return typing_of(statement.primitive, given, statement.axis).result
    except ProgramError:
        return None


def _random_statement(target: str, names: list[str], draw: Draw) -> Statement:
    usable = [p for p in PRIMITIVES.values() if p.name not in (GRADIENT, VECTOR)]
    called = usable[draw.integers(len(usable))]
    axis = int(draw.integers(2)) if called.axis == "always" else None
    arguments: list[Argument] = [
        Literal(float(np.round(draw.normal(), 3)))
        if place and draw.random() < 0.3
        else Name(names[draw.integers(len(names), size=2).max()])  # rather new ones
        for place in range(called.num_arguments or 0)
    ]
    return Statement(target, called.name, tuple(arguments), axis)


_STATE = Function(
    "adapt",
    ("x", "y"),
    (
        Statement("a1", "transpose", (Name("y"),)),
        Statement("a2", "matmul", (Name("a1"), Name("x"))),
    ),
    ("a2",),
)
_OUTPUT = Function(
    "predict",
    ("x", "w"),
    (
        Statement("a1", "transpose", (Name("w"),)),
        Statement("a2", "matmul", (Name("x"), Name("a1"))),
    ),
    ("a2",),
)


def _fits(
    slot: str,
    parameters: tuple[str, ...],
    statements: list[Statement],
    result: str,
    any_type: bool = False,
) -> bool:
    """Whether the slot has types so far, and (unless `any_type`) this result is Mat[C,D] etc."""
    function = Function(slot, parameters, tuple(statements), (result,))
    fixed = {"adapt": _STATE, "predict": _OUTPUT, slot: function}
    try:
        typed = infer_types(make_program(fixed.values()))
    except ProgramError as error:
        about_the_result = "expected to return" in str(error) or "whole state" in str(error)
        return any_type and about_the_result
    return any_type or slot != "adapt" or str(typed.state_types[0]) == "Mat[C,D]"


def _call(
    target: str, primitive: str, *arguments: str | float, axis: int | None = None
) -> Statement:
    given = tuple(Name(a) if isinstance(a, str) else Literal(a) for a in arguments)
    return Statement(target, primitive, given, axis)


def _random_episodes(
    seed: int = 0,
    tasks: int = 3,
    classes: int = 3,
    shots: int = 2,
    queries: int = 4,
    width: int = 5,
    padding: int = 0,
) -> EpisodeBatch:
    rng = torch_stream(seed, "episodes")
    centres = torch.randn(tasks, classes, width, generator=rng, dtype=torch.float64)

    def side(each: int, padding: int) -> Examples:
        targets = torch.arange(classes).repeat(each).expand(tasks, -1)
        number = classes * each
        mask = torch.ones(tasks, number, dtype=torch.bool)
        mask[:, number - padding :] = False
        noise = torch.randn(tasks, number, width, generator=rng, dtype=torch.float64)
        inputs = centres.gather(1, targets.unsqueeze(-1).expand(-1, -1, width)) + 0.5 * noise
        return Examples(inputs, targets, mask, classes, padding > 0)

    return EpisodeBatch(side(shots, padding), side(queries, 0))
