"""Programs of the library against the hand-written learners, on real digits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metaloop.core.errors import UnknownNameError
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.learner import MetaParams
from metaloop.core.randomness import numpy_stream, torch_stream
from metaloop.core.records import PARTS
from metaloop.learners.protonet import ProtoNet
from metaloop.learners.ridge import Ridge
from metaloop.learners.simpleshot import SimpleShot
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.mlp import mlp
from metaloop.programs.learner import ProgramLearner
from metaloop.programs.library import LIBRARY, library_program
from metaloop.tasks.digits import digit_pixels
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays


@pytest.fixture(scope="module")
def digits() -> ClassFamily:
    pixels, labels = digit_pixels()
    reading = read_arrays(pixels.numpy(), labels.numpy())
    none = np.empty(0, np.int64)
    every = np.arange(len(reading.store.classes))
    return class_family(reading, split={**dict.fromkeys(PARTS, none), "train": every})[0]


@pytest.fixture(scope="module")
def net(digits: ClassFamily) -> FunctionalNet:
    """A net with random weights: features that are neither pixels nor normalised."""
    return FunctionalNet(digits.input_format, build=mlp)


@pytest.fixture(scope="module", params=[1, 5], ids=["1 shot", "5 shots"])
def episodes(digits: ClassFamily, request: pytest.FixtureRequest) -> EpisodeBatch:
    spec = digits.spec(5, request.param, 15, "train")
    drawn = digits.sample("train", spec, 20, numpy_stream(0, "digits"))
    return drawn.gather(digits.input_format)


def outputs(learner: Any, meta_params: MetaParams, episodes: EpisodeBatch) -> Tensor:
    def one_task(inputs: Tensor, targets: Tensor, mask: Tensor, queries: Tensor) -> Tensor:
        state = learner.adapt(meta_params, Examples(inputs, targets, mask, 5))
        return learner.predict(meta_params, state, queries)

    support = episodes.support
    return torch.func.vmap(one_task)(
        support.inputs, support.targets, support.mask, episodes.query.inputs
    )


def both(
    theirs: Any, name: str, digits: ClassFamily, constants: dict[str, float]
) -> tuple[Any, MetaParams, MetaParams]:
    """Returns the program's learner, the other's meta-parameters, and its own with that net."""
    learner = ProgramLearner(theirs.net, library_program(name).source)
    spec = digits.spec(5, 1, 15, "train")
    shared = theirs.init(spec, torch_stream(0, "init"))
    own = learner.init(spec, torch_stream(1, "init"))
    own |= {key: t for key, t in shared.items() if key in own}
    assert set(constants) <= set(own)
    return learner, shared, own | {key: torch.tensor(value) for key, value in constants.items()}


def test_prototypes_is_protonet(
    digits: ClassFamily, net: FunctionalNet, episodes: EpisodeBatch
) -> None:
    scale = 10.0 / net.num_features
    theirs = ProtoNet(net)
    learner, shared, own = both(theirs, "prototypes", digits, {"program.predict.1": scale})
    torch.testing.assert_close(
        outputs(learner, own, episodes), outputs(theirs, shared, episodes), atol=1e-4, rtol=1e-4
    )


def test_centred_is_simpleshot(
    digits: ClassFamily, net: FunctionalNet, episodes: EpisodeBatch
) -> None:
    theirs = SimpleShot(net)
    learner, shared, own = both(theirs, "centred", digits, {})
    features = theirs.embed(shared, episodes.support.features.flatten(0, 1))
    shared, own = theirs.finish(shared, features.mean(0)), learner.finish(own, features.mean(0))
    assert own["buffers.center"].abs().max() > 0.1
    torch.testing.assert_close(
        outputs(learner, own, episodes), outputs(theirs, shared, episodes), atol=1e-4, rtol=1e-4
    )


def test_ridge_is_ridge(digits: ClassFamily, net: FunctionalNet, episodes: EpisodeBatch) -> None:
    theirs = Ridge(net)
    by_width = 1.0 / net.num_features
    constants = {"program.adapt.0": by_width, "program.predict.0": by_width}
    learner, shared, own = both(theirs, "ridge", digits, constants)
    torch.testing.assert_close(
        outputs(learner, own, episodes), outputs(theirs, shared, episodes), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("name", ["gradient_step", "meta_sgd"])
def test_gradient_steps_are_those_of_autograd(
    name: str, digits: ClassFamily, net: FunctionalNet, episodes: EpisodeBatch
) -> None:
    learner, _, own = both(SimpleShot(net), name, digits, {})
    logits = outputs(learner, own, episodes)
    directions = [
        torch.nn.functional.normalize(net(own, side.features.flatten(0, 1))[0], dim=-1).view(
            *side.mask.shape, -1
        )
        for side in (episodes.support, episodes.query)
    ]
    for task in range(3):
        labels, support = episodes.support.targets[task], directions[0][task]
        means = torch.stack([support[labels == k].mean(0) for k in range(5)])
        weights, bias = 10 * means, -5 * (means**2).sum(1)
        for _ in range(2):
            weights, bias = weights.detach().requires_grad_(), bias.detach().requires_grad_()
            loss = torch.nn.functional.cross_entropy(support @ weights.T + bias, labels)
            slopes = torch.autograd.grad(loss, [weights, bias])
            weights, bias = weights - 5 * slopes[0], bias - slopes[1]
        expected = directions[1][task] @ weights.T + bias
        torch.testing.assert_close(logits[task], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", LIBRARY)
def test_every_program_learns_digits(
    name: str, digits: ClassFamily, net: FunctionalNet, episodes: EpisodeBatch
) -> None:
    learner, _, own = both(SimpleShot(net), name, digits, {})
    predicted = outputs(learner, own, episodes).argmax(-1)
    accuracy = float((predicted == episodes.query.targets).double().mean())
    assert accuracy > 0.5  # chance is 0.2; the net is random


@pytest.mark.parametrize("name", LIBRARY)
def test_every_program_names_its_paper(name: str) -> None:
    entry = LIBRARY[name]
    assert "arXiv:" in entry.paper
    assert entry.summary


def test_an_unknown_program_has_near_matches() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'prototypes'"):
        library_program("prototype")


def test_meta_sgd_has_a_rate_for_each_feature_and_step(
    digits: ClassFamily, net: FunctionalNet
) -> None:
    _, _, own = both(SimpleShot(net), "meta_sgd", digits, {})
    vectors = [n for n, t in own.items() if n.startswith("program.") and t.dim() == 1]
    assert len(vectors) == 2
    assert all(len(own[name]) == net.num_features for name in vectors)
    assert math.isclose(float(own[vectors[0]][0]), 5.0)
