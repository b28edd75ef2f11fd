"""What a training begins with: the first tensors, and the examples that stand for all.

Nearly all of it is drawn. What is computed instead: the mean features that a whole-class classifier
may begin with, and the tensors that a net derives from a few training examples.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from metaloop.core.learner import EmbeddingLearner, Learner, MetaParams
from metaloop.core.randomness import numpy_stream, torch_stream
from metaloop.core.records import Plan
from metaloop.core.spec import TaskSpec
from metaloop.engine.evaluation import FeatureCache
from metaloop.engine.state import TrainState
from metaloop.nets.classifier import WEIGHT, class_means
from metaloop.nets.functional import FunctionalNet
from metaloop.tasks.family import ClassFamily, TaskFamily

_OF_EACH_CLASS = 64  # examples, for the mean that a classifier begins with
_TYPICAL_EXAMPLES = 1024  # of the training part, whose mean feature a learner may ask for
_BEGUN_ON = 512  # of them, for the tensors that a net computes of examples


def initial_state(
    learner: Learner,
    family: TaskFamily,
    spec: TaskSpec,
    seed: int,
    identity: str = "",
    plan: Plan | None = None,
) -> TrainState:
    """Returns the state before the first step, on the family's device.

    With a plan it is that of a training: its whole-class classifier begins as the plan says, and
    what the net computes of training examples is computed. Without one all is drawn, as for shapes.
    """
    if family.as_classes is not None:
        spec = replace(spec, num_training_classes=len(family.as_classes.parts["train"]))
    meta_params = learner.init(spec, torch_stream(seed, "init"))
    if plan is not None:
        meta_params = _begun(learner, meta_params, family)
    meta_params = {name: t.to(family.device) for name, t in meta_params.items()}
    if plan is not None and plan.classifier == "means" and WEIGHT in meta_params:
        meta_params[WEIGHT] = _class_means(learner, meta_params, family)
    return TrainState(identity, meta_params)


def _begun(learner: Learner, meta_params: MetaParams, family: TaskFamily) -> MetaParams:
    """Returns the meta-parameters with what the net computes of a few training examples."""
    net, classes = getattr(learner, "net", None), family.as_classes
    if not isinstance(net, FunctionalNet) or not net.computes or classes is None:
        return meta_params
    typical = typical_examples(classes)
    rows = typical[:: -(-len(typical) // _BEGUN_ON)]
    taken = classes.store.taken(rows)
    return net.begun(meta_params, classes.input_format.to_float(taken).cpu())


def _class_means(learner: Learner, meta_params: MetaParams, family: TaskFamily) -> Tensor:
    """Where a whole-class classifier begins: the mean features of a few examples of each class."""
    classes = family.as_classes
    assert classes is not None and isinstance(learner, EmbeddingLearner)
    members = [
        classes.store.examples_of[index][:_OF_EACH_CLASS] for index in classes.parts["train"]
    ]
    rows = np.concatenate(members)
    labels = torch.from_numpy(np.repeat(np.arange(len(members)), list(map(len, members))))
    with torch.no_grad():
        cache = FeatureCache(learner, meta_params)
        features = cache.features(classes.store, rows, classes.input_format)
    return class_means(features, labels.to(features.device), len(members))


@torch.no_grad()
def mean_feature(learner: EmbeddingLearner, meta_params: MetaParams, family: ClassFamily) -> Tensor:
    """Returns the mean feature `[D]` of `typical_examples`."""
    family, cache = family.original, FeatureCache(learner, meta_params)
    return cache.features(family.store, typical_examples(family), family.input_format).mean(0)


def typical_examples(family: ClassFamily) -> np.ndarray:
    """Returns a fixed sample of the training examples, as row numbers of the store."""
    examples, _ = family.labelled("train")
    if len(examples) > _TYPICAL_EXAMPLES:
        rng = numpy_stream(0, "typical examples")
        examples = np.sort(rng.choice(examples, _TYPICAL_EXAMPLES, replace=False))
    return examples
