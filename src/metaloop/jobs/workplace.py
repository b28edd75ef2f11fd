"""What every job finds in the folder of a run's states: the data, the task, and trained tensors.

data/                   the family, as `shipping.py` writes it
also/NAME/              further families to learn from
drawer.metaloop         the model that draws classes, if there is one
made/                   families with generated classes, as `making.py` writes them
task.json               the evaluated task
N.state.safetensors     the training state of node N, to go on from
N.net.safetensors       the meta-parameters of node N, to measure and to use

`Workplace` is that folder with what a process has open of it: a worker has one for all its jobs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from metaloop.catalogue.candidates import build_learner
from metaloop.catalogue.drawing import drawer_of
from metaloop.core.errors import DataError, MachineError, ModelFileError
from metaloop.core.learner import CENTER, AfterTraining, EmbeddingLearner, Learner, MetaParams
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Candidate, to_json
from metaloop.core.spec import TaskSpec
from metaloop.engine.beginning import initial_state, mean_feature
from metaloop.engine.devices import best_device
from metaloop.engine.preparing import after_meta_stage
from metaloop.engine.state import TrainState, from_bytes, to_bytes
from metaloop.generators.drawing import Draw
from metaloop.generators.filtering import Verdict, judge_classes
from metaloop.generators.generate import Made
from metaloop.generators.recipes import NOTHING_GENERATED, operators_of, parse_recipe
from metaloop.jobs.making import made_family, remove_unfinished
from metaloop.jobs.shipping import can_be_shipped, load_shipped, ship_family
from metaloop.jobs.states import FolderStates, States
from metaloop.modelfile import file_hash
from metaloop.modelfile.typed_json import decode
from metaloop.tasks.family import ClassFamily, TaskFamily

DATA, ALSO, MADE, TASK = "data", "also", "made", "task.json"
DRAWER = "drawer.metaloop"
_RECIPES_KEPT = 2  # generated families that a worker has open
_NETS_KEPT = 16  # of nodes, that it has in memory
_FILTER_WAYS = 20


@dataclass(frozen=True)
class TrainingData:
    """What a node is trained on: families and a data recipe as text, with their seed, in a view.

    `filtered_by`: the node by whose net generated classes are filtered, and `filter_candidate` the
    candidate that was trained there; None keeps them all.
    """

    families: tuple[str, ...] = ()
    text: str = NOTHING_GENERATED
    seed: int = 0
    filtered_by: int | None = None
    filter_candidate: Candidate | None = None
    view: str = ""


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


class Workplace:
    """The folder of a run's states for one process: what is read from it is kept, within bounds.

    `module` is a net of the user's own, `family` one that cannot be shipped: they exist in this
    process only. `states`: where nodes are kept, if not in the folder: a job then runs on a machine
    that has but the data and the task.
    """

    def __init__(
        self,
        folder: Path,
        module: nn.Module | None = None,
        family: TaskFamily | None = None,
        states: States | None = None,
    ) -> None:
        self.folder = folder
        self._states = FolderStates(folder) if states is None else states
        self._module = module
        self._family = family
        self._nets = lru_cache(maxsize=_NETS_KEPT)(self._read_net)
        self._families = lru_cache(maxsize=_RECIPES_KEPT)(self._read_family)

    @cached_property
    def family(self) -> TaskFamily:
        """The family that the run is about, on the best device."""
        return (self._family or _shipped(self.folder / DATA)).to(best_device())

    def classes(self, view: str = "") -> ClassFamily:
        """Returns the run's family in that view, where its tasks are classes: else `TypeError`."""
        family = self.family.seen(view).as_classes
        if family is None:
            raise TypeError(f"the tasks of {self.family.name} are no classes")
        return family

    @cached_property
    def spec(self) -> TaskSpec:
        """The evaluated task."""
        fields = json.loads((self.folder / TASK).read_text())
        fields["input_shape"] = tuple(fields["input_shape"])
        fields["target_shape"] = tuple(fields["target_shape"])
        return TaskSpec(**fields)

    @cached_property
    def draw(self) -> Draw | None:
        """What draws classes for data recipes, if the run was given a model for that."""
        path = self.folder / DRAWER
        return drawer_of(path) if path.is_file() else None

    def training_family(self, data: TrainingData) -> TaskFamily:
        """Returns the family that a data recipe makes of the run's: what a candidate is trained on.

        It is made once for all workers of the run, and mapped into the memory of each
        (`making.py`).
        """
        return self._families(to_json(data))  # a candidate has dictionaries: no key

    def net(self, node: int) -> TrainedNet:
        """Returns what was trained in a node."""
        return self._nets(node)

    def save_net(self, node: int, meta_params: MetaParams) -> None:
        """Keeps the meta-parameters of a node."""
        content = to_bytes(TrainState(f"node {node}", meta_params))
        self._states.write(net_path(self.folder, node).name, content)

    def state(self, node: int, device: torch.device) -> TrainState:
        """Returns the training state of a node, to go on from."""
        return self._kept(state_path(self.folder, node), device)

    def save_state(self, node: int, state: TrainState) -> None:
        """Keeps the training state of a node."""
        self._states.write(state_path(self.folder, node).name, to_bytes(state))

    def learner(self, candidate: Candidate, family: TaskFamily) -> Learner:
        """Returns the candidate's learner, for the run's task and a family in its view."""
        return build_learner(candidate, family.input_format, self.spec.objective, self._module)

    def assemble(
        self, candidate: Candidate, net: TrainedNet, seed: int
    ) -> tuple[Learner, MetaParams]:
        """Returns a candidate's learner, with the tensors of a trained net and those of its own.

        What a learner sets from the training data (a mean feature) is set here, on original
        classes.
        """
        family = self.family.seen(candidate.view)
        learner = self.learner(candidate, family)
        own = initial_state(learner, family, self.spec, seed).meta_params
        own = after_meta_stage(learner, own, family, self.spec, seed)
        merged = {name: _fitting(net.meta_params.get(name), tensor) for name, tensor in own.items()}
        classes = family.as_classes
        if (
            isinstance(learner, AfterTraining)
            and isinstance(learner, EmbeddingLearner)
            and classes is not None
        ):
            merged = learner.finish(merged, net.center(learner, merged, classes))
        return learner, merged

    def _read_net(self, node: int) -> TrainedNet:
        return TrainedNet(self._kept(net_path(self.folder, node), best_device()).meta_params)

    def _kept(self, path: Path, device: torch.device) -> TrainState:
        """What a job of this run has kept; `MachineError` if it is gone or damaged."""
        try:
            return from_bytes(self._states.read(path.name), str(path), device)
        except ModelFileError as error:
            raise MachineError(f"what was trained before cannot be read: {error}") from error

    def _read_family(self, data_as_json: str) -> TaskFamily:
        data: TrainingData = decode(TrainingData, json.loads(data_as_json), "data")
        recipe, family = parse_recipe(data.text, data.families), self.family.seen(data.view)
        base = family.as_classes
        if base is None or not (recipe.families or operators_of(recipe)):
            return family
        others = [_shipped(self.folder / ALSO / name) for name in recipe.families]
        given = [other.as_classes for other in others]
        classes = [other.seen(data.view) for other in given if other is not None]
        facts = [family.digest, *(other.digest for other in others), data.text, *data.families]
        facts += [str(data.filtered_by), *([data.view] if data.view else [])]
        facts += [to_json(data.filter_candidate) if data.filter_candidate is not None else ""]
        drawer = self.folder / DRAWER
        facts += [file_hash(drawer)] if drawer.is_file() else []
        kept = partial(self._useful, data) if data.filtered_by is not None else None
        return made_family(
            self.folder / MADE, facts, base, classes, recipe, data.seed, kept, draw=self.draw
        )

    def _useful(self, data: TrainingData, source: ClassFamily, made: Made) -> Verdict:
        """Returns which classes are neither too easy nor hopeless for the net that filters.

        Tasks have as many classes as in training: of five, all but a few would be too easy.
        """
        assert data.filtered_by is not None and data.filter_candidate is not None
        net = self.net(data.filtered_by)
        learner, meta_params = self.assemble(data.filter_candidate, net, data.seed)
        if not isinstance(learner, EmbeddingLearner):
            return Verdict(tuple(range(sum(map(len, made.pieces)))))

        def embed(inputs: Tensor) -> Tensor:
            with torch.no_grad():
                return learner.embed(meta_params, inputs)

        rng = numpy_stream(data.seed, "filter", data.text)
        return judge_classes(source, made.pieces, embed, rng, ways=_FILTER_WAYS, shots=1)


