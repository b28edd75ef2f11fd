"""Scheduling: what a job costs beside its work, and how far more workers make a run faster.

    .venv/bin/python benchmarks/scaling.py overhead [--executor local ray] [--jobs 20]
    .venv/bin/python benchmarks/scaling.py simulate [--workers 2 8 64 512] [--budget 1h] [--json]

`overhead`: two workers, jobs that take a nap of `--seconds`, read a state and write one of
`--megabytes`; what goes by between the end of one and the beginning of the next, and CPU-seconds
beside the jobs' own. It does not depend on how long jobs are: 500 ms are 5 % of 10 s.

`simulate`: the loop itself (proposing, judging, its archive on this disk) with workers on a virtual
clock. What jobs answer is drawn at random, of the size that real answers have; how long they take
was measured. The coordinator's CPU time goes by on the virtual clock, so workers wait for it.
Efficiency: the share of the workers' time in which they work, from the start of the budget to the
last judgement.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metaloop.archive import Archive
from metaloop.catalogue.families import OpenedData
from metaloop.core.budget import parse_budget
from metaloop.core.packing import scores_to_json
from metaloop.core.records import Candidate, Part, Protocol, Result
from metaloop.core.statistics import EpisodeScores, mean_with_interval
from metaloop.engine.evaluation import possible_gain
from metaloop.executors.base import Executor, Job, Report, Work
from metaloop.executors.local_pool import LocalPool
from metaloop.executors.luggage import FOLDER, Luggage
from metaloop.executors.ray_cluster import connected
from metaloop.executors.ray_pool import RayPool
from metaloop.executors.virtual import VirtualPool
from metaloop.executors.worker import serve
from metaloop.jobs.baselines import BaselinesRequest, BaselinesResult
from metaloop.jobs.inventing import InventRequest, InventResult
from metaloop.jobs.joining import JoinRequest, JoinResult
from metaloop.jobs.judging import JudgeRequest, JudgeResult
from metaloop.jobs.measured import Figures, Found, TaskFigures
from metaloop.jobs.states import FolderStates
from metaloop.jobs.table import WORK
from metaloop.jobs.training import TrainRequest, TrainResult
from metaloop.jobs.workplace import prepare
from metaloop.loop.choosing import choose_field
from metaloop.loop.population import Population
from metaloop.loop.proposing import Proposer
from metaloop.loop.racing import RACE_SHARE
from metaloop.loop.repeating import Loop, repeat
from metaloop.loop.run import Run, describe_data
from metaloop.loop.shares import SEGMENT_SHARE, at_once
from metaloop.modelfile.typed_json import decode, encode
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays

# CPU-seconds of jobs beside what their budget is, medians of `metaloop learn` on Omniglot for 110 s
BESIDE = {"baselines": 4.3, "train": 2.6, "invent": 0.0, "join": 4.7, "judge": 1.5}
HALF_LEARNED_SECONDS = 60.0  # of training, until half of what a net will learn is learned
SPREAD = 0.02  # of learners' last accuracies
EPISODE_SPREAD = 0.1


def noise_family(side: int = 28) -> ClassFamily:
    """Returns 60 classes of noise, of 20 examples each: only their shapes matter."""
    images = np.random.default_rng(0).integers(0, 256, (60 * 20, side, side)).astype(np.uint8)
    labels = np.repeat(np.arange(60), 20)
    return class_family(read_arrays(images, labels, name="noise", image_size=side))[0]


@dataclass
class SimulatedJobs:
    """What jobs answer: lines of nets learn, some better than others; nothing is computed."""

    seed: int = 0

    def __post_init__(self) -> None:
        self.trained: dict[int, float] = {}  # node -> seconds of training along its line
        self.lines: dict[int, int] = {}  # node -> node that its line began with

    def works(self) -> dict[str, Work]:
        """Returns the table that an executor has."""
        answers: dict[str, Callable[[Any], Any]] = {
            "train": self._train,
            "baselines": self._baselines,
            "invent": self._invent,
            "join": self._join,
            "judge": self._judge,
        }

        def work_of(name: str) -> Work:
            def work(arguments: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
                request = decode(WORK[name].request, dict(arguments), "the request")
                answered: dict[str, Any] = encode(answers[name](request))
                return answered

            return work

        return {name: work_of(name) for name in answers}

    def seconds_of(self, job: Job) -> float:
        """Returns how long a job takes: its budget, and what was measured beside that."""
        asked = job.arguments
        budget = asked.get("budget") or {}
        seconds = budget.get("wall_seconds") or asked.get("wall_seconds") or 0.0
        rng = np.random.default_rng([self.seed, job.number])
        return float(seconds) + BESIDE[job.work] * float(rng.uniform(0.7, 1.5))

    def _accuracy(self, line: int, seconds: float) -> float:
        best = 0.9 + np.random.default_rng([self.seed, 1, line]).normal(0, SPREAD)
        return float(0.2 + (best - 0.2) * seconds / (seconds + HALF_LEARNED_SECONDS))

    def _figures(
        self, candidate: Candidate, value: float, episodes: int, part: Part = "search"
    ) -> Figures:
        tasks = []
        for shots in (1, 5):
            name = [self.seed, len(part), shots]
            hard = np.random.default_rng(name).normal(0, EPISODE_SPREAD, episodes)
            own = np.random.default_rng([*name, int(candidate.identity, 16)])
            scores = np.clip(value + hard + own.normal(0, 0.02, episodes), 0.0, 1.0)
            found = mean_with_interval(scores)
            how = Protocol(part, 5, shots, 15, "none", f"{part}-{shots}-{episodes}", "noise")
            result = Result("accuracy", found.value, found.ci95, episodes, how)
            packed = scores_to_json(EpisodeScores.independent(scores))
            tasks.append(TaskFigures(result, packed))
        return Figures("finished", tasks=tuple(tasks))

    def _train(self, request: TrainRequest) -> TrainResult:
        start = None if request.start is None else request.start.node
        seconds = request.budget.wall_seconds or 0.0
        line = request.node if start is None else self.lines[start]
        total = seconds + (0.0 if start is None else self.trained[start])
        self.lines[request.node], self.trained[request.node] = line, total
        value = self._accuracy(line, total)
        heads = tuple(
            self._figures(head, value - 0.01 * place, request.episodes)
            for place, head in enumerate(request.heads)
        )
        return TrainResult("finished", "", 100, seconds, seconds, 1e9, 1.0, (), heads)

    def _baselines(self, request: BaselinesRequest) -> BaselinesResult:
        best = request.candidates[:4]
        found = (Found(one, self._figures(one, 0.45, request.episodes)) for one in best)
        return BaselinesResult(tuple(found))

    def _invent(self, request: InventRequest) -> InventResult:
        return InventResult((), steps=100)

    def _join(self, request: JoinRequest) -> JoinResult:
        members = tuple(each.node for each in request.nets if each.node is not None)
        return JoinResult(members[:2], 2)

    def _judge(self, request: JudgeRequest) -> JudgeResult:
        values = [
            0.45 if each.node is None else self._accuracy(self.lines[each.node], 1e3)
            for each in request.entrants
        ]
        entrants = zip(request.entrants, values, strict=True)
        return JudgeResult(
            tuple(
                self._figures(each.candidate, value, request.episodes, "promotion")
                for each, value in entrants
            )
        )


@dataclass(frozen=True)
class Simulated:
    """What came of a simulated run; `busy_by_tenth`: efficiency in each tenth of its time."""

    workers: int
    jobs: int
    lines: int
    wall_seconds: float
    efficiency: float
    coordinator_ms: float
    coordinator_share: float
    archive_kb: float
    busy_by_tenth: tuple[float, ...]


def simulated(
    folder: Path, workers: int, budget: str, seed: int = 0, overhead_seconds: float = 0.0
) -> Simulated:
    """Returns what becomes of a run of the loop with so many workers on a virtual clock."""
    family, jobs = noise_family(), SimulatedJobs(seed)
    spec = family.spec(5, 1)
    pool = VirtualPool(jobs.works(), workers, jobs.seconds_of, overhead_seconds=overhead_seconds)
    with ExitStack() as stack:
        archive = stack.enter_context(Archive.create(folder / "archive.sqlite"))
        number = archive.begin_run("learn", arguments={}, seed=seed, budget=budget)
        archive.add_data_set(describe_data(OpenedData(family, "images")))
        run = Run(
            folder, archive, number, parse_budget(budget), seed, family, spec, lambda: False,
            tries=(number,), clock=pool.clock,
        )  # fmt: skip
        workplace = prepare(run.states, family, spec)
        loop = Loop(run, workplace, pool, proposer_of(run, workers))
        run.restart_clock()
        for _ in repeat(loop):
            pass
        wall = pool.clock()
        size = archive.path.stat().st_size
    nodes = loop.population.nodes.values()
    return Simulated(
        workers=workers,
        jobs=loop.number,
        lines=len({node.line for node in nodes if node.kind == "train"}),
        wall_seconds=wall,
        efficiency=pool.cpu_seconds / (workers * wall),
        coordinator_ms=1e3 * pool.caller_seconds / loop.number,
        coordinator_share=pool.caller_seconds / wall,
        archive_kb=size / 1e3 / loop.number,
        busy_by_tenth=tuple(
            _busy(pool.spans, wall * k / 10, wall * (k + 1) / 10, workers) for k in range(10)
        ),
    )


def proposer_of(run: Run, workers: int) -> Proposer:
    """Returns what `learn` proposes from, for this run."""
    assert run.budget.wall_seconds is not None
    seconds = RACE_SHARE * run.budget.wall_seconds * at_once(workers)
    field = choose_field(run.family, run.spec, race_seconds=seconds, shrunk=True)
    return Proposer(
        Population(possible_gain(run.family, run.spec)), field.contenders, field.baselines,
        {"": run.family.input_format}, run.spec, run.seed, origins=field.origins,
        segment_seconds=seconds * SEGMENT_SHARE / RACE_SHARE, num_classes=36, workers=workers,
    )  # fmt: skip


def _busy(spans: list[tuple[float, float]], start: float, end: float, workers: int) -> float:
    """Returns the share of the workers' time in which they worked, between two times."""
    inside = sum(max(0.0, min(until, end) - max(since, start)) for since, until in spans)
    return inside / ((end - start) * workers)


