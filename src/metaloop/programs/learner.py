"""`ProgramLearner`: a program as a learner, on the features of a net.

The net may be trained by episodes, with the program's `meta_loss`, or as a whole-class classifier.
The program's constants are meta-parameters `program.<slot>.<n>`, trained with the net by the
meta-gradient in the first case and left as they are in the second (`programs.tuning` tunes them on
cached features). `buffers.center`, which `embed_map` is given, is the mean feature: a running one
while episodes are learned, that of the training data in the end.
The slots are those of Real et al. 2020, arXiv:2003.03384 (setup, learn, predict), made for tasks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.examples import Batch, EpisodeBatch, Examples
from metaloop.core.learner import CENTER, MetaLoss, MetaParams
from metaloop.core.objective import CLASSIFICATION
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap
from metaloop.nets.classifier import init_classifier, whole_class_loss
from metaloop.nets.embedding import NetLearner
from metaloop.nets.episodic import embed_episodes
from metaloop.nets.functional import FunctionalNet
from metaloop.programs.affordable import check_affordable
from metaloop.programs.checking import run_shapes
from metaloop.programs.episodes import episode_losses, fit, logits_of, without_absent
from metaloop.programs.inference import TypedProgram, infer_types
from metaloop.programs.interpreter import initial_constants
from metaloop.programs.parsing import parse

_MASK, _STATE = "mask.", "state."
_CENTER_MOMENTUM = 0.1  # as batch norm's


@final
@dataclass(frozen=True)
class ProgramLearner(NetLearner):
    """The learning algorithm that `source` describes.

    Raises `ProgramError` if it is none, or would take too much on so many features.
    """

    net: FunctionalNet
    source: str
    typed: TypedProgram = field(init=False, repr=False, compare=False)

    target_kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    citation: ClassVar[str] = """@inproceedings{real2020automl,
  title = {AutoML-Zero: Evolving Machine Learning Algorithms From Scratch},
  author = {Real, Esteban and Liang, Chen and So, David and Le, Quoc},
  booktitle = {International Conference on Machine Learning},
  year = {2020},
  eprint = {2003.03384},
}"""

    def __post_init__(self) -> None:
        typed = infer_types(parse(self.source))
        check_affordable(typed, self.net.num_features)
        run_shapes(typed)
        object.__setattr__(self, "typed", typed)

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns the net, the program's constants, a centre of zero, and a classifier if any."""
        meta_params = self.net.init(rng)
        if spec.num_training_classes:
            meta_params |= init_classifier(self.net.num_features, spec.num_training_classes, rng)
        meta_params |= initial_constants(self.typed, self.net.num_features)
        meta_params[CENTER] = torch.zeros(self.net.num_features)
        return meta_params

    def finish(self, meta_params: MetaParams, mean_feature: Tensor) -> MetaParams:
        """Returns the meta-parameters with the mean training feature as the centre."""
        return {**meta_params, CENTER: mean_feature}

    def fit_head(self, meta_params: MetaParams, features: Examples) -> MetaParams:
        """Returns the program's state, and which classes (and examples) are there."""
        state, masks = fit(self.typed, meta_params, meta_params[CENTER], features)
        values = {f"{_STATE}{place}": value for place, value in enumerate(state)}
        return values | {f"{_MASK}{axis}": mask for axis, mask in masks.items()}

    def score(self, meta_params: MetaParams, task_state: MetaParams, features: Tensor) -> Tensor:
        """Returns what the program predicts; a class without support is impossible."""
        masks = {n.removeprefix(_MASK): t for n, t in task_state.items() if n.startswith(_MASK)}
        state = tuple(
            task_state[f"{_STATE}{place}"] for place in range(len(self.typed.state_types))
        )
        center = meta_params[CENTER]
        logits = logits_of(self.typed, meta_params, center, state, masks, features)
        return without_absent(logits, masks)

    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Returns the program's loss of queries, or on examples that of the whole-class net."""
        if not isinstance(batch, EpisodeBatch):
            return whole_class_loss(self.net, meta_params, batch)
        support, query, buffers = embed_episodes(self.net, meta_params, batch)
        center = meta_params[CENTER]
        losses, logits = episode_losses(
            self.typed, meta_params, center, EpisodeBatch(support, query)
        )
        seen = support.features[support.mask].detach().mean(0)
        buffers = {**buffers, CENTER: center + _CENTER_MOMENTUM * (seen - center)}
        shown = CLASSIFICATION.shown(logits.detach(), query.targets, query.mask)
        return MetaLoss(losses.mean(), shown, buffers)
