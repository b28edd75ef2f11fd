"""What `export-model` makes graphs of; what makes images is in `test_onnx_drawing.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.serve.conftest import IMAGES, RECORD, VECTORS

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.learners import LEARNERS
from metaloop.core.errors import ModelFileError
from metaloop.core.extraction import PLACES
from metaloop.core.inputs import InputFormat
from metaloop.core.objective import objective
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.core.spec import TaskSpec
from metaloop.jobs.averaging import committee_of
from metaloop.models import Model
from metaloop.models.onnx_export import check_exportable, difference_of
from metaloop.models.onnx_functions import functions_of
from metaloop.nets.sentences import AS_THEY_ARE
from metaloop.programs.library import LIBRARY

GUESTS = {"extra_trees", "gaussian_naive_bayes", "keras_cnn", "lda", "svm"}
PICTURES = {name for name, entry in LEARNERS.items() if "generation" in entry.only}
_OF_ITEMS = ("mean", "log_count", "factor_0", "factor_1")
ITEMS = InputFormat(
    "item", (4,), (3.0, 0.5, 0.0, 0.0), (0.5, 0.2, 1.0, 1.0), columns=_OF_ITEMS
)  # fmt: skip
_NUMBERS = ("early", "textrank", "relative_words", "centroid", "words")
_COLUMNS = (*(f"c{place}" for place in range(AS_THEY_ARE)), *_NUMBERS)
SENTENCES = InputFormat(
    "sentence", (len(_COLUMNS), PLACES), (0.0,) * len(_COLUMNS), (1.0,) * len(_COLUMNS),
    columns=_COLUMNS,
)  # fmt: skip
SMALL = {"maml": 1, "fomaml": 1, "anil": 2, "evolved_gradient": 2}


def model_of(name: str, inputs: InputFormat, task: str, net: Choice | None = None) -> Model:
    """An untrained model of a learner's name for tasks of an objective."""
    kind = objective(task).target_kind
    width = (PLACES,) if task == "extraction" else () if kind == "classes" else (1,)
    spec = TaskSpec(5 if kind == "classes" else 0, 1, 2, inputs.shape, task, width)
    candidate = make_candidate(name, inputs, spec)
    if name in SMALL:
        net = net or Choice("mlp", {"depth": 1, "width": 8})
        candidate = Candidate(Choice(name, {"inner_steps": SMALL[name]}), net, candidate.plan)
    return built(candidate, inputs, spec)


def program(name: str) -> Model:
    """A model of a program of the library."""
    spec = TaskSpec(5, 1, 2, VECTORS.shape)
    source = LIBRARY[name].source
    candidate = Candidate(Choice("program"), Choice("raw"), Plan("none"), program=source)
    return built(candidate, VECTORS, spec)


def joined() -> Model:
    """Prototypes on two nets, joined."""
    members = [
        {"name": "mlp", "options": {"depth": 1, "width": 8}},
        {"name": "raw", "options": {"view": "unit"}},
    ]
    model = model_of("protonet", VECTORS, "classification")
    candidate = replace(model.candidate, net=Choice("joined", {"members": members}))
    return built(candidate, VECTORS, model.spec)


def mirrored() -> Model:
    """Prototypes on two nets, joined, of which one looks at mirror images as well."""
    members = [
        {"name": "mlp", "options": {"depth": 1, "width": 8}},
        {"name": "strided", "options": {"widths": [8, 8]}, "mirrored": True},
    ]
    images = InputFormat("image", (3, 16, 16), (0.5,) * 3, (0.2,) * 3)
    model = model_of("protonet", images, "classification")
    candidate = replace(model.candidate, net=Choice("joined", {"members": members}))
    return built(candidate, images, model.spec)


def committee() -> Model:
    """The mean of two learners of ratings."""
    members = [model_of(name, ITEMS, "rating") for name in ("deep_kernel", "set_attention")]
    candidate = committee_of([model.candidate for model in members], [2, 1])
    return built(candidate, ITEMS, members[0].spec)


def built(candidate: Candidate, inputs: InputFormat, spec: TaskSpec) -> Model:
    """A model with the weights that its learner starts with."""
    learner = build_learner(candidate, inputs, spec.objective)
    meta_params = learner.init(spec, torch_stream(0, "init"))
    return Model(learner, meta_params, candidate, spec, inputs, {}, RECORD)


