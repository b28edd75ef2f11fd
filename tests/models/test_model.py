"""`Model`: raw inputs in, predictions out, the same after a file; wrong inputs are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metaloop.catalogue.candidates import build_learner, make_candidate, with_module
from metaloop.catalogue.learners import learners_for
from metaloop.core.errors import MetaloopError, ModelFileError
from metaloop.core.inputs import InputFormat
from metaloop.core.own import Own
from metaloop.core.randomness import torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.modelfile import TrainingRecord
from metaloop.models.model import Model, load_model

IMAGES = InputFormat("image", (1, 16, 16), (0.4,), (0.3,))
SPEC = TaskSpec(3, 2, 5, (1, 16, 16), num_training_classes=7)
RECORD = TrainingRecord(
    seed=0,
    budget="1steps",
    steps=1,
    wall_seconds=1.0,
    cpu_seconds=1.0,
    data_hash="0" * 16,
    data_name="toy",
)


def make_model(name: str, module: Any = None) -> Model:
    candidate = make_candidate(name, IMAGES, SPEC)
    if module is not None:
        candidate = with_module(candidate, module)
    learner = build_learner(candidate, IMAGES, "classification", module)
    meta_params = learner.init(SPEC, torch_stream(0, "init"))
    parts = {part: (part,) for part in ("train", "search", "promotion", "test")}
    return Model(learner, meta_params, candidate, SPEC, IMAGES, parts, RECORD)


def predictions(model: Model) -> torch.Tensor:
    rng = torch_stream(0, "raw")
    images = torch.randint(0, 256, (10, 1, 16, 16), generator=rng, dtype=torch.uint8)
    state = model.adapt(images[:6], torch.tensor([0, 1, 2, 0, 1, 2]), 3)
    return model.predict(state, images)


@pytest.mark.parametrize("name", learners_for("classes"))
def test_a_model_from_a_file_predicts_bit_equal(name: str, tmp_path: Path) -> None:
    model = make_model(name)
    outputs = predictions(model)
    assert outputs.shape == (10, 3)
    assert not outputs.requires_grad
    model.save(tmp_path / "model.metaloop")
    loaded = load_model(tmp_path / "model.metaloop")
    assert torch.equal(predictions(loaded), outputs)
    assert (loaded.candidate, loaded.spec, loaded.input_format) == (
        model.candidate,
        model.spec,
        model.input_format,
    )


def test_raw_bytes_and_their_floats_are_the_same_inputs() -> None:
    model = make_model("protonet")
    images = torch.randint(0, 256, (6, 1, 16, 16), generator=torch_stream(1, "raw")).byte()
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    from_bytes = model.predict(model.adapt(images, labels, 3), images)
    floats = images.float() / 255
    from_floats = model.predict(model.adapt(floats, labels, 3), floats)
    torch.testing.assert_close(from_bytes, from_floats)


def test_inputs_of_another_shape_are_refused_with_both_shapes() -> None:
    model = make_model("protonet")
    with pytest.raises(ModelFileError, match=r"shape \(1, 16, 16\), got \(1, 8, 8\)"):
        model.adapt(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]), 2)


def test_a_net_of_the_users_own_is_asked_for_when_the_file_is_loaded(tmp_path: Path) -> None:
    def own() -> torch.nn.Module:
        return torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 5, 2), torch.nn.BatchNorm2d(4), torch.nn.Flatten()
        )

    model, path = make_model("protonet", own()), tmp_path / "model.metaloop"
    outputs = predictions(model)
    model.save(path)
    with pytest.raises(MetaloopError, match=r"Sequential.*net="):
        load_model(path)
    assert torch.equal(predictions(load_model(path, Own(own()))), outputs)


def test_results_are_added_to_those_that_are_there() -> None:
    model = make_model("nearest_centroid")
    assert model.with_results().results == ()
    assert model.device == torch.device("cpu")


@pytest.mark.parametrize("name", ["protonet", "ridge", "rfs"])
def test_a_file_without_the_classifier_that_training_began_with_is_refused(
    name: str, tmp_path: Path
) -> None:
    spec = replace(SPEC, num_training_classes=0)  # as a file says it; the part has one class
    model = make_model(name)
    whole = model.learner.init(replace(spec, num_training_classes=1), torch_stream(0, "init"))
    parted = {k: v for k, v in whole.items() if not k.startswith("classifier.")}
    for file, weights in (("whole", whole), ("parted", parted)):
        replace(model, spec=spec, meta_params=weights).save(tmp_path / file)
    assert {*load_model(tmp_path / "whole").meta_params} == {*whole}
    with pytest.raises(ModelFileError, match=r"lack 'classifier\.log_scale'"):
        load_model(tmp_path / "parted")
