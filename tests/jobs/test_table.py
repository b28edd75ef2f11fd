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
from metaloop.core.records import Candidate, Choice, CurvePoint, Protocol, Result
from metaloop.core.spec import TaskSpec
from metaloop.core.statistics import EpisodeScores
from metaloop.executors.base import Job
from metaloop.executors.in_process import InProcess
from metaloop.jobs.baselines import BaselinesRequest, BaselinesResult, measure_baselines
from metaloop.jobs.inventing import InventRequest, InventResult
from metaloop.jobs.joining import Joinable, JoinRequest, JoinResult
from metaloop.jobs.judging import Entrant, JudgeRequest, JudgeResult
from metaloop.jobs.measured import Figures, Found, TaskFigures
from metaloop.jobs.table import WORK, arguments_of, name_of, result_of, works_in
from metaloop.jobs.training import Start, TrainRequest, TrainResult
from metaloop.jobs.workplace import TrainingData, prepare
from metaloop.modelfile.typed_json import decode, encode
from metaloop.tasks.family import ClassFamily

IMAGES = InputFormat("image", (1, 16, 16), (0.4,), (0.3,))
SPEC = TaskSpec(3, 2, 5, (1, 16, 16), num_training_classes=7)
CANDIDATES = tuple(catalogue_candidates(IMAGES, SPEC))
SCORES = EpisodeScores.independent(np.array([0.25, 1 / 3, 0.5]))
RESULT = Result("accuracy", 1 / 3, 0.1, 3, Protocol("search", 5, 1, 5, "none", "list", "data"))
FIGURES = Figures("finished", tasks=(TaskFigures(RESULT, scores_to_json(SCORES)),))
FAILED = Figures("diverged", "loss is nan")

candidates = st.sampled_from(CANDIDATES)
numbers = st.integers(0, 2**31)
figures = st.sampled_from([FIGURES, FAILED])
found = st.builds(Found, candidates, figures, st.text(), st.none() | st.text(), st.none())
data = st.builds(
    TrainingData,
    st.lists(st.text(), max_size=2).map(tuple),
    st.just("rotate(90)"),
    numbers,
    st.none() | numbers,
    st.none() | candidates,
)
budgets = st.builds(Budget, steps=st.integers(1, 99)) | st.builds(Budget, st.floats(0.1, 99))
seconds = st.floats(0, 1e6)
REQUESTS = st.one_of(
    st.builds(
        TrainRequest,
        numbers,
        st.lists(candidates, min_size=1, max_size=2).map(tuple),
        budgets,
        numbers,
        numbers,
        data,
        st.none() | st.builds(Start, numbers, candidates, data),
    ),
    st.builds(
        InventRequest,
        numbers,
        numbers,
        candidates,
        st.lists(candidates, max_size=2).map(tuple),
        st.lists(st.text(), max_size=2).map(tuple),
        st.none() | seconds,
        st.none() | numbers,
        numbers,
        numbers,
    ),
    st.builds(
        JoinRequest,
        numbers,
        st.lists(st.builds(Joinable, st.none() | numbers, candidates), max_size=2).map(tuple),
        st.lists(candidates, max_size=2).map(tuple),
        numbers,
        numbers,
    ),
    st.builds(
        JudgeRequest,
        st.lists(
            st.builds(Entrant, candidates, st.none(), st.just((scores_to_json(SCORES),))),
            max_size=2,
        ).map(tuple),
        numbers,
        numbers,
    ),
    st.builds(
        BaselinesRequest,
        st.lists(candidates, max_size=2).map(tuple),
        numbers,
        numbers,
        st.none() | seconds,
    ),
)
RESULTS = st.one_of(
    st.builds(
        TrainResult,
        st.sampled_from(["finished", "diverged"]),
        st.text(),
        numbers,
        seconds,
        seconds,
        st.none() | seconds,
        st.none() | seconds,
        st.lists(st.builds(CurvePoint, numbers, seconds, seconds), max_size=2).map(tuple),
        st.lists(figures, max_size=2).map(tuple),
    ),
    st.builds(InventResult, st.lists(found, max_size=2).map(tuple), numbers),
    st.builds(JoinResult, st.just((3, 1)), numbers, st.lists(found, max_size=2).map(tuple)),
    st.builds(JudgeResult, st.lists(figures, max_size=2).map(tuple)),
    st.builds(BaselinesResult, st.lists(found, max_size=2).map(tuple)),
)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(encode(value)))


@given(REQUESTS)
def test_a_request_is_the_same_after_json(asked: Any) -> None:
    kind = WORK[name_of(asked)]
    assert decode(kind.request, json.loads(json.dumps(arguments_of(asked))), "it") == asked


@given(RESULTS)
def test_a_result_is_the_same_after_json(result: Any) -> None:
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
    error = Result("mse", 2.0, 0.1, 3, RESULT.protocol)
    assert Figures("finished", tasks=(TaskFigures(error, {}),)).goodness == -2.0
    assert Choice("protonet") != Choice("ridge")
