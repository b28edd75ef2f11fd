"""Training one learner, evaluating its model, and the file between the two."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metaloop.archive import Archive
from metaloop.core.errors import EpisodeError, MetaloopError, ModelFileError, UnknownNameError
from metaloop.core.own import Own
from metaloop.models import evaluate_model, train_model
from metaloop.models.model import Model, load_model
from metaloop.models.training import Trained


def trained(*args: Any, **options: Any) -> Trained:
    last = list(train_model(*args, queries=5, **options))[-1]
    assert isinstance(last, Trained)
    return last


@pytest.fixture(scope="module")
def model(make: Any) -> Any:
    """A trained protonet; made once."""
    return trained(make(), "protonet", budget="100steps").model


CHILD = """
import sys, torch
from safetensors.torch import load_file, save_file
from metaloop.models.model import load_model
folder = sys.argv[1]
model = load_model(folder + "/model.metaloop")
data = load_file(folder + "/data.safetensors")
state = model.adapt(data["support"], data["labels"], 5)
save_file({"outputs": model.predict(state, data["queries"])}, folder + "/outputs.safetensors")
"""


def test_a_saved_model_predicts_bit_equal_in_a_new_process(
    model: Model, reading: Any, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    data = {
        "support": reading.store.inputs[: 5 * 12 : 12].clone(),
        "labels": torch.arange(5),
        "queries": reading.store.inputs[:60].clone(),
    }
    outputs = model.predict(model.adapt(data["support"], data["labels"], 5), data["queries"])
    model.save(tmp_path / "model.metaloop")
    save_file(data, tmp_path / "data.safetensors")
    subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], check=True, timeout=100)
    assert torch.equal(load_file(tmp_path / "outputs.safetensors")["outputs"], outputs)


def test_evaluation_is_the_same_before_and_after_the_file(
    model: Model, reading: Any, tmp_path: Path
) -> None:
    first = evaluate_model(model, reading, episodes=60)
    model.save(tmp_path / "model.metaloop")
    assert evaluate_model(load_model(tmp_path / "model.metaloop"), reading, episodes=60) == first
    assert first.value - first.ci95 > 0.25  # chance is 0.2
    assert (first.protocol.part, first.episodes, first.protocol.shots) == ("test", 60, 1)


def test_every_look_at_test_is_written_down(model: Model, reading: Any, tmp_path: Path) -> None:
    path = tmp_path / "archive.sqlite"
    for part in ("test", "search", "test"):
        evaluate_model(model, reading, part=part, episodes=5, archive=path, subject="abc")  # type: ignore[arg-type]
    with Archive.open(path, read_only=True) as archive:
        assert [opening.subject for opening in archive.openings()] == ["abc", "abc"]


def test_other_ways_and_shots_can_be_asked_for(model: Model, reading: Any) -> None:
    few, many = (evaluate_model(model, reading, shots=s, episodes=60).value for s in (1, 5))
    assert many > few
    two = evaluate_model(model, reading, ways=2, episodes=60)
    assert (two.protocol.ways, two.protocol.queries) == (2, 5)
    with pytest.raises(EpisodeError, match="largest possible --ways is"):
        evaluate_model(model, reading, ways=20)
    with pytest.raises(MetaloopError, match="at least 2 episodes"):
        evaluate_model(model, reading, episodes=1)


def test_a_model_of_classes_refuses_regression(model: Model) -> None:
    with pytest.raises(MetaloopError):
        evaluate_model(model, "sinusoid", episodes=5)


def stop_after(steps: int) -> Callable[[], bool]:
    """Returns what says stop when it was asked so many times."""
    asked = itertools.count(1)
    return lambda: next(asked) > steps


def test_training_goes_on_from_its_checkpoint_bit_equal(
    model: Model, reading: Any, tmp_path: Path
) -> None:
    path = tmp_path / "state"
    options = {"budget": "100steps", "checkpoint": path}
    first = trained(reading, "protonet", stop=stop_after(9), **options)
    assert first.interrupted
    resumed = trained(reading, "protonet", resume=True, **options)
    assert not resumed.interrupted
    for name, tensor in model.meta_params.items():
        assert torch.equal(tensor, resumed.model.meta_params[name])
    with pytest.raises(ModelFileError, match="belongs to another"):
        trained(reading, "ridge", resume=True, **options)


def test_a_net_of_the_users_own_is_trained_and_loaded(reading: Any, tmp_path: Path) -> None:
    own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 12), torch.nn.BatchNorm1d(12))
    result = trained(reading, "simpleshot", budget="10steps", net=own).model
    path = tmp_path / "model.metaloop"
    result.save(path)
    again = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 12), torch.nn.BatchNorm1d(12)
    )
    loaded = load_model(path, Own(again))
    scores = [evaluate_model(m, reading, episodes=20) for m in (result, loaded)]
    assert scores[0] == scores[1]


def test_wrong_names_are_refused(reading: Any) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'protonet'"):
        trained(reading, "protonett", budget="5steps")
    with pytest.raises(UnknownNameError, match="did you mean 'conv4'"):
        trained(reading, "protonet", net="conv44", budget="5steps")
    with pytest.raises(MetaloopError, match="pixels or more"):
        trained(reading, "protonet", net="conv4", budget="5steps")


def test_plain_baselines_are_models_too(reading: Any, tmp_path: Path) -> None:
    for name in ("nearest_centroid", "logistic_regression"):
        result = trained(reading, name, budget="5steps").model
        result.save(tmp_path / name)
        assert evaluate_model(load_model(tmp_path / name), reading, episodes=5).episodes == 5
