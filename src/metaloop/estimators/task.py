"""A model adapted to one task: all that a fitted estimator holds. Inputs go through in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from metaloop.core.errors import DivergenceError, ModelFileError
from metaloop.core.examples import Examples
from metaloop.core.forking import check_device
from metaloop.core.learner import EmbeddingLearner, TaskState
from metaloop.core.likeness import means_of
from metaloop.core.rejection import Threshold
from metaloop.engine.open_set import Eyes
from metaloop.estimators.baseline import is_baseline, standardisation
from metaloop.estimators.documents import DocumentRows, Worth, joined_worth
from metaloop.estimators.images import Pictures
from metaloop.estimators.items import ItemRows, last_of_each
from metaloop.estimators.pictures_seen import SeenPictures
from metaloop.estimators.recordings import RecordingRows
from metaloop.estimators.sparse import SparseRows
from metaloop.estimators.texts import TextRows
from metaloop.models import Model
from metaloop.models.rejecting import OLDER, eyes_of
from metaloop.nets.functional import with_memory_format
from metaloop.tasks.value_range import ValueRange

BATCH = 256  # inputs in the net at once: enough for its speed, little memory


# A slice of each is a tensor that `Model` takes.
RawInputs = (
    Tensor
    | Pictures
    | SeenPictures
    | SparseRows
    | TextRows
    | RecordingRows
    | ItemRows
    | DocumentRows
)


@dataclass(frozen=True, eq=False)
class Support:
    """Raw inputs `[N, *input]` with class indices `[N]` or real targets `[N, *target]`, float64.

    `worth`, of documents: what the targets would be at other lengths; None where nobody has said.
    `items`: the name of each input that is an item; None where they are none, or older files had no
    names.
    """

    inputs: Tensor
    targets: Tensor
    worth: Worth | None = None
    items: tuple[str, ...] | None = None

    def followed_by(self, later: Support) -> Support:
        """Returns these examples, then the later ones."""
        worth = None
        if self.worth is not None and later.worth is not None:
            worth = joined_worth([self.worth, later.worth])
        named = self.items is not None and later.items is not None
        return Support(
            torch.cat([self.inputs, later.inputs]),
            torch.cat([self.targets, later.targets]),
            worth,
            (*(self.items or ()), *(later.items or ())) if named else None,
        )

    def rated_once(self) -> Support:
        """Returns the last rating of each item, in their order; all examples where none are items.

        The same one if no item was rated again.
        """
        places = [] if self.items is None else last_of_each(self.items)
        if self.items is None or len(places) == len(self.items):
            return self
        items = tuple(self.items[place] for place in places)
        return Support(self.inputs[places], self.targets[places], items=items)


@dataclass(frozen=True, eq=False)
class Shown:
    """What evidence needs of a support: examples of each class `[C]`, and their means `[C, K]`.

    `means` are of what the model's likeness sees; None where evidence is the outputs'.
    """

    counts: Tensor
    means: Tensor | None = None


@dataclass(frozen=True, eq=False)
class AdaptedTask:
    """What was learned from a support, and how inputs and outputs of the task are scaled.

    `value_range` is what is black and white in images that come as arrays.
    `target_scale [2, targets]` is the mean and deviation of real targets that a baseline was
    fitted on. `support` is kept where more examples may be added. `shown` is what evidence needs
    of it, where the model has thresholds of evidence.
    """

    model: Model
    state: TaskState
    num_classes: int
    value_range: ValueRange | None = None
    target_scale: Tensor | None = None
    support: Support | None = None
    shown: Shown | None = None

    @torch.no_grad()
    def outputs(self, inputs: RawInputs) -> Tensor:
        """Returns outputs, float64 on the CPU: `[N, classes]` logits, or `[N, *target]`.

        In batches, unless the learner uses the statistics of all queries. Raises `DivergenceError`
        if an output is not finite.
        """
        if self.num_classes == 1:  # nothing to tell apart
            return torch.zeros(len(inputs), 1, dtype=torch.float64)
        check_device(self.model.device)
        size = len(inputs) if self.model.learner.uses_query_batch else BATCH
        batches = [
            self.model.predict(self.state, inputs[start : start + size]).double().cpu()
            for start in range(0, len(inputs), size)
        ]
        outputs = torch.cat(batches)
        if not bool(outputs.isfinite().all()):
            raise DivergenceError(
                f"{self.model.candidate.label} predicts values that are not finite: adapting it "
                f"to this support diverged; check that inputs and targets have the scale of those "
                f"it was trained on"
            )
        if self.target_scale is not None:
            outputs = outputs * self.target_scale[1] + self.target_scale[0]
        return outputs

    @torch.no_grad()
    def evidence(self, inputs: RawInputs) -> Tensor:
        """Returns how much each input `[N]` looks like one of the task's classes, float64.

        Raises `ModelFileError` where the model has no thresholds, which come with it.
        """
        rejection = self.model.rejection
        if rejection is None or self.shown is None:
            raise self._without_thresholds()
        if self.shown.means is None or rejection.likeness is None:
            return self.outputs(inputs).amax(1)
        eyes, likeness = eyes_of(self.model), rejection.likeness.to(self.model.device)
        assert eyes is not None
        means, counts = (t.to(self.model.device) for t in (self.shown.means, self.shown.counts))
        batches = [
            likeness.evidence(means, counts, likeness.seen(_features(self.model, eyes, batch)))
            for batch in (inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH))
        ]
        return torch.cat(batches).double().cpu()

    def _without_thresholds(self) -> ModelFileError:
        if is_baseline(self.model):
            return ModelFileError(
                "without a model nothing is known of other classes than the task's, so none can be "
                "rejected; give the estimator a model"
            )
        return ModelFileError(f"the model {OLDER}; run learn or train again")

    def threshold(self, rate: float) -> Threshold:
        """Returns the least evidence that is accepted at this share of false alarms."""
        if self.model.rejection is None or self.shown is None:
            raise self._without_thresholds()
        counts = self.shown.counts
        shots = float(counts.clamp(min=1).log().mean().exp())  # of uneven classes, between them
        return self.model.rejection.threshold(rate, max(len(counts), 1), round(shots, 2))


def adapt_to(
    model: Model,
    support: Support,
    num_classes: int,
    value_range: ValueRange | None = None,
    *,
    keep_support: bool = True,
) -> AdaptedTask:
    """Returns the model adapted to a support; `num_classes` is 0 for real targets."""
    targets, scale = support.targets, None
    if not num_classes and is_baseline(model):
        scale = torch.stack(standardisation(targets))
        targets = (targets - scale[0]) / scale[1]
    state = (
        {} if num_classes == 1 else _settled(_learn(model, support.inputs, targets, num_classes))
    )
    kept = support if keep_support else None
    shown = _shown(model, support, num_classes)
    return AdaptedTask(model, state, num_classes, value_range, scale, kept, shown)


@torch.no_grad()
def _shown(model: Model, support: Support, num_classes: int) -> Shown | None:
    """Returns what evidence needs of a support; None for models without thresholds."""
    if model.rejection is None or not num_classes:
        return None
    counts = torch.bincount(support.targets, minlength=num_classes).float()
    likeness, eyes = model.rejection.likeness, eyes_of(model)
    if likeness is None or eyes is None:
        return Shown(counts)
    seen = torch.cat(
        [
            likeness.seen(_features(model, eyes, batch).cpu())
            for batch in torch.split(support.inputs, BATCH)
        ]
    )
    mask = torch.ones(len(seen), dtype=torch.bool)
    return Shown(counts, means_of(Examples(seen, support.targets, mask, num_classes))[0])


def _features(model: Model, eyes: Eyes, batch: Tensor) -> Tensor:
    check_device(model.device)
    ready = model.input_format.to_float(batch.to(model.device))
    return eyes.learner.embed(eyes.meta_params, ready)


def _learn(model: Model, inputs: Tensor, targets: Tensor, num_classes: int) -> TaskState:
    check_device(model.device)
    if not isinstance(model.learner, EmbeddingLearner):
        return model.adapt(inputs, targets, num_classes)
    check_device(model.device)
    with torch.no_grad():  # a large support is embedded in batches
        features = torch.cat(
            [
                model.learner.embed(
                    model.meta_params, model.input_format.to_float(batch.to(model.device))
                )
                for batch in torch.split(inputs, BATCH)
            ]
        )
        mask = torch.ones(len(features), dtype=torch.bool, device=features.device)
        targets = targets.to(features.device)
        if not num_classes:
            targets = model.input_format.standardise_targets(targets).float()
        examples = Examples(features, targets, mask, num_classes)
        return model.learner.fit_head(model.meta_params, examples)


def _settled(state: TaskState) -> TaskState:
    """The state with its tensors laid out as they are after loading: then results are bit-equal."""
    return tree_map(in_settled_layout, state)


def in_settled_layout(leaf: Any) -> Any:
    """Returns a tensor in memory of its own and in the layout nets want; else what it is given."""
    if not isinstance(leaf, Tensor):
        return leaf
    return with_memory_format(leaf.detach().clone(memory_format=torch.contiguous_format))
