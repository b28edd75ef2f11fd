"""What every learner leaves alone: meta-parameters, supports, other queries, global state."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.catalogue.learners import learners_for
from metaloop.core.learner import buffers, trained
from metaloop.core.randomness import torch_stream
from metaloop.engine.evaluation import score_episodes
from metaloop.tasks.episodes import Episodes, Indices
from metaloop.tasks.store import ClassInfo, Store

TRANSDUCTIVE = {"soft_means"}  # by name: the loop never tries one by itself


def test_every_learner_has_a_case(new_case: Any) -> None:
    for name in learners_for("classes", extras=False):
        assert new_case(name, "vectors").name == name


def test_adapt_does_not_change_meta_params(image_case: Any) -> None:
    before = deepcopy(image_case.meta_params)
    identities = {name: id(tensor) for name, tensor in image_case.meta_params.items()}
    support, inputs, _ = image_case.task()
    image_case.predict(support, inputs)
    assert {name: id(tensor) for name, tensor in image_case.meta_params.items()} == identities
    for name, tensor in image_case.meta_params.items():
        assert torch.equal(tensor, before[name]), name


def test_adapt_and_predict_do_not_change_support_or_queries(image_case: Any) -> None:
    support, inputs, _ = image_case.task()
    before = deepcopy((support.inputs, support.targets, support.mask, inputs))
    image_case.predict(support, inputs)
    for tensor, original in zip(
        (support.inputs, support.targets, support.mask, inputs), before, strict=True
    ):
        assert torch.equal(tensor, original)


def test_a_query_alone_is_predicted_as_in_a_batch(image_case: Any) -> None:
    assert image_case.learner.uses_query_batch == (image_case.name in TRANSDUCTIVE)
    support, inputs, _ = image_case.task()
    together = image_case.predict(support, inputs)
    alone = torch.cat([image_case.predict(support, one[None]) for one in inputs])
    if image_case.name in TRANSDUCTIVE:
        assert not torch.allclose(alone, together, atol=1e-2)
        return
    # products of other shapes round otherwise, by 3e-5 on some processors; a leak is far more
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-4)


def test_gradient_learners_say_when_they_use_the_query_batch(gradient_case: Any) -> None:
    transductive = replace(
        gradient_case, learner=replace(gradient_case.learner, norm="query batch")
    )
    assert transductive.learner.uses_query_batch
    assert transductive.learner.norm_policy == "query batch"
    support, inputs, _ = transductive.task()
    together = transductive.predict(support, inputs)
    alone = torch.cat([transductive.predict(support, inputs[i : i + 2]) for i in (0, 2)])
    assert not torch.allclose(alone, together[:4], atol=1e-3)


def test_init_depends_on_its_generator_alone(image_case: Any) -> None:
    learner, spec = image_case.learner, image_case.spec
    global_state = torch.random.get_rng_state()
    first = learner.init(spec, torch_stream(3, "init"))
    torch.rand(5)
    torch.random.set_rng_state(global_state)
    again = learner.init(spec, torch_stream(3, "init"))
    other = learner.init(spec, torch_stream(4, "init"))
    assert torch.equal(torch.random.get_rng_state(), global_state)
    assert list(first) == list(again)
    assert all(torch.equal(first[name], again[name]) for name in first)
    matrices = [name for name in trained(first) if first[name].dim() > 1]
    assert all(not torch.equal(first[name], other[name]) for name in matrices)


def test_adapting_and_predicting_leave_the_global_random_state_alone(case: Any) -> None:
    state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    case.predict(*case.task()[:2])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_query_labels_influence_nothing(case: Any) -> None:
    """Each query is predicted as one class: over all rotations of the labels it is right once."""
    support, queries, labels = case.task(spread=1.5)
    ways, number = support.num_classes, len(support.targets)
    store = Store(
        torch.cat([support.inputs, queries]),
        torch.cat([support.targets, labels]),
        tuple(ClassInfo(str(k)) for k in range(ways)),
    )
    total = np.zeros(1)
    for turn in range(ways):
        episodes = Episodes(
            store,
            _indices(np.arange(number), support.targets.numpy()),
            _indices(number + np.arange(len(labels)), (labels.numpy() + turn) % ways),
            ways,
        )
        scores = score_episodes(case.learner, case.meta_params, episodes, case_format(case))
        total += scores.values
    assert total == pytest.approx(1.0)


def case_format(case: Any) -> Any:
    net = getattr(case.learner, "net", None)
    if net is not None:
        return net.input_format
    from metaloop.core.inputs import InputFormat

    return InputFormat("vector", case.input_shape, (0.0,) * 8, (1.0,) * 8)


def _indices(examples: np.ndarray, labels: np.ndarray) -> Indices:
    return Indices(examples[None], labels[None], np.ones((1, len(labels)), dtype=bool))


def test_trained_and_buffers_share_the_meta_params_between_them(image_case: Any) -> None:
    names = set(trained(image_case.meta_params)) | set(buffers(image_case.meta_params))
    assert names == set(image_case.meta_params)
    for tensor in image_case.meta_params.values():
        assert tensor.dtype == torch.float32
        assert not tensor.requires_grad
