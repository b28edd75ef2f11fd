"""Judging: who is better for new classes is promoted, for all that were compared in a run.

Until classes counted as a sample, each round had fresh episodes, a challenger gave way or not by
the interval over episodes, and every round began anew. Fresh episodes of the same few classes say
little that is new: now all are scored on one list from its beginning, and one error is shared.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaloop.archive import Archive
from metaloop.catalogue.candidates import build_learner, catalogue_candidates
from metaloop.core.errors import MetaloopError
from metaloop.core.packing import scores_to_json
from metaloop.core.records import Candidate, Choice, Plan, Protocol, Result
from metaloop.core.statistics import EpisodeScores, surely_better
from metaloop.engine.evaluation import protocol, result_of
from metaloop.executors.base import Executor, Job, Outcome, Progress
from metaloop.executors.performing import perform
from metaloop.jobs import judging as judging_jobs
from metaloop.jobs import scoring
from metaloop.jobs.judging import Entrant, JudgeRequest, is_enough
from metaloop.jobs.judging import judge as judging_job
from metaloop.jobs.measured import Figures, Measured, TaskFigures, difference, measured
from metaloop.jobs.scoring import task_lists
from metaloop.jobs.table import works_in
from metaloop.jobs.workplace import Workplace, prepare
from metaloop.loop import Learned, learn
from metaloop.loop.judging import (
    Judge,
    final_contestants,
    resumed_judge,
    round_contestants,
)
from metaloop.loop.population import Head, Node, Population, net_node
from metaloop.loop.proposal import Generates, NodeKind, Proposal
from metaloop.loop.recording import asked
from metaloop.loop.run import Run
from metaloop.loop.settings import Settings
from metaloop.tasks.family import ClassFamily, class_family, episode_list
from metaloop.tasks.readers import read_arrays

RunMaker = Callable[..., Run]
Some = np.ndarray | EpisodeScores
Scores = Some | tuple[Some, Some] | None


def figures(*scores: np.ndarray | EpisodeScores) -> Figures:
    """Returns what a worker says of a contestant with these scores, with 1 shot, then with 5.

    Of an array every episode is a unit of its own.
    """
    tasks = []
    for shots, each in zip((1, 5), scores, strict=False):
        each = each if isinstance(each, EpisodeScores) else EpisodeScores.independent(each)
        units = zlib.crc32(each.units.tobytes())
        how = Protocol("promotion", 5, shots, 5, "none", f"list {shots} {units}", "data")
        result = result_of(each, "accuracy", how)
        tasks.append(TaskFigures(result, scores_to_json(each)))
    return Figures("finished", tasks=tuple(tasks))


FAILED = Figures("failed", "RuntimeError: no")


class Bench:
    """A population in a real archive: contestants are added with a figure on `search`."""

    def __init__(self, run: Run) -> None:
        self.run, self.population = run, Population()

    def add(self, value: float, name: str = "protonet", kind: NodeKind = "train",
            parent: int | None = None, program: str | None = None,
            generated: bool = False) -> tuple[Node, Head]:  # fmt: skip
        number = len(self.population.nodes)
        plan = Plan("none") if kind in ("baselines", "join") else Plan("episodes")
        candidate = Candidate(Choice(name, {"of": number}), Choice("mlp"), plan, program=program)
        node = Node(number, Proposal(kind, (candidate,), parent=parent), line=number)
        job = self.run.archive.begin_job(self.run.id, number, kind, asked(node))
        self.run.archive.add_candidate(candidate, run=self.run.id)
        trial = self.run.archive.begin_trial(
            self.run.id, candidate.identity, self.run.family.digest, seed=0, job=job
        )
        how = Protocol("search", 5, 1, 5, "none", "list search", "data")
        scores = EpisodeScores.independent(np.full(50, value))
        search = Measured((Result("accuracy", value, 0.01, 50, how),), (scores,))
        head = Head(candidate, "finished", trial, search, generated=generated)
        node.heads.append(head)
        self.run.archive.end_job(job, "finished", {})
        self.population.end(node)
        return node, head

    def judge(self, judge: Judge, contestants: list[Any], *scores: Scores) -> None:
        """Lets the judge conclude from these scores, None for a contestant that failed."""
        lists = [each if isinstance(each, tuple) else (each,) for each in scores]
        said = [FAILED if each[0] is None else figures(*each) for each in lists]
        number = 100 + judge.rounds
        job = self.run.archive.begin_job(self.run.id, number, "judge", {})
        judge.conclude(self.run, contestants, said)
        self.run.archive.end_job(job, "finished", judge.answer)

    @property
    def verdicts(self) -> list[Any]:
        return [stored.verdict for stored in self.run.archive.verdicts()]


@pytest.fixture
def bench(make_run: RunMaker) -> Bench:
    return Bench(make_run())


def scores(value: float, noise: float = 0.1, seed: int = 0, episodes: int = 100) -> np.ndarray:
    return value + noise * np.random.default_rng(seed).normal(size=episodes)


def of_classes(
    values: np.ndarray, episodes: int = 400, noise: float = 0.05, seed: int = 0, ways: int = 5
) -> EpisodeScores:
    """Returns scores of episodes of classes that are worth these values, one for each class."""
    rng = np.random.default_rng(seed)
    units = np.stack([np.arange(len(values))] * episodes)
    units = np.random.default_rng(17).permuted(units, axis=1)[:, :ways]  # the same for everyone
    unit_values = values[units] + noise * rng.normal(size=units.shape)
    return EpisodeScores(unit_values.mean(1), unit_values, units)


def test_only_a_difference_that_holds_for_new_classes_is_called_certain(bench: Bench) -> None:
    old, new = bench.add(0.3, "nearest_centroid", "baselines"), bench.add(0.6)
    judge, rng = Judge(), np.random.default_rng(3)
    worth = 0.5 + 0.1 * rng.normal(size=8)
    gained = rng.normal(size=8)
    gained = 0.02 + 0.05 * (gained - gained.mean())
    bench.judge(judge, [old, new], of_classes(worth), of_classes(worth + gained, seed=1))
    assert judge.incumbent is not None and judge.incumbent[1] is new[1]  # a guess, and called so
    assert not judge.certain and "No candidate is certainly better" in judge.certainty
    assert "protonet / mlp is the best guess" in judge.certainty
    (verdict,) = bench.verdicts
    assert (verdict.winner, verdict.loser) == (old[1].candidate.identity, new[1].candidate.identity)
    assert verdict.part == "promotion" and verdict.certain is False and verdict.units == 8
    assert 2 * verdict.difference - verdict.low < 0  # on these classes it is surely worse
    bench.judge(judge, [old, new], of_classes(worth), of_classes(worth + gained + 0.1, seed=1))
    assert judge.incumbent[1] is new[1] and judge.certain
    last = bench.verdicts[-1]
    assert last.certain and last.winner == new[1].candidate.identity
    assert 0 < last.low_new < last.low and judge.rounds == 2


def test_what_does_not_even_lead_on_the_classes_at_hand_is_not_kept(bench: Bench) -> None:
    old, new = bench.add(0.3, "nearest_centroid", "baselines"), bench.add(0.6)
    judge, worth = Judge(), 0.5 + 0.1 * np.random.default_rng(3).normal(size=8)
    bench.judge(judge, [old, new], of_classes(worth), of_classes(worth + 0.001, seed=1))
    assert judge.incumbent is not None and judge.incumbent[1] is old[1]
    assert not judge.certain and judge.certainty.endswith("new classes of the family: it is kept.")


def test_a_difference_is_paired_so_a_small_one_on_noisy_episodes_can_promote(bench: Bench) -> None:
    old, new = bench.add(0.5), bench.add(0.6)
    judge = Judge()
    bench.judge(judge, [old, new], scores(0.5, 0.3), scores(0.52, 0.3) + scores(0, 0.02, seed=1))
    assert judge.incumbent is not None and judge.incumbent[1] is new[1]


def test_what_is_better_with_one_shot_and_worse_with_several_is_not_promoted(bench: Bench) -> None:
    old, new = bench.add(0.5), bench.add(0.6)
    judge = Judge()
    a, b = scores(0.5), scores(0.7, seed=1)
    bench.judge(judge, [old, new], (a, b), (a + 0.03, b - 0.04))
    assert judge.incumbent is not None and judge.incumbent[1] is old[1]
    assert bench.verdicts[-1].difference == pytest.approx(0.005)
    bench.judge(judge, [old, new], (a, b), (a + 0.03, b - 0.01))
    assert judge.incumbent[1] is new[1]
    assert bench.verdicts[-1].difference == pytest.approx(0.01)
    kept = bench.run.archive.results(trial=new[1].trial, part="promotion")
    assert [stored.result.protocol.shots for stored in kept] == [1, 5]  # nothing new: kept once
    assert new[1].promotion is not None and new[1].promotion.result.protocol.shots == 1


@pytest.mark.parametrize("difference", [-0.1, 0.0, 0.004])
def test_the_first_stays_where_a_later_one_is_not_surely_better(
    bench: Bench, difference: float
) -> None:
    first, second = bench.add(0.5), bench.add(0.9)
    judge = Judge()
    bench.judge(judge, [first, second], scores(0.5), scores(0.5 + difference, seed=4))
    assert judge.incumbent is not None and judge.incumbent[1] is first[1]


def borderline(count: int, seed: int = 5) -> list[np.ndarray]:
    """Returns scores of a reference and of `count` that are better, each by 2.2 errors."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(count, 400))
    noise = (noise - noise.mean(1, keepdims=True)) / noise.std(1, ddof=1, keepdims=True)
    reference = scores(0.5, episodes=400)
    return [reference, *(reference + 0.02 * (each + 2.2 / 20) for each in noise)]


