"""States of nodes travel as bytes: a job runs where nothing of the run's folder is but the data."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metaloop.catalogue.candidates import make_candidate
from metaloop.core.budget import Budget
from metaloop.core.errors import MachineError, OutputError
from metaloop.executors.base import Report
from metaloop.jobs.judging import Entrant, JudgeRequest
from metaloop.jobs.states import FolderStates, States
from metaloop.jobs.table import arguments_of, name_of, works_in
from metaloop.jobs.training import Start, TrainRequest
from metaloop.jobs.workplace import TrainingData, Workplace, prepare
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays

QUIET: Report = lambda content: None  # noqa: E731


class Carried:
    """States that a coordinator carries between machines."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def read(self, name: str) -> bytes:
        if name not in self.content:
            raise MachineError(f"{name} was not carried")
        return self.content[name]

    def write(self, name: str, content: bytes) -> None:
        self.content[name] = bytes(content)


@pytest.fixture(scope="module")
def family() -> ClassFamily:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 10)
    vectors = rng.normal(size=(24, 12))[labels] + 0.8 * rng.normal(size=(len(labels), 12))
    return class_family(read_arrays(vectors, labels, name="vectors"))[0]


def machine(name: str, from_folder: Path, states: States) -> Workplace:
    """A worker elsewhere: it has a copy of the data and the task, and none of the states."""
    folder = from_folder.parent / name
    folder.mkdir()
    for each in ("data", "task.json"):
        source = from_folder / each
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / each)
    return Workplace(folder, states=states)


def test_a_line_is_trained_on_one_machine_goes_on_on_another_and_is_judged_on_a_third(
    family: ClassFamily, tmp_path: Path
) -> None:
    spec = family.spec(5, 1, 5)
    place = prepare(tmp_path / "coordinator", family, spec)
    carried = Carried()
    candidate = make_candidate("protonet", family.input_format, spec)
    first = TrainRequest(1, (candidate,), Budget(steps=3), 0, 20, TrainingData())
    second = replace(first, node=2, start=Start(1, candidate, TrainingData()))
    judged = JudgeRequest((Entrant(candidate, 2),), 20, 0)
    answers = []
    for number, request in enumerate((first, second, judged)):
        works = works_in(machine(f"machine{number}", place.folder, carried))
        arguments = json.loads(json.dumps(arguments_of(request)))  # as it comes over a wire
        answers.append(works[name_of(request)](arguments, QUIET))
    assert sorted(carried.content) == [
        f"{node}.{kind}.safetensors" for node in (1, 2) for kind in ("net", "state")
    ]
    assert not list(place.folder.glob("*.safetensors"))
    alone = works_in(place)
    for request, answer in zip((first, second, judged), answers, strict=True):
        here = alone[name_of(request)](arguments_of(request), QUIET)
        for told in (here, answer):
            told.pop("train_wall_seconds", None), told.pop("train_cpu_seconds", None)
        assert json.dumps(here, sort_keys=True) == json.dumps(answer, sort_keys=True)


def test_states_of_a_folder_are_whole_or_not_there(tmp_path: Path) -> None:
    states = FolderStates(tmp_path)
    states.write("1.net", b"abc")
    assert states.read("1.net") == b"abc" and [p.name for p in tmp_path.iterdir()] == ["1.net"]
    with pytest.raises(MachineError, match=r"what was trained before cannot be read: .*2\.net"):
        states.read("2.net")
    with pytest.raises(OutputError, match="cannot write"):
        FolderStates(tmp_path / "gone").write("1.net", b"abc")
