"""`train`, `evaluate` and `load`: one learner, measured, written and opened again."""

from __future__ import annotations

import os
import signal
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metaloop as ml
from metaloop.archive import Archive
from metaloop.core.errors import (
    InputError,
    MetaloopError,
    ModelFileError,
    OutputError,
    UnknownNameError,
)
from metaloop.models import load_model
from metaloop.tasks.store import Reading


def test_a_training_holds_its_model_and_what_it_cost(trained: Any, json_contract: Any) -> None:
    assert trained.status == "finished" and trained.steps == 20
    assert trained.training.data_name == "shapes" and trained.cpu_seconds > 0
    assert trained.search.protocol.part == "search" and 0 <= trained.search.value <= 1
    json_contract.check("train", trained.to_json())
    assert trained.to_json()["model"] == str(trained.out)
    with pytest.raises(FrozenInstanceError):
        trained.out = None


def test_its_model_learns_new_classes(
    trained: Any, easy_images: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = easy_images
    few = labels < "class03"
    classifier = trained.model.fit(images[few][::2], labels[few][::2])
    assert classifier.score(images[few], labels[few]) > 0.8
    assert not hasattr(trained.model, "task_")


def test_it_shows_as_one_line_and_as_a_table(trained: Any) -> None:
    assert repr(trained).startswith("<TrainResult protonet") and "20 steps" in repr(trained)
    assert "\n" not in repr(trained)
    assert trained._repr_html_().count("<table") == 1
    assert trained.search._repr_html_().count("<table") == 1


def test_without_out_nothing_is_written(shapes: Reading, tmp_path: Path) -> None:
    trained = ml.train(shapes, "protonet", budget="2steps")
    assert list(tmp_path.iterdir()) == [] and trained.out is None
    trained.save("model.metaloop")
    with pytest.raises(OutputError, match="exists"):
        trained.save("model.metaloop")
    assert isinstance(ml.load("model.metaloop"), ml.FewShotClassifier)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_saves_the_model_and_a_state_to_go_on_from(shapes: Reading, tmp_path: Path) -> None:
    left = iter([True])

    def stop() -> bool:
        if next(left, False):
            os.kill(os.getpid(), signal.SIGINT)
        return False

    asked: dict[str, Any] = {"budget": "30steps", "out": "a.metaloop"}
    with pytest.raises(ml.Interrupted, match="go on with resume=True") as stopped:
        ml.train(shapes, "protonet", stop=stop, **asked)
    assert stopped.value.result.interrupted and stopped.value.result.steps < 30
    assert {path.name for path in tmp_path.iterdir()} >= {"a.metaloop", "a.metaloop.state"}
    with pytest.raises(OutputError, match="--resume"):
        ml.train(shapes, "protonet", **asked)
    assert ml.train(shapes, "protonet", resume=True, **asked).steps == 30
    assert not (tmp_path / "a.metaloop.state").exists()


def test_a_learner_is_measured_however_it_is_given(trained: Any, shapes: Reading) -> None:
    model = load_model(trained.out)
    ways: dict[str, Any] = {"part": "search", "ways": 2, "queries": 2, "episodes": 20}
    given = (trained, trained.out, str(trained.out), model, ml.load(trained.out))
    found = [ml.evaluate(one, shapes, **ways) for one in given]
    assert len({figures.value for figures in found}) == 1
    assert found[0].ways == 2 and found[0].recognised["search"] > 0
    assert found[0].to_json()["recognised"]["unknown"] == 0


def test_a_look_at_test_is_on_record(trained: Any, shapes: Reading) -> None:
    beside = trained.out.parent / "archive.sqlite"
    few: dict[str, Any] = {"ways": 2, "queries": 2, "episodes": 5}
    for one, archive in ((trained, None), (trained.out, None), (trained.trained, "own.sqlite")):
        ml.evaluate(one, shapes, archive=archive, **few)
    ml.evaluate(trained.trained, shapes, **few)  # of no file, and nobody asked: not recorded
    for path, looks in ((beside, 2), ("own.sqlite", 1)):
        with Archive.open(Path(path), read_only=True) as record:
            assert len(record.openings()) == looks


def test_what_cannot_be_measured_is_refused(trained: Any, shapes: Reading) -> None:
    with pytest.raises(InputError, match="without a model"):
        ml.evaluate(ml.FewShotClassifier(), shapes)
    with pytest.raises(UnknownNameError, match="did you mean 'test'"):
        ml.evaluate(trained, shapes, part="tset")
    with pytest.raises(ModelFileError, match="no model file"):
        ml.evaluate("nothing.metaloop", shapes)
    with pytest.raises(MetaloopError, match="name its model file"):
        ml.train(shapes, "protonet", resume=True)


def test_load_returns_the_estimator_that_the_file_needs(trained: Any, learned_run: Any) -> None:
    learner = ml.load(trained.out)
    assert isinstance(learner, ml.FewShotClassifier) and not hasattr(learner, "task_")
    assert isinstance(ml.load(learned_run.out), ml.FewShotClassifier)  # a run's folder
    fitted = ml.FewShotClassifier().fit([[0.0, 1.0], [1.0, 0.0]], ["up", "right"])
    fitted.save("two.metaloop")
    assert ml.load("two.metaloop").predict([[0.1, 0.9]]).tolist() == ["up"]
    line = ml.FewShotRegressor().fit([[0.0], [1.0], [2.0]], [1.0, 2.0, 3.0])
    line.save("line.metaloop")
    loaded = ml.load("line.metaloop")
    assert isinstance(loaded, ml.FewShotRegressor)
    assert loaded.predict([[1.5]]).tolist() == line.predict([[1.5]]).tolist()
    with pytest.raises(ModelFileError, match="no model file"):
        ml.load("nothing.metaloop")


def test_functions_of_a_family_are_learned_by_a_regressor() -> None:
    waves = ml.train("sinusoid", "maml", budget="3steps", shots=10, queries=10)
    regressor = waves.model.fit([[-1.0], [0.5], [2.0]], [0.2, 0.9, -0.4])
    assert isinstance(regressor, ml.FewShotRegressor)
    figures = ml.evaluate(waves, "sinusoid", episodes=5)
    assert figures.metric == "mse" and figures.chance is None
    assert figures.better_than_chance is None and figures.recognised is None