@pytest.mark.parametrize("count", [1, 5])
def test_one_error_is_shared_by_all_that_are_compared(bench: Bench, count: int) -> None:
    """What is certain alone is not so among five: one of them is so good by luck."""
    contestants = [bench.add(0.5), *(bench.add(0.6) for _ in range(count))]
    judge = Judge()
    bench.judge(judge, contestants, *borderline(count))
    assert judge.certain == (count == 1)


def test_one_that_was_dropped_after_a_round_still_counts(bench: Bench) -> None:
    first, second, third = bench.add(0.5), bench.add(0.6), bench.add(0.7)
    judge = Judge()
    reference, good = borderline(1)
    bench.judge(judge, [first, second], reference[:100], reference[:100] - 0.01)
    bench.judge(judge, [first, third], reference, good)
    assert not judge.certain and "2 compared" in judge.reasons[-1]
    alone = Judge()
    bench.judge(alone, [first, third], reference, good)
    assert alone.certain


def test_claims_of_a_run_are_false_in_less_than_one_of_twenty(bench: Bench) -> None:
    """Four challengers that are no better, on twelve classes that differ in what they are worth."""
    contestants = [bench.add(0.5) for _ in range(5)]
    rng, false, number = np.random.default_rng(0), 0, 120
    for _ in range(number):
        worth = 0.5 + 0.1 * rng.normal(size=12)
        seeds = rng.integers(0, 2**31, 5)
        learners = [worth, *(worth + 0.04 * rng.normal(size=12) for _ in range(4))]
        changes = []
        said = [
            measured(figures(of_classes(each, 100, seed=int(seed))))
            for each, seed in zip(learners, seeds, strict=True)
        ]
        changes = [difference(each, said[0]) for each in said[1:]]
        false += any(surely_better([change for change in changes if change is not None]))
    assert len(contestants) == 5 and false / number <= 0.05


