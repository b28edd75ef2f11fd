"""What the archive keeps of a run is enough to make its population again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from metaloop.archive import Archive, JobId, rows
from metaloop.archive.in_file import FileStorage
from metaloop.catalogue.families import OpenedData
from metaloop.core.budget import Budget, parse_budget
from metaloop.core.packing import scores_to_json
from metaloop.core.records import (
    Candidate,
    Choice,
    CurvePoint,
    Plan,
    Protocol,
    Result,
    candidate_from_json,
)
from metaloop.core.statistics import EpisodeScores
from metaloop.executors.base import Job, Outcome
from metaloop.executors.in_process import InProcess
from metaloop.executors.performing import perform
from metaloop.jobs.joining import JoinRequest
from metaloop.jobs.measured import Figures, TaskFigures
from metaloop.jobs.table import works_in
from metaloop.jobs.training import TrainResult
from metaloop.jobs.workplace import Workplace, prepare
from metaloop.loop import repeating
from metaloop.loop.choosing import choose_field
from metaloop.loop.judging import Judge, resumed_judge
from metaloop.loop.population import Head, Node, Population
from metaloop.loop.proposal import Proposal
from metaloop.loop.proposing import Proposer
from metaloop.loop.recording import asked, begin, end, restore
from metaloop.loop.repeating import Loop, repeat
from metaloop.loop.run import Run, describe_data
from metaloop.loop.settings import Settings

RunMaker = Callable[..., Run]


class Accidents(InProcess):
    """Does the work, but its third and fifth training end as if a worker had died or hung."""

    def __init__(self, workplace: Workplace) -> None:
        super().__init__(works_in(workplace))
        self.trained: list[int] = []

    def wait(self, timeout_seconds: float) -> list[Outcome]:
        job = self._job
        if job is not None and job.work == "train":
            self.trained.append(job.number)
        place = len(self.trained)
        if job is None or job.work != "train" or place not in (3, 5):
            return super().wait(timeout_seconds)
        self._job = None
        if place == 3:
            return [Outcome(job, "crashed", None, "its worker was killed", 1.0, 0.5)]
        return [Outcome(job, "timed out", None, "ended after 9 s", 9.0, 8.5)]


@pytest.fixture(scope="module")
def lived(
    family: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Run, Loop, list[Any]]]:
    """A run to its end in this process: the run, its loop, the progress of every node."""
    folder = tmp_path_factory.mktemp("lived")
    with pytest.MonkeyPatch.context() as patch, Archive.create(folder / "a.sqlite") as archive:
        number = archive.begin_run("learn", arguments={"workers": 1}, seed=0, budget="60steps")
        archive.add_data_set(describe_data(OpenedData(family, "images")))
        spec = family.spec(5, 1, 5)
        limit = parse_budget("60steps")
        run = Run(folder, archive, number, limit, 0, family, spec, lambda: False, tries=(number,))
        workplace = prepare(run.states, family, spec)
        field = choose_field(family, spec)
        heads = {c.learner.name: c for contender in field.contenders for c in contender}
        contenders = [(heads["protonet"],), (heads["simpleshot"],)]
        centroid = [c for c in field.baselines if c.learner.name == "nearest_centroid"]
        proposer = Proposer(
            Population(), contenders, tuple(centroid), {"": family.input_format}, spec, 0
        )
        few = Settings(episodes=100, final_episodes=100)
        loop = Loop(run, workplace, Accidents(workplace), proposer, settings=few)
        credited: list[Any] = []
        kept = proposer.credit
        patch.setattr(
            proposer, "credit", lambda node, said: (credited.append((node, said)), kept(node, said))
        )
        assert list(repeat(loop))
        yield run, loop, credited


def facts(node: Node) -> dict[str, Any]:
    """Returns all that is known of a node; of its proposal what decides what comes later."""
    said = {**asked(node), **asdict(replace(node, heads=[]))}
    del said["proposal"]
    heads = []
    for head in node.heads:
        own = asdict(head)
        for part in ("search", "promotion"):
            if own[part] is not None:
                own[part]["scores"] = [
                    scores_to_json(EpisodeScores(**each)) for each in own[part]["scores"]
                ]
        heads.append(own)
    return {**said, "heads": heads}


def test_a_restored_population_is_that_of_the_live_run(
    lived: tuple[Run, Loop, list[Any]],
) -> None:
    run, loop, credited = lived
    population = Population()
    number, ended = restore(run, population)
    assert number == loop.number
    assert set(population.nodes) == set(loop.population.nodes)
    for place, node in loop.population.nodes.items():
        mine, other = facts(population.nodes[place]), facts(node)
        for key, value in other.items():
            assert mine[key] == value, (place, key)
    assert population.current == loop.population.current
    assert population.stalls == loop.population.stalls
    assert [node.number for node, _ in ended] == [node.number for node, _ in credited]
    for (_, mine_said), (_, said) in zip(ended, credited, strict=True):
        assert mine_said == said


def test_the_live_run_had_all_kinds_of_nodes_and_accidents(
    lived: tuple[Run, Loop, list[Any]],
) -> None:
    nodes = lived[1].population.nodes.values()
    assert {"baselines", "train", "invent"} <= {node.kind for node in nodes}
    assert any(head.promotion is not None for node in nodes for head in node.heads)
    assert any(node.measuring_seconds > 0 for node in nodes)
    assert any(head.generated for node in nodes for head in node.heads)
    assert any(node.continues for node in nodes)
    statuses = {head.status for node in nodes for head in node.heads}
    assert statuses == {"finished", "failed", "timed out"}


def test_accidents_are_recorded_failures_without_a_figure(
    lived: tuple[Run, Loop, list[Any]],
) -> None:
    run, loop, _ = lived
    jobs = {job.status: job for job in run.archive.jobs() if job.status != "finished"}
    assert set(jobs) == {"crashed", "timed out"}
    for ending, status in (("crashed", "failed"), ("timed out", "timed out")):
        job = jobs[ending]
        trials = [t.trial for t in run.archive.trials() if t.job == job.id]
        assert trials and {trial.status for trial in trials} == {status}
        assert all(trial.message == job.message for trial in trials)
        assert all(not trial.results for trial in trials)
        node = loop.population.nodes[job.number]
        assert node.best is None and node.value == -np.inf
        assert job.number not in loop.population.current.values()
    assert not [t for t in run.archive.trials() if t.trial.status == "running"]


def test_the_judge_comes_back_with_its_incumbent(lived: tuple[Run, Loop, list[Any]]) -> None:
    run, loop, _ = lived
    population = Population()
    restore(run, population)
    judge = resumed_judge(run, population)
    live = loop.judge
    assert judge.incumbent is not None and live.incumbent is not None
    assert judge.incumbent[0].number == live.incumbent[0].number
    assert judge.incumbent[1].candidate == live.incumbent[1].candidate
    assert (judge.rounds, judge.reasons) == (live.rounds, live.reasons)
    assert judge.certain == live.certain


def test_a_proposer_that_was_resumed_proposes_what_the_live_one_does(
    lived: tuple[Run, Loop, list[Any]],
) -> None:
    run, loop, _ = lived
    live = loop.proposer
    resumed = Proposer(
        Population(), live.contenders, live.baselines, live.formats, live.spec, live.seed
    )
    number, ended = restore(run, resumed.population)
    for node, progress in ended:
        resumed.credit(node, progress)
    for ahead in range(5):
        for spent in (0.2, 0.55, 0.9):
            assert resumed.propose(number + ahead, spent) == live.propose(number + ahead, spent)


def test_figures_of_heads_add_up_along_a_line(lived: tuple[Run, Loop, list[Any]]) -> None:
    population = lived[1].population
    for node in population.nodes.values():
        if node.kind == "train" and node.continues and node.best is not None:
            assert node.parent is not None
            parent = population.nodes[node.parent]
            assert node.heads[0].cost == pytest.approx(node.cost + parent.heads[0].cost)
            assert node.heads[0].steps > parent.heads[0].steps


def test_a_job_that_never_ended_is_not_restored(make_run: RunMaker) -> None:
    run = make_run()
    candidate = Candidate(Choice("protonet"), Choice("mlp"), Plan("episodes"))
    begin(run, Population(), Node(3, Proposal("train", (candidate,)), line=3))
    run.archive.mark_interrupted(run.id)
    population = Population()
    assert restore(run, population) == (4, [])
    assert not population.nodes and not population.pending
    (trial,) = run.archive.trials()
    assert trial.trial.status == "interrupted"


def test_what_an_exception_said_is_in_the_archive(make_run: RunMaker) -> None:
    run = make_run()
    candidate = Candidate(Choice("protonet"), Choice("mlp"), Plan("episodes"))
    node, population = Node(0, Proposal("train", (candidate,))), Population()
    job = begin(run, population, node)

    def breaks(arguments: Any, report: Any) -> dict[str, Any]:
        raise FloatingPointError("too\nlarge")

    outcome = perform({"train": breaks}, Job(0, "train", {}), lambda content: None)
    trials, progress = end(run, population, node, job, outcome, None)
    assert progress is None and [trial.status for trial in trials] == ["failed"]
    (stored,) = run.archive.trials()
    assert stored.trial.message == "FloatingPointError: too large"
    assert run.archive.jobs()[0].status == "failed"


def test_training_that_diverges_is_a_record_of_its_own_kind(make_run: RunMaker) -> None:
    run = make_run()
    candidate = Candidate(Choice("protonet"), Choice("mlp"), Plan("episodes"))
    node, population = Node(0, Proposal("train", (candidate,))), Population()
    job = begin(run, population, node)
    result = TrainResult("diverged", "loss is nan", 7, 1.0, 1.0, 5.0, None, ())
    outcome = Outcome(Job(0, "train", {}), "done", {}, "", 1.0, 1.0)
    (trial,), _ = end(run, population, node, job, outcome, result)
    assert (trial.status, trial.message, trial.steps) == ("diverged", "loss is nan", 7)
    assert population.best is None and not population.current
    assert isinstance(node.heads[0], Head) and node.heads[0].search is None


def test_a_judge_without_records_is_a_new_one(make_run: RunMaker) -> None:
    assert resumed_judge(make_run(), Population()) == Judge()


@pytest.mark.parametrize(
    ("whole", "own", "allowed"),
    [("100s", Budget(wall_seconds=5.0), 80.0), ("100s", None, 108.0), ("60steps", None, 1800.0)],
)
def test_every_job_is_ended_in_proportion_to_the_budget(
    make_run: RunMaker, whole: str, own: Budget | None, allowed: float
) -> None:
    """Joining and judging, too, have no budget of their own: what is kept for them counts."""
    run = make_run(budget=whole)
    candidate = Candidate(Choice("protonet"), Choice("mlp"), Plan("episodes"))
    proposer = Proposer(Population(), [], (), {"": run.family.input_format}, run.spec, 0)
    workplace = Workplace(run.folder)
    executor = InProcess(works_in(workplace))
    loop = Loop(run, workplace, executor, proposer)
    begun = repeating.Begun(JobId(1), Node(0, Proposal("join", (candidate,))))
    repeating._submit(loop, begun, JoinRequest(0, (), (), 0, 10), own)
    assert executor._job is not None and executor._job.seconds_allowed == allowed


class Work:
    """Counts what SQLite does, in thousands of its machine's steps, and candidates decoded."""

    def __init__(self, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = self.decoded = 0
        assert isinstance(archive.storage, FileStorage)
        connection = archive.storage._connection
        connection.set_progress_handler(self._count, 10)
        connection.execute("PRAGMA synchronous = OFF")

        def decode(text: str) -> Candidate:
            self.decoded += 1
            return candidate_from_json(text)

        monkeypatch.setattr(rows, "candidate_from_json", decode)

    def _count(self) -> int:
        self.steps += 10
        return 0

    def of(self, act: Callable[[], Any]) -> tuple[int, int]:
        """Returns how many steps and decodings something takes."""
        before = (self.steps, self.decoded)
        act()
        return self.steps - before[0], self.decoded - before[1]


def record(run: Run, population: Population, numbers: range) -> None:
    """Records jobs that end as `train` jobs do: two heads each, of which the best has a verdict."""
    plan, result = Plan("episodes"), Protocol("search", 5, 1, 5, "none", "list", run.family.digest)
    for number in numbers:
        parent = population.nodes.get(number - 1)
        heads = tuple(
            Candidate(Choice(name), Choice("mlp", {"width": number + 1}), plan)
            for name in ("protonet", "simpleshot")
        )
        above = parent.number if parent else None
        node = Node(number, Proposal("train", heads, "net: wider", parent=above))
        job = begin(run, population, node)
        values = np.array([0.5 + 0.01 * (number % 7)] * 8 + [0.4])
        task = TaskFigures(
            Result("accuracy", 0.5, 0.1, 9, result),
            scores_to_json(EpisodeScores.independent(values)),
        )
        curve = (CurvePoint(1, 0.1, 0.2), CurvePoint(7, 0.8, 0.1))
        both = (Figures("finished", tasks=(task,)),) * 2
        said = TrainResult("finished", "", 7, 1.0, 1.0, 5.0, None, curve, both)
        outcome = Outcome(Job(number, "train", {}), "done", {}, "", 1.0, 1.0)
        end(run, population, node, job, outcome, said)


@pytest.mark.parametrize("jobs", [150, pytest.param(1500, marks=pytest.mark.long)])
def test_recording_a_job_and_restoring_one_take_as_much_however_many_there_are(
    make_run: RunMaker, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    run, population = make_run(), Population()
    work, few = Work(run.archive, monkeypatch), 50
    record(run, population, range(few))
    early = work.of(lambda: record(run, population, range(few, 2 * few)))
    at_few = work.of(lambda: restore(run, Population()))
    record(run, population, range(2 * few, jobs))
    late = work.of(lambda: record(run, population, range(jobs, jobs + few)))
    at_many = work.of(lambda: restore(run, Population()))
    assert len(run.archive.verdicts()) >= jobs
    assert late[0] < 1.5 * early[0]
    assert late[1] == early[1]
    larger = (jobs + few) / (2 * few)
    assert at_many[0] < 1.5 * larger * at_few[0]
    assert at_many[1] <= larger * at_few[1]
    assert at_many[1] <= 2 * len(run.archive.candidates())


def test_a_parents_table_is_not_read_whole_for_one_candidate(
    make_run: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, population = make_run(), Population()
    work = Work(run.archive, monkeypatch)
    record(run, population, range(10))
    (child, *_) = reversed(run.archive.candidates())
    assert child.parents
    before = work.of(lambda: run.archive.candidate(child.identity))
    record(run, population, range(10, 100))
    assert work.of(lambda: run.archive.candidate(child.identity))[0] <= before[0] + 20
    assert run.archive.candidate(child.identity) == child
