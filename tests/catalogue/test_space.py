"""The search space: it names real fields and options, and only what matters on such data."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.learners import LEARNERS, PROGRAM, learners_for
from metaloop.catalogue.nets import CUSTOM, NETS, VIEW
from metaloop.catalogue.space import (
    AUGMENTATION_SPACE,
    DECIDING,
    NET_SPACE,
    PLAN_SPACE,
    nets_for,
    random_candidate,
    space_of,
    value_of,
    with_value,
)
from metaloop.core.errors import MetaloopError, UnknownNameError
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Candidate, Choice, Plan, candidate_from_json, to_json
from metaloop.core.spec import TaskSpec
from metaloop.engine.augmentation import AUGMENTATIONS

COLOUR = InputFormat("image", (3, 32, 32), (0.1,) * 3, (0.3,) * 3)
GREY = InputFormat("image", (1, 28, 28), (0.1,), (0.3,))
TINY = InputFormat("image", (1, 8, 8), (0.1,), (0.3,))
VECTORS = InputFormat("vector", (6,), (0.0,) * 6, (1.0,) * 6)
SPEC = TaskSpec(5, 1, 15, (3, 32, 32))
REGRESSION = TaskSpec(0, 10, 10, (6,), "regression", (1,))
TRAINED = [name for name in learners_for("classes") if LEARNERS[name].trunk != "none"]


def _names(candidate: Candidate, inputs: InputFormat, kind: str = "classes") -> set[str]:
    return {f"{d.place} {d.name}" for d in space_of(candidate, inputs, kind)}


def test_the_tables_name_fields_and_options_that_there_are() -> None:
    assert {name for name, _, _ in PLAN_SPACE} <= {known.name for known in fields(Plan)}
    assert set(AUGMENTATION_SPACE) == set(AUGMENTATIONS)
    for name, options in AUGMENTATION_SPACE.items():
        assert set(options) == set(inspect.signature(AUGMENTATIONS[name]).parameters) - {
            "images",
            "spectrograms",
            "texts",
            "vectors",
            "rng",
        }
    for name, options in NET_SPACE.items():
        known = set(inspect.signature(NETS[name].constructor).parameters)
        assert set(options) - {VIEW} == known - {"input_shape"}
    assert {name for place, name in DECIDING if place == "plan"} <= {
        "augmentation",
        *(n for n, _, _ in PLAN_SPACE),
    }


def test_every_net_is_in_the_space_but_those_that_are_what_they_are() -> None:
    assert set(NETS) - set(NET_SPACE) == {
        "raw",
        "projection",
        "pixelcnn",
        "sentences",
        "set_vae",
    }


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("inputs", [COLOUR, VECTORS], ids=["images", "vectors"])
def test_defaults_of_the_space_are_the_candidates_own(name: str, inputs: InputFormat) -> None:
    """Setting every value to what it is changes nothing."""
    candidate = make_candidate(name, inputs, SPEC)
    for dimension in space_of(candidate, inputs):
        if (dimension.place, dimension.name) not in DECIDING:
            value = value_of(candidate, dimension)
            same = with_value(candidate, dimension, value)
            assert value_of(same, dimension) == value
            assert same.plan == candidate.plan
            # an option at the net's own default is left out
            assert same.net.options.items() <= candidate.net.options.items()


def test_plain_baselines_and_nets_of_the_users_own_do_not_vary() -> None:
    assert space_of(make_candidate("nearest_centroid", COLOUR, SPEC), COLOUR) == ()
    own = replace(make_candidate("protonet", COLOUR, SPEC), net=Choice(CUSTOM, {"class": "Own"}))
    assert {d.place for d in space_of(own, COLOUR)} == {"plan", "augmentation"}


def test_what_does_not_matter_is_left_out() -> None:
    proto = make_candidate("protonet", COLOUR, SPEC)
    assert "plan batch_size" not in _names(proto, COLOUR)
    both = replace(proto, plan=replace(proto.plan, style="both"))
    assert {"plan batch_size", "plan class_loss_weight", "plan ways"} <= _names(both, COLOUR)
    adam = replace(proto, plan=replace(proto.plan, optimiser="adam"))
    assert "plan matrix_rate" in _names(proto, COLOUR) - _names(adam, COLOUR)
    whole = make_candidate("simpleshot", COLOUR, SPEC)
    assert not {"plan style", "plan ways", "plan num_tasks"} & _names(whole, COLOUR)
    maml = make_candidate("maml", VECTORS, SPEC)
    assert "plan num_tasks" in _names(maml, VECTORS)
    assert not {"plan style", "net dropout"} & _names(maml, VECTORS)
    photo = replace(proto, plan=replace(proto.plan, augmentation=Choice("photo")))
    assert "augmentation saturation" in _names(photo, COLOUR) - _names(photo, GREY)


def test_a_program_on_the_net_of_another_learner_varies_as_that_one_does() -> None:
    proto = make_candidate("protonet", COLOUR, SPEC)
    program = replace(proto, learner=Choice(PROGRAM, {"trunk": "protonet"}), program="text")
    assert space_of(program, COLOUR) == space_of(proto, COLOUR)
    alone = replace(program, learner=Choice(PROGRAM))
    assert "plan style" not in _names(alone, COLOUR)


def test_regression_varies_no_classes_and_no_noise_on_inputs() -> None:
    maml = make_candidate("maml", VECTORS, REGRESSION)
    names = _names(maml, VECTORS, "real")
    assert "plan learning_rate" in names
    assert not {"plan ways", "plan shots", "plan queries", "plan augmentation"} & names
    assert "plan style" not in _names(make_candidate("ridge", VECTORS, REGRESSION), VECTORS, "real")


def test_nets_suit_the_inputs() -> None:
    assert set(nets_for(COLOUR)) == {"conv4", "lean", "strided", "resnet10", "resnet12"}
    assert set(nets_for(TINY)) == {"lean", "resnet10", "resnet12"}
    assert nets_for(VECTORS) == ("mlp",)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("inputs", [COLOUR, TINY, VECTORS], ids=["colour", "tiny", "vectors"])
def test_random_candidates_are_inside_the_space_and_can_be_built(
    name: str, inputs: InputFormat
) -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(5):
        candidate = random_candidate(name, inputs, SPEC, rng)
        seen.add(candidate.identity)
        for dimension in space_of(candidate, inputs):
            assert dimension.values.holds(value_of(candidate, dimension)), dimension
        assert candidate_from_json(to_json(candidate)) == candidate
        build_learner(candidate, inputs, "classification")
    assert len(seen) == 5


def test_random_candidates_for_regression_keep_its_episodes() -> None:
    rng = np.random.default_rng(0)
    for name in ("maml", "ridge"):
        candidate = random_candidate(name, VECTORS, REGRESSION, rng)
        assert candidate.plan.shots == REGRESSION.shots
        build_learner(candidate, VECTORS, "regression")


def test_one_generator_decides_a_random_candidate() -> None:
    def drawn(seed: int) -> Any:
        return random_candidate("protonet", COLOUR, SPEC, np.random.default_rng(seed))

    assert drawn(0) == drawn(0) != drawn(1)


def test_a_given_style_is_kept_and_one_that_cannot_be_is_refused() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert random_candidate("ridge", COLOUR, SPEC, rng, "both").plan.style == "both"
    rng = np.random.default_rng(0)
    with pytest.raises(MetaloopError, match="'maml' is trained by episodes, not by both"):
        random_candidate("maml", COLOUR, SPEC, rng, "both")
    with pytest.raises(MetaloopError, match="'rfs' is trained by classes, not by episodes"):
        random_candidate("rfs", COLOUR, SPEC, rng, "episodes")
    with pytest.raises(UnknownNameError, match="'protonet'"):
        random_candidate("protonets", COLOUR, SPEC, rng)
