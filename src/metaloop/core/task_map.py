"""Two ways to run a function over stacked tasks, with equal results: a loop and `vmap`.

Which one is faster depends on the net and the machine (on a CPU, convolutions with weights of
their own per task are slower under `vmap`; small networks far faster), so the engine measures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

TaskMap = Callable[..., Any]


def loop_over_tasks(function: Callable[..., Any], *stacked: Any) -> Any:
    """Returns the results of `function` on each slice of the stacked trees, stacked again."""
    leaves, structure = tree_flatten(stacked)
    num_tasks = len(leaves[0])
    results = [
        function(*tree_unflatten([leaf[task] for leaf in leaves], structure))
        for task in range(num_tasks)
    ]
    flat = [tree_flatten(result) for result in results]
    columns = zip(*(tensors for tensors, _ in flat), strict=True)
    return tree_unflatten([torch.stack(column) for column in columns], flat[0][1])


def vmap_over_tasks(function: Callable[..., Any], *stacked: Any) -> Any:
    """Returns the same as `loop_over_tasks`, computed for all tasks at once."""
    return torch.func.vmap(function)(*stacked)


def in_chunks(over_tasks: TaskMap, chunk: int) -> TaskMap:
    """Returns a task map that handles `chunk` tasks at a time: less memory, the same results."""

    def chunked(function: Callable[..., Any], *stacked: Any) -> Any:
        leaves = tree_flatten(stacked)[0]
        pieces = [
            over_tasks(function, *tree_map(lambda leaf: leaf[start : start + chunk], stacked))  # noqa: B023
            for start in range(0, len(leaves[0]), chunk)
        ]
        return tree_map(lambda *parts: torch.cat(parts), *pieces)

    return chunked