def test_of_those_certainly_better_the_best_wins(bench: Bench) -> None:
    first, second, third = bench.add(0.3), bench.add(0.6), bench.add(0.7)
    judge = Judge()
    base = scores(0.5)
    level = base + 0.001 * np.random.default_rng(1).normal(size=100)
    bench.judge(judge, [first, second, third], base, level + 0.2, level + 0.25)
    assert judge.incumbent is not None and judge.incumbent[1] is third[1]
    assert bench.verdicts[-1].winner == third[1].candidate.identity  # the last says who leads
    assert [verdict.certain for verdict in bench.verdicts] == [True, True]


def test_an_incumbent_is_tested_further_and_can_lose_its_place(bench: Bench) -> None:
    first, second = bench.add(0.3), bench.add(0.6)
    judge = Judge()
    bench.judge(judge, [first, second], scores(0.3), scores(0.6))
    assert judge.incumbent is not None and judge.incumbent[1] is second[1]
    third = bench.add(0.7)
    contestants = round_contestants(bench.population, judge)
    assert [head for _, head in contestants] == [first[1], second[1], third[1]]
    longer = np.concatenate([scores(0.6), scores(0.4, seed=5)])
    bench.judge(
        judge, contestants, scores(0.3, episodes=200), longer, scores(0.8, seed=6, episodes=200)
    )
    assert judge.incumbent[1] is third[1]
    assert second[1].promotion is not None and second[1].promotion.value < 0.55  # of all episodes
    assert judge.reference is not None and judge.reference[1] is first[1]


