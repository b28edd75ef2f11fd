"""Learners of ratings put together: measured as they are used, from a file, and in the loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.domains.ratings.conftest import low_rank, write

import metaloop as ml
from metaloop.catalogue.candidates import make_candidate
from metaloop.core.budget import Budget
from metaloop.core.records import Candidate
from metaloop.core.spec import TaskSpec
from metaloop.engine.evaluation import evaluate
from metaloop.engine.events import Finished
from metaloop.engine.training import train
from metaloop.estimators.recommending import recommend
from metaloop.jobs.averaging import AverageRequest, AverageResult, average_learners
from metaloop.jobs.joining import Joinable
from metaloop.jobs.workplace import Workplace, prepare
from metaloop.loop import Learned, learn
from metaloop.loop.settings import Settings
from metaloop.modelfile import TrainingRecord
from metaloop.models.model import Model, load_model
from metaloop.tasks.groups import GroupFamily
from metaloop.tasks.kept import class_parts, view_of

SHOTS, EPISODES = 6, 60
NODES = {2: "deep_kernel", 4: "set_attention"}
Averaged = tuple[Workplace, TaskSpec, AverageResult]


def candidate_of(node: int, family: GroupFamily, spec: TaskSpec) -> Candidate:
    return make_candidate(NODES[node], family.input_format, spec)


@pytest.fixture(scope="module")
def averaged(family: GroupFamily, tmp_path_factory: pytest.TempPathFactory) -> Averaged:
    """Two learners after some steps, and what came of putting them together as node 9."""
    spec = family.spec(0, SHOTS, 10)
    place = prepare(tmp_path_factory.mktemp("averaged"), family, spec)
    for node in NODES:
        candidate = candidate_of(node, family, spec)
        learner = place.learner(candidate, family)
        for event in train(learner, family, candidate.plan, Budget(steps=50), spec, evaluations=0):
            if isinstance(event, Finished):
                place.save_net(node, event.meta_params)
    known = tuple(Joinable(node, candidate_of(node, family, spec)) for node in NODES)
    request = AverageRequest(9, known, seed=0, episodes=EPISODES)
    return place, spec, average_learners(place, request, lambda content: None)


def model_of(averaged: Averaged, family: GroupFamily) -> Model:
    place, spec, said = averaged
    candidate = said.found[0].candidate
    learner, params = place.assemble(candidate, place.net(9), 0)
    record = TrainingRecord(
        seed=0, budget="50steps", steps=0, wall_seconds=1.0, cpu_seconds=1.0,
        data_hash=family.digest, data_name=family.name,
    )  # fmt: skip
    return Model(
        learner, params, candidate, spec, family.input_format, class_parts(family), record,
        view=view_of(family),
    )  # fmt: skip


def test_its_figure_is_what_it_has_on_search_and_better_than_either(
    averaged: Averaged, family: GroupFamily
) -> None:
    place, spec, said = averaged
    assert sorted(said.members) == sorted(NODES)
    found = said.found[0]
    assert found.operator.startswith("committee: the mean of ")
    alone = []
    for node in NODES:
        learner, params = place.assemble(candidate_of(node, family, spec), place.net(node), 0)
        alone.append(evaluate(learner, params, family, "search", spec, EPISODES)[0].value)
    learner, params = place.assemble(found.candidate, place.net(9), 0)
    value = evaluate(learner, params, family, "search", spec, EPISODES)[0].value
    assert found.figures.tasks[0].result.value == pytest.approx(value, abs=1e-6)
    assert value < min(alone)


def test_a_file_of_it_predicts_the_same_says_why_and_cites_all(
    averaged: Averaged, family: GroupFamily, tmp_path: Path
) -> None:
    model, path = model_of(averaged, family), tmp_path / "stars.metaloop"
    model.save(path)
    loaded = load_model(path)
    assert len(loaded.to_file().citations) == 3  # its own, and those of its members
    items, stars = [f"i{n}" for n in range(6)], np.array([5.0, 1.0, 4.0, 2.0, 5.0, 1.0])
    one, other = (ml.FewShotRegressor(m).fit(items, stars) for m in (model, loaded))
    np.testing.assert_allclose(one.predict(["i9", "i12"]), other.predict(["i9", "i12"]))
    best = recommend(other, 5, explain=True)
    assert any(item.because for item in best)
    fitted = tmp_path / "hers.metaloop"
    other.save(fitted)
    np.testing.assert_allclose(
        ml.load(fitted).predict(["i9", "i12"]), one.predict(["i9", "i12"]), atol=1e-6
    )


def test_one_learner_alone_is_no_committee(averaged: Averaged, family: GroupFamily) -> None:
    place, spec, _ = averaged
    alone = Joinable(2, candidate_of(2, family, spec))
    said = average_learners(
        place, AverageRequest(11, (alone, alone), 0, EPISODES), lambda content: None
    )
    assert said == AverageResult((2,))


def test_the_loop_trains_a_companion_and_puts_both_together(tmp_path: Path) -> None:
    rows = low_rank()
    noise = np.random.default_rng(1).normal(0, 0.8, len(rows))  # else one learner knows it all
    rows[:, 2] = np.clip(rows[:, 2] + noise, 1, 5).round(1)
    path = write(tmp_path / "noisy.csv", rows)
    names = ("deep_kernel", "set_attention", "item_mean", "user_bias")
    settings = Settings(
        learners=names, episodes=60, final_episodes=80, test_episodes=60, joining_reach=1.0,
    )  # fmt: skip
    asked: dict[str, Any] = {"budget": "120steps", "shots": SHOTS, "queries": 8, "workers": 1}
    report = learned(str(path), out=tmp_path / "run", settings=settings, **asked)
    found = {row["learner"]: row["search"]["value"] for row in reversed(report["leaderboard"])}
    assert {"deep_kernel", "set_attention", "committee"} <= {*found}
    assert found["committee"] < min(found["deep_kernel"], found["set_attention"])
    few = replace(settings, learners=("deep_kernel", "item_mean"))
    report = learned(str(path), out=tmp_path / "few", settings=few, **asked)
    assert "set_attention" not in {row["learner"] for row in report["leaderboard"]}


def learned(*data: Any, **options: Any) -> dict[str, Any]:
    *_, last = learn(*data, **options)
    assert isinstance(last, Learned)
    return last.report
