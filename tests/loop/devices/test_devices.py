"""Where a device is not the CPU nothing is left on the CPU: `conftest.py` refuses what a GPU would.

Over the whole path of `train`, `evaluate`, `fit` and `predict`, and over every job of `learn`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metaloop import FewShotClassifier
from metaloop.archive import Archive
from metaloop.catalogue.candidates import make_candidate
from metaloop.catalogue.programs import PROGRAMS, on_trunk
from metaloop.core.budget import Budget
from metaloop.core.records import Candidate, Choice
from metaloop.engine import batches, devices
from metaloop.generators.recipes import extended, recipe_text
from metaloop.jobs.baselines import BaselinesRequest, measure_baselines
from metaloop.jobs.inventing import InventRequest, invent_programs
from metaloop.jobs.joining import Joinable, JoinRequest, join_nets
from metaloop.jobs.judging import Entrant, JudgeRequest, judge
from metaloop.jobs.training import Start, TrainRequest, train_node
from metaloop.jobs.workplace import TrainingData, Workplace, prepare
from metaloop.loop import Learned, finishing, learn
from metaloop.loop.settings import Settings
from metaloop.loop.transfer import digits_report
from metaloop.models import evaluate_model, train_model
from metaloop.models.model import load_model
from metaloop.models.training import Trained
from metaloop.tasks.family import ClassFamily

Device = torch.device


def test_the_device_of_these_tests_refuses_what_a_gpu_would(elsewhere: Device) -> None:
    there, here = torch.ones(3).to(elsewhere), torch.ones(3)
    assert devices.best_device() == elsewhere == there.device
    assert float((there + 1).sum()) == 6 and torch.equal(there.cpu(), here)
    assert torch.equal(there[torch.tensor([0, 1])].cpu(), here[:2])
    for wrong in (
        lambda: there + here,
        lambda: torch.cat([there, here]),
        lambda: torch.stack([there, here]),
        lambda: there.index_select(0, torch.tensor([0])),
        lambda: there.numpy(),
        lambda: torch.rand(3, device=elsewhere, generator=torch.Generator()),
    ):
        with pytest.raises((RuntimeError, TypeError)):
            wrong()
    drawn = torch.rand(3, device=elsewhere, generator=batches.torch_stream(0, device=elsewhere))
    assert drawn.device == elsewhere
    leaf = torch.ones(2, 3, device=elsewhere, requires_grad=True)
    (leaf @ there).square().sum().backward()
    assert leaf.grad is not None and leaf.grad.device == elsewhere
    assert torch.func.vmap(lambda row: row.sum())(leaf.detach()).device == elsewhere


@pytest.mark.parametrize("learner", ["protonet", "simpleshot", "rfs", "ridge", "maml"])
def test_a_model_is_trained_evaluated_saved_and_used_elsewhere(
    elsewhere: Device, reading: Any, family: ClassFamily, tmp_path: Path, learner: str
) -> None:
    checkpoint = tmp_path / "state.safetensors"
    recipe = recipe_of(family, learner)
    if learner == "maml":
        recipe = replace(recipe, learner=Choice(learner, {"inner_steps": 1}))
    recipe = replace(recipe, plan=replace(recipe.plan, num_tasks=2, queries=3))
    for resume in (False, True):
        *_, last = train_model(
            reading, recipe, budget="2steps", queries=5, checkpoint=checkpoint, resume=resume
        )
    assert isinstance(last, Trained)
    model = last.model
    assert model.device == elsewhere
    assert {tensor.device for tensor in model.meta_params.values()} == {elsewhere}
    result = evaluate_model(model, reading, episodes=4)
    model.save(tmp_path / "model.metaloop")
    again = load_model(tmp_path / "model.metaloop")
    assert again.device == torch.device("cpu")
    assert evaluate_model(again, reading, episodes=4).value == pytest.approx(result.value)
    images, labels = reading.store.inputs[:60].numpy()[:, 0], reading.store.targets[:60].numpy()
    told = []
    for device in ("cpu", elsewhere):
        loaded = load_model(tmp_path / "model.metaloop", device=device)
        told.append(FewShotClassifier(loaded).fit(images, labels).predict_proba(images))
    np.testing.assert_allclose(told[0], told[1], atol=1e-5)


def test_the_report_on_digits_is_made_where_the_model_is(elsewhere: Device, reading: Any) -> None:
    *_, last = train_model(reading, "protonet", net="mlp", budget="1steps", queries=5)
    assert isinstance(last, Trained)
    report = digits_report(last.model, num_episodes=2)
    assert 0 <= report["1-shot"]["learner"]["value"] <= 1


@pytest.fixture
def place(elsewhere: Device, family: ClassFamily, tmp_path: Path) -> Workplace:
    """A folder with the data of a run."""
    place = prepare(tmp_path, family, family.spec(5, 1, 5))
    assert place.family.store.inputs.device == elsewhere  # type: ignore[attr-defined]
    return place


def quiet(content: Any) -> None:
    """Nobody listens."""


def recipe_of(family: ClassFamily, learner: str, width: int = 12) -> Candidate:
    made = make_candidate(learner, family.input_format, family.spec(5, 1, 5))
    return Candidate(made.learner, Choice("mlp", {"width": width, "depth": 1}), made.plan)


def train(
    place: Workplace, node: int, candidate: Candidate, start: Start | None = None, **by: Any
) -> TrainingData:
    data = TrainingData(text=recipe_text(candidate.data), **by)
    said = train_node(
        place, TrainRequest(node, (candidate,), Budget(steps=3), 0, 4, data, start), quiet
    )
    assert said.status == "finished", said.message
    assert [head.status for head in said.heads] == ["finished"], said.heads
    return data


@pytest.mark.parametrize("learner", ["protonet", "simpleshot"])
def test_a_line_goes_on_elsewhere_with_generated_classes(
    place: Workplace, family: ClassFamily, learner: str, elsewhere: Device
) -> None:
    """Its state, its classifier's rows and the verdict of its own net on new classes among it."""
    recipe = recipe_of(family, learner)
    start = Start(0, recipe, train(place, 0, recipe))
    train(place, 1, recipe, start)
    more = replace(recipe, data=extended(recipe.data, "rotate(90)"))
    train(place, 2, more, start, filtered_by=0, filter_candidate=recipe)
    assert {t.device for t in place.net(2).meta_params.values()} == {elsewhere}