def prepare(
    folder: Path,
    family: TaskFamily,
    spec: TaskSpec,
    also: Mapping[str, ClassFamily] | None = None,
    module: nn.Module | None = None,
    drawer: Path | None = None,
) -> Workplace:
    """Returns the workplace in this folder, after writing the data and the task for the workers.

    `module` is a net of the user's own. A family of a class of the user's stays in this process.
    `drawer`: the file of a model that draws classes for data recipes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_unfinished(folder / MADE)
    if can_be_shipped(family):
        ship_family(family, folder / DATA)
    for name, other in (also or {}).items():
        ship_family(other, folder / ALSO / name)
    if drawer is not None:
        shutil.copyfile(drawer, folder / DRAWER)
    (folder / TASK).write_text(json.dumps(asdict(spec)))
    return Workplace(folder, module, None if can_be_shipped(family) else family)


def state_path(folder: Path, node: int) -> Path:
    """Where the training state of a node is."""
    return folder / f"{node}.state.safetensors"


def net_path(folder: Path, node: int) -> Path:
    """Where the meta-parameters of a node are."""
    return folder / f"{node}.net.safetensors"


def with_center(learner: Learner, meta_params: MetaParams, family: TaskFamily) -> MetaParams:
    """Returns the meta-parameters with the mean training feature, that any head may ask for."""
    if isinstance(learner, AfterTraining) or not isinstance(learner, EmbeddingLearner):
        return meta_params
    if family.as_classes is None:
        return meta_params
    return {**meta_params, CENTER: mean_feature(learner, meta_params, family.as_classes)}


def _shipped(folder: Path) -> TaskFamily:
    try:
        return load_shipped(folder)
    except DataError as error:
        raise MachineError(str(error)) from error


def _fitting(trained: Tensor | None, own: Tensor) -> Tensor:
    """Returns the trained tensor where there is one of that shape.

    The classifier of a net that was trained on generated classes has other rows.
    """
    return own if trained is None or trained.shape != own.shape else trained
