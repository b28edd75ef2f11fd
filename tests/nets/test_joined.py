"""A joined net's features are those of its members, centred, normalised, side by side."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from metaloop.catalogue.nets import build_net
from metaloop.core.errors import MetaloopError
from metaloop.core.examples import Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import MetaParams
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Choice
from metaloop.core.spec import TaskSpec
from metaloop.learners.protonet import ProtoNet
from metaloop.nets.joined import join

FORMAT = InputFormat("image", (1, 16, 16), (0.4,), (0.3,))
MEMBERS = (
    Choice("mlp", {"width": 12, "depth": 2}),
    Choice("strided", {}),
    Choice("conv4", {"channels": 6}),
)
INPUTS = torch.rand(7, 1, 16, 16, generator=torch_stream(0, "inputs"))


def member_params(place: int) -> MetaParams:
    """Returns drawn tensors of a member, with statistics that are not those of a fresh net."""
    rng = torch_stream(place, "member")
    params = build_net(MEMBERS[place], FORMAT).init(rng)
    drawn = {}
    for name, tensor in params.items():
        is_statistic = name.startswith("buffers.") and tensor.is_floating_point()
        noise = 0.02 * torch.rand(tensor.shape, generator=rng)
        drawn[name] = tensor + noise if is_statistic else tensor
    return drawn


def features_of(choice: Choice, params: MetaParams, inputs: Tensor = INPUTS) -> Tensor:
    return build_net(choice, FORMAT)(params, inputs)[0]


@pytest.fixture
def parts() -> tuple[list[MetaParams], list[Tensor]]:
    """Tensors and centres of the members."""
    params = [member_params(place) for place in range(len(MEMBERS))]
    centers = [
        features_of(choice, own).mean(0) for choice, own in zip(MEMBERS, params, strict=True)
    ]
    return params, centers


def whole() -> Choice:
    members = [{"name": m.name, "options": dict(m.options), "candidate": "x"} for m in MEMBERS]
    return Choice("joined", {"members": members})


def test_joined_features_are_the_centred_directions_of_the_members(
    parts: tuple[list[MetaParams], list[Tensor]],
) -> None:
    params, centers = parts
    joined = features_of(whole(), join(params, centers))
    own = [
        functional.normalize(features_of(choice, tensors) - center, dim=-1)
        for choice, tensors, center in zip(MEMBERS, params, centers, strict=True)
    ]
    torch.testing.assert_close(joined, torch.cat(own, -1) / math.sqrt(3))
    torch.testing.assert_close(joined.norm(dim=-1), torch.ones(7))


def test_an_inner_product_is_the_mean_of_the_members_cosines(
    parts: tuple[list[MetaParams], list[Tensor]],
) -> None:
    params, centers = parts
    joined = features_of(whole(), join(params, centers))
    cosines = []
    for choice, tensors, center in zip(MEMBERS, params, centers, strict=True):
        own = features_of(choice, tensors) - center
        cosines.append(functional.cosine_similarity(own[:, None], own[None], dim=-1))
    torch.testing.assert_close(joined @ joined.T, torch.stack(cosines).mean(0))


def test_join_has_every_tensor_of_the_whole_and_nothing_else(
    parts: tuple[list[MetaParams], list[Tensor]],
) -> None:
    params, centers = parts
    extra = {"classifier.weight": torch.zeros(3, 4), "scale": torch.zeros(())}
    tensors = join([{**own, **extra} for own in params], centers)
    fresh = build_net(whole(), FORMAT).init(torch_stream(0, "fresh"))
    assert {n: t.shape for n, t in tensors.items()} == {n: t.shape for n, t in fresh.items()}


def test_one_member_alone_keeps_the_order_of_cosines(
    parts: tuple[list[MetaParams], list[Tensor]],
) -> None:
    params, centers = parts
    first = {"name": MEMBERS[0].name, "options": dict(MEMBERS[0].options)}
    alone = features_of(Choice("joined", {"members": [first]}), join(params[:1], centers[:1]))
    own = functional.normalize(features_of(MEMBERS[0], params[0]) - centers[0], dim=-1)
    torch.testing.assert_close(alone, own)


def test_a_mirrored_member_says_the_mean_of_what_it_says_of_both_sides(
    parts: tuple[list[MetaParams], list[Tensor]],
) -> None:
    params, centers = parts
    choice = whole()
    choice.options["members"][1]["mirrored"] = True
    joined = features_of(choice, join(params, centers))
    sides = [
        functional.normalize(features_of(MEMBERS[1], params[1], look) - centers[1], dim=-1)
        for look in (INPUTS, INPUTS.flip(-1))
    ]
    once = features_of(whole(), join(params, centers))
    first, second = MEMBERS[0].options["width"], sides[0].shape[1]
    apart = once.split([first, second, once.shape[1] - first - second], dim=-1)
    expected = torch.cat([apart[0], (sides[0] + sides[1]) / 2 / math.sqrt(3), apart[2]], -1)
    torch.testing.assert_close(joined, expected)


def test_vectors_have_no_mirror_images() -> None:
    vectors = InputFormat("vector", (4,), (0.0,), (1.0,))
    members = [{"name": "mlp", "options": {"width": 3, "depth": 1}, "mirrored": True}]
    with pytest.raises(MetaloopError, match="mirror images of vectors"):
        build_net(Choice("joined", {"members": members}), vectors)


def test_members_and_centres_come_in_pairs(parts: tuple[list[MetaParams], list[Tensor]]) -> None:
    params, centers = parts
    with pytest.raises(ValueError, match="zip"):
        join(params, centers[:2])


def test_a_head_that_was_not_trained_on_joined_nets_can_be_sure_all_the_same(
    parts: tuple[list[MetaParams], list[Tensor]],
) -> None:
    learner = ProtoNet(build_net(whole(), FORMAT))
    own = learner.init(TaskSpec(2, 1, 1, FORMAT.shape), torch_stream(0, "head"))
    params = {**own, **join(*parts)}
    support = Examples(INPUTS[:2], torch.arange(2), torch.ones(2, dtype=torch.bool), 2)
    outputs = learner.predict(params, learner.adapt(params, support), INPUTS[:2])
    assert bool((outputs.softmax(-1).diagonal() > 0.9).all())  # asked about what it was shown
