"""Frozen lists of episodes: what everything is evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from metaloop.core.columns import behind
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Part
from metaloop.core.spec import TaskSpec
from metaloop.tasks.episodes import Episodes, Indices


@runtime_checkable
class Sampled(Protocol):
    """A family, as far as lists of its episodes need it."""

    def sample(
        self, part: Part, spec: TaskSpec, num_tasks: int, rng: np.random.Generator
    ) -> Episodes:
        """Returns so many episodes of that part."""


def episode_list(family: Sampled, part: Part, spec: TaskSpec, num_episodes: int) -> Episodes:
    """Returns the frozen list of evaluation episodes: content and spec decide it, never a seed.

    A longer list begins with the episodes of a shorter one, in blocks of 100.
    """
    blocks = [
        family.sample(part, spec, 100, numpy_stream(0, "episode list", part, _key(spec), block))
        for block in range(-(-num_episodes // 100))
    ]
    return concatenate(blocks)[:num_episodes]


def concatenate(blocks: Sequence[Episodes]) -> Episodes:
    """Returns the episodes of all blocks as one stack; stores that differ are joined."""
    stores = [block.store for block in blocks]
    if all(store is stores[0] for store in stores):
        store, starts = stores[0], [0] * len(stores)
    else:
        store = replace(
            stores[0],
            inputs=behind([store.inputs for store in stores]),
            targets=torch.cat([store.targets for store in stores]),
            names=None,  # drawn already
        )
        starts = list(np.cumsum([0, *[len(store) for store in stores[:-1]]]))

    def join(sides: list[Indices]) -> Indices:
        return Indices(
            np.concatenate([s.examples + start for s, start in zip(sides, starts, strict=True)]),
            np.concatenate([s.labels for s in sides]),
            np.concatenate([s.mask for s in sides]),
        )

    support, query = join([b.support for b in blocks]), join([b.query for b in blocks])
    return Episodes(store, support, query, blocks[0].num_classes, blocks[0].alike)


def _key(spec: TaskSpec) -> str:
    return f"{spec.ways}-{spec.shots}-{spec.queries}"
