"""New classes whose images a generative model has drawn, from a few images of a class each.

    generated(T):   c' = `size` draws of p(x | S_c) at temperature T,   S_c: `shots` images of c

What is drawn varies as other people's drawings of c do, in so far as the model has learned that; it
is no more than the model knows, which has seen training classes alone. A drawn class is a class of
its own, like all generated ones. Wang et al. 2018, arXiv:1801.05401 (hallucinated examples);
Antoniou et al. 2017, arXiv:1711.04340 (data augmentation by generation).

Shapes: C classes, S images of a support.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from metaloop.core.errors import DataError
from metaloop.generators.classes import Classes, derived, like

Draw = Callable[[Tensor, int, int, float], Tensor]
"""(supports `[C, S, *input]`, count, seed, temperature) -> `[C, count, *input]`, as stored."""

_LEAST, _MOST = 2, 20  # images of a new class
_AT_ONCE = 32  # classes


def generated(
    classes: Classes,
    rng: np.random.Generator,
    temperature: float,
    number: int,
    shots: int,
    draw: Draw | None = None,
) -> Classes:
    """Returns classes drawn after so many of `classes`, chosen at random; all if there are fewer.

    All supports are as large as the smallest class allows, `shots` at most. A new class has as many
    images as a usual one has, 2 to 20. Raises `DataError` where nothing draws.
    """
    if draw is None:
        raise DataError(
            "generated(...) needs a model that draws; make one by metaloop train DATA --objective "
            "generation, and name it with --also MODEL"
        )
    chosen = np.sort(rng.permutation(len(classes))[:number])
    count = int(np.clip(np.median(classes.sizes), _LEAST, _MOST))
    shots = min(shots, int(classes.sizes[chosen].min()))
    pieces = []
    for start in range(0, len(chosen), _AT_ONCE):
        some = chosen[start : start + _AT_ONCE]
        rows = [
            classes.starts[c] + rng.choice(classes.sizes[c], shots, replace=False) for c in some
        ]
        supports = classes.inputs[torch.from_numpy(np.stack(rows))]
        drawn = draw(supports, count, int(rng.integers(2**31)), temperature)
        pieces.append(like(drawn.flatten(0, 1), classes.inputs))
    infos = derived([classes.infos[c] for c in chosen], [f"generated({temperature})"] * len(chosen))
    made = replace(classes.subset(chosen), inputs=torch.cat(pieces), infos=infos)
    return replace(made, sizes=np.full(len(chosen), count, np.int64))
