"""`TrainState`: all that training needs to go on, and its file, a safetensors without any code.

Random streams are named by the step, so no generator state is kept. With a budget in steps a run
that goes on from here is bit-equal to one that never stopped.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from metaloop.core.errors import ModelFileError, OutputError
from metaloop.core.learner import MetaParams
from metaloop.core.records import CurvePoint
from metaloop.nets.functional import with_memory_format

_VERSION = 1


@dataclass(frozen=True)
class TrainState:
    """Meta-parameters, optimiser tensors, the running average of weights, and what was spent.

    `optimiser` maps `which.index.name` to the optimisers' tensors. The schedule and the budget of
    the current segment count from `base_steps` and `base_seconds`. `identity` names candidate, data
    and seed, so that a checkpoint is not taken up by another run.
    """

    identity: str
    meta_params: MetaParams
    optimiser: dict[str, Tensor] = field(default_factory=dict)
    average: MetaParams = field(default_factory=dict)
    num_averaged: int = 0
    step: int = 0
    loss: float = math.nan  # of the last step
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    flops_per_step: float | None = None
    strategy: str | None = None
    base_steps: int = 0
    base_seconds: float = 0.0
    curve: tuple[CurvePoint, ...] = ()

    def segment(self) -> TrainState:
        """Returns the state at the start of a new segment, with a budget and average of its own."""
        return replace(
            self.copy(),
            average={},
            num_averaged=0,
            base_steps=self.step,
            base_seconds=self.wall_seconds,
        )

    def copy(self) -> TrainState:
        """Returns a state whose tensors are its own: a branch to go on from."""
        return replace(
            self,
            meta_params={name: t.detach().clone() for name, t in self.meta_params.items()},
            optimiser={name: t.clone() for name, t in self.optimiser.items()},
            average={name: t.clone() for name, t in self.average.items()},
        )


@dataclass(frozen=True)
class Checkpoints:
    """Where the state is saved and how often (the last state always is)."""

    path: Path
    every_seconds: float = 30.0
    every_steps: int | None = None


def optimiser_tensors(optimisers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """Returns the optimisers' states as named tensors."""
    return {
        f"{which}.{index}.{name}": value
        for which, optimiser in enumerate(optimisers)
        for index, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
        if value is not None
    }


def restore_optimisers(optimisers: list[torch.optim.Optimizer], tensors: dict[str, Tensor]) -> None:
    """Puts named tensors back as the optimisers' states."""
    for which, optimiser in enumerate(optimisers):
        whole = optimiser.state_dict()
        states: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            owner, index, name = key.split(".", 2)
            if int(owner) == which:
                states.setdefault(int(index), {})[name] = tensor.clone()
        whole["state"] = states
        optimiser.load_state_dict(whole)


def to_bytes(state: TrainState) -> bytes:
    """Returns the state as the content of its file: it goes wherever bytes go."""
    facts = {
        "version": _VERSION,
        "identity": state.identity,
        "num_averaged": state.num_averaged,
        "step": state.step,
        "loss": state.loss,
        "wall_seconds": state.wall_seconds,
        "cpu_seconds": state.cpu_seconds,
        "flops_per_step": state.flops_per_step,
        "strategy": state.strategy,
        "base_steps": state.base_steps,
        "base_seconds": state.base_seconds,
        "order": list(state.meta_params),
        "curve": [[p.step, p.wall_seconds, p.loss, p.value] for p in state.curve],
    }
    groups = {"meta": state.meta_params, "optim": state.optimiser, "average": state.average}
    tensors = {
        f"{group}/{name}": tensor.detach().cpu().contiguous().clone()
        for group, named in groups.items()
        for name, tensor in named.items()
    }
    content: bytes = safetensors.torch.save(tensors, {"state": json.dumps(facts)})
    return content


def from_bytes(
    content: bytes, what: str = "state", device: torch.device | str = "cpu"
) -> TrainState:
    """Returns the state that `to_bytes` wrote; `ModelFileError`, which names `what`, if damaged."""
    try:
        length = int.from_bytes(content[:8], "little")
        facts = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["state"])
        if facts["version"] != _VERSION:
            raise ModelFileError(
                f"{what} has version {facts['version']}, this metaloop reads {_VERSION}"
            )
        tensors = {n: t.to(device) for n, t in safetensors.torch.load(content).items()}
        return _state(facts, tensors)
    except (KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise ModelFileError(
            f"{what} cannot be read ({type(error).__name__}); remove it to start anew"
        ) from error


def _state(facts: dict[str, Any], tensors: dict[str, Tensor]) -> TrainState:
    def group(prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): with_memory_format(tensor)
            for name, tensor in sorted(tensors.items())
            if name.startswith(prefix)
        }

    meta_params, average = group("meta/"), group("average/")
    return TrainState(
        identity=facts["identity"],
        meta_params={name: meta_params[name] for name in facts["order"]},
        optimiser=group("optim/"),
        average={name: average[name] for name in facts["order"] if name in average},
        num_averaged=facts["num_averaged"],
        step=facts["step"],
        loss=facts["loss"],
        wall_seconds=facts["wall_seconds"],
        cpu_seconds=facts["cpu_seconds"],
        flops_per_step=facts["flops_per_step"],
        strategy=facts["strategy"],
        base_steps=facts["base_steps"],
        base_seconds=facts["base_seconds"],
        curve=tuple(CurvePoint(*point) for point in facts["curve"]),
    )


def save_state(state: TrainState, path: Path) -> None:
    """Writes the state to `path`, in one move; raises `OutputError` if it cannot."""
    content = to_bytes(state)
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write the checkpoint {path}: {error.strerror}") from error


def load_state(path: Path, device: torch.device | str = "cpu") -> TrainState:
    """Returns the state in `path`; raises `ModelFileError` if it is damaged or of another kind."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(
            f"checkpoint {path} cannot be read ({type(error).__name__}); remove it to start anew"
        ) from error
    return from_bytes(content, f"checkpoint {path}", device)
