"""Training one classifier: averaged weights, optimisers and number formats."""

from __future__ import annotations

import pytest
import torch

from metaloop.catalogue.pipelines import (
    KNOBS,
    build_classifier,
    pipeline,
    training_of,
)
from metaloop.core.budget import Budget
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Candidate
from metaloop.engine.averaging import WeightAverage
from metaloop.engine.classifying import Fitted, fit, logits_of
from metaloop.nets.norm import BatchNorm
from metaloop.nets.whitened import WhitenedNet

FORMAT = InputFormat("image", (3, 12, 12), (0.3,) * 3, (0.2,) * 3)
SMALL = pipeline((8, 8), flip=False)


def squares(number: int = 120) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy images of three classes, which differ in where a square is."""
    rng = torch.Generator().manual_seed(0)
    targets = torch.arange(number) % 3
    images = torch.randint(0, 90, (number, 3, 12, 12), generator=rng, dtype=torch.uint8)
    for row, target in enumerate(targets.tolist()):
        images[row, :, 4 * target : 4 * target + 4, 4:8] += 120
    return images, targets


def trained(candidate: Candidate, steps: int = 60) -> tuple[WhitenedNet, Fitted]:
    images, targets = squares()
    net = build_classifier(candidate, FORMAT, 3)
    net.whiten(FORMAT.normalise(FORMAT.to_float(images)))
    budget = Budget(steps=steps)
    return net, fit(net, images, targets, FORMAT, candidate.plan, training_of(candidate), budget, 0)


def accuracy(net: WhitenedNet) -> float:
    images, targets = squares()
    return (logits_of(net, images, FORMAT).argmax(1) == targets).double().mean().item()


def test_the_average_is_the_mean_of_what_was_added_and_its_norms_are_measured_again() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), BatchNorm(3))
    average, inputs = WeightAverage(net), torch.randn(8, 2)
    for value in (1.0, 2.0, 6.0):
        torch.nn.init.constant_(net[0].weight, value)  # type: ignore[arg-type]
        average.add()
    average.put([inputs[:4], inputs[4:]], net)
    assert torch.allclose(net[0].weight, torch.full((3, 2), 3.0))  # type: ignore[arg-type]
    expected = net[0](inputs).mean(0)
    assert torch.allclose(net[1].running_mean, expected, atol=1e-5)  # type: ignore[arg-type]
    assert net[1].momentum == 0.1


def test_averaged_weights_tell_classes_apart_and_are_no_others_than_the_same_again() -> None:
    averaged = KNOBS["averaging"].set(SMALL, 0.4)
    (net, ended), (again, _), (plain, _) = trained(averaged), trained(averaged), trained(SMALL)
    assert ended.status == "finished" and accuracy(net) > 0.95
    weights = net.state_dict()
    assert all(torch.equal(weights[name], other) for name, other in again.state_dict().items())
    assert not torch.equal(net.head.weight, plain.head.weight)


def test_averaging_leaves_the_way_of_a_training_as_it_is() -> None:
    (_, averaged), (_, plain) = trained(KNOBS["averaging"].set(SMALL, 0.2)), trained(SMALL)
    assert averaged.loss == plain.loss and averaged.steps == plain.steps


@pytest.mark.parametrize("optimiser", ["muon", "adamw", "sgd"])
def test_every_optimiser_learns_at_the_rate_that_comes_with_it(optimiser: str) -> None:
    net, ended = trained(KNOBS["optimiser"].set(SMALL, optimiser))
    assert ended.status == "finished" and accuracy(net) > 0.9


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_number_formats_learn(precision: str) -> None:
    net, ended = trained(KNOBS["precision"].set(SMALL, precision))
    assert ended.status == "finished" and accuracy(net) > 0.9
    assert all(weight.dtype == torch.float32 for weight in net.parameters())
