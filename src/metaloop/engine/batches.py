"""What a training step is given: episodes, labelled examples, or both, drawn by the step's number.

Every batch comes from a random stream named by the seed and the step, so that a resumed run sees
the batches it would have seen.
"""

from __future__ import annotations

from dataclasses import replace

from metaloop.core.errors import DataError
from metaloop.core.examples import Batch, EpisodeBatch
from metaloop.core.randomness import numpy_stream, torch_stream
from metaloop.core.records import Plan
from metaloop.core.spec import TaskSpec
from metaloop.engine.augmentation import augmented
from metaloop.tasks.family import TaskFamily


class BatchSource:
    """Draws the weighted batches of each step of a plan from a family's `train` part."""

    def __init__(self, family: TaskFamily, plan: Plan, seed: int) -> None:
        self.family = family
        self.plan = plan
        self.seed = seed
        self.episode_spec = self._training_spec()
        self._classes = family.as_classes if plan.style in ("classes", "both") else None
        if plan.style in ("classes", "both") and self._classes is None:
            raise DataError(f"{family.name} has no classes to train a classifier on")

    def batches(self, step: int) -> list[tuple[float, Batch]]:
        """Returns the batches of this step with the weights of their losses."""
        rng = numpy_stream(self.seed, "batch", step)
        drawn: list[tuple[float, Batch]] = []
        if self.plan.style in ("episodes", "both"):
            episodes = self.family.sample("train", self.episode_spec, self.plan.num_tasks, rng)
            drawn.append((1.0, episodes.gather(self.family.input_format)))
        if self._classes is not None:
            weight = self.plan.class_loss_weight if self.plan.style == "both" else 1.0
            examples = self._classes.draw_labelled(self.plan.batch_size, rng)
            smoothing = self.plan.label_smoothing
            drawn.append((weight, replace(examples, smoothing=smoothing)))
        return [(weight, self._augmented(batch, step)) for weight, batch in drawn]

    def _augmented(self, batch: Batch, step: int) -> Batch:
        if self.plan.augmentation.name == "none":
            return batch
        examples = batch.support if isinstance(batch, EpisodeBatch) else batch
        device = examples.mask.device
        rng = torch_stream(self.seed, "augmentation", step, device=device)
        return augmented(batch, self.plan.augmentation, rng)

    def _training_spec(self) -> TaskSpec:
        """The plan's episode shape, with as many ways as the training part can give."""
        plan, family = self.plan, self.family
        ways = plan.ways
        if family.as_classes is not None:
            ways = min(ways, max(2, family.as_classes.largest_ways("train", plan.shots)))
        return family.spec(ways, plan.shots, plan.queries, part="train")