@dataclass(frozen=True)
class Overhead:
    """What a job costs beside its work: seconds until the next begins; CPU-seconds of whom."""

    executor: str
    jobs: int
    gap_seconds: float
    coordinator_cpu: float
    worker_cpu: float
    ray_cpu: float


def overhead(
    executor: Executor, name: str, jobs: int, seconds: float, megabytes: float
) -> Overhead:
    """Returns the cost of jobs that sleep, read what an earlier one has written, and write."""
    waiting = list(range(executor.num_workers, jobs + executor.num_workers))
    with executor:
        for number in range(executor.num_workers):  # workers start, and there is a state to read
            executor.submit(_nap(number, 0.0, megabytes, None))
        for _ in range(executor.num_workers):
            _next(executor)
        began, cpu, ray_cpu = time.perf_counter(), time.process_time(), _cpu_of_ray()
        workers_cpu, own = executor.cpu_seconds, 0.0
        while waiting and executor.free:
            executor.submit(_nap(waiting.pop(), seconds, megabytes, 0))
        ended = 0
        while ended < jobs:
            for outcome in executor.wait(1.0):
                assert outcome.value is not None, outcome.message
                ended, own = ended + 1, own + outcome.cpu_seconds
                if waiting:
                    executor.submit(_nap(waiting.pop(), seconds, megabytes, 0))
        wall = time.perf_counter() - began
        cpu, ray_cpu = time.process_time() - cpu, _cpu_of_ray() - ray_cpu
        workers_cpu = executor.cpu_seconds - workers_cpu - own
    each = jobs / executor.num_workers
    gap = wall / each - seconds
    return Overhead(name, jobs, gap, cpu / jobs, workers_cpu / jobs, ray_cpu / jobs)


