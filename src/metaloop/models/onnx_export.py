"""A model as a folder of ONNX graphs with a runner of its own, checked before it is there.

Every export is run by onnxruntime on tasks of other sizes than those it was recorded with, and has
to say what the model says. Guests, which are fitted by libraries of others, have no graph: they are
refused by name.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files as resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.errors import (
    MetaloopError,
    MissingExtraError,
    ModelFileError,
    OutputError,
    missing_extra,
)
from metaloop.core.sampler import Sampler
from metaloop.learners.logistic_regression import LogisticRegressionLearner
from metaloop.models.model import Model
from metaloop.models.onnx_drawing import difference_of_drawing, drawing_of
from metaloop.models.onnx_functions import Run
from metaloop.models.onnx_graphs import OPSET, graphs_of
from metaloop.models.onnx_plain import PLAIN

RUNNER = "run.py"
_RUNNER, _DRAWER = "onnx_runner.txt", "onnx_drawer.txt"  # of what makes images
_TASKS = ((2, 2, 3), (5, 30, 6), (4, 9, 1))  # ways, support and queries of the check
_EXACT = 1e-12  # tolerance of logistic regression whose optimum is compared with
_LARGEST_DIFFERENCE = 1e-3  # of probabilities, or of values in deviations of the targets


@dataclass(frozen=True)
class Exported:
    """Where the graphs are, and how far they are from the model at most on the tasks of the check.

    `difference` is of probabilities, or of real values in deviations of the targets; of what makes
    images in nats per dimension, or the mean of values that are drawn, 0 to 1.
    """

    folder: Path
    files: tuple[str, ...]
    opset: int
    difference: float


def export_onnx(
    model: Model, out: Path, more: Mapping[str, bytes] = MappingProxyType({})
) -> Exported:
    """Writes a new folder with `embed`, `adapt`, `score` in ONNX, a manifest and a runner.

    Of what makes images there is a fourth graph, `draw`.
    `more` are further files of the folder, by name.

    Raises `ModelFileError` for a learner that has no graph, `MetaloopError` if the graphs do not
    say what the model says, `OutputError` if the folder exists or cannot be written.
    """
    check_exportable(model)
    if out.exists():
        raise OutputError(f"'{out}' exists; name a new folder with --out")
    try:
        import onnxruntime  # noqa: F401  # optional extra
    except ImportError as error:
        raise missing_extra("checking ONNX graphs", "onnx") from error
    try:
        graphs = graphs_of(model)
    except MissingExtraError:
        raise
    except MetaloopError as error:  # such as of a program with gradient steps
        raise ModelFileError(f"'{model.candidate.label}' cannot be exported: {error}") from error
    draws = isinstance(model.learner, Sampler)
    difference = (difference_of_drawing if draws else difference_of)(model, _sessions(graphs))
    if not difference <= _LARGEST_DIFFERENCE:
        raise MetaloopError(
            f"the ONNX graphs of '{model.candidate.label}' differ from the model by "
            f"{difference:.2g}, above {_LARGEST_DIFFERENCE:g}: nothing was written"
        )
    files = {f"{name}.onnx": content for name, content in graphs.items()}
    files["manifest.json"] = (json.dumps(_manifest(model, difference), indent=2) + "\n").encode()
    files |= more
    files[RUNNER] = (resources("metaloop.models") / (_DRAWER if draws else _RUNNER)).read_bytes()
    _write(out, files)
    return Exported(out, tuple(files), OPSET, difference)


def check_exportable(model: Model) -> None:
    """Raises `ModelFileError` for guests and nets of the user's own."""
    name = model.candidate.learner.name
    if isinstance(model.learner, BlackBoxLearner) and type(model.learner) not in PLAIN:
        raise ModelFileError(
            f"'{name}' is a guest: it is fitted by the library of others "
            f"({type(model.learner).__name__}), which no ONNX graph holds; export a learner of "
            "metaloop's own"
        )
    if model.candidate.net.name == "custom":
        raise ModelFileError("the model has a net of your own; export that with torch.onnx")


