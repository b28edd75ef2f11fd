"""An input format normalises by tensors that are made once, wherever it is first asked to."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from metaloop.core.inputs import InputFormat, embedded_at_once
from metaloop.core.randomness import torch_stream

INPUTS = torch.rand(4, 3, 5, 5, generator=torch_stream(0, "inputs"))


def new_format() -> InputFormat:
    return InputFormat("image", (3, 5, 5), (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))


def expected(inputs: Tensor) -> Tensor:
    mean, deviation = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.6, 0.7])
    return (inputs - mean[:, None, None]) / deviation[:, None, None]


class _Calls(TorchDispatchMode):
    """Notes the names of operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):  # type: ignore[no-untyped-def]
        self.names.append(function.overloadpacket.__name__)
        return function(*arguments, **(options or {}))


def test_the_tensors_are_made_once() -> None:
    form = new_format()
    torch.testing.assert_close(form.normalise(INPUTS), expected(INPUTS))
    with _Calls() as calls:
        form.normalise(INPUTS)
    assert calls.names == ["sub", "div"]


def test_what_was_made_under_a_transform_or_for_inference_serves_elsewhere() -> None:
    form = new_format()

    def loss(inputs: Tensor) -> Tensor:
        return form.normalise(inputs).square().sum()

    gradients = torch.func.vmap(torch.func.grad(loss))(INPUTS)
    leaf = INPUTS.clone().requires_grad_()
    loss(leaf).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(leaf.grad, gradients)
    other = new_format()
    with torch.inference_mode():
        other.normalise(INPUTS)
    leaf = INPUTS.clone().requires_grad_()
    other.normalise(leaf).square().sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(leaf.grad, gradients)


def test_a_table_that_another_thread_puts_in_place_meanwhile_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    form = new_format()
    make = form._made_moments

    def overtaken(device: torch.device) -> tuple[Tensor, Tensor]:
        form.__dict__["_moments"] = {}
        return make(device)

    monkeypatch.setitem(form.__dict__, "_made_moments", overtaken)
    torch.testing.assert_close(form.normalise(INPUTS), expected(INPUTS))


def test_a_format_that_has_normalised_is_equal_to_one_that_has_not() -> None:
    used = new_format()
    used.normalise(INPUTS)
    assert used == new_format() and hash(used) == hash(new_format())
    assert copy.deepcopy(used) == used and repr(used) == repr(new_format())


@pytest.mark.parametrize(("device", "number"), [("cpu", 64), ("cuda", 2048), ("meta", 2048)])
def test_a_processor_embeds_as_many_at_once_as_its_cache_holds(device: str, number: int) -> None:
    assert embedded_at_once(torch.device(device)) == number
