"""What every job finds in the folder of a run's states: the data, the task, and trained tensors.

data/                   the family, as `shipping.py` writes it
also/NAME/              further families to learn from
made/                   families with generated classes, as `making.py` writes them
task.json               the evaluated task
N.state.safetensors     the training state of node N, to go on from
N.net.safetensors       the meta-parameters of node N, to measure and to use
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from metaloop.catalogue.candidates import build_learner
from metaloop.core.errors import DataError, MachineError, ModelFileError
from metaloop.core.learner import CENTER, AfterTraining, EmbeddingLearner, Learner, MetaParams
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Candidate, candidate_from_json
from metaloop.core.spec import TaskSpec
from metaloop.engine.devices import best_device
from metaloop.engine.state import TrainState, load_state, save_state
from metaloop.engine.training import initial_state, mean_feature
from metaloop.generators.filtering import Verdict, judge_classes
from metaloop.generators.generate import Made
from metaloop.generators.recipes import NOTHING_GENERATED, operators_of, parse_recipe
from metaloop.jobs.making import made_family, remove_unfinished
from metaloop.jobs.shipping import load_shipped, ship_family
from metaloop.tasks.family import ClassFamily, TaskFamily

_DATA, _ALSO, _MADE, _TASK = "data", "also", "made", "task.json"
_RECIPES_KEPT = 2  # generated families that a worker has open
_FILTER_WAYS = 20


# Nets of the user's own, by the folder of the run: they exist in this process only.
_own_nets: dict[Path, nn.Module] = {}


def prepare(
    folder: Path,
    family: TaskFamily,
    spec: TaskSpec,
    also: Mapping[str, ClassFamily] | None = None,
    module: nn.Module | None = None,
) -> None:
    """Writes the data and the task for the workers; `module` is a net of the user's own."""
    for remembered in (family_of, spec_of, training_family, net_of):
        remembered.cache_clear()
    if module is not None:
        _own_nets[folder] = module
    else:
        _own_nets.pop(folder, None)
    folder.mkdir(parents=True, exist_ok=True)
    remove_unfinished(folder / _MADE)
    ship_family(family, folder / _DATA)
    for name, other in (also or {}).items():
        ship_family(other, folder / _ALSO / name)
    (folder / _TASK).write_text(json.dumps(asdict(spec)))


@lru_cache(maxsize=2)
def family_of(folder: Path) -> TaskFamily:
    """Returns the family that the run is about, on the best device."""
    return _shipped(folder / _DATA).to(best_device())


@lru_cache(maxsize=2)
def spec_of(folder: Path) -> TaskSpec:
    """Returns the evaluated task."""
    fields = json.loads((folder / _TASK).read_text())
    fields["input_shape"] = tuple(fields["input_shape"])
    fields["target_shape"] = tuple(fields["target_shape"])
    return TaskSpec(**fields)


@dataclass(frozen=True)
class TrainingData:
    """What a node is trained on: families and a data recipe as text, with their seed.

    `judge`: the node by whose net generated classes are filtered, with its recipe as JSON; None
    keeps them all.
    """

    families: tuple[str, ...] = ()
    text: str = NOTHING_GENERATED
    seed: int = 0
    judge: int | None = None
    judge_recipe: str = ""


@lru_cache(maxsize=_RECIPES_KEPT)
def training_family(folder: Path, data: TrainingData) -> TaskFamily:
    """Returns the family that a data recipe makes of the run's: what a candidate is trained on.

    It is made once for all workers of the run, and mapped into the memory of each (`making.py`).
    """
    recipe, family = parse_recipe(data.text, data.families), family_of(folder)
    if not isinstance(family, ClassFamily) or not (recipe.families or operators_of(recipe)):
        return family
    others = [_shipped(folder / _ALSO / name) for name in recipe.families]
    classes = [other for other in others if isinstance(other, ClassFamily)]
    facts = [family.digest, *(other.digest for other in others), data.text, *data.families]
    facts += [str(data.judge), data.judge_recipe]
    judge = partial(_judged, folder, data) if data.judge is not None else None
    return made_family(folder / _MADE, facts, family, classes, recipe, data.seed, judge)