def _manifest(model: Model, difference: float) -> dict[str, Any]:
    how = model.input_format
    drawn = _of_drawing(model) if isinstance(model.learner, Sampler) else {}
    return {
        "format": 1,
        "opset": OPSET,
        "learner": model.candidate.label,
        "classes": bool(model.spec.ways),
        "inputs": {
            "takes": model.takes,
            "kind": how.kind,
            "shape": list(how.shape),
            "polarity": how.polarity,
            "view": None if model.view is None else model.view.choice.name,
            "meaning": "uint8 pixels, or floats from 0 to 1"
            if len(how.shape) > 1
            else "floats"
            if model.view is None
            else "what the model's view makes of its raw inputs, which is in no graph",
        },
        "targets": [] if drawn else list(model.spec.target_shape),
        **drawn,
        "largest_difference": difference,
        "backbones": [f"{card.name} {card.weights}" for card in model.backbones],
        "data_hash": model.training.data_hash,
    }


def _of_drawing(model: Model) -> dict[str, Any]:
    """How often `draw` is called, and how many random numbers of an image graphs are given."""
    of, levels = drawing_of(model), model.input_format.levels
    return {
        "score": dict(of.noise["score"]),
        "draw": {"calls": of.calls, **of.noise["draw"], "levels": levels},
    }


def difference_of(model: Model, run: Run) -> float:
    """Returns how far a runner's answers are from the model's at most, on tasks of several sizes.

    `run` is told which of the three functions and what it is given by name, and answers by name.
    """
    rng, apart = np.random.default_rng(0), []
    for ways, support, queries in _TASKS:
        inputs = rng.random((support + queries, *model.input_format.shape), np.float32)
        inputs = _unscaled(model, inputs)
        if model.spec.ways:
            targets = np.eye(ways, dtype=np.float32)[np.arange(support) % ways]
        else:
            targets = rng.normal(size=(support, *model.spec.target_shape)).astype(np.float32)
            targets = model.input_format.raw_targets(torch.from_numpy(targets)).float().numpy()
        features = run("embed", {"inputs": inputs})["features"]
        state = run("adapt", {"features": features[:support], "targets": targets})
        found = run("score", {"features": features[support:], **state})["outputs"]
        apart.append(_apart(model, found, _expected(model, inputs, targets)))
    return float(np.max(apart))  # not a number where any is none


def _sessions(graphs: Mapping[str, bytes]) -> Run:
    """The graphs as onnxruntime runs them."""
    import onnxruntime  # optional extra

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    sessions = {
        name: onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        for name, content in graphs.items()
    }

    def run(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        session = sessions[name]
        wanted = {each.name: given[each.name] for each in session.get_inputs()}
        found = session.run(None, wanted)
        return dict(zip([each.name for each in session.get_outputs()], found, strict=True))

    return run


def _unscaled(model: Model, inputs: np.ndarray) -> np.ndarray:
    """Random inputs of the scale that the model was trained on."""
    how = model.input_format
    if len(how.shape) > 1 or not how.mean:
        return inputs
    drawn = how.normalise(torch.zeros_like(torch.from_numpy(inputs)))  # -mean / deviation
    deviation = torch.tensor(how.deviation)
    return ((torch.from_numpy(inputs) * 2 - 1 - drawn) * deviation).float().numpy()


@torch.no_grad()
def _expected(model: Model, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """What the model says; of logistic regression what it comes to if it is not stopped early."""
    if isinstance(model.learner, LogisticRegressionLearner):
        model = replace(model, learner=replace(model.learner, tolerance=_EXACT))
    support, (raw, known) = len(targets), (torch.from_numpy(each) for each in (inputs, targets))
    ways = known.shape[1] if model.spec.ways else 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, that it cannot come nearer
        state = model.adapt(raw[:support], known.argmax(1) if ways else known, ways)
        outputs = model.predict(state, raw[support:])
    return np.asarray(outputs.double().numpy())


def _apart(model: Model, found: np.ndarray, expected: np.ndarray) -> float:
    if not model.spec.ways:
        scale = np.array(model.input_format.target_deviation or (1.0,))
        return float(np.abs((found - expected) / scale).max())

    def shares(logits: np.ndarray) -> np.ndarray:
        powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))

    return float(np.abs(shares(found) - shares(expected)).max())


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    """Writes all files at once: the folder is there when all are, or not at all."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            for name, content in files.items():
                (made / name).write_bytes(content)
            made.chmod(0o755)
            made.rename(out)
        except OSError:
            shutil.rmtree(made, ignore_errors=True)
            raise
    except OSError as error:
        raise OutputError(f"cannot write '{out}': {error.strerror}") from error
