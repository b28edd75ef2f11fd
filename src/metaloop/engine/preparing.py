"""The meta-stage of black boxes: what is "training" for a learner without gradients."""

from __future__ import annotations

from metaloop.core.black_box import MetaStage, prepared
from metaloop.core.learner import Learner, MetaParams
from metaloop.core.randomness import numpy_stream
from metaloop.core.spec import TaskSpec
from metaloop.tasks.family import TaskFamily


def after_meta_stage(
    learner: Learner, meta_params: MetaParams, family: TaskFamily, spec: TaskSpec, seed: int
) -> MetaParams:
    """Returns the meta-parameters after the learner's meta-stage on tasks of `train`.

    Unchanged if it has none. Raises `EpisodeError` if the part has no such tasks.
    """
    if not isinstance(learner, MetaStage):
        return meta_params
    rng = numpy_stream(seed, "meta-stage")
    episodes = family.sample("train", spec, learner.num_tasks, rng)
    return prepared(learner, meta_params, episodes.gather(family.input_format))