def _judged(folder: Path, data: TrainingData, source: ClassFamily, made: Made) -> Verdict:
    """Returns which classes are neither too easy nor hopeless for the judge's net.

    Tasks have as many classes as in training: of five, all but a few would be too easy.
    """
    assert data.judge is not None
    candidate = candidate_from_json(data.judge_recipe)
    learner, meta_params = assemble(folder, candidate, net_of(folder, data.judge), data.seed)
    if not isinstance(learner, EmbeddingLearner):
        return Verdict(tuple(range(sum(map(len, made.pieces)))))

    def embed(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            return learner.embed(meta_params, inputs)

    rng = numpy_stream(data.seed, "filter", data.text)
    return judge_classes(source, made.pieces, embed, rng, ways=_FILTER_WAYS, shots=1)


def state_path(folder: Path, node: int) -> Path:
    """Where the training state of a node is."""
    return folder / f"{node}.state.safetensors"


def net_path(folder: Path, node: int) -> Path:
    """Where the meta-parameters of a node are."""
    return folder / f"{node}.net.safetensors"


def kept_state(path: Path, device: torch.device) -> TrainState:
    """Returns what a job of this run has kept; `MachineError` if the file is gone or damaged."""
    try:
        return load_state(path, device)
    except ModelFileError as error:
        raise MachineError(f"what was trained before cannot be read: {error}") from error


def _shipped(folder: Path) -> TaskFamily:
    try:
        return load_shipped(folder)
    except DataError as error:
        raise MachineError(str(error)) from error


def save_net(folder: Path, node: int, meta_params: MetaParams) -> None:
    """Keeps the meta-parameters of a node."""
    save_state(TrainState(f"node {node}", meta_params), net_path(folder, node))


def with_center(learner: Learner, meta_params: MetaParams, family: TaskFamily) -> MetaParams:
    """Returns the meta-parameters with the mean training feature, that any head may ask for."""
    if isinstance(learner, AfterTraining) or not isinstance(learner, EmbeddingLearner):
        return meta_params
    if not isinstance(family, ClassFamily):
        return meta_params
    return {**meta_params, CENTER: mean_feature(learner, meta_params, family)}


class TrainedNet:
    """The meta-parameters of a node; heads on its net need to know of training data, too."""

    def __init__(self, meta_params: MetaParams) -> None:
        self.meta_params = meta_params

    def center(
        self, learner: EmbeddingLearner, meta_params: MetaParams, family: ClassFamily
    ) -> Tensor:
        """Returns the mean feature of training examples: it is kept with a net that has any."""
        known = self.meta_params.get(CENTER)
        return mean_feature(learner, meta_params, family) if known is None else known


@lru_cache(maxsize=16)
def net_of(folder: Path, node: int) -> TrainedNet:
    """Returns what was trained in a node."""
    return TrainedNet(kept_state(net_path(folder, node), best_device()).meta_params)


def learner_of(folder: Path, candidate: Candidate, family: TaskFamily) -> Learner:
    """Returns the candidate's learner, for the run's task."""
    objective = spec_of(folder).objective
    return build_learner(candidate, family.input_format, objective, _own_nets.get(folder))


def assemble(
    folder: Path, candidate: Candidate, net: TrainedNet, seed: int
) -> tuple[Learner, MetaParams]:
    """Returns a candidate's learner, with the tensors of a trained net and those of its own.

    What a learner sets from the training data (a mean feature) is set here, on original classes.
    """
    family = family_of(folder)
    learner = learner_of(folder, candidate, family)
    own = initial_state(learner, family, spec_of(folder), seed).meta_params
    merged = {name: _fitting(net.meta_params.get(name), tensor) for name, tensor in own.items()}
    if (
        isinstance(learner, AfterTraining)
        and isinstance(learner, EmbeddingLearner)
        and isinstance(family, ClassFamily)
    ):
        merged = learner.finish(merged, net.center(learner, merged, family))
    return learner, merged


def _fitting(trained: Tensor | None, own: Tensor) -> Tensor:
    """Returns the trained tensor where there is one of that shape.

    The classifier of a net that was trained on generated classes has other rows.
    """
    return own if trained is None or trained.shape != own.shape else trained
