"""Whatever a file from a stranger holds: one line or the honest answer, soon, in little memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.programs import PROGRAMS, on_trunk
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.core.spec import TaskSpec
from metaloop.estimators import FewShotClassifier
from metaloop.modelfile import TrainingRecord
from metaloop.models.model import Model

_MOST_CPU = 6.0  # of one file, on a busy machine
_MOST_KIB = 300 * 1024

IMAGES = InputFormat("image", (1, 16, 16), (0.4,), (0.3,))
VECTORS = InputFormat("vector", (6,), (0.0,) * 6, (1.0,) * 6)
_RECORD = TrainingRecord(0, "1steps", 1, 1.0, 1.0, "0" * 16, "toy")
_SMALL = Choice("mlp", {"width": 16, "depth": 2, "normalisation": "batch"})
_JOINED = Choice("joined", {"members": [{"name": "strided", "options": {"widths": [8, 8]}}] * 2})


def model_of(candidate: Candidate, inputs: InputFormat, objective: str = "classification") -> Model:
    real = objective == "regression"
    spec = TaskSpec(0 if real else 3, 2, 5, inputs.shape, objective, (1,) if real else ())
    parts = {} if real else {"train": ("a", "b", "c"), "test": ("d", "e")}
    learner = build_learner(candidate, inputs, objective)
    drawn = replace(spec, num_training_classes=0 if real else 3)  # as the engine begins
    params = learner.init(drawn, torch_stream(0, "init"))
    return Model(learner, params, candidate, spec, inputs, parts, _RECORD)


def candidate_of(name: str, inputs: InputFormat, net: Choice = _SMALL, kind: str = "") -> Candidate:
    spec = TaskSpec(0 if kind else 3, 2, 5, inputs.shape, kind or "classification")
    made = make_candidate(name, inputs, spec)
    return made if made.net.name == "raw" else Candidate(made.learner, net, made.plan)


def honest_models() -> dict[str, Model]:
    program = on_trunk(
        Candidate(Choice("protonet"), _SMALL, Plan("episodes")),
        next(entry.source for name, entry in sorted(PROGRAMS.items())),
    )
    return {
        "protonet": model_of(candidate_of("protonet", IMAGES), IMAGES),
        "maml": model_of(candidate_of("maml", VECTORS), VECTORS),
        "evolved": model_of(candidate_of("evolved_gradient", VECTORS), VECTORS),
        "rfs": model_of(candidate_of("rfs", VECTORS), VECTORS),
        "program": model_of(program, VECTORS),
        "joined": model_of(candidate_of("protonet", IMAGES, _JOINED), IMAGES),
        "black box": model_of(candidate_of("logistic_regression", VECTORS), VECTORS),
        "regression": model_of(
            candidate_of("ridge", VECTORS, kind="regression"), VECTORS, "regression"
        ),
    }


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Honest files of every kind of learner, by name: as trained, and adapted to a support."""
    folder = tmp_path_factory.mktemp("honest")
    rng = np.random.default_rng(0)
    for name, model in honest_models().items():
        model.save(folder / name)
        if name in ("regression", "joined"):
            continue
        if model.input_format.kind == "image":
            support: Any = rng.integers(0, 256, (6, 16, 16), dtype=np.uint8)
        else:
            support = rng.normal(size=(6, 6))
        fitted = FewShotClassifier(model, keep_support=name != "maml")
        fitted.fit(support, ["x", "y", "z"] * 2).save(folder / f"{name} adapted")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def wrong_with(said: dict[str, Any], case: Any, answer: str) -> str | None:
    """Returns what is wrong with what became of a file; None if nothing is."""
    if "bug" in said:
        return str(said["bug"])
    if said["peak_kib"] > _MOST_KIB or said["cpu_seconds"] > _MOST_CPU:
        return f"it took {said['cpu_seconds']:.1f} s and {said['peak_kib']} KiB"
    if "refused" in said:
        return None
    if case.must_fail:
        return "it was loaded"
    if said["answers"] != answer and not case.may_differ:
        return f"it predicts {said['answers'][:16]}, the honest file {answer[:16]}"
    return None


def fuzz(
    honest: dict[str, bytes], loader: Any, mutate: Callable[..., Any], path: Path, number: int
) -> list[str]:
    """Returns what is wrong with any of so many mutations, each named by its seed."""
    answers = {}
    for name, whole in honest.items():
        path.write_bytes(whole)
        said = loader.ask(path)
        assert "answers" in said, (name, said)
        answers[name] = said["answers"]
    found, loaded = [], 0
    for seed in range(number):
        rng = random.Random(seed)
        name = rng.choice(sorted(honest))
        case = mutate(honest[name], rng)
        path.write_bytes(case.data)
        said = loader.ask(path)
        loaded += "answers" in said
        if problem := wrong_with(said, case, answers[name]):
            found.append(f"seed {seed}: {name}: {case.done[:80]}: {problem[-700:]}")
    assert 0.02 * number < loaded < 0.9 * number  # else this would test nothing
    return found


def test_sixty_mutated_files_are_refused_in_one_line_or_predict_as_ever(
    honest: dict[str, bytes], loader: Any, mutate: Callable[..., Any], tmp_path: Path
) -> None:
    assert not fuzz(honest, loader, mutate, tmp_path / "model.metaloop", 60)


@pytest.mark.long
def test_thousands_of_mutated_files_are_refused_in_one_line_or_predict_as_ever(
    honest: dict[str, bytes], loader: Any, mutate: Callable[..., Any], tmp_path: Path
) -> None:
    found = fuzz(honest, loader, mutate, tmp_path / "model.metaloop", 2000)
    assert not found, "\n".join(found)
