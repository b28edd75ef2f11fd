"""A model that draws, as a generator of data: `learn DATA --also MODEL` and `generated(...)`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import metaloop as ml
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.catalogue.generators import generator_arms
from metaloop.core.errors import DataError
from metaloop.core.randomness import torch_stream
from metaloop.jobs.workplace import TrainingData, Workplace, prepare
from metaloop.loop.others import drawer_among
from metaloop.tasks.family import ClassFamily


@pytest.fixture
def model(drawings: Path, tmp_path: Path) -> Iterator[Path]:
    """A model file of the trivial mixture, which is made in no time."""
    path = tmp_path / "mixture.metaloop"
    ml.train(drawings, "blurred_mixture", out=path, objective="generation", image_size=12, shots=3)
    return path


def test_classes_drawn_side_by_side_are_those_drawn_apart(new_case: Any) -> None:
    case = new_case("set_pixelcnn", (1, 6, 5), 2)
    supports = torch.stack([case.support(3, seed).features for seed in range(4)])
    surely = 1e-6  # so that no chance is left
    drawn = case.learner.sample_each(case.meta_params, supports, 2, torch_stream(0, "a"), surely)
    assert drawn.shape == (4, 2, 1, 6, 5)
    for seed in range(4):
        state = case.learner.adapt(case.meta_params, case.support(3, seed))
        rng = torch_stream(0, "b")
        apart = case.learner.sample(case.meta_params, state, 2, rng, surely)
        assert torch.equal(drawn[seed], apart)


def test_workers_make_the_drawn_classes_of_a_recipe_by_the_model_of_the_run(
    model: Path, drawings: Path, tmp_path: Path
) -> None:
    opened = open_data(drawings, DataOptions(image_size=12))
    drawer, also = drawer_among([str(model), "other.npz"], opened)
    assert drawer == model and also == ("other.npz",)
    family: Any = opened.family
    prepare(tmp_path / "run", family, family.spec(2, 1, 2), drawer=drawer)
    found = Workplace(tmp_path / "run").training_family(TrainingData(text="generated(0.5)"))
    assert isinstance(found, ClassFamily) and found.enlargement is not None
    train = len(family.parts["train"])
    assert len(found.parts["train"]) == 2 * train
    new = [found.store.classes[index].name for index in found.parts["train"][train:]]
    assert all(name.endswith("| generated(0.5)") for name in new)
    again = Workplace(tmp_path / "run").training_family(TrainingData(text="generated(0.5)"))
    assert again.digest == found.digest
    prepare(tmp_path / "without", family, family.spec(2, 1, 2))
    with pytest.raises(DataError, match="needs a model that draws"):
        Workplace(tmp_path / "without").training_family(TrainingData(text="generated(0.5)"))


def test_what_may_not_draw_for_a_run_is_refused_in_one_line(
    model: Path, drawings: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"takes one model that draws images, got 2"):
        drawer_among([model, model], open_data(drawings, DataOptions(image_size=12)))
    with pytest.raises(DataError, match="train it on this data"):
        drawer_among([model], open_data(drawings, DataOptions(image_size=14)))
    with pytest.raises(DataError, match=r"was trained on \d+ classes that are held back here"):
        drawer_among([model], open_data(drawings, DataOptions(image_size=12, split_seed=1)))
    other = tmp_path / "other.metaloop"
    ml.train(drawings, "nearest_centroid", out=other, image_size=12, ways=2, queries=2)
    with pytest.raises(DataError, match="draws no images"):
        drawer_among([other], open_data(drawings, DataOptions(image_size=12)))


def test_drawn_classes_are_offered_where_a_model_draws_and_nowhere_else(drawings: Path) -> None:
    known = open_data(drawings, DataOptions(image_size=12)).family.input_format
    assert "generated(0.5)" in generator_arms(known, draws=True)
    assert "generated(0.5)" not in generator_arms(known)


@pytest.mark.long
def test_learn_goes_through_with_a_model_that_draws(
    model: Path, drawings: Path, tmp_path: Path
) -> None:
    run = ml.learn(
        drawings, out=tmp_path / "run", budget="60steps", ways=2, queries=2, image_size=12,
        also=[model], workers=1, progress=False, backbone="none",
    )  # fmt: skip
    assert run.status == "finished" and run.test is not None
