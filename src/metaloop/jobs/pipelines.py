"""What a worker does with a whole pipeline: train it on a part of one data set, and measure it.

set/card.json            name, digest, classes, scale of inputs
    inputs.safetensors   the examples that may be learned from; those of `test` are not there
    index.safetensors    their targets, and which of them are `train` and `search`
N.net.safetensors        the weights of job N, where they were asked for
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from metaloop.catalogue.pipelines import build_classifier, copies_of, training_of
from metaloop.core.budget import Budget
from metaloop.core.errors import MachineError
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Candidate, CurvePoint, TrialStatus
from metaloop.engine.classifying import fit, logits_of, measured_accuracy
from metaloop.engine.memory import keep_large_blocks
from metaloop.executors.base import Report
from metaloop.jobs.shipping import write_inputs
from metaloop.jobs.workplace import Workplace, net_path
from metaloop.modelfile.typed_json import decode, encode
from metaloop.nets.whitened import operations
from metaloop.tasks.labelled import LabelledSet

_SET, _CARD, _INPUTS, _INDEX = "set", "card.json", "inputs.safetensors", "index.safetensors"
_WHITENED_BY = 2048  # images


@dataclass(frozen=True)
class PipelineRequest:
    """What to train: on `train` alone and `measured` on `search`, or on both and not measured.

    `kept`: its weights are wanted. `share`: of the examples to learn from; `side`: of the images,
    below 1 they are shrunk all the time, `search` too. `threads`: of the processor.
    """

    node: int
    candidate: Candidate
    budget: Budget
    seed: int
    share: float = 1.0
    side: float = 1.0
    kept: bool = False
    measured: bool = True
    threads: int = 1


@dataclass(frozen=True)
class PipelineResult:
    """How it ended; `right` says of every example of `search`, in order, whether it was told right.

    `flops`: counted operations of training; `likelihood`: the mean log-probability of the truth.
    """

    status: TrialStatus
    message: str
    steps: int
    epochs: float
    train_wall_seconds: float
    train_cpu_seconds: float
    flops: float
    loss: float | None
    curve: tuple[CurvePoint, ...]
    right: str = ""
    likelihood: float | None = None


@dataclass(frozen=True)
class _Card:
    name: str
    digest: str
    classes: int
    input_format: InputFormat


@dataclass(frozen=True, eq=False)
class Known:
    """What may be learned from, and the rows of it that are `train` and `search`."""

    inputs: Tensor
    targets: Tensor
    train: Tensor
    search: Tensor
    classes: int
    input_format: InputFormat


def ship_set(labelled: LabelledSet, folder: Path) -> None:
    """Writes what workers may see of a data set into the folder of a run's states."""
    place = folder / _SET
    place.mkdir(parents=True, exist_ok=True)
    known = labelled.known
    rows = {part: np.searchsorted(known, labelled.rows[part]) for part in ("train", "search")}
    index = {"targets": labelled.store.targets[torch.from_numpy(known)]}
    index |= {part: torch.from_numpy(found) for part, found in rows.items()}
    inputs = labelled.store.inputs
    assert isinstance(inputs, Tensor)
    write_inputs([inputs], place / _INPUTS, known)
    save_file(index, place / _INDEX)
    number = len(labelled.class_names)
    card = _Card(labelled.name, labelled.digest, number, labelled.input_format)
    (place / _CARD).write_text(json.dumps(encode(card)), encoding="ascii")


def train_pipeline(
    workplace: Workplace, request: PipelineRequest, report: Report
) -> PipelineResult:
    """Trains a pipeline, measures it or keeps it, and says how it went."""
    known = _known_in(workplace.folder)
    candidate, seed = request.candidate, request.seed
    threads = torch.get_num_threads()
    torch.set_num_threads(request.threads)
    keep_large_blocks()
    try:
        rows = _rows(known, request)
        net = build_classifier(candidate, known.input_format, known.classes, seed)
        some = known.inputs[rows[:_WHITENED_BY]]
        net.whiten(known.input_format.normalise(known.input_format.to_float(some)))
        whole = len(rows) == len(known.inputs)
        inputs = known.inputs if whole else known.inputs[rows]
        targets = known.targets if whole else known.targets[rows]
        training = training_of(candidate)
        if request.side < 1:
            training = replace(training, shrunk=1.0, shrunk_side=request.side)
        fitted = fit(
            net, inputs, targets, known.input_format, candidate.plan, training,
            request.budget, seed,
            lambda step, loss: report({"node": request.node, "step": step, "loss": loss}),
        )  # fmt: skip
        right, likelihood = "", None
        if fitted.status == "finished" and request.kept:
            weights = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
            save_file(weights, net_path(workplace.folder, request.node))
        if fitted.status == "finished" and request.measured:
            asked = known.inputs[known.search]
            copies = copies_of(candidate)
            logits = logits_of(net, asked, known.input_format, copies, request.side)
            found, likelihood = measured_accuracy(logits, known.targets[known.search])
            right = "".join("1" if one else "0" for one in found)
    finally:
        torch.set_num_threads(threads)
    side = round(request.side * known.input_format.shape[1])
    flops = 3 * fitted.epochs * len(rows) * operations(net, side)
    return PipelineResult(
        fitted.status, fitted.message, fitted.steps, fitted.epochs, fitted.wall_seconds,
        fitted.cpu_seconds, flops,
        fitted.loss if np.isfinite(fitted.loss) else None, fitted.curve, right, likelihood,
    )  # fmt: skip


def _rows(known: Known, request: PipelineRequest) -> Tensor:
    """The rows to learn from, in a random order: whoever takes a share has all classes in it."""
    rows = known.train if request.measured else torch.arange(len(known.inputs))
    order = numpy_stream(request.seed, "share").permutation(len(rows))
    number = max(2, round(request.share * len(rows)))
    return rows[torch.from_numpy(order[:number])]


def _known_in(folder: Path) -> Known:
    """What `ship_set` has written, the examples mapped into memory."""
    place = folder / _SET
    try:
        return _opened(place, (place / _CARD).read_text(encoding="ascii"))
    except OSError as error:
        raise MachineError(f"the data for workers in '{place}' cannot be read ({error})") from error


@lru_cache(maxsize=1)
def _opened(place: Path, text: str) -> Known:
    """The set in a folder whose card is this text: another set has another one."""
    try:
        card = decode(_Card, json.loads(text), _CARD)
        index, inputs = _tensors(place / _INDEX), _tensors(place / _INPUTS)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise MachineError(f"the data for workers in '{place}' cannot be read ({error})") from error
    return Known(
        inputs["inputs"], index["targets"], index["train"], index["search"],
        card.classes, card.input_format,
    )  # fmt: skip


def _tensors(path: Path) -> dict[str, Tensor]:
    with safetensors.safe_open(str(path), framework="pt", device="cpu") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