def test_an_incumbent_that_leads_is_tested_further_beside_the_next_best(bench: Bench) -> None:
    first, second, third = bench.add(0.9), bench.add(0.6), bench.add(0.7)
    judge = Judge()
    bench.judge(judge, [first, second], scores(0.8), scores(0.5))
    contestants = round_contestants(bench.population, judge)
    assert [head for _, head in contestants] == [first[1], third[1]]


def test_without_any_baseline_the_best_two_are_compared(bench: Bench) -> None:
    bench.add(0.5)
    second, third = bench.add(0.6), bench.add(0.7)
    contestants = round_contestants(bench.population, Judge())
    assert [head for _, head in contestants] == [third[1], second[1]]


def test_nobody_is_compared_with_itself(bench: Bench) -> None:
    first, second = bench.add(0.3), bench.add(0.6)
    judge = Judge()
    for seed in range(3):
        contestants = round_contestants(bench.population, judge) if seed else [first, second]
        values = [scores(0.6, seed=seed)] * len(contestants)
        bench.judge(judge, contestants, *values)
    assert all(verdict.winner != verdict.loser for verdict in bench.verdicts)


def test_a_candidate_that_was_trained_on_may_replace_its_earlier_self(bench: Bench) -> None:
    node, head = bench.add(0.5)
    continued = Proposal("train", (node.candidate,), parent=node.number, continues=True)
    more = Node(9, continued, line=node.line)
    more.heads = [replace(head)]
    bench.population.end(more)
    judge = Judge()
    bench.judge(judge, [(node, head)], scores(0.5))
    later = (more, more.heads[0])
    bench.judge(judge, [(node, head), later], scores(0.5), scores(0.7))
    assert judge.incumbent is not None and judge.incumbent[0].number == 9
    assert bench.verdicts == [] and len(judge.reasons) == 1  # nobody beats itself, on record
    resumed = resumed_judge(bench.run, bench.population)
    assert resumed.incumbent is not None and resumed.incumbent[0].number == 9
    assert resumed.reasons == judge.reasons


def test_an_incumbent_that_fails_its_new_test_gives_way(bench: Bench) -> None:
    first, second = bench.add(0.6), bench.add(0.5)
    judge = Judge()
    bench.judge(judge, [first, second], scores(0.6), scores(0.5))
    bench.judge(judge, [first, second], None, scores(0.5, seed=1))
    assert judge.incumbent is not None and judge.incumbent[1] is second[1]
    assert first[1].promotion is None and not judge.certain
    assert judge.certainty == "It had no rival."


def test_where_all_fail_nothing_is_concluded(bench: Bench) -> None:
    first = bench.add(0.6)
    judge = Judge()
    judge.conclude(bench.run, [first], [FAILED])
    assert judge.incumbent is None and judge.rounds == 1 and judge.answer == {}


