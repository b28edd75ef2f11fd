"""Embedding stacked episodes in one pass: all tasks, support and query, form one batch."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from metaloop.core.examples import Batch, EpisodeBatch, Examples
from metaloop.core.learner import EmbeddingLearner, MetaLoss, MetaParams
from metaloop.core.objective import Objective
from metaloop.core.task_map import vmap_over_tasks
from metaloop.nets.functional import FunctionalNet


def embed_episodes(
    net: FunctionalNet, meta_params: MetaParams, batch: EpisodeBatch
) -> tuple[Examples, Examples, MetaParams]:
    """Returns support and query with features `[T, N, D]` as inputs, and the new buffers.

    Batch norm uses the statistics of the whole stack, padding left out.
    """
    sides = (batch.support, batch.query)
    stacked = torch.cat([side.features.flatten(0, 1) for side in sides])
    mask = torch.cat([side.mask.flatten() for side in sides])
    if any(side.padded for side in sides):
        present, buffers = net(meta_params, stacked[mask], "batch")
        features = present.new_zeros(len(stacked), present.shape[1])
        features = features.index_put((mask.nonzero().flatten(),), present)
    else:
        features, buffers = net(meta_params, stacked, "batch")
    split = batch.support.mask.numel()
    support = features[:split].view(*batch.support.mask.shape, -1)
    query = features[split:].view(*batch.query.mask.shape, -1)
    return batch.support.with_inputs(support), batch.query.with_inputs(query), buffers


def episode_loss(
    learner: EmbeddingLearner,
    net: FunctionalNet,
    meta_params: MetaParams,
    batch: EpisodeBatch,
    objective: Objective,
) -> MetaLoss:
    """Returns the mean query loss of heads fitted on each task's embedded support."""
    support, query, buffers = embed_episodes(net, meta_params, batch)

    def one_task(features: Tensor, targets: Tensor, mask: Tensor, query_features: Tensor) -> Tensor:
        examples = Examples(features, targets, mask, support.num_classes, support.padded)
        head = learner.fit_head(meta_params, examples)
        return learner.score(meta_params, head, query_features)

    outputs = vmap_over_tasks(one_task, support.inputs, support.targets, support.mask, query.inputs)
    loss = objective.loss(outputs, query.targets, query.mask)
    return MetaLoss(loss, objective.shown(outputs.detach(), query.targets, query.mask), buffers)


def loss_with_fewer(
    learner: EmbeddingLearner,
    net: FunctionalNet,
    meta_params: MetaParams,
    batch: Batch,
    objective: Objective,
    fewest: int,
    rng: torch.Generator | None,
) -> MetaLoss:
    """Returns `episode_loss` with part of each support, see `with_fewer`; all of it for `fewest` 0.

    Raises `TypeError` on labelled examples.
    """
    if isinstance(batch, Examples):
        raise TypeError(f"{type(learner).__name__} is trained on episodes, got labelled examples")
    if rng is not None and fewest:
        batch = with_fewer(batch, fewest, rng)
    return episode_loss(learner, net, meta_params, batch, objective)


def with_fewer(batch: EpisodeBatch, fewest: int, rng: torch.Generator) -> EpisodeBatch:
    """Returns the episodes with the first of each support alone, as many in all of them.

    How many is drawn from `fewest` on; a learner that is trained so serves tasks of any size.
    """
    support = batch.support
    most = support.mask.shape[1]
    if most <= fewest:
        return batch
    kept = int(torch.randint(fewest, most + 1, (), generator=rng, device=rng.device))
    mask = support.mask & (torch.arange(most, device=support.mask.device) < kept)
    return replace(batch, support=replace(support, mask=mask, padded=True))
