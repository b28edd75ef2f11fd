"""The population: which node a line goes on from, when it rests, what is best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.core.records import Candidate, Choice, Plan, Protocol, Result
from metaloop.core.statistics import EpisodeScores, mean_with_interval
from metaloop.jobs.measured import Measured, difference
from metaloop.loop.heads import SLOW_HEADS, heads_to_join
from metaloop.loop.population import Head, Node, Population
from metaloop.loop.proposal import NodeKind, Proposal

CANDIDATE = Candidate(Choice("protonet"), Choice("mlp"), Plan("episodes"))
NOISE = np.random.default_rng(0).normal(0, 0.1, 400)


def head(value: float, episodes: int = 100, metric: str = "accuracy", cost: float = 0.0) -> Head:
    """Returns a measured head whose scores have the same noise as those of all others."""
    scores = value + NOISE[:episodes]
    estimate = mean_with_interval(scores)
    how = Protocol("search", 5, 1, 5, "none", f"list of {episodes}", "data")
    result = Result(metric, estimate.value, estimate.ci95, episodes, how)
    return Head(
        CANDIDATE,
        "finished",
        search=Measured((result,), (EpisodeScores.independent(scores),)),
        cost=cost,
    )


def node(number: int, *heads: Head, line: int | None = None, parent: int | None = None,
         kind: NodeKind = "train") -> Node:  # fmt: skip
    """Returns a node; with a `line` it goes on from `parent`."""
    proposal = Proposal(kind, (CANDIDATE,), parent=parent, continues=line is not None)
    return Node(number, proposal, line=number if line is None else line, heads=list(heads))


FAILED = Head(CANDIDATE, "failed", message="RuntimeError: no")


@pytest.fixture
def population() -> Population:
    """Two lines, of which the second is better."""
    made = Population()
    made.end(node(0, head(0.3)))
    made.end(node(1, head(0.5)))
    return made


def test_a_better_continuation_moves_its_line(population: Population) -> None:
    progress = population.end(node(2, head(0.6), line=1, parent=1))
    assert progress is not None and progress.value == pytest.approx(0.1)
    assert population.current == {0: 0, 1: 2} and population.stalls[1] == 0
    assert [tip.number for tip in population.tips] == [2, 0]


def test_a_worse_continuation_does_not_move_its_line_and_counts_as_a_stall(
    population: Population,
) -> None:
    progress = population.end(node(2, head(0.4), line=1, parent=1))
    assert progress is not None and progress.value == pytest.approx(-0.1)
    assert population.current == {0: 0, 1: 1} and population.stalls == {0: 0, 1: 1}
    population.end(node(3, head(0.45), line=1, parent=1))
    assert population.stalls[1] == 2
    population.end(node(4, head(0.7), line=1, parent=1))
    assert population.current[1] == 4 and population.stalls[1] == 0


def test_a_continuation_without_progress_is_no_step_forward(population: Population) -> None:
    population.end(node(2, head(0.5), line=1, parent=1))
    assert population.current[1] == 1 and population.stalls[1] == 1


def test_a_continuation_that_failed_is_kept_and_moves_nothing(population: Population) -> None:
    assert population.end(node(2, FAILED, line=1, parent=1)) is None
    assert population.current[1] == 1 and population.stalls[1] == 1
    assert (population.nodes[2], FAILED) in list(population.heads())
    assert population.best is not None and population.best[0].number == 1


def test_a_start_that_failed_makes_no_line(population: Population) -> None:
    population.end(node(2, FAILED))
    assert set(population.current) == {0, 1}


def test_of_two_continuations_at_once_the_better_one_stays(population: Population) -> None:
    for number, value in ((2, 0.7), (3, 0.6)):
        population.begin(node(number, line=1, parent=1))
        population.end(node(number, head(value), line=1, parent=1))
    assert population.current[1] == 2 and not population.pending


def test_a_bred_node_begins_a_line_however_good_it_is(population: Population) -> None:
    progress = population.end(node(2, head(0.1), parent=1))
    assert progress is not None and progress.value == pytest.approx(-0.4)
    assert population.current[2] == 2


def test_joined_and_invented_nodes_are_no_lines_but_may_be_best(population: Population) -> None:
    population.end(node(2, head(0.9), parent=1, kind="invent"))
    population.end(node(3, head(0.8), kind="join"))
    assert set(population.current) == {0, 1}
    assert population.best is not None and population.best[0].number == 2
    assert [n.number for n in population.of_kind("join")] == [3]


def test_differences_are_paired_on_the_episodes_that_both_were_measured_on() -> None:
    change = difference(head(0.5, episodes=400).search, head(0.4, episodes=100).search)
    assert change is not None and change.episodes == 100
    assert change.value == pytest.approx(0.1) and change.ci95 == pytest.approx(0.0, abs=1e-9)
    measured = head(0.5).search
    assert difference(measured, FAILED.search) is None and difference(None, measured) is None


def test_tasks_of_several_shots_count_as_much_as_those_asked_for() -> None:
    """A head that is level with one shot and behind with five is behind."""
    how = Protocol("search", 5, 1, 5, "none", "list", "data")
    results = (Result("accuracy", 0.5, 0.01, 100, how), Result("accuracy", 0.7, 0.01, 100, how))

    def of(*tasks: list[float]) -> Head:
        scores = tuple(EpisodeScores.independent(np.array(task)) for task in tasks)
        return Head(CANDIDATE, "finished", search=Measured(results, scores))

    one, two = of([0.4, 0.6], [0.7, 0.7]), of([0.4, 0.6], [0.6, 0.6])
    assert one.value == pytest.approx(0.6) and two.value == pytest.approx(0.55)
    change = difference(one.search, two.search)
    assert change is not None and change.value == pytest.approx(0.05) and change.episodes == 2


def test_where_less_is_better_less_is_progress() -> None:
    made = Population()
    made.end(node(0, head(2.0, metric="mse")))
    made.end(node(1, head(1.0, metric="mse"), line=0, parent=0))
    assert made.current[0] == 1
    made.end(node(2, head(1.5, metric="mse"), line=0, parent=1))
    assert made.current[0] == 1
    assert made.best is not None and made.best[0].number == 1


def test_of_equal_figures_the_cheaper_head_leads() -> None:
    made = Population()
    made.end(node(0, head(0.5, cost=3.0), head(0.5, cost=2.0)))
    made.end(node(1, head(0.5, cost=1.0)))
    assert made.best is not None and made.best[0].number == 1
    assert made.nodes[0].best is made.nodes[0].heads[1]


@given(st.lists(st.tuples(st.integers(0, 2), st.one_of(st.none(), st.floats(0, 1))), max_size=12))
def test_no_history_makes_a_line_worse(history: list[tuple[int, float | None]]) -> None:
    made = Population()
    for number in range(3):
        made.end(node(number, head(0.5)))
    for place, (line, value) in enumerate(history):
        before = made.nodes[made.current[line]].value
        heads = [FAILED] if value is None else [head(value)]
        made.end(node(10 + place, *heads, line=line, parent=made.current[line]))
        standing = made.nodes[made.current[line]]
        assert standing.value >= before and standing.line == line
        assert (made.stalls[line] == 0) == (standing.number == 10 + place)


def test_on_joined_nets_all_that_the_catalogue_has_is_measured_and_the_best_inventions() -> None:
    def of(method: str, value: float, program: str | None = None) -> Head:
        candidate = replace(CANDIDATE, learner=Choice(method), program=program)
        return replace(head(value), candidate=candidate, generated=program is not None)

    made = Population()
    made.end(node(0, of("simpleshot", 0.5), *(of(slow, 0.3) for slow in SLOW_HEADS), FAILED))
    made.end(node(1, of("simpleshot", 0.6), of("ridge", 0.4), of("protonet", 0.2), of("maml", 0.7)))
    made.end(node(2, of("logistic_regression", 0.9), kind="baselines"))
    inventions = [of("program", 0.8 + place / 100, f"invented {place}") for place in range(4)]
    made.end(node(3, *inventions, kind="invent"))
    chosen = heads_to_join(made, 2)
    assert [one.learner.name for one in chosen] == [
        "simpleshot", "ridge", *SLOW_HEADS, "protonet", "program", "program",
    ]  # fmt: skip
    assert [one.program for one in chosen[-2:]] == ["invented 3", "invented 2"]
