"""What a training step is given: episodes, labelled examples, or both, drawn by the step's number.

Every batch comes from a random stream named by the seed and the step, so that a resumed run sees
the batches it would have seen. Where a plan says so and speakers are known, some episodes have
their support of one speaker and their queries of others; they are a batch of their own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from metaloop.core.errors import DataError
from metaloop.core.examples import Batch, EpisodeBatch
from metaloop.core.randomness import numpy_stream, torch_stream
from metaloop.core.records import Plan
from metaloop.core.spec import TaskSpec
from metaloop.engine.augmentation import augmented
from metaloop.tasks.family import TaskFamily, portion
from metaloop.tasks.voices import usual_words

_FEWEST_WORDS = 2  # of a speaker, for an episode to be of one voice


class BatchSource:
    """Draws the weighted batches of each step of a plan from a family's `train` part."""

    def __init__(self, family: TaskFamily, plan: Plan, seed: int) -> None:
        self.family = family
        self.plan = plan
        self.seed = seed
        self.episode_spec = self._training_spec()
        self._voices, self._voices_spec = self._of_one_voice()
        self._classes = family.as_classes if plan.style in ("classes", "both") else None
        if plan.style in ("classes", "both") and self._classes is None:
            raise DataError(f"{family.name} has no classes to train a classifier on")

    def batches(self, step: int) -> list[tuple[float, Batch]]:
        """Returns the batches of this step with the weights of their losses."""
        rng = numpy_stream(self.seed, "batch", step)
        drawn: list[tuple[float, Batch]] = []
        if self.plan.style in ("episodes", "both"):
            drawn += self._episodes(rng)
        if self._classes is not None:
            weight = self.plan.class_loss_weight if self.plan.style == "both" else 1.0
            examples = self._classes.draw_labelled(self.plan.batch_size, rng)
            smoothing = self.plan.label_smoothing
            drawn.append((weight, replace(examples, smoothing=smoothing)))
        return [(weight, self._augmented(batch, step)) for weight, batch in drawn]

    def _episodes(self, rng: np.random.Generator) -> list[tuple[float, Batch]]:
        """The episodes of a step, those of one voice behind the others, weighed by their number."""
        number, apart = self.plan.num_tasks, 0
        if self._voices is not None:
            apart = portion(number, self.plan.one_voice, rng)
        sides = (self.family, self.episode_spec, number - apart), (
            self._voices or self.family, self._voices_spec, apart,
        )  # fmt: skip
        return [
            (each / number, family.sample("train", spec, each, rng).gather(family.input_format))
            for family, spec, each in sides
            if each
        ]

    def _of_one_voice(self) -> tuple[TaskFamily | None, TaskSpec]:
        """The family that draws such episodes and their spec: with as many words as are said."""
        classes, spec = self.family.as_classes, self.episode_spec
        if not self.plan.one_voice or classes is None:
            return None, spec
        said = classes.original  # nobody has said what was generated
        ways = min(spec.ways, usual_words(said.store, said.parts["train"], spec.shots))
        if ways < _FEWEST_WORDS:
            return None, spec
        return replace(said, one_voice=True), replace(spec, ways=ways)

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
