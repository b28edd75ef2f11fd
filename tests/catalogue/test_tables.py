"""The visible tables: every name makes a working candidate; wrong names and options are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from metaloop.catalogue.candidates import (
    build_learner,
    catalogue_candidates,
    make_candidate,
    trunk_of,
)
from metaloop.catalogue.learners import LEARNERS, learner_entry, learners_for
from metaloop.catalogue.nets import NETS, build_net, coarse, companions, default_net, finer
from metaloop.catalogue.plans import usual_plan
from metaloop.core.errors import MetaloopError, UnknownNameError
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice, Plan, candidate_from_json, to_json
from metaloop.core.spec import TaskSpec
from metaloop.engine.augmentation import AUGMENTATIONS
from metaloop.engine.optimisation import descend, make_optimisers

IMAGES = InputFormat("image", (1, 28, 28), (0.1,), (0.3,))
PHOTOGRAPHS = InputFormat("image", (3, 32, 32), (0.5,) * 3, (0.2,) * 3)
TINY = InputFormat("image", (1, 8, 8), (0.1,), (0.3,))
VECTORS = InputFormat("vector", (6,), (0.0,) * 6, (1.0,) * 6)
SPEC = TaskSpec(5, 1, 15, (1, 28, 28))
REGRESSION = TaskSpec(0, 10, 10, (6,), "regression", (1,))


@pytest.mark.parametrize("name", learners_for("classes", extras=False))
@pytest.mark.parametrize("inputs", [IMAGES, TINY, VECTORS], ids=["images", "tiny", "vectors"])
def test_every_learner_makes_a_candidate_that_can_be_built(name: str, inputs: Any) -> None:
    candidate = make_candidate(name, inputs, SPEC)
    learner = build_learner(candidate, inputs, "classification")
    assert isinstance(learner, LEARNERS[name].constructor)  # type: ignore[arg-type]
    assert (candidate.plan.style == "none") == (learner_entry(name).trunk == "none")
    assert candidate.plan.augmentation.name in {*AUGMENTATIONS, "none"}
    assert candidate_from_json(to_json(candidate)) == candidate


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_every_learner_cites_its_paper_and_says_what_it_is(name: str) -> None:
    entry = LEARNERS[name]
    citation = entry.constructor.citation  # type: ignore[attr-defined]
    assert citation.startswith("@") and citation.rstrip().endswith("}")
    assert all(field in citation for field in ("title", "author", "year"))
    assert citation.count("{") == citation.count("}")
    assert 10 < len(entry.summary) < 70


def test_wrong_names_list_near_matches() -> None:
    with pytest.raises(UnknownNameError, match=r"no learner is called 'protonets'.*'protonet'"):
        make_candidate("protonets", IMAGES, SPEC)
    candidate = make_candidate("protonet", IMAGES, SPEC, net="conv5")
    with pytest.raises(UnknownNameError, match=r"no net is called 'conv5'.*'conv4'"):
        build_learner(candidate, IMAGES, "classification")


def test_regression_has_its_own_candidates_and_refuses_the_others() -> None:
    found = catalogue_candidates(VECTORS, REGRESSION)
    names = [c.learner.name for c in found if c.plan.style != "none"]
    assert names == ["anil", "evolved_gradient", "fomaml", "maml", "ridge"]
    plain = {c.learner.name for c in found if c.plan.style == "none"}
    assert plain == {"gaussian_process", "mean_of_support", "ridge"}
    assert sum(c.learner.name == "mean_of_support" for c in found) == 1  # blind to views
    for candidate in catalogue_candidates(VECTORS, REGRESSION):
        build_learner(candidate, VECTORS, "regression")
    with pytest.raises(
        MetaloopError, match=r"'protonet' cannot learn regression.*maml, mean_of_support, ridge"
    ):
        make_candidate("protonet", VECTORS, REGRESSION)


def test_the_catalogue_holds_every_learner_and_tunes_the_plain_baseline() -> None:
    candidates = catalogue_candidates(IMAGES, SPEC)
    assert {c.learner.name for c in candidates} == set(learners_for("classes", offered=True))
    tuned = [
        (c.net.options["view"], c.learner.options["inverse_strength"])
        for c in candidates
        if c.learner.name == "logistic_regression"
    ]
    assert len(tuned) == len(set(tuned)) >= 3 * 6  # views, and strengths
    assert len({c.identity for c in candidates}) == len(candidates)
    styles = [c.plan.style == "none" for c in candidates]
    assert styles == sorted(styles, reverse=True)  # baselines first


def test_heads_of_one_whole_class_net_share_their_training() -> None:
    trunks = {
        name: trunk_of(make_candidate(name, IMAGES, SPEC))
        for name in learners_for("classes", extras=False)
    }
    assert trunks["rfs"] == trunks["simpleshot"] == trunks["baselinepp"]
    others = [trunks[name] for name in ("protonet", "ridge", "maml", "fomaml", "anil", "rfs")]
    assert len(set(others)) == 6
    slow = make_candidate("rfs", IMAGES, SPEC)
    other = Candidate(slow.learner, slow.net, Plan("classes", batch_size=3))
    assert trunk_of(other) != trunk_of(slow)


def test_companions_differ_and_can_be_built_for_the_inputs() -> None:
    for images in (IMAGES, PHOTOGRAPHS):
        nets = [(net.name, net.options.get("activation")) for net in companions(images)]
        assert len(set(nets)) == len(nets) >= 3
        assert default_net(images) in companions(images)
        assert all(build_net(net, images).num_features for net in companions(images))
    assert companions(TINY) == companions(VECTORS) == ()


def test_learners_that_start_slowly_have_a_quick_net() -> None:
    spec = TaskSpec(5, 1, 15, PHOTOGRAPHS.shape)
    assert make_candidate("maml", PHOTOGRAPHS, spec).net.name == "strided"
    assert make_candidate("protonet", PHOTOGRAPHS, spec).net.name == "lean"
    assert make_candidate("maml", PHOTOGRAPHS, spec, shrunk=True).net.name == "strided"


def test_nets_begin_on_shrunk_images_where_their_tensors_stay_the_same() -> None:
    spec = TaskSpec(5, 1, 15, PHOTOGRAPHS.shape)
    whole = default_net(PHOTOGRAPHS)
    begun = make_candidate("protonet", PHOTOGRAPHS, spec, shrunk=True).net
    assert begun == coarse(whole, PHOTOGRAPHS) != whole == finer(begun)
    assert finer(whole) is None
    for net in (Choice("strided"), Choice("conv4"), Choice("resnet10", {"pooling": "flatten"})):
        assert coarse(net, PHOTOGRAPHS) == net
    large = InputFormat("image", (3, 84, 84), (0.5,) * 3, (0.25,) * 3)
    assert coarse(whole, large).options["shrink"] == 2  # its stem makes 14 of them
    whole = next(net for net in companions(large) if net.name == "resnet10")
    assert coarse(whole, large).options["shrink"] == 4  # 21 pixels
    again = finer(coarse(whole, large))
    assert again is not None and again.options["shrink"] == 2 and finer(again) == whole
    shapes = [
        {name: tensor.shape for name, tensor in build_net(net, large).init(generator).items()}
        for net in (whole, again)
        for generator in (torch_stream(0, "init"),)
    ]
    assert shapes[0] == shapes[1]


def test_default_nets_fit_the_inputs() -> None:
    assert default_net(IMAGES).name == "strided"
    assert default_net(PHOTOGRAPHS).name == "lean"
    assert default_net(PHOTOGRAPHS, quick=True).name == "strided"
    assert default_net(TINY).name == default_net(VECTORS).name == "mlp"
    assert default_net(VECTORS, "real") == Choice("mlp", {"width": 40, "depth": 2})


def test_vectors_of_many_features_start_at_their_inputs_and_do_without_muon() -> None:
    many = InputFormat("vector", (64,), (0.5,) * 64, (2.0,) * 64)
    net = build_net(default_net(many), many)
    inputs = torch.rand(4, 64, generator=torch_stream(0, "inputs"))
    features, _ = net(net.init(torch_stream(0, "init")), inputs)
    cosine = torch.nn.functional.cosine_similarity(features, many.normalise(inputs))
    torch.testing.assert_close(cosine, torch.ones(4))
    assert "residual" not in default_net(VECTORS).options
    for name in learners_for("classes", extras=False):
        entry = LEARNERS[name]
        plans = [make_candidate(name, inputs, SPEC).plan for inputs in (VECTORS, many, IMAGES)]
        if entry.trunk in ("classifier", "protonet", "ridge"):
            assert [plan.optimiser for plan in plans] == ["adamw", "adamw", "muon"]


@pytest.mark.parametrize("name", [name for name, entry in NETS.items() if entry.smallest_side > 7])
def test_nets_for_images_refuse_vectors_and_tiny_images(name: str) -> None:
    with pytest.raises(MetaloopError, match=r"takes images.*use --net mlp"):
        build_net(Choice(name), VECTORS)
    small = InputFormat("image", (1, 7, 7), (0.1,), (0.3,))
    with pytest.raises(MetaloopError, match=r"pixels or more, the data have 7.*--image-size"):
        build_net(Choice(name), small)


def test_options_that_a_method_does_not_have_are_refused() -> None:
    with pytest.raises(MetaloopError, match="net 'mlp' does not take these options"):
        build_net(Choice("mlp", {"channels": 3}), VECTORS)
    plan = Plan("episodes")
    wrong = Candidate(Choice("protonet", {"inner_steps": 3}), Choice("mlp"), plan)
    with pytest.raises(MetaloopError, match="learner 'protonet' does not take these options"):
        build_learner(wrong, VECTORS, "classification")


def test_a_net_of_the_users_own_has_to_be_given() -> None:
    own = Choice("custom", {"class": "MyNet"})
    with pytest.raises(MetaloopError, match=r"MyNet.*from Python with net="):
        build_net(own, VECTORS)
    net = build_net(own, VECTORS, torch.nn.Linear(6, 3))
    assert net.num_features == 3


def test_many_features_have_a_gentle_contender_that_stays_near_them_and_few_have_none() -> None:
    features = InputFormat("vector", (64,), (0.0,) * 64, (1.0,) * 64, encoder="minilm")
    spec = replace(SPEC, input_shape=(64,))
    first = next(c for c in catalogue_candidates(features, spec) if c.plan.style != "none")
    assert (first.learner.name, first.net.name) == ("protonet", "projection")
    assert first.plan.learning_rate < usual_plan("protonet", features, spec).learning_rate
    build_learner(first, features, "classification")
    weight = torch.zeros(4, 4)  # pushed for ever: it stays below 1 / decay
    optimisers = make_optimisers(first.plan, {"net.weight": weight})
    for _ in range(1500):
        weight.grad = torch.ones(4, 4)
        descend(optimisers, 1.0, first.plan)
    assert 0.015 < -float(weight.mean()) < 0.0201
    few = catalogue_candidates(VECTORS, replace(SPEC, input_shape=(6,)))
    real = catalogue_candidates(features, replace(REGRESSION, input_shape=(64,)))
    assert all(c.net.name != "projection" for c in (*few, *real))