def _nap(number: int, seconds: float, megabytes: float, reads: int | None) -> Job:
    asked = {"seconds": seconds, "megabytes": megabytes, "reads": reads, "name": f"{number}.net"}
    return Job(number, "nap", asked)


def _next(executor: Executor) -> None:
    while not (ended := executor.wait(1.0)):
        pass
    assert all(outcome.status == "done" for outcome in ended), ended


def _serve(folder: Path) -> None:
    """Is a worker whose jobs take a nap, in the place of training."""

    def nap(arguments: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
        if arguments["reads"] is not None:
            (folder / f"{arguments['reads']}.net").read_bytes()
        time.sleep(arguments["seconds"])
        FolderStates(folder).write(arguments["name"], bytes(int(1e6 * arguments["megabytes"])))
        return {"answer": "x" * 40_000}  # as long as the figures of some heads

    serve(lambda: {"nap": nap})


def _cpu_of_ray() -> float:
    """Returns the CPU-seconds of Ray's own processes on this machine."""
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            command = (process / "cmdline").read_bytes()
            if any(name in command for name in (b"raylet", b"gcs_server", b"/ray/dashboard")):
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure_overhead(name: str, jobs: int, seconds: float, megabytes: float) -> Overhead:
    """Returns what a job costs with two workers of the local pool, or of Ray on this machine."""
    script = str(Path(__file__).resolve())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if name == "local":
            pool = LocalPool([sys.executable, script, "worker", place], 2)
            return overhead(pool, name, jobs, seconds, megabytes)
        states = FolderStates(folder)
        luggage = Luggage(
            (script, "worker", FOLDER), folder, (), (),
            lambda job: [] if job.arguments["reads"] is None else ["0.net"],
            states.read, states.write,
        )  # fmt: skip
        with connected(os.environ.get("RAY_ADDRESS", "local"), 2):
            return overhead(RayPool(luggage, 2), name, jobs, seconds, megabytes)


def main() -> None:
    """Measures or simulates, and prints a line for each executor or number of workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("overhead", "simulate", "worker"))
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--executor", nargs="+", default=["local", "ray"])
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--megabytes", type=float, default=4.0)
    parser.add_argument("--workers", nargs="+", type=int, default=[2, 8, 64, 512])
    parser.add_argument("--budget", default="1h")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--per-job",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="what a job costs the coordinator beside the loop: `overhead` says",
    )
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.what == "worker":
        _serve(asked.folder)
    found: list[Any] = []
    if asked.what == "overhead":
        for name in asked.executor:
            found.append(measure_overhead(name, asked.jobs, asked.seconds, asked.megabytes))
            _print(found[-1], asked.json)
        return
    for workers in asked.workers:
        with tempfile.TemporaryDirectory() as folder:
            run = simulated(Path(folder), workers, asked.budget, asked.seed, asked.per_job)
        _print(run, asked.json)


def _print(found: Overhead | Simulated, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(found)), flush=True)
    elif isinstance(found, Overhead):
        print(
            f"{found.executor:6s} {found.jobs} jobs: the next begins after "
            f"{1e3 * found.gap_seconds:.0f} ms; CPU of a job beside its work: coordinator "
            f"{1e3 * found.coordinator_cpu:.1f} ms, workers {1e3 * found.worker_cpu:.1f} ms"
            + (f", Ray {1e3 * found.ray_cpu:.1f} ms" if found.executor == "ray" else ""),
            flush=True,
        )
    else:
        tenths = " ".join(f"{100 * share:3.0f}" for share in found.busy_by_tenth)
        print(
            f"{found.workers:4d} workers: {found.efficiency:6.1%} busy, {found.jobs:5d} jobs, "
            f"{found.lines:4d} lines; coordinator {found.coordinator_ms:6.1f} ms a job, "
            f"{found.coordinator_share:5.1%} of the time; archive {found.archive_kb:.0f} kB a job; "
            f"busy by tenths {tenths}",
            flush=True,
        )


if __name__ == "__main__":
    main()
