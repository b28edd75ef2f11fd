"""Every learner learns what can be learned, and nothing where labels mean nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from metaloop.catalogue.learners import learners_for
from metaloop.core.inner_loop import GradientLearner
from metaloop.programs.gradient import EvolvedGradient

ENOUGH = {"inner_steps": 30, "inner_rate": 0.3}  # without meta-training, more steps are needed

# The outputs for the first query of task 0 on images; a change here is a change of the method.
GOLDEN: dict[str, list[float]] = {
    "anil": [0.11504, -0.09527, -0.15827, -0.0472, -0.12355],
    "baselinepp": [9.81813, 9.63251, 9.88089, 9.07883, 9.50256],
    "calibrated": [0.09151, -0.0353, -0.05538, -0.04369, -0.04536],
    "evolved_gradient": [-0.03866, -0.24859, -0.37212, -0.26261, -0.35725],  # MAML, untrained
    "extra_trees": [-0.16252, -2.99573, -27.63102, -27.63102, -2.30259],
    "fomaml": [-0.03866, -0.24859, -0.37212, -0.26261, -0.35725],
    "gaussian_naive_bayes": [0.0, -27.63102, -27.63102, -27.63102, -27.63102],
    "in_context": [-1.17683, -1.76486, -1.47664, -2.12415, -1.7568],
    "lda": [0.0, -27.63102, -27.63102, -27.63102, -27.63102],
    "logistic_regression": [-0.00216, -7.42666, -7.80247, -7.65835, -7.29394],
    "maml": [-0.03866, -0.24859, -0.37212, -0.26261, -0.35725],
    "nearest_centroid": [-7.56333, -58.24207, -59.13596, -56.91353, -55.61885],
    "nearest_neighbour": [0.0, -27.63102, -27.63102, -27.63102, -27.63102],
    "protonet": [-0.07001, -0.13184, -0.14591, -0.34264, -0.12533],
    "rfs": [0.16188, -0.05134, 0.0983, -0.15755, -0.0513],
    "ridge": [2.27668, 1.90279, 1.89614, 1.76153, 1.93939],
    "simpleshot": [-0.04148, -0.17797, -0.06196, -0.4173, -0.20492],
    "soft_means": [-0.05833, -0.12295, -0.07978, -0.18232, -0.13088],
    "svm": [4.2595, 0.84258, -0.1588, 1.84149, 2.85154],
}


def _able(case: Any) -> Any:
    if isinstance(case.learner, EvolvedGradient):
        able = replace(case.learner, inner_steps=30, initial_rate=0.3)
        spec = replace(case.spec, num_training_classes=0)
        params = able.init(spec, torch.Generator().manual_seed(0))
        return replace(case, learner=able, meta_params=params)
    if not isinstance(case.learner, GradientLearner):
        return case
    return replace(case, learner=replace(case.learner, **ENOUGH))


def test_a_separable_task_is_solved(case: Any) -> None:
    able = _able(case)
    for seed in range(5):
        support, inputs, labels = able.task(seed, spread=0.1)
        assert (able.predict(support, inputs).argmax(-1) == labels).all()


def test_shuffled_support_labels_give_chance(case: Any) -> None:
    able = _able(case)
    rng = torch.Generator().manual_seed(0)
    right, number = 0.0, 150
    for seed in range(number):
        support, inputs, labels = able.task(seed, spread=0.1)
        names = torch.randperm(5, generator=rng)
        outputs = able.predict(replace(support, targets=names[support.targets]), inputs)
        right += float((outputs.argmax(-1) == labels).double().mean()) / number
    assert right == pytest.approx(0.2, abs=4 * 0.2 / number**0.5)  # fixed points of a permutation


def test_golden_numbers(image_case: Any) -> None:
    support, inputs, _ = image_case.task(spread=1.0)
    outputs = image_case.predict(support, inputs)[0]
    assert outputs.tolist() == pytest.approx(GOLDEN[image_case.name], abs=1e-4, rel=1e-4)


def test_every_learner_of_classes_has_golden_numbers() -> None:
    assert set(GOLDEN) == set(learners_for("classes", extras=False))