def test_nets_are_joined_judged_and_searched_for_programs_elsewhere(
    place: Workplace, family: ClassFamily
) -> None:
    recipes = [recipe_of(family, "protonet", width) for width in (5, 6, 7)]
    for node, recipe in enumerate(recipes):
        train(place, node, recipe)
    heads = (recipes[0], on_trunk(recipes[0], PROGRAMS["ridge"].source))
    nets = tuple(Joinable(node, recipe) for node, recipe in enumerate(recipes))
    said = join_nets(place, JoinRequest(9, nets, heads, seed=0, episodes=30), quiet)
    assert len(said.members) > 1
    assert [one.figures.status for one in said.found] == ["finished"] * 2, said.found
    entrant = Entrant(said.found[0].candidate, 9)
    judged = judge(place, JudgeRequest((entrant,), episodes=4, seed=0), quiet)
    assert judged.figures[0].status == "finished"
    request = InventRequest(
        node=10, on=0, candidate=recipes[0], measured=(), programs=(), wall_seconds=None,
        evaluations=12, seed=0, episodes=4,
    )  # fmt: skip
    invented = invent_programs(place, request, quiet)
    assert {one.figures.status for one in invented.found} == {"finished"}, invented.found
    plain = make_candidate("nearest_centroid", family.input_format, family.spec(5, 1, 5))
    measured = measure_baselines(place, BaselinesRequest((plain,), 0, 4, None), quiet)
    assert measured.found[0].figures.status == "finished"


@pytest.mark.long
def test_a_whole_run_of_the_loop_ends_elsewhere(
    elsewhere: Device,
    reading: Any,
    tmp_path: Path,
    short: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To its last look at `test`, and to the report on digits that drawn characters have."""
    monkeypatch.setattr(finishing, "digits_report", partial(digits_report, num_episodes=2))
    drawn = replace(reading, name="glyphs")
    *_, last = learn(drawn, out=tmp_path / "run", budget="60steps", queries=5, settings=short)
    assert isinstance(last, Learned)
    assert last.report["status"] == "finished" and last.report["digits"]["episodes"] == 2
    with Archive.open(tmp_path / "run" / "archive.sqlite", read_only=True) as archive:
        jobs = archive.jobs()
        trials = archive.trials()
    assert {"baselines", "train", "invent", "judge"} <= {job.work for job in jobs}
    assert {job.status for job in jobs} == {"finished"}, [j.message for j in jobs if j.message]
    assert {trial.trial.status for trial in trials} == {"finished"}
    model = load_model(tmp_path / "run" / "model.metaloop")
    assert evaluate_model(model, reading, episodes=4).episodes == 4