def test_final_contestants_are_simple_before_joined_and_known_before_generated(
    bench: Bench,
) -> None:
    baseline = bench.add(0.2, "nearest_centroid", "baselines")
    single = bench.add(0.5)
    bench.add(0.45)
    invented = bench.add(0.6, "program", "invent", parent=1, program="new", generated=True)
    joined = bench.add(0.7, "protonet", "join")
    both = bench.add(0.8, "program", "join", program="new", generated=True)
    found = final_contestants(bench.population, Judge())
    heads = [baseline[1], single[1], invented[1], joined[1], both[1]]
    assert [head for _, head in found] == heads
    judge = Judge(incumbent=joined, reference=single)
    expected = [single[1], joined[1], invented[1], both[1]]
    assert [head for _, head in final_contestants(bench.population, judge)] == expected
    assert net_node(*invented) == 1 and net_node(*joined) == joined[0].number


@pytest.mark.parametrize(("lead", "pays"), [(0.01, False), (0.2, True)])
def test_a_head_of_many_steps_has_to_be_certainly_better(
    bench: Bench, lead: float, pays: bool
) -> None:
    quick, slow = bench.add(0.5), bench.add(0.5 + lead, "baselinepp")
    noise = np.random.default_rng(0).normal(0, 0.1, 50)
    assert slow[1].search is not None
    noisy = EpisodeScores.independent(0.5 + lead + noise)
    slow[1].search = Measured(slow[1].search.results, (noisy,))
    expected = [slow[1], quick[1]] if pays else [quick[1]]
    found = [head for _, head in final_contestants(bench.population, Judge())]
    assert sorted(found, key=id) == sorted(expected, key=id)


def test_a_head_of_many_steps_stands_where_no_other_does(bench: Bench) -> None:
    slow = bench.add(0.5, "baselinepp")
    assert [head for _, head in final_contestants(bench.population, Judge())] == [slow[1]]


def test_without_any_measured_candidate_there_is_an_error_that_says_so() -> None:
    with pytest.raises(MetaloopError, match="no candidate was measured before"):
        final_contestants(Population(), Judge())


def test_a_resumed_judge_goes_on_where_the_run_was_left(bench: Bench) -> None:
    first, second, third = bench.add(0.3), bench.add(0.6), bench.add(0.6)
    judge = Judge()
    bench.judge(judge, [first, second], scores(0.3), scores(0.6))
    more = [scores(0.3, episodes=200), *(scores(0.6, seed=k, episodes=200) for k in (1, 2))]
    bench.judge(judge, [first, second, third], *more)
    resumed = resumed_judge(bench.run, bench.population)
    assert resumed.incumbent is not None and judge.incumbent is not None
    assert resumed.incumbent[0].number == judge.incumbent[0].number
    assert resumed.incumbent[1] is judge.incumbent[1]
    assert resumed.reference is not None and resumed.reference[1] is first[1]
    assert (resumed.certain, resumed.rounds) == (judge.certain, judge.rounds) == (True, 2)
    assert resumed.reasons == judge.reasons
    assert {id(head) for _, head in resumed.tested} == {id(head) for _, head in judge.tested}


def test_a_resumed_judge_knows_which_node_of_a_line_won(bench: Bench) -> None:
    first, second = bench.add(0.3), bench.add(0.6)
    judge = Judge()
    bench.judge(judge, [first, second], scores(0.3), scores(0.6))
    candidate, parent = second[1].candidate, second[0].number
    later = Node(9, Proposal("train", (candidate,), parent=parent, continues=True))
    later.heads = [Head(second[1].candidate, "finished", search=second[1].search)]
    bench.population.end(later)  # the same candidate, trained on, and not judged
    resumed = resumed_judge(bench.run, bench.population)
    assert resumed.incumbent is not None and resumed.incumbent[0].number == second[0].number


