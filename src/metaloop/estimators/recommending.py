"""What a user would like: all known items in the order of what is predicted, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.errors import InputError
from metaloop.core.examples import Examples
from metaloop.core.learner import EmbeddingLearner, Explains
from metaloop.estimators.items import items_of, last_of_each
from metaloop.estimators.regressor import FewShotRegressor
from metaloop.estimators.task import AdaptedTask
from metaloop.learners.ridge import Ridge

# who can tell why
REASONED_BY = (
    "deep_kernel", "set_attention", "committee", "ridge", "fold_in", "item_knn", "spectral",
)  # fmt: skip
_REASONS = 3  # items that are named


@dataclass(frozen=True)
class Recommended:
    """An item by its name, what people call it, the rating predicted, and the items it is for.

    `because`: those of the user's ratings that raise it most, where the learner can tell.
    """

    name: str
    title: str
    value: float
    because: tuple[str, ...] = ()


def recommend(
    regressor: FewShotRegressor,
    top: int = 10,
    *,
    rated: Sequence[str] | None = None,
    exclude_seen: bool = True,
    explain: bool = False,
) -> list[Recommended]:
    """Returns the `top` items that the user of a fitted regressor would rate highest.

    `rated`: the items that it was fitted to, in their order, by name or title (of one that was
    rated again the last place counts, as for `fit`), if it did not keep them; what is not known to
    be rated is neither excluded nor a reason. Items that nobody has rated are left out unless
    something is known of them. Raises `InputError` if the model takes no items.
    """
    task: AdaptedTask | None = getattr(regressor, "task_", None)
    view = None if task is None else task.model.view
    if task is None or view is None or "rated" not in view.assets:
        raise InputError("recommend is for a fitted regressor whose model was trained on ratings")
    if top < 1:
        raise InputError(f"top is how many items are wanted, at least 1; got {top}")
    known = items_of(view)
    rated = known.called(rated_by(regressor) if rated is None else rated)
    rated = [rated[place] for place in last_of_each(rated)]
    values = task.outputs(known.table[: len(known.names)])[:, 0].numpy()
    heard_of = known.heard_of[:-1].numpy().copy()
    seen = known.places(rated)
    if exclude_seen:
        heard_of[seen[seen < len(known.names)].numpy()] = False
    order = np.argsort(-values, kind="stable")
    best = order[heard_of[order]][:top]
    reasons: list[tuple[str, ...]] = [()] * len(best)
    if explain and len(best):
        places = zip(seen.tolist(), rated, strict=True)
        names = [known.shown(p) if p < len(known.names) else name for p, name in places]
        reasons = _reasons(task, known.table[torch.from_numpy(best)], names)
    return [
        Recommended(known.names[place], known.shown(place), float(values[place]), reason)
        for place, reason in zip(best.tolist(), reasons, strict=True)
    ]


def rated_by(regressor: FewShotRegressor) -> tuple[str, ...]:
    """Returns the items that a regressor was fitted to, in order; none if it did not keep them."""
    task: AdaptedTask | None = getattr(regressor, "task_", None)
    support = None if task is None else task.support
    return () if support is None else support.items or ()


def _reasons(task: AdaptedTask, items: torch.Tensor, rated: Sequence[str]) -> list[tuple[str, ...]]:
    """The rated items that move each of these up most; none where the learner cannot tell."""
    moved = _moved(task, items) if rated else None
    if moved is None:
        return [()] * len(items)
    found = []
    for row in moved:
        most = [place for place in np.argsort(-row, kind="stable")[:_REASONS] if row[place] > 0]
        found.append(tuple(rated[place] for place in most))
    return found


@torch.no_grad()
def _moved(task: AdaptedTask, items: torch.Tensor) -> np.ndarray | None:
    """What each rating moves the prediction for each item by, `[items, ratings]`."""
    model = task.model
    learner, inputs = model.learner, model.input_format.to_float(items)
    if isinstance(learner, BlackBoxLearner):
        return learner.contributions(task.state, inputs)
    if isinstance(learner, Explains) and isinstance(learner, EmbeddingLearner):
        features = learner.embed(model.meta_params, inputs)
        return _first(learner.contributions(model.meta_params, task.state, features))
    if isinstance(learner, Ridge) and task.support is not None:
        known = learner.embed(model.meta_params, model.input_format.to_float(task.support.inputs))
        targets = model.input_format.standardise_targets(task.support.targets).float()
        support = Examples(known, targets, torch.ones(len(known), dtype=torch.bool), 0)
        features = learner.embed(model.meta_params, inputs)
        return _first(learner.contributions(model.meta_params, support, features))
    return None


def _first(moved: torch.Tensor) -> np.ndarray:
    """Of the one target that a rating is."""
    return np.asarray(moved[..., 0].numpy())
