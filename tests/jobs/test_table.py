"""The table of jobs: what is asked and what comes back are values, and go through JSON."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.catalogue.candidates import catalogue_candidates, make_candidate
from metaloop.core.budget import Budget
from metaloop.core.inputs import InputFormat
from metaloop.core.packing import scores_to_json
from metaloop.core.records import Candidate, CurvePoint, Protocol
from metaloop.core.records import Result as Measurement
from metaloop.core.spec import TaskSpec
from metaloop.core.statistics import EpisodeScores
from metaloop.executors.base import Job
from metaloop.executors.in_process import InProcess
from metaloop.jobs.averaging import AverageRequest, AverageResult
from metaloop.jobs.baselines import BaselinesRequest, BaselinesResult, measure_baselines
from metaloop.jobs.inventing import InventRequest, InventResult
from metaloop.jobs.joining import Joinable, JoinRequest, JoinResult
from metaloop.jobs.judging import Entrant, JudgeRequest, JudgeResult
from metaloop.jobs.measured import Figures, Found, TaskFigures
from metaloop.jobs.table import (
    WORK,
    Request,
    Result,
    arguments_of,
    name_of,
    result_of,
    works_in,
)
from metaloop.jobs.training import Start, TrainRequest, TrainResult
from metaloop.jobs.workplace import TrainingData, prepare
from metaloop.modelfile.typed_json import decode, encode
from metaloop.tasks.family import ClassFamily

IMAGES = InputFormat("image", (1, 16, 16), (0.4,), (0.3,))
SPEC = TaskSpec(3, 2, 5, (1, 16, 16), num_training_classes=7)
CANDIDATES = tuple(catalogue_candidates(IMAGES, SPEC))
SCORES = EpisodeScores.independent(np.array([0.25, 1 / 3, 0.5]))
RESULT = Measurement("accuracy", 1 / 3, 0.1, 3, Protocol("search", 5, 1, 5, "none", "list", "data"))
FIGURES = Figures("finished", tasks=(TaskFigures(RESULT, scores_to_json(SCORES)),))
FAILED = Figures("diverged", "loss is nan")


def requests_of(number: int, text: str, seconds: float, is_given: bool) -> list[Request]:
    """Returns a request of each kind with these values in it; what may be None is, or is not."""
    two = (CANDIDATES[number % len(CANDIDATES)], CANDIDATES[-1])
    data = TrainingData((text,), "rotate(90)", number, number, two[0])
    plain = TrainingData(seed=number)
    budget = Budget(seconds) if is_given else Budget(steps=1 + number)
    start = Start(number, two[1], data) if is_given else None
    given = seconds if is_given else None
    known = (scores_to_json(SCORES),) if is_given else ()
    return [
        TrainRequest(number, two, budget, 1, 2, data if is_given else plain, start),
        InventRequest(1, number, two[0], two, (text,), given, None if is_given else number, 3, 4),
        JoinRequest(number, (Joinable(number if is_given else None, two[0]),), two, 5, 6),
        AverageRequest(number, (Joinable(number, two[0]), Joinable(1, two[1])), 5, 6),
        JudgeRequest((Entrant(two[0], None, known), Entrant(two[1], number)), number, 7),
        BaselinesRequest(two, number, 8, given),
    ]


def results_of(number: int, text: str, seconds: float, is_given: bool) -> list[Result]:
    """Returns a result of each kind with these values in it; what may be None is, or is not."""
    candidate = CANDIDATES[number % len(CANDIDATES)]
    figures = (FIGURES, FAILED) if is_given else ()
    found = tuple(Found(candidate, one, text, text, None) for one in figures)
    given = seconds if is_given else None
    curve = (CurvePoint(number, seconds, seconds),)
    return [
        TrainResult("diverged", text, number, seconds, 0.5, given, given, curve, figures),
        InventResult(found, number),
        JoinResult((number, 1), 2, found),
        AverageResult((number, 1), found),
        JudgeResult(figures),
        BaselinesResult(found),
    ]


values = (st.integers(0, 2**31), st.text(), st.floats(0.1, 1e6), st.booleans())


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(encode(value)))


@given(*values)
def test_a_request_is_the_same_after_json(
    number: int, text: str, seconds: float, is_given: bool
) -> None:
    made = requests_of(number, text, seconds, is_given)
    assert [name_of(asked) for asked in made] == [
        "train",
        "invent",
        "join",
        "average",
        "judge",
        "baselines",
    ]
    for asked in made:
        arguments = json.loads(json.dumps(arguments_of(asked)))
        assert decode(WORK[name_of(asked)].request, arguments, "it") == asked


@given(*values)
def test_a_result_is_the_same_after_json(
    number: int, text: str, seconds: float, is_given: bool
) -> None:
    for result in results_of(number, text, seconds, is_given):
        (work,) = [name for name, kind in WORK.items() if isinstance(result, kind.result)]
        assert result_of(work, through_json(result)) == result


def test_an_identity_is_the_same_after_json() -> None:
    for candidate in CANDIDATES:
        assert decode(Candidate, through_json(candidate), "it").identity == candidate.identity


def test_every_kind_of_job_has_frozen_records_of_its_own() -> None:
    records = [record for kind in WORK.values() for record in (kind.request, kind.result)]
    assert len(set(records)) == 2 * len(WORK)
    for record in records:
        assert is_dataclass(record) and fields(record)
    with pytest.raises(FrozenInstanceError):
        JudgeRequest((), 1, 2).seed = 3  # type: ignore[misc]


def test_what_a_worker_does_is_what_the_function_does(family: ClassFamily, tmp_path: Path) -> None:
    place = prepare(tmp_path, family, family.spec(5, 1, 5))
    plain = make_candidate("nearest_centroid", family.input_format, place.spec)
    request = BaselinesRequest((plain,), seed=0, episodes=5, cpu_seconds=None)
    with InProcess(works_in(place)) as executor:
        executor.submit(Job(0, name_of(request), arguments_of(request)))
        (outcome,) = executor.wait(1.0)
    assert outcome.status == "done" and outcome.value is not None
    assert result_of("baselines", outcome.value) == measure_baselines(place, request, print)


def test_a_request_that_lacks_something_is_a_failed_job_and_no_crash(
    family: ClassFamily, tmp_path: Path
) -> None:
    with InProcess(works_in(prepare(tmp_path, family, family.spec(5, 1, 5)))) as executor:
        executor.submit(Job(0, "judge", {"entrants": [], "seed": 0}))
        (outcome,) = executor.wait(1.0)
    assert outcome.status == "failed" and "lacks the field 'episodes'" in outcome.message


def test_the_mean_of_figures_is_signed_so_that_more_is_better() -> None:
    assert FIGURES.goodness == pytest.approx(1 / 3) and FAILED.goodness == -math.inf
    error = Measurement("mse", 2.0, 0.1, 3, RESULT.protocol)
    assert Figures("finished", tasks=(TaskFigures(error, {}),)).goodness == -2.0
