"""What a program does, as a hash: two spellings of one rule have equal hashes.

The program learns and predicts a few fixed small tasks (one shot, five shots, uneven with padding)
with features of both signs. What is hashed: the class probabilities, and the derivatives of its
meta-loss by features and constants, which tell programs apart that predict alike but learn
differently. All in float64 and rounded coarsely, so that the order of sums does not show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.randomness import torch_stream
from metaloop.programs.canonical import canonical
from metaloop.programs.episodes import fit, logits_of, without_absent
from metaloop.programs.inference import TypedProgram, infer_types
from metaloop.programs.interpreter import initial_constants, run_meta_loss
from metaloop.programs.syntax import Program

_FEATURES = 6
_SUPPORT_LABELS = {
    "one shot": (0, 1, 2),
    "five shots": (0, 1, 2) * 5,
    "uneven": (0, 0, 0, 1, 1, 2, 2, 2),
}
_QUERY_LABELS = (0, 1, 2, 0)
_PADDING = 2  # examples at the end of the uneven task
_STEPS_OF_PROBABILITY = 1e4  # equal to about 4 digits
_STEPS_OF_DERIVATIVE = 1e3
_OFFSET = 0.31830989  # keeps simple fractions away from where rounding changes


@dataclass(frozen=True)
class Behaviour:
    """Two hashes, 16 hexadecimal digits each.

    `predictions`: equal if the programs, with their constants as they are, predict the same.
    `identity`: equal if they also learn in the same way (derivatives).
    """

    predictions: str
    identity: str


def behaviour(program: Program | TypedProgram) -> Behaviour | None:
    """Returns the behaviour on the probe tasks; None if anything is not finite.

    The program is brought to its canonical form first. Takes milliseconds. Raises `ProgramError` if
    the program has no types.
    """
    untyped = program.program if isinstance(program, TypedProgram) else program
    typed = infer_types(canonical(untyped))
    predictions: list[Tensor] = []
    derivatives: list[Tensor] = []
    for center, task in _probe_tasks():
        probabilities, by_features, by_constants = _responses(typed, center, task)
        predictions.append(probabilities)
        # Spellings may number constants differently: their derivatives are a set.
        ordered = sorted(by_constants, key=lambda tensor: tensor.flatten().tolist())
        derivatives += [*by_features, *ordered]
    if not all(bool(tensor.isfinite().all()) for tensor in (*predictions, *derivatives)):
        return None
    predicted = _hash(_rounded(tensor, _STEPS_OF_PROBABILITY) for tensor in predictions)
    squashed = (torch.asinh(1e2 * tensor) for tensor in derivatives)  # small ones count, too
    learned = _hash(_rounded(tensor, _STEPS_OF_DERIVATIVE) for tensor in squashed)
    return Behaviour(predicted, _hash([predicted.encode(), learned.encode()]))


def _responses(
    typed: TypedProgram, center: Tensor, task: EpisodeBatch
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Returns probabilities `[Q, C]`, and derivatives by features and by constants."""
    support, query = task.support.features.clone(), task.query.features.clone()
    constants = {n: t.double() for n, t in initial_constants(typed, _FEATURES).items()}
    leaves = [support, query, *constants.values()]
    for leaf in leaves:
        leaf.requires_grad_()
    state, masks = fit(typed, constants, center, task.support.with_inputs(support))
    logits = logits_of(typed, constants, center, state, masks, query)
    loss = run_meta_loss(typed, constants, masks, logits, task.query.one_hot().double())
    probabilities = torch.softmax(without_absent(logits, masks).detach(), -1)
    if not loss.requires_grad:
        return probabilities, [loss.new_zeros(())], []
    found = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    return probabilities, list(found[:2]), list(found[2:])


@cache
def _probe_tasks() -> tuple[tuple[Tensor, EpisodeBatch], ...]:
    tasks = []
    for name, labels in _SUPPORT_LABELS.items():
        rng = torch_stream(0, "behaviour", name)
        centres = torch.randn(3, _FEATURES, generator=rng, dtype=torch.float64)

        support = _probe_side(centres, labels, _PADDING if name == "uneven" else 0, rng)
        task = EpisodeBatch(support, _probe_side(centres, _QUERY_LABELS, 0, rng))
        center = 0.5 * torch.randn(_FEATURES, generator=rng, dtype=torch.float64)
        tasks.append((center, task))
    return tuple(tasks)


def _probe_side(
    centres: Tensor, labels: tuple[int, ...], padding: int, rng: torch.Generator
) -> Examples:
    targets = torch.tensor(labels)
    noise = torch.randn(len(labels), _FEATURES, generator=rng, dtype=torch.float64)
    mask = torch.arange(len(labels)) < len(labels) - padding
    return Examples(centres[targets] + noise, targets, mask, len(centres), padding > 0)


def _rounded(tensor: Tensor, steps: float) -> bytes:
    return np.floor(tensor.detach().numpy() * steps + _OFFSET).astype(np.int64).tobytes()


def _hash(pieces: Iterable[bytes]) -> str:
    return hashlib.sha256(b"/".join(pieces)).hexdigest()[:16]
