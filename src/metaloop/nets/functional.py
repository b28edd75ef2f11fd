"""`FunctionalNet`: any torch module as a pure function of a flat dictionary of tensors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from metaloop.core.examples import Inputs
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import BUFFER_PREFIX, Learner, MetaParams
from metaloop.core.randomness import seeded_modules
from metaloop.core.spec import Shape
from metaloop.nets.lending import Lending, Lent, users_modules
from metaloop.nets.norm import BatchNorm, Statistics, with_explicit_norms
from metaloop.nets.precision import embedding_precision

_PARAMETERS = "net."
_BUFFERS = f"{BUFFER_PREFIX}net."


class FunctionalNet:
    """An embedding network `inputs [N, *input] -> features [N, D]`.

    `build` makes a freshly initialised module (its randomness comes from the generator given to
    `init`). A module of the user's own is given as `module`: it starts from the weights it has.
    `num_features` is D where it is known: else the net is tried on one input.
    Inputs are floats as `InputFormat.to_float` returns them; they are normalised here, so that a
    net and the scale of its inputs cannot part. Several threads may call a net at the same time.
    """

    def __init__(
        self,
        input_format: InputFormat,
        build: Callable[[Shape], nn.Module] | None = None,
        module: nn.Module | None = None,
        num_features: int | None = None,
    ) -> None:
        if (build is None) == (module is None):
            raise TypeError("a net is given either by `build` or as a `module`")
        self.input_format = input_format
        self._build = build
        self._module = module if module is not None else self._fresh(0)
        with self._undisturbed():
            self._module = with_explicit_norms(self._module)
            self._has_norms = any(isinstance(m, BatchNorm) for m in self._module.modules())
            self._module.eval()
            self.num_features = self._count_features() if num_features is None else num_features
        self._lending = Lending(self._module, copied=build is not None)

    @property
    def vmappable(self) -> bool:
        """Whether `torch.func.vmap` can go through it: modules say so if it cannot."""
        return bool(getattr(self._module, "vmappable", True))

    @property
    def unit_length(self) -> bool:
        """Whether features are of length one however many they are: modules say so if they are."""
        return bool(getattr(self._module, "unit_length", False))

    @property
    def directions(self) -> bool:
        """Whether features are directions, all of length sqrt(D): modules say so if they are."""
        return bool(getattr(self._module, "directions", False))

    @property
    def is_users(self) -> bool:
        """Whether it is a module of the user's own."""
        return self._build is None

    @property
    def has_norms(self) -> bool:
        """Whether batch statistics play a role at all."""
        return self._has_norms

    @property
    def computes(self) -> bool:
        """Whether some tensors are computed of training inputs, not trained.

        A net of the catalogue that has some has them as buffers, and a method `computed` of
        normalised inputs `[N, *input]` that returns them by name.
        """
        return not self.is_users and hasattr(self._module, "computed")

    def init(self, rng: torch.Generator) -> MetaParams:
        """Returns the initial tensors; parameters are `net.*`, buffers are `buffers.net.*`."""
        module = self._module
        if self._build is not None and not torch.empty(0).is_meta:  # there nothing is drawn
            seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
            module = with_explicit_norms(self._fresh(seed))
        with self._undisturbed():
            tensors = {_PARAMETERS + n: p.detach().clone() for n, p in module.named_parameters()}
            for name, buffer in module.named_buffers():
                tensors[_BUFFERS + name] = buffer.detach().clone()
        return {name: with_memory_format(tensor) for name, tensor in tensors.items()}

    def begun(self, tensors: MetaParams, inputs: Tensor) -> MetaParams:
        """Returns the tensors with those that the net computes of a few training inputs."""
        compute: Callable[[Tensor], dict[str, Tensor]] = self._module.computed  # type: ignore[assignment]
        with torch.no_grad():
            found = compute(self.input_format.normalise(inputs))
        return tensors | {_BUFFERS + n: with_memory_format(tensor) for n, tensor in found.items()}

    def __call__(
        self,
        tensors: MetaParams,
        inputs: Inputs,
        statistics: Statistics = "running",
        mask: Tensor | None = None,
    ) -> tuple[Tensor, MetaParams]:
        """Returns features `[N, D]` and the new buffers (empty for `running` statistics).

        `mask` bool `[N]` leaves padding out of `task` statistics.
        """
        if not isinstance(inputs, Tensor):
            raise TypeError("this net takes a tensor of inputs, got a dictionary of them")
        own = {
            name.removeprefix(BUFFER_PREFIX).removeprefix(_PARAMETERS): tensor
            for name, tensor in tensors.items()
            if name.startswith((_PARAMETERS, _BUFFERS))
        }
        buffer_names = [n.removeprefix(_BUFFERS) for n in tensors if n.startswith(_BUFFERS)]
        normalised = self.input_format.normalise(inputs)
        precision = embedding_precision() if statistics == "batch" else torch.float32
        lower = torch.autocast(inputs.device.type, precision, enabled=precision != torch.float32)
        with self._lending.borrowed() as lent, lower:
            _set_mode(lent, statistics, mask)
            try:
                features = torch.func.functional_call(lent.module, own, (normalised,)).float()
            finally:
                _set_mode(lent, "running", None)
        if statistics in ("running", "adapted"):
            return features, {}
        # functional_call writes assigned buffers back into the dictionary it was given.
        return features, {_BUFFERS + name: own[name].contiguous() for name in buffer_names}

    def call(self, tensors: MetaParams, name: str, *inputs: Any) -> Any:
        """Returns what the module's method of that name does with these tensors as its own.

        For modules whose `forward` takes it as `call`, such as generative nets; nothing is
        normalised.
        """
        own = {
            key.removeprefix(BUFFER_PREFIX).removeprefix(_PARAMETERS): tensor
            for key, tensor in tensors.items()
            if key.startswith((_PARAMETERS, _BUFFERS))
        }
        with self._lending.borrowed() as lent:
            return torch.func.functional_call(lent.module, own, inputs, {"call": name})

    def _undisturbed(self) -> AbstractContextManager[None]:
        """While inside, no other thread calls the module if it is the user's own."""
        return users_modules if self._build is None else nullcontext()

    def _fresh(self, seed: int) -> nn.Module:
        assert self._build is not None
        with seeded_modules(seed):  # torch initialises from the global generator only
            return self._build(self.input_format.shape)

    def _count_features(self) -> int:
        with torch.no_grad():
            one = torch.zeros(1, *self.input_format.shape)
            features = self._module(one.to(next(self._module.parameters(), one).device))
        if features.dim() != 2:
            raise ValueError(f"a net returns features [N, D], got shape {tuple(features.shape)}")
        return int(features.shape[1])


def vmaps(learner: Learner) -> bool:
    """Whether tasks of the learner can be batched by `vmap`: it, and its net if it has one."""
    return learner.vmappable and bool(getattr(getattr(learner, "net", None), "vmappable", True))


def _set_mode(lent: Lent, statistics: Statistics, mask: Tensor | None) -> None:
    lent.module.train(statistics == "batch")  # dropout acts in ordinary training only
    for norm in lent.norms:
        norm.train(statistics != "running")
        norm.statistics, norm.mask = statistics, mask


def with_memory_format(tensor: Tensor) -> Tensor:
    """Returns convolution weights in channels-last: with them torch computes in that layout."""
    if tensor.dim() == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor
