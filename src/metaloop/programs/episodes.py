"""Programs on one task's features, and on stacked episodes of them: cached embeddings.

An `EpisodeBatch` here has features `[T, N, D]` as its inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.task_map import TaskMap, in_chunks, vmap_over_tasks
from metaloop.programs.inference import TypedProgram
from metaloop.programs.interpreter import (
    Constants,
    Masks,
    State,
    run_adapt,
    run_embed_map,
    run_meta_loss,
    run_predict,
)

_NUMBERS_AT_ONCE = 1 << 21  # floats of a stack of tasks, about what a processor's cache holds


def fit(
    program: TypedProgram, constants: Constants, center_D: Tensor, support: Examples
) -> tuple[State, Masks]:
    """Returns the state learned from one task's features, and the masks that predicting needs.

    Masks: C, the classes that have support, and S where the support may be padded.
    """
    features_SD = support.features
    y_SC = support.one_hot().to(features_SD.dtype)
    masks = {"C": y_SC.sum(0) > 0}
    if support.padded:
        masks["S"] = support.mask
        features_SD = torch.where(support.mask.unsqueeze(-1), features_SD, 0.0)
    x_SD = run_embed_map(program, constants, features_SD, center_D)
    return run_adapt(program, constants, masks, x_SD, y_SC), masks


def logits_of(
    program: TypedProgram,
    constants: Constants,
    center_D: Tensor,
    state: State,
    masks: Masks,
    features_QD: Tensor,
) -> Tensor:
    """Returns logits `[Q, C]` of one task's queries; see `without_absent`."""
    x_QD = run_embed_map(program, constants, features_QD, center_D)
    return run_predict(program, constants, masks, x_QD, state)


def without_absent(logits: Tensor, masks: Masks) -> Tensor:
    """Returns the logits with minus infinity for classes that have no support."""
    return logits.masked_fill(~masks["C"], -torch.inf)


def episode_logits(
    program: TypedProgram, constants: Constants, center_D: Tensor, episodes: EpisodeBatch
) -> Tensor:
    """Returns logits `[T, Q, C]` of stacked episodes of features; absent classes are impossible."""
    support = episodes.support

    def one_task(features: Tensor, targets: Tensor, mask: Tensor, queries: Tensor) -> Tensor:
        examples = Examples(features, targets, mask, support.num_classes, support.padded)
        state, masks = fit(program, constants, center_D, examples)
        return without_absent(logits_of(program, constants, center_D, state, masks, queries), masks)

    stacked = (support.features, support.targets, support.mask, episodes.query.features)
    logits: Tensor = _in_chunks(episodes)(one_task, *stacked)
    return logits


def episode_losses(
    program: TypedProgram, constants: Constants, center_D: Tensor, episodes: EpisodeBatch
) -> tuple[Tensor, Tensor]:
    """Returns the program's meta-loss of every episode `[T]`, and the logits as above."""
    support, query = episodes.support, episodes.query

    def one_task(
        features: Tensor, targets: Tensor, mask: Tensor, queries: Tensor, y_QC: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        examples = Examples(features, targets, mask, support.num_classes, support.padded)
        state, masks = fit(program, constants, center_D, examples)
        logits = logits_of(program, constants, center_D, state, masks, queries)
        if query.padded:
            masks = {**masks, "Q": rows}
        loss = run_meta_loss(program, constants, masks, logits, y_QC)
        return loss, without_absent(logits, masks)

    labels = query.one_hot().to(query.features.dtype)
    stacked = (support.features, support.targets, support.mask, query.features, labels, query.mask)
    losses, logits = _in_chunks(episodes)(one_task, *stacked)
    return losses, logits


def _in_chunks(episodes: EpisodeBatch) -> TaskMap:
    numbers = episodes.support.features[0].numel() + episodes.query.features[0].numel()
    return in_chunks(vmap_over_tasks, max(1, _NUMBERS_AT_ONCE // numbers))
