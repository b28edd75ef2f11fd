"""A device that is not the CPU, on any machine: it refuses what a GPU would refuse.

Its name is `meta`, which torch always knows, but its tensors have values: each holds one on the CPU
that does the work, and says that it is elsewhere. Refused are operations on tensors of both places
(a number with no dimensions may be anywhere, indices and masks may be on the CPU, and values may be
copied), drawing there with a generator from here, and `numpy()` of what is not here.

    def test(elsewhere: torch.device) -> None:
        there = torch.zeros(3).to(elsewhere)
        there + torch.zeros(3)          # RuntimeError
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import adam, optimizer, sgd
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from metaloop.core import inputs
from metaloop.core.randomness import derive_seed, torch_stream
from metaloop.engine.devices import best_device

DEVICE = torch.device("meta")
_FUSED = "_get_fused_kernels_supported_devices"
_MAY_MIX = {"_to_copy", "copy_", "index", "index_put", "index_put_", "_index_put_impl_"}


@pytest.fixture
def elsewhere() -> Iterator[torch.device]:
    """The device, which metaloop chooses during the test."""
    with pytest.MonkeyPatch.context() as patch, _NumbersElsewhere(), _Elsewhere():
        for module in _modules():
            for name, value in list(vars(module).items()):
                if value is best_device:
                    patch.setattr(module, name, lambda: DEVICE)
                elif value is torch_stream:
                    patch.setattr(module, name, _torch_stream)
        for optimiser in (adam, sgd, optimizer):  # of torch: `meta` has no fused kernels else
            if hasattr(optimiser, _FUSED):
                patch.setattr(optimiser, _FUSED, lambda: ["cpu", DEVICE.type])
        patch.setattr(torch, "autocast", lambda *arguments, **options: nullcontext())
        patch.setattr(inputs, "_apart", lambda make: make())  # another thread is in no mode
        yield DEVICE


class _There(Tensor):
    """A tensor that is elsewhere; `here` has its values."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> _There:
        made = Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            layout=here.layout,
            device=DEVICE,
        )
        made.here = here
        return made  # type: ignore[no-any-return]

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        with _Elsewhere():  # outside of the mode, as in a backward pass
            return function(*arguments, **(options or {}))


class _GeneratorThere(torch.Generator):
    """A generator that says it is elsewhere."""

    @property
    def device(self) -> torch.device:
        return DEVICE


def _torch_stream(
    seed: int, *names: str | int, device: str | torch.device = "cpu"
) -> torch.Generator:
    if torch.device(device) != DEVICE:
        return torch_stream(seed, *names, device=device)
    return _GeneratorThere().manual_seed(derive_seed(seed, *names))


class _Elsewhere(TorchDispatchMode):
    """Does on the CPU what is asked for there, and refuses what mixes places."""

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        options = dict(options or {})
        name = function.overloadpacket.__name__
        tensors = [leaf for leaf in tree_leaves((arguments, options)) if isinstance(leaf, Tensor)]
        there = [tensor for tensor in tensors if isinstance(tensor, _There)]
        here = [tensor for tensor in tensors if not isinstance(tensor, _There) and tensor.dim()]
        if there and here and name not in _MAY_MIX:
            raise RuntimeError(f"{name}: expected all tensors on the same device, got two")
        target = there[0].device if there else torch.device("cpu")
        if name == "copy_":
            target = arguments[0].device
        if options.get("device") is not None:
            target, options["device"] = torch.device(options["device"]), torch.device("cpu")
        generator = options.get("generator")
        if generator is not None and generator.device != target:
            raise RuntimeError(f"{name}: expected a generator on {target}, got {generator.device}")
        known = {id(tensor.here): tensor for tensor in there}
        values = tree_map(_value, (arguments, options))
        return tree_map(
            lambda made: _placed(made, target, known), function(*values[0], **values[1])
        )


class _NumbersElsewhere(TorchFunctionMode):
    """Makes tensors of plain numbers here and then moves them, for torch does not ask above.

    So it does with what is drawn by a generator from there: below, torch wraps it anew, as its own.
    """

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        options = dict(options or {})
        if function in (torch.tensor, torch.as_tensor) and options.get("device") is not None:
            device = options.pop("device")
            return function(*arguments, **options).to(device)
        if isinstance(options.get("generator"), _GeneratorThere):
            if torch.device(options.get("device") or "cpu") != DEVICE:
                raise RuntimeError("expected a generator on cpu, got one from elsewhere")
            return function(*arguments, **{**options, "device": "cpu"}).to(DEVICE)
        return function(*arguments, **options)


def _value(leaf: Any) -> Any:
    return leaf.here if isinstance(leaf, _There) else leaf


def _placed(made: Any, target: torch.device, known: dict[int, _There]) -> Any:
    """Returns what an operation has made where it belongs; what it has changed stays itself."""
    if not isinstance(made, Tensor):
        return made
    if id(made) in known:
        return known[id(made)]
    return _There(made) if target == DEVICE else made


def _modules() -> list[ModuleType]:
    return [
        module
        for name, module in sys.modules.items()
        if name.startswith("metaloop") and module is not None
    ]