def test_a_judgement_that_was_broken_off_has_decided_nothing(bench: Bench) -> None:
    """Nobody was told of its scores, and who is scored on these episodes again is tested once."""
    archive, run = bench.run.archive, bench.run
    archive.begin_job(run.id, 7, "judge", {"episodes": 600})
    archive.mark_interrupted(run.id)
    resumed = resumed_judge(run, bench.population)
    assert (resumed.tested, resumed.rounds, resumed.incumbent) == ([], 0, None)


def plain_candidates(family: ClassFamily, *names: str) -> list[Candidate]:
    known = catalogue_candidates(family.input_format, family.spec(5, 1, 5))
    found = {c.learner.name: c for c in known if c.plan.style == "none"}
    return [found[name] for name in names]


def asked_of(candidates: list[Candidate], episodes: int, *known: Any) -> JudgeRequest:
    """Returns what a judging job is asked of candidates without nets."""
    pairs = itertools.zip_longest(candidates, known, fillvalue=())
    entrants = tuple(Entrant(candidate, None, tuple(scores)) for candidate, scores in pairs)
    return JudgeRequest(entrants, episodes, seed=0)


@pytest.fixture
def place(family: ClassFamily, tmp_path: Path) -> Workplace:
    return prepare(tmp_path, family, family.spec(5, 1, 5))


def judged(place: Workplace, request: JudgeRequest) -> tuple[Figures, ...]:
    return judging_job(place, request, lambda _: None).figures


def test_a_job_measures_all_contestants_on_the_first_episodes_of_one_list(
    family: ClassFamily, place: Workplace
) -> None:
    chosen = plain_candidates(family, "nearest_centroid", "nearest_neighbour")
    found = judged(place, asked_of(chosen, 40))
    learner = build_learner(chosen[0], family.input_format, "classification")
    for index, shots in enumerate((1, 5)):
        said = [each.tasks[index].result for each in found]
        task = family.spec(5, shots, 5)
        episodes = episode_list(family, "promotion", task, 40)
        assert {each.protocol.list_hash for each in said} == {
            protocol(learner, family, "promotion", task, episodes).list_hash
        }
        assert {each.protocol.part for each in said} == {"promotion"}
        assert [each.episodes for each in said] == [40, 40]


