"""A workplace: what a process has open of the folder of a run, bounded and for itself alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from metaloop.catalogue.candidates import make_candidate, with_module
from metaloop.core.errors import MachineError, MetaloopError
from metaloop.jobs.workplace import TrainingData, Workplace, prepare
from metaloop.tasks.family import ClassFamily


class Flat(nn.Module):
    """A net of a user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 8)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.layer(images.flatten(1))
        return features


def test_what_was_prepared_is_what_another_process_finds(
    family: ClassFamily, tmp_path: Path
) -> None:
    spec = family.spec(5, 1, 5)
    prepare(tmp_path, family, spec)
    found = Workplace(tmp_path)
    assert found.spec == spec and found.family.digest == family.digest
    assert found.family is found.family


def test_a_net_of_the_users_own_is_in_its_workplace_alone(
    family: ClassFamily, tmp_path: Path
) -> None:
    net = Flat()
    spec = family.spec(5, 1, 5)
    candidate = with_module(make_candidate("protonet", family.input_format, spec), net)
    mine = prepare(tmp_path / "mine", family, spec, module=net)
    assert mine.learner(candidate, family) is not None
    with pytest.raises(MetaloopError):
        prepare(tmp_path / "other", family, spec).learner(candidate, family)
    with pytest.raises(MetaloopError):
        Workplace(tmp_path / "mine").learner(candidate, family)


def test_a_data_set_that_changed_is_seen_by_the_next_workplace(
    family: ClassFamily, make: Any, tmp_path: Path
) -> None:
    from metaloop.tasks.family import class_family  # its name is a fixture's here

    spec = family.spec(5, 1, 5)
    before = prepare(tmp_path, family, spec)
    assert before.family.digest == family.digest
    other = class_family(make(seed=3))[0]
    assert prepare(tmp_path, other, spec).family.digest == other.digest != family.digest


def test_sixteen_nets_and_two_generated_families_are_kept_in_memory(
    family: ClassFamily, tmp_path: Path
) -> None:
    place = prepare(tmp_path, family, family.spec(5, 1, 5))
    for node in range(17):
        place.save_net(node, {"net.weight": torch.full((2,), float(node))})
    first = place.net(0)
    assert place.net(0) is first
    for node in range(1, 17):
        assert float(place.net(node).meta_params["net.weight"][0]) == node
    assert place.net(0) is not first  # of seventeen the one that was not used for longest is gone
    recipes = [TrainingData(text="rotate(90)", seed=seed) for seed in range(3)]
    made = place.training_family(recipes[0])
    assert place.training_family(TrainingData(text="rotate(90)", seed=0)) is made
    for data in recipes[1:]:
        place.training_family(data)
    assert place.training_family(recipes[0]) is not made


def test_a_net_that_is_gone_is_the_machines_fault(family: ClassFamily, tmp_path: Path) -> None:
    place = prepare(tmp_path, family, family.spec(5, 1, 5))
    with pytest.raises(MachineError, match="what was trained before cannot be read"):
        place.net(7)