def models_of(name: str) -> list[Model]:
    """Models of a learner for each kind of tasks that it is offered for."""
    entry = LEARNERS[name]
    kinds = entry.constructor.target_kinds  # type: ignore[attr-defined]
    if entry.only:
        inputs = SENTENCES if "extraction" in entry.only else ITEMS
        return [model_of(name, inputs, task) for task in sorted(entry.only)]
    return [
        model_of(name, VECTORS, task)
        for kind, task in (("classes", "classification"), ("real", "regression"))
        if kind in kinds
    ]


@pytest.mark.parametrize("name", sorted(set(LEARNERS) - GUESTS - PICTURES))
def test_functions_of_a_graph_say_what_the_learner_says(name: str) -> None:
    for model in models_of(name):
        check_exportable(model)
        assert _difference(model) < 1e-3


def test_functions_of_a_graph_say_what_a_committee_says() -> None:
    check_exportable(committee())
    assert _difference(committee()) < 1e-3


@torch.no_grad()
def _difference(model: Model) -> float:
    """As at an export, without the graphs; logistic regression has one that torch does not make."""
    of = functions_of(model)

    def run(function: str, given: Any) -> dict[str, Any]:
        tensors = {n: torch.from_numpy(np.asarray(array)) for n, array in given.items()}
        if function == "embed":
            found = {"features": of.embed(tensors["inputs"])}
        elif function == "score":
            found = {"outputs": of.score(tensors.pop("features"), tensors)}
        elif of.adapt_graph:
            return _parsed(of.adapt_graph, given)
        else:
            found = of.adapt(tensors["features"], tensors["targets"])
        return {n: tensor.numpy() for n, tensor in found.items()}

    return difference_of(model, run)


def _parsed(graph: str, given: Any) -> dict[str, Any]:
    parser = pytest.importorskip("onnx.parser", reason="metaloop[onnx]")
    runtime = pytest.importorskip("onnxruntime", reason="metaloop[onnx]")
    session = runtime.InferenceSession(parser.parse_model(graph).SerializeToString())
    found = session.run(None, dict(given))
    return dict(zip([each.name for each in session.get_outputs()], found, strict=True))


@pytest.mark.parametrize("name", ["extra_trees", "gaussian_naive_bayes", "lda", "svm"])
def test_guests_are_refused_by_name(name: str) -> None:
    with pytest.raises(ModelFileError, match=f"'{name}' is a guest"):
        check_exportable(model_of(name, VECTORS, "classification"))


_EXPORTS = """
import sys, tempfile
from pathlib import Path
import torch
sys.path[:0] = [{tests!r}]
torch.set_num_threads(1)
from tests.models import test_onnx as known
from metaloop.models.onnx_export import export_onnx

for number, model in enumerate(known.exported()):
    with tempfile.TemporaryDirectory() as folder:
        made = export_onnx(model, Path(folder) / "graphs")
        print(model.candidate.learner.name, made.difference)
        assert made.difference <= 1e-3
"""


def exported() -> list[Model]:
    """One of each kind of learner: the slow part of an export is torch's."""
    conv = Choice("conv4", {"channels": 2, "depth": 2})
    return [
        model_of("logistic_regression", VECTORS, "classification"),
        model_of("maml", IMAGES, "classification", conv),
        model_of("evolved_gradient", VECTORS, "classification"),
        model_of("anil", VECTORS, "regression"),
        model_of("spectral", ITEMS, "ranking"),
        model_of("sentence_steps", SENTENCES, "extraction"),
        program("gradient_step"),
        joined(),
        mirrored(),
        committee(),
    ]


@pytest.mark.long
def test_graphs_of_every_kind_of_learner_say_what_it_says() -> None:
    for library in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(library, reason="metaloop[onnx]")
    # in a fresh interpreter: checked functions take no sizes that are only symbols
    code = _EXPORTS.format(tests=str(__file__).rpartition("/tests/")[0])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=quick())
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == len(exported())


def quick() -> dict[str, str]:
    """The environment of an interpreter that checks no types while it runs."""
    return {**os.environ, "METALOOP_TYPECHECK": "0"}