def test_what_a_contestant_has_been_scored_on_is_not_scored_again(
    family: ClassFamily, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = plain_candidates(family, "nearest_centroid", "nearest_neighbour")
    alone = judged(place, asked_of(chosen[:1], 30))[0]
    known = [task.scores for task in alone.tasks]
    scored: list[int] = []
    score: Any = scoring.score_episodes

    def counted(learner: Any, params: Any, episodes: Any, *rest: Any) -> Any:
        scored.append(len(episodes))
        return score(learner, params, episodes, *rest)

    monkeypatch.setattr(scoring, "score_episodes", counted)
    later = judged(place, asked_of(chosen, 50, known))
    assert scored == [20, 20, 50, 50]  # of the first one what it lacked, with one shot and five
    assert later == judged(place, asked_of(chosen, 50))


@pytest.mark.parametrize(
    ("spread", "episodes", "enough"), [(0.1, 100, True), (0.01, 20, False), (0.0, 400, False)]
)
def test_more_episodes_are_taken_as_long_as_they_narrow_the_interval_for_new_classes(
    spread: float, episodes: int, enough: bool
) -> None:
    gains = spread * np.linspace(-1, 1, 6)
    one, other = of_classes(np.full(6, 0.5), episodes), of_classes(0.6 + gains, episodes, seed=1)
    assert is_enough([figures(one), figures(other)]) is enough
    assert is_enough([figures(one), FAILED, figures(other)]) is enough
    third = figures(of_classes(np.full(6, 0.6), episodes, seed=2))  # of another kind of difference
    assert not is_enough([figures(one), figures(other), third])


def test_a_judgement_ends_where_more_episodes_would_not_help(
    family: ClassFamily, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = plain_candidates(family, "nearest_centroid", "nearest_neighbour")
    request = replace(asked_of(chosen, 25), block=10)
    for enough, expected in ((True, 10), (False, 25)):
        monkeypatch.setattr(judging_jobs, "is_enough", lambda figures, said=enough: said)
        found = judged(place, request)
        assert {task.result.episodes for each in found for task in each.tasks} == {expected}


def test_a_task_of_several_shots_or_of_few_examples_is_judged_alone() -> None:
    rng = np.random.default_rng(0)
    for each, shots, tasks in ((12, 5, [5]), (12, 7, [7]), (12, 1, [1, 5]), (5, 1, [1])):
        labels = np.repeat(np.arange(24), each)
        family = class_family(read_arrays(rng.normal(size=(len(labels), 4)), labels, name="few"))[0]
        lists = task_lists(family, family.spec(5, shots, 3), "promotion", 10)
        assert [spec.shots for spec, _ in lists] == tasks
        assert [len(episodes) for _, episodes in lists] == [10] * len(tasks)


def test_a_contestant_that_fails_leaves_the_others_their_figures(
    family: ClassFamily, place: Workplace
) -> None:
    good = catalogue_candidates(family.input_format, place.spec)
    centroid = next(c for c in good if c.learner.name == "nearest_centroid")
    bad = Candidate(Choice("logistic_regression", {"inverse_strength": -1.0}), Choice("raw"),
                    Plan("none"))  # fmt: skip
    first, second = judged(place, asked_of([bad, centroid], 3))
    assert first.status == "failed" and first.tasks == () and "-1.0" in first.message
    assert second.status == "finished"


class JudgesAreSlow(Executor):
    """Two workers in this process; a judgement ends only when nothing else is left to do."""

    num_workers = 2

    def __init__(self, workplace: Workplace, workers: int) -> None:
        self.works, self.jobs = works_in(workplace), list[Job]()

    @property
    def free(self) -> int:
        return self.num_workers - len(self.jobs)

    @property
    def cpu_seconds(self) -> float:
        return 0.0

    def submit(self, job: Job) -> None:
        assert self.free
        self.jobs.append(job)

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        if not self.jobs:
            return []
        job = min(self.jobs, key=lambda job: job.work == "judge")
        self.jobs.remove(job)
        return [perform(self.works, job, lambda content: None)]

    def events(self) -> list[Progress]:
        return []

    def close(self) -> None:
        self.jobs.clear()


class LastJudgementCrashes(JudgesAreSlow):
    """Its workers die when they judge."""

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        ended = super().wait(timeout_seconds)
        return [
            Outcome(o.job, "crashed", None, "its worker was killed", 1.0, 1.0)
            if o.job.work == "judge"
            else o
            for o in ended
        ]


@pytest.mark.long
def test_no_judgement_begins_while_another_is_under_way(
    reading: Any, tmp_path: Path, short: Settings
) -> None:
    events = learn(
        reading, out=tmp_path / "run", budget="60steps", queries=5, workers=2,
        generates=Generates(algorithms=False), settings=short, executor=JudgesAreSlow,
    )  # fmt: skip
    last = list(events)[-1]
    assert isinstance(last, Learned) and last.report["status"] == "finished"
    with Archive.open(tmp_path / "run" / "archive.sqlite", read_only=True) as archive:
        asked = [job.asked for job in archive.jobs() if job.work == "judge"]
    assert len(asked) >= 2
    for before, after in itertools.pairwise(asked):  # each knows what the one before has brought
        assert after["contestants"][0] == before["contestants"][0]  # the reference
        assert after["known"][0] >= max(1, before["known"][0])


def test_a_last_judgement_that_crashes_is_an_error_of_one_line_and_can_be_resumed(
    reading: Any, tmp_path: Path, short: Settings
) -> None:
    options: dict[str, Any] = {
        "out": tmp_path / "run", "budget": "60steps", "queries": 5, "workers": 2,
        "generates": Generates(algorithms=False, data=False), "settings": short,
    }  # fmt: skip
    with pytest.raises(MetaloopError, match="last judgement came to no result"):
        list(learn(reading, executor=LastJudgementCrashes, **options))
    *_, last = learn(reading, resume=True, executor=JudgesAreSlow, **options)
    assert isinstance(last, Learned) and last.report["status"] == "finished"
