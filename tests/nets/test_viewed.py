"""Nets that have their inputs in a view of their own, alone and joined, and models of them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from metaloop.catalogue.candidates import build_learner
from metaloop.catalogue.nets import build_net
from metaloop.core.errors import MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.core.spec import TaskSpec
from metaloop.core.views import VIEWS, View, seen
from metaloop.modelfile import TrainingRecord
from metaloop.models.model import Model, load_model

VECTORS = InputFormat("vector", (4,), (1.0, -2.0, 100.0, 0.0), (2.0, 0.5, 30.0, 1.0))
IMAGES = InputFormat("image", (3, 16, 16), (0.3, 0.4, 0.5), (0.2, 0.1, 0.3))


def inputs_of(form: InputFormat, number: int = 6) -> Tensor:
    return torch.rand(number, *form.shape, generator=torch_stream(0, "inputs"))


def features(net: Choice, form: InputFormat = VECTORS) -> Tensor:
    built = build_net(net, form)
    return built(built.init(torch_stream(0, "init")), inputs_of(form))[0]


@pytest.mark.parametrize("view", VIEWS)
def test_the_net_that_does_nothing_shows_the_view(view: View) -> None:
    expected = seen(inputs_of(VECTORS), VECTORS, view)
    if view == "unit":
        expected = expected * math.sqrt(4)  # the length of standardised inputs
    found = features(Choice("raw", {"view": view}))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "form"), [("mlp", VECTORS), ("strided", IMAGES)])
def test_a_named_usual_view_changes_nothing_and_another_does(name: str, form: InputFormat) -> None:
    plain = features(Choice(name), form)
    assert torch.equal(features(Choice(name, {"view": "standardised"}), form), plain)
    other = features(Choice(name, {"view": "unit"}), form)
    assert other.shape == plain.shape and not torch.allclose(other, plain)


def test_members_of_a_joined_net_have_views_of_their_own() -> None:
    members = [{"name": "raw", "options": {"view": view}} for view in ("unit", "standardised")]
    joined = features(Choice("joined", {"members": members}))
    views = [seen(inputs_of(VECTORS), VECTORS, view) for view in ("unit", "standardised")]  # type: ignore[arg-type]
    directions = [torch.nn.functional.normalize(view, dim=-1) / math.sqrt(2) for view in views]
    torch.testing.assert_close(joined, torch.cat(directions, -1))


def test_an_unknown_view_is_refused_in_one_line() -> None:
    for net in ("raw", "mlp"):
        with pytest.raises(MetaloopError, match="no view is called 'units'; did you mean 'unit'"):
            build_net(Choice(net, {"view": "units"}), VECTORS)
    candidate = Candidate(
        Choice("logistic_regression"), Choice("raw", {"view": "units"}), Plan("none")
    )
    with pytest.raises(MetaloopError, match="no view is called 'units'"):
        build_learner(candidate, VECTORS, "classification")


@pytest.mark.parametrize(
    "learner", ["logistic_regression", "nearest_neighbour", "nearest_centroid"]
)
@pytest.mark.parametrize("view", VIEWS)
def test_a_model_file_keeps_the_view(learner: str, view: View, tmp_path: Path) -> None:
    candidate = Candidate(Choice(learner), Choice("raw", {"view": view}), Plan("none"))
    spec = TaskSpec(3, 2, 4, VECTORS.shape)
    built = build_learner(candidate, VECTORS, "classification")
    model = Model(
        built, {}, candidate, spec, VECTORS, {}, TrainingRecord(0, "none", 0, 0.0, 0.0, "", "made")
    )
    model.save(tmp_path / "model.metaloop")
    again = load_model(tmp_path / "model.metaloop")
    support, queries = inputs_of(VECTORS), inputs_of(VECTORS, 9) + 0.1
    targets = torch.arange(3).repeat_interleave(2)
    outputs = [m.predict(m.adapt(support, targets, 3), queries) for m in (model, again)]
    assert torch.equal(*outputs)
    assert again.candidate.label == f"{learner} / {view}"
