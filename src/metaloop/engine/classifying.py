"""Training one classifier on one labelled set of images, as far as a budget goes.

A step: a batch, changed at random, in channels-last; the net in bfloat16 where that was measured
to be faster here; cross-entropy with smoothed labels; one step of the plan's optimiser at a rate
that is a function of the spent share of the budget. For the first part of it images may be shrunk,
which costs a third of the time. Muon moves the filters, AdamW all else. Over the last share of the
budget that the plan names weights are averaged, and the net ends with their mean.
Measured on CIFAR-10: LOG.md and benchmarks/cifar10.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from metaloop.core.budget import Budget
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import numpy_stream, torch_stream
from metaloop.core.records import Choice, CurvePoint, Plan, TrialStatus
from metaloop.engine.augmentation import AUGMENTATIONS
from metaloop.engine.averaging import WeightAverage
from metaloop.engine.muon import Muon
from metaloop.engine.optimisation import rate_factor
from metaloop.nets.whitened import WhitenedNet

_MOMENTUM = 0.9
_TIMED = 64  # examples of a step that is timed
_AT_ONCE = 500  # images looked at together where nothing is trained
_POINTS = 20  # of a curve, at most
_SMALLEST_SIDE = 8  # pixels
_FEWEST_STEPS = 16  # of an epoch: few examples come in small batches,
_SMALLEST_BATCH = 32  # but not in smaller ones than these
_MEASURED_AGAIN = 8  # batches that statistics of averaged weights are of: as long as three steps
_precisions: dict[int, torch.dtype] = {}  # by threads: what was the fastest in this process


@dataclass(frozen=True)
class Training:
    """How a net is trained beside its plan.

    `label_smoothing`: share of a label that is spread over all classes. `shrunk`: share of the
    budget in which images have `shrunk_side` of their side. `most_epochs`: after so many times
    through the data (and `fewest_steps`) it has ended, whatever is left.
    """

    label_smoothing: float = 0.1
    shrunk: float = 0.0
    shrunk_side: float = 0.75
    most_epochs: float = 60.0
    fewest_steps: int = 600


@dataclass(frozen=True)
class Fitted:
    """How a training ended; `loss` is the last one. `curve`: points on the way."""

    status: TrialStatus
    message: str
    steps: int
    epochs: float
    wall_seconds: float
    cpu_seconds: float
    loss: float
    curve: tuple[CurvePoint, ...] = ()


def fit(
    net: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    input_format: InputFormat,
    plan: Plan,
    training: Training,
    budget: Budget,
    seed: int,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> Fitted:
    """Trains the net in place on raw inputs `[N, ...]` and targets `[N]`; says how it went.

    A loss that is not finite ends it as `diverged`. `report(step, loss)` is told now and then.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    optimisers = _optimisers(plan, net)
    batch_size = batch_size_of(plan, len(targets))
    most_steps = math.ceil(training.most_epochs * len(targets) / batch_size)
    most_steps = max(most_steps, training.fewest_steps)
    precision = _precision(plan, net, input_format, measured=budget.steps is None)
    batches = _batches(len(targets), batch_size, seed)
    looks = _Looks(inputs, input_format, plan.augmentation, seed, batches)
    average = WeightAverage(net)
    curve: list[CurvePoint] = []
    step, loss, ended, side = 0, math.nan, "", 1.0
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.train()
    while not ended:
        wall_seconds = time.perf_counter() - wall
        spent = max(budget.spent(wall_seconds, step), step / most_steps)
        if spent >= 1:
            break
        side = training.shrunk_side if spent < training.shrunk else 1.0
        images, rows = looks.at(step, side)
        error = _error(_through(net, images, precision), targets[rows], training)
        loss = error.item()
        if not math.isfinite(loss):
            ended = f"the loss is not finite after {step} steps"
            break
        error.backward()  # type: ignore[no-untyped-call]
        _descend(optimisers, rate_factor(plan, spent))
        step += 1
        if spent >= 1 - plan.averaging:
            average.add()
        if step == 1 or wall_seconds > (len(curve) + 1) * 0.5:
            curve.append(CurvePoint(step, wall_seconds, loss))
            report(step, loss)
    if average.number and not ended:
        again = (looks.at(step + n, side)[0] for n in range(_MEASURED_AGAIN))
        average.put(again, lambda images: _through(net, images, precision))
    net.eval()
    return Fitted(
        "diverged" if ended else "finished", ended, step, step * batch_size / len(targets),
        time.perf_counter() - wall, time.process_time() - cpu, loss,
        tuple(curve[:: 1 + len(curve) // _POINTS]),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Looks:
    """What a net is shown in training: batches of images that are changed at random."""

    inputs: Tensor
    input_format: InputFormat
    augmentation: Choice
    seed: int
    batches: Iterator[Tensor]

    def at(self, step: int, side: float) -> tuple[Tensor, Tensor]:
        """The images of a step, with this share of their side, and their rows."""
        rows, rng = next(self.batches), torch_stream(self.seed, "change", step)
        images = changed(self.inputs[rows], self.input_format, self.augmentation, rng)
        return _shrunk(images, side), rows


def _through(net: nn.Module, images: Tensor, precision: torch.dtype) -> Tensor:
    """The net's logits, computed in this number format."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        logits: Tensor = net(images)
    return logits


def _error(logits: Tensor, targets: Tensor, training: Training) -> Tensor:
    smoothing = training.label_smoothing
    return functional.cross_entropy(logits.float(), targets, label_smoothing=smoothing)


def batch_size_of(plan: Plan, number: int) -> int:
    """Returns how many of so many examples are in a batch, fewer than planned where few exist."""
    wanted = max(_SMALLEST_BATCH, number // _FEWEST_STEPS)
    return max(1, min(plan.batch_size, wanted, number))


@torch.no_grad()
def logits_of(
    net: nn.Module, inputs: Tensor, input_format: InputFormat, copies: int = 1, side: float = 1.0
) -> Tensor:
    """Returns log-probabilities `[N, classes]`, float64, of raw inputs `[N, ...]`.

    `copies` 2: the mean over an image and its mirror image. `side`: of the images, as a share. An
    image is judged alone, as in a batch: float32, running statistics.
    """
    found = []
    net.eval()
    for start in range(0, len(inputs), _AT_ONCE):
        images = input_format.normalise(input_format.to_float(inputs[start : start + _AT_ONCE]))
        images = _shrunk(images, side)
        shares = net(images).double().softmax(1)
        if copies == 2:
            shares = (shares + net(images.flip(3)).double().softmax(1)) / 2
        found.append(shares.clamp(min=1e-12).log())
    return torch.cat(found) if found else torch.zeros(0, 1, dtype=torch.float64)


@torch.no_grad()
def features_before_head(net: WhitenedNet, inputs: Tensor, input_format: InputFormat) -> Tensor:
    """Returns what the net's head is given of raw inputs `[N, ...]`: `[N, D]`, float32."""
    net.eval()
    found = []
    for batch in torch.split(inputs, _AT_ONCE):
        images = input_format.normalise(input_format.to_float(batch))
        found.append(net.features(_shrunk(images, 1.0)))
    return torch.cat(found)


def changed(
    inputs: Tensor, input_format: InputFormat, augmentation: Choice, rng: torch.Generator
) -> Tensor:
    """Returns normalised images of raw ones, after random changes."""
    images = input_format.to_float(inputs)
    if augmentation.name != "none":
        images = AUGMENTATIONS[augmentation.name](images, rng, **augmentation.options)
    return input_format.normalise(images)


def _shrunk(images: Tensor, share: float) -> Tensor:
    """Images with this share of their side, channels last."""
    if share < 1:
        side = max(_SMALLEST_SIDE, round(share * images.shape[-1]))
        images = functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    return images.contiguous(memory_format=torch.channels_last)


def _batches(number: int, batch_size: int, seed: int) -> Iterator[Tensor]:
    """Yields rows, time and again in another order; what is left of an order is left out."""
    epoch = 0
    while True:
        order = torch.from_numpy(numpy_stream(seed, "order", epoch).permutation(number))
        for start in range(0, number - batch_size + 1, batch_size):
            yield order[start : start + batch_size]
        epoch += 1


def _optimisers(plan: Plan, net: nn.Module) -> list[torch.optim.Optimizer]:
    """The plan's optimisers over what is trained; weights decay, scales and shifts do not."""
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    filters = [parameter for parameter in trained if parameter.dim() == 4]
    matrices = [parameter for parameter in trained if parameter.dim() in (2, 3)]
    others = [parameter for parameter in trained if parameter.dim() < 2]
    rate, decay = plan.learning_rate, plan.weight_decay
    found: list[torch.optim.Optimizer] = []
    if plan.optimiser == "muon":
        found.append(Muon(filters, lr=plan.matrix_rate, weight_decay=decay))
        filters = []
    groups: list[dict[str, Any]] = [
        {"params": [*filters, *matrices], "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if plan.optimiser == "sgd":
        found.append(torch.optim.SGD(groups, lr=rate, momentum=_MOMENTUM, nesterov=True))
    else:
        found.append(torch.optim.AdamW(groups, lr=rate, fused=True))
    for optimiser in found:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return found


def _descend(optimisers: list[torch.optim.Optimizer], factor: float) -> None:
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = factor * group["peak"]
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def _precision(
    plan: Plan, net: nn.Module, input_format: InputFormat, measured: bool
) -> torch.dtype:
    """The plan's number format; `fastest` is measured once in a process, on one small step.

    What must be repeated exactly is not to hang on a clock: there the processor's kind decides.
    """
    if plan.precision != "fastest":
        return torch.bfloat16 if plan.precision == "bfloat16" else torch.float32
    if not measured:
        knows = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # since torch 2.6
        return torch.bfloat16 if knows is not None and knows() else torch.float32
    threads = torch.get_num_threads()
    if threads not in _precisions:
        images = torch.zeros(_TIMED, *input_format.shape)
        images = images.contiguous(memory_format=torch.channels_last)
        seconds = {
            kind: min(_seconds(net, images, kind) for _ in range(2))
            for kind in (torch.bfloat16, torch.float32)
        }
        _precisions[threads] = min(seconds, key=lambda kind: seconds[kind])
    return _precisions[threads]


def _seconds(net: nn.Module, images: Tensor, kind: torch.dtype) -> float:
    """How long one look and its gradient take; the net stays as it was."""
    net.eval()  # no statistics are changed
    start = time.perf_counter()
    half = torch.autocast("cpu", kind) if kind == torch.bfloat16 else nullcontext()
    with half:
        net(images).float().sum().backward()
    net.zero_grad(set_to_none=True)
    return time.perf_counter() - start


def measured_accuracy(logits: Tensor, targets: Tensor) -> tuple[np.ndarray, float]:
    """Returns which examples are told right, float64 `[N]`, and the mean log-likelihood."""
    right = (logits.argmax(1) == targets).double().numpy()
    likelihood = logits.gather(1, targets[:, None]).mean().item() if len(targets) else math.nan
    return right, likelihood
