"""Scoring candidates: the same episodes for all, one and several shots, features embedded once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from metaloop.catalogue.candidates import make_candidate
from metaloop.catalogue.programs import PROGRAMS, on_trunk
from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.errors import DivergenceError
from metaloop.core.packing import scores_from_json
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice
from metaloop.jobs.measured import Figures
from metaloop.jobs.scoring import Scorer, score_heads, task_lists
from metaloop.jobs.workplace import TrainedNet, Workplace, prepare
from metaloop.learners.mean_of_support import MeanOfSupport
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.sinusoid import SinusoidFamily


@pytest.fixture(scope="module")
def family() -> ClassFamily:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 12)
    vectors = rng.normal(size=(24, 10))[labels] + 0.9 * rng.normal(size=(len(labels), 10))
    return class_family(read_arrays(vectors, labels, name="vectors"))[0]


@pytest.fixture
def place(family: ClassFamily, tmp_path: Path) -> Workplace:
    return prepare(tmp_path, family, family.spec(5, 1, 3))


@pytest.fixture
def candidate(family: ClassFamily) -> Candidate:
    """A candidate with a small net."""
    made = make_candidate("protonet", family.input_format, family.spec(5, 1, 3))
    return Candidate(made.learner, Choice("mlp", {"width": 8, "depth": 1}), made.plan)


def trained(place: Workplace, candidate: Candidate) -> dict[str, torch.Tensor]:
    learner = place.learner(candidate, place.family)
    return dict(learner.init(place.spec, torch_stream(0, "init")))


def test_heads_have_figures_of_the_same_tasks_with_one_and_five_shots(
    candidate: Candidate, place: Workplace
) -> None:
    heads = (candidate, on_trunk(candidate, PROGRAMS["ridge"].source))
    said = score_heads(place, heads, trained(place, candidate), 0, 20)
    for figures in said:
        assert [task.result.protocol.shots for task in figures.tasks] == [1, 5]
        assert all(len(scores_from_json(task.scores)) == 20 for task in figures.tasks)
        values = [task.result.value for task in figures.tasks]
        assert values[1] > values[0] > 0.25
    lists = [[task.result.protocol.list_hash for task in figures.tasks] for figures in said]
    assert lists[0] == lists[1] and lists[0][0] != lists[0][1]


def test_heads_of_a_net_embed_every_example_once(
    candidate: Candidate, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = place.family
    assert isinstance(family, ClassFamily)
    learner = place.learner(candidate, family)
    seen: list[int] = []
    embed: Any = type(learner).embed

    def counted(self: Any, meta_params: Any, inputs: torch.Tensor) -> Any:
        seen.append(len(inputs))
        return embed(self, meta_params, inputs)

    monkeypatch.setattr(type(learner), "embed", counted)
    heads = (candidate, on_trunk(candidate, PROGRAMS["cosine"].source), candidate)
    score_heads(place, heads, trained(place, candidate), 0, 30)
    examples = sum(len(family.store.examples_of[c]) for c in family.parts["search"])
    assert 0 < sum(seen) <= examples


def test_scores_that_go_on_from_the_first_episodes_are_those_of_the_whole_list(
    candidate: Candidate, place: Workplace
) -> None:
    net = TrainedNet(trained(place, candidate))
    make = partial(place.assemble, candidate, net, 0)
    scorer = Scorer(place, "promotion", 30)
    whole = scorer.figures(make).tasks
    first = scorer.figures(make, until=10).tasks
    known = [scores_from_json(task.scores) for task in first]
    assert [len(each) for each in known] == [10, 10]
    assert scorer.figures(make, known).tasks == whole


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (RuntimeError("no\nmemory"), "failed", "RuntimeError: no memory"),
        (DivergenceError("it is not a number"), "diverged", "it is not a number"),
    ],
)
def test_a_candidate_that_fails_has_a_message_in_one_line_and_no_tasks(
    place: Workplace, error: Exception, status: Any, message: str
) -> None:
    def make() -> Any:
        raise error

    assert Scorer(place, "search", 5).figures(make) == Figures(status, message)


def test_what_is_no_candidates_fault_is_not_hidden(place: Workplace) -> None:
    def make() -> Any:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        Scorer(place, "search", 5).figures(make)


def test_tasks_of_several_shots_are_followed_by_others_only_if_asked(family: ClassFamily) -> None:
    spec = family.spec(5, 5, 3)
    alone = task_lists(family, spec, "search", 4)
    assert [one.shots for one, _ in alone] == [5]
    both = task_lists(family, spec, "search", 4, otherwise=1)
    assert [one.shots for one, _ in both] == [5, 1]


@dataclass(frozen=True)
class Lost(BlackBoxLearner):
    """A guest of real targets whose predictions are no numbers."""

    target_kinds: ClassVar[frozenset[str]] = frozenset({"real"})
    citation: ClassVar[str] = ""

    def make(self, seed: int) -> Any:
        return _Lost()


class _Lost:
    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> Any:
        return self

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return np.full(len(inputs), np.nan)


def test_a_regressor_that_predicts_no_numbers_is_a_failed_candidate(tmp_path: Path) -> None:
    family = SinusoidFamily()
    place = prepare(tmp_path, family, family.spec(0, 5, 5))
    scorer = Scorer(place, "search", 5)
    said = scorer.figures(lambda: (Lost(), {}))
    assert (said.status, said.tasks) == ("diverged", ())
    assert "not numbers" in said.message and "\n" not in said.message
    assert scorer.figures(lambda: (MeanOfSupport(), {})).status == "finished"


def test_a_workplace_shows_a_meta_stage_its_training_tasks(tmp_path: Path) -> None:
    family = SinusoidFamily()
    place = prepare(tmp_path, family, family.spec(0, 5, 5))
    candidate = make_candidate("gaussian_process", family.input_format, place.spec)
    _, assembled = place.assemble(candidate, TrainedNet({}), seed=0)
    fresh = trained(place, candidate)
    assert assembled.keys() == fresh.keys()
    assert not torch.equal(assembled["buffers.kernel"], fresh["buffers.kernel"])
