"""Every primitive does what its type rule says, ignores padding, and stays finite."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from metaloop.core.randomness import torch_stream
from metaloop.programs import operations
from metaloop.programs.errors import ProgramError
from metaloop.programs.primitives import GRADIENT, PRIMITIVES, VECTOR, typing_of
from metaloop.programs.types import AXES, SCALAR, ValueType, mat, parse_type, vec

SIZES = {"S": 7, "Q": 4, "N": 2, "C": 3, "D": 5}
SOME_TYPES = (
    SCALAR,
    vec("S"),
    vec("D"),
    mat("S", "D"),
    mat("D", "S"),
    mat("S", "S"),
    mat("S", "C"),
)
ORDINARY = sorted(set(PRIMITIVES) - {GRADIENT, VECTOR})


def value(value_type: ValueType, seed: int = 0) -> Tensor:
    shape = [SIZES[axis] for axis in value_type.axes]
    return torch.randn(shape, generator=torch_stream(seed, str(value_type)), dtype=torch.float64)


def typed_calls(name: str) -> list[tuple[tuple[ValueType, ...], Any]]:
    """Every call of a primitive on `SOME_TYPES` that its rule allows."""
    found = []
    for types in product(SOME_TYPES, repeat=PRIMITIVES[name].num_arguments or 1):
        for axis in (None, 0, 1):
            try:
                found.append((types, typing_of(name, types, axis)))
            except ProgramError:
                continue
    return found


def call(name: str, inputs: list[Tensor], typing: Any, mask: Tensor | None = None) -> Tensor:
    options = {} if typing.axis is None else {"axis": typing.axis}
    if mask is not None:
        options["mask"] = mask
    return PRIMITIVES[name].function(*inputs, **options)


@pytest.mark.parametrize("name", ORDINARY)
def test_results_have_the_shape_of_their_type(name: str) -> None:
    calls = typed_calls(name)
    assert calls
    for types, typing in calls:
        result = call(name, [value(t, seed) for seed, t in enumerate(types)], typing)
        assert result.shape == tuple(SIZES[axis] for axis in typing.result.axes), (types, typing)


@pytest.mark.parametrize("name", ORDINARY)
def test_costs_are_positive_and_grow_with_sizes(name: str) -> None:
    larger = {axis: 10 * size for axis, size in SIZES.items()}
    for types, typing in typed_calls(name):
        cost = PRIMITIVES[name].cost
        small, large = (cost(types, typing.result, sizes) for sizes in (SIZES, larger))
        assert 0 < small <= large


@pytest.mark.parametrize("name", ORDINARY)
def test_what_is_masked_does_not_influence_the_rest(name: str) -> None:
    """The result on padded values is that on the values without their padding."""
    mask = torch.tensor([True, False, True, True, False, True, True])
    for types, typing in typed_calls(name):
        if typing.over != "S":
            continue
        whole = [value(t, seed) for seed, t in enumerate(types)]
        rows = [_chosen(x, t, mask) for x, t in zip(whole, types, strict=True)]
        expected = call(name, rows, typing)
        for garbage in (0.0, 1e6, torch.nan):
            dirty = [_dirty(x, t, mask, garbage) for x, t in zip(whole, types, strict=True)]
            result = call(name, dirty, typing, mask)
            torch.testing.assert_close(_chosen(result, typing.result, mask), expected)


@pytest.mark.parametrize("name", ORDINARY)
def test_values_and_derivatives_are_finite_at_awkward_points(name: str) -> None:
    for types, typing in typed_calls(name):
        if name == "solve":
            continue  # a singular system may fail: see below
        for number in (0.0, -0.0, 1e-12, -1e-12, 40.0, -40.0):
            inputs = [torch.full_like(value(t), number).requires_grad_() for t in types]
            result = call(name, inputs, typing)
            assert result.isfinite().all(), (types, number)
            if result.requires_grad:
                for slope in torch.autograd.grad(result.sum(), inputs, materialize_grads=True):
                    assert slope.isfinite().all(), (types, number)


def test_ordinary_values_are_those_of_torch() -> None:
    a, b = value(mat("S", "D"), 1), value(mat("S", "D"), 2)
    same = torch.testing.assert_close
    same(operations.divide(a, b), a / b)
    same(operations.sqrt(a.abs()), a.abs().sqrt())
    same(operations.power(a, 1.5), a.sign() * a.abs() ** 1.5)
    same(operations.norm(a, 1), a.norm(dim=1))
    same(operations.log(a.abs()), a.abs().log())
    same(operations.logsumexp(a, 0), a.logsumexp(0))
    same(operations.divide(a, a[:, 0], axis=0), a / a[:, :1])
    square = a @ a.mT + torch.eye(7)
    same(operations.solve(square, b), torch.linalg.solve(square, b))
    same(operations.solve(square, b[:, 0]), torch.linalg.solve(square, b[:, 0]))
    same(operations.add_diagonal(square, 2.0), square + 2 * torch.eye(7))


def test_a_singular_system_raises_nothing_under_vmap() -> None:
    """Not even in a batch with good ones, whose solutions stay right."""
    systems = torch.stack([torch.eye(3), torch.zeros(3, 3)])
    solutions = torch.func.vmap(operations.solve)(systems, torch.ones(2, 3))
    torch.testing.assert_close(solutions[0], torch.ones(3))
    assert not solutions[1].isfinite().all()


def test_a_vector_runs_along_the_axis_of_its_name() -> None:
    assert typing_of("divide", (mat("S", "D"), vec("S"))).axis == 0
    assert typing_of("divide", (mat("S", "D"), vec("D"))).axis is None
    assert typing_of("divide", (vec("S"), mat("S", "D"))).axis == 0
    assert typing_of("divide", (mat("S", "S"), vec("S"))).axis is None  # the last one comes first
    assert typing_of("divide", (mat("S", "S"), vec("S")), 0).axis == 0


@pytest.mark.parametrize(
    ("name", "types", "axis", "words"),
    [
        ("add", (vec("S"), vec("D")), None, "do not fit"),
        ("add", (mat("S", "D"), mat("D", "S")), None, "do not fit"),
        ("add", (mat("S", "D"), vec("C")), None, "does not run along"),
        ("add", (mat("S", "D"), vec("D")), 0, "does not run along"),
        ("add", (vec("D"), vec("D")), 0, "axis is for a vector with a matrix"),
        ("add", (vec("D"),), None, "takes 2 values, got 1"),
        ("matmul", (mat("S", "D"), mat("S", "D")), None, "would have to be the same"),
        ("matmul", (SCALAR, vec("D")), None, "would have to be the same"),
        ("sum", (mat("S", "D"),), None, "needs axis=0 or axis=1"),
        ("sum", (vec("D"),), 1, "needs axis=0"),
        ("sum", (SCALAR,), 0, "a Scalar has no axis"),
        ("exp", (vec("D"),), 0, "takes no axis"),
        ("solve", (mat("S", "D"), mat("S", "D")), None, "a square matrix"),
        ("solve", (mat("S", "S"), mat("D", "S")), None, "needs Vec or Mat[S,...]"),
        ("power", (vec("D"), vec("D")), None, "a Scalar as exponent"),
        ("transpose", (vec("D"),), None, "expected a Mat"),
        ("means", (vec("D"),), None, "did you mean 'mean'"),
    ],
)
def test_a_wrong_call_is_refused_in_words(
    name: str, types: tuple[ValueType, ...], axis: int | None, words: str
) -> None:
    with pytest.raises(ProgramError, match=words.replace("[", r"\[").replace("...", r"\.\.\.")):
        typing_of(name, types, axis)


def test_types_are_read_as_they_are_written() -> None:
    every = [SCALAR, *map(vec, AXES), *(mat(a, b) for a, b in product(AXES, AXES))]
    for value_type in every:
        assert parse_type(str(value_type)) == value_type
    for text in ("Vec[X]", "Mat[S]", "vec[S]", "Mat[S,D,C]", ""):
        with pytest.raises(ProgramError, match="expected a type such as"):
            parse_type(text)


def test_known_programs_are_not_primitives() -> None:
    for word in ("proto", "ridge", "cosine", "centroid", "distance", "knn", "regress"):
        assert not any(word in name for name in PRIMITIVES)


def _places(value_type: ValueType) -> list[int]:
    return [place for place, axis in enumerate(value_type.axes) if axis == "S"]


def _chosen(x: Tensor, value_type: ValueType, mask: Tensor) -> Tensor:
    for place in _places(value_type):
        x = x.index_select(place, mask.nonzero().flatten())
    return x


def _dirty(x: Tensor, value_type: ValueType, mask: Tensor, garbage: float) -> Tensor:
    for place in _places(value_type):
        x = x.index_fill(place, (~mask).nonzero().flatten(), garbage)
    return x
