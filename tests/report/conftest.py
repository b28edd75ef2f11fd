"""Archives to report on: small honest ones, and a large one with lineage, failures and malice."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaloop.archive import Archive, DataSet, JobId, RunId, add_backbones
from metaloop.core.leagues import Backbone, EncoderCard
from metaloop.core.records import (
    Candidate,
    Choice,
    CurvePoint,
    DataRecipe,
    Part,
    Plan,
    Protocol,
    Result,
    Trial,
    TrialStatus,
    Verdict,
)
from metaloop.report import Records, read_run

HOSTILE = "<script>alert('x')</script>\"&\u202egnp.exe\x1b[31mred\x00<img src=x onerror=alert(1)>"
DATA = DataSet(
    hash="d4ta5e7",
    name="letters",
    kind="folder of images",
    classes=12,
    examples=240,
    parts={"train": ("a", "b"), "search": ("c",), "promotion": ("d",), "test": ("e", HOSTILE)},
    left_out={"unreadable image": 2},
)
ENVIRONMENT = {"python": "3.11", "torch": "2.13", "cpu_count": 2, "platform": "Linux"}
PROGRAM = '''def embed_map(features):
    """Centre, then length one."""
    centred = features - mean(features)
    return centred / norm(centred)


def predict(state, queries):
    return 10.0 * matmul(queries, transpose(state))  # cosine
'''


def png(side: int = 32, shade: int = 120) -> bytes:
    """A grey square as PNG, by hand: reports must not need an image library."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    size = side.to_bytes(4, "big")
    header = size + size + bytes((8, 0, 0, 0, 0))
    pixels = zlib.compress((b"\0" + bytes([shade]) * side) * side)
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def make_result(
    value: float, part: Part = "search", ci95: float = 0.01, ways: int = 5, **changes: Any
) -> Result:
    """A result on the letters."""
    protocol = Protocol(part, ways, 1, 15, "running", f"list {part}", DATA.hash)
    return replace(Result("accuracy", value, ci95, 200, protocol), **changes)


@dataclass
class Bench:
    """An archive being filled, and the run in it."""

    archive: Archive
    folder: Path
    run: RunId
    names: dict[str, str] = field(default_factory=dict)  # of candidates, by what they are

    def add(
        self,
        learner: str = "protonet",
        value: float | None = 0.7,
        parents: Sequence[str] = (),
        operator: str = "catalogue",
        *,
        status: TrialStatus = "finished",
        message: str = "",
        style: Any = "episodes",
        program: str | None = None,
        rate: float = 3e-3,
        net: str = "conv4",
        cpu_seconds: float = 2.0,
        rung: int = 0,
        generators: tuple[Choice, ...] = (),
        options: dict[str, Any] | None = None,
        metric: str = "accuracy",
        job: JobId | None = None,
        view: str = "",
    ) -> str:
        """Records a candidate with one trial; returns its identity."""
        candidate = Candidate(
            Choice(learner, options or {}),
            Choice(net),
            Plan(style, learning_rate=rate),
            DataRecipe(generators=generators),
            program=program,
            view=view,
        )
        identity = self.archive.add_candidate(candidate, parents, operator, run=self.run)
        results = () if value is None else (make_result(value, metric=metric),)
        trial = Trial(
            candidate=identity,
            status=status,
            seed=0,
            steps=100,
            cpu_seconds=cpu_seconds,
            wall_seconds=cpu_seconds / 2,
            rung=rung,
            curve=(CurvePoint(50, 0.5, 1.2), CurvePoint(100, 1.0, 0.8, value)),
            results=results,
            message=message,
        )
        number = self.archive.begin_trial(self.run, identity, DATA.hash, seed=0, rung=rung, job=job)
        if status != "running":
            scores = {r.protocol.list_hash: np.full(r.episodes, r.value) for r in results}
            self.archive.end_trial(number, trial, scores)
        return identity

    def judge(
        self,
        winner: str,
        loser: str,
        difference: float,
        half: float = 0.01,
        part: Part = "search",
        reason: str = "paired",
    ) -> None:
        """Records a verdict."""
        low = difference - half
        self.archive.add_verdict(
            self.run, Verdict(winner, loser, part, difference, low, 400, reason)
        )

    def open_test(self, subject: str, value: float | None, ci95: float = 0.006) -> None:
        """Records a look at `test`; without a value one that was broken off."""
        seen = make_result(value or 0.0, "test", ci95, episodes=1000)
        opening = self.archive.record_opening(
            subject, "the end of a learn run", seen.protocol, run=self.run
        )
        if value is not None:
            self.archive.finish_opening(opening, seen)

    def records(self) -> Records:
        """What the report reads."""
        return read_run(self.folder)


def bench_in(folder: Path, **run: Any) -> Bench:
    """A fresh archive with one run that goes on."""
    folder.mkdir(exist_ok=True)
    archive = Archive.create(folder / "archive.sqlite")
    archive.add_data_set(DATA)
    arguments = {"data": "my letters", "budget": "120s", "ways": 5, "shots": 1, "strict": False}
    begun = {"arguments": arguments, "seed": 0, "budget": "120s", "environment": ENVIRONMENT}
    return Bench(archive, folder, archive.begin_run("learn", **{**begun, **run}))


def fill_small(bench: Bench) -> None:
    """A finished run: a baseline `plain`, a `parent` and its `child`, which won."""
    plain = bench.add("nearest_centroid", 0.5, style="none", net="raw", cpu_seconds=0.1)
    parent = bench.add("protonet", 0.7)
    child = bench.add("protonet", 0.75, [parent], "plan: learning_rate 0.003 -> 0.01", rate=0.01)
    bench.judge(child, parent, 0.05)
    bench.judge(child, plain, 0.25, part="promotion")
    bench.open_test(child, 0.742)
    bench.archive.add_artefact(bench.run, "episode", "image/png", png(), "a task of 5 letters")
    bench.archive.end_run(bench.run, "finished")
    bench.names.update(plain=plain, parent=parent, child=child)


def fill_shuffled(bench: Bench) -> None:
    """A finished run on labels without meaning: its figure on `test` is at chance."""
    best = bench.add("protonet", 0.22)
    bench.open_test(best, 0.203)
    bench.archive.end_run(bench.run, "finished")


def fill_large(bench: Bench, candidates: int = 300) -> str:
    """A long run: generations, crossover, programs, failures, hostile text; returns the winner."""
    rng = np.random.default_rng(7)
    hostile = HOSTILE.replace("\x00", "")
    with bench.archive.transaction():
        for index, name in enumerate(("nearest_centroid", "logistic_regression", hostile)):
            bench.add(name, 0.4 + 0.05 * index, style="none", net="raw", cpu_seconds=0.2)
        founders = [
            bench.add(name, value, view="mine" if name == "rfs" else "")
            for name, value in (("protonet", 0.6), ("ridge", 0.58), ("maml", 0.45), ("rfs", 0.55))
        ]
        known = dict.fromkeys(founders, 0.6)
        best = first = founders[0]
        programs = {first: PROGRAM}
        for number in range(candidates - len(founders) - 3):
            kind = number % 8
            eager = rng.random() < 0.35
            parent = best if eager else str(rng.choice(list(known)))
            value = float(np.clip(known[parent] + rng.normal(0.002, 0.02), 0.2, 0.97))
            options: dict[str, Any] = {"rate": 1e-3 * (number + 2)}
            parents, program = [parent], programs.get(parent)
            if kind == 0:
                words = f"plan: learning_rate 0.003 -> {1e-3 * (number + 2):g}"
            elif kind == 1:
                words = "data: add rotate(90)"
                options["generators"] = (Choice("rotate", {"degrees": 90, "number": number}),)
            elif kind == 2:
                words = f"net: width 64 -> {64 + number}"
                options["net"] = f"conv4-{64 + number}"
            elif kind in (3, 4):
                words = f"program: insert power(x, 0.{number}) in embed_map"
                body = (program or PROGRAM).replace("10.0", f"{10 + number / 10:g}", 1)
                program = body.replace("mean(features)", f"power(mean(features), 0.{number})", 1)
                options["learner"] = "program"
            elif kind == 5:
                other = str(rng.choice([name for name in known if name != parent]))
                parents, words = [parent, other], "crossover"
            elif kind == 6 and rng.random() < 0.6:
                status = ("failed", "timed out", "diverged")[number % 3]
                bench.add(
                    "protonet",
                    None,
                    parents,
                    "plan: optimiser adamw -> sgd",
                    status=status,  # type: ignore[arg-type]
                    message=f"RuntimeError: {hostile}" if number % 4 else "loss became nan",
                    **options,
                )
                continue
            else:
                words = f"committee: {hostile}" if number % 5 == 0 else "committee: two nets"
            child = bench.add(
                options.pop("learner", "protonet"),
                value,
                parents,
                words,
                program=program,
                rung=int(rng.integers(0, 3)),
                cpu_seconds=float(rng.uniform(0.2, 4)),
                **options,
            )
            difference = value - known[parent]
            winner, loser = (child, parent) if difference > 0 else (parent, child)
            bench.judge(winner, loser, abs(difference), 0.012)
            known[child], programs[child] = value, program or PROGRAM
            if value > known[best]:
                bench.judge(child, best, value - known[best], 0.008, part="promotion")
                best = child
        bench.open_test(best, None)
        bench.open_test(best, known[best] - 0.02)
        for shade in (60, 200):
            bench.archive.add_artefact(bench.run, "episode", "image/png", png(96, shade), hostile)
        card = EncoderCard("mine", "images", 512, 16 * "a", 224, hostile, knows=hostile)
        add_backbones(bench.archive, bench.run, [Backbone("mine", card)])
        bench.archive.add_artefact(bench.run, "page", "text/html", b"<script>1</script>", "no")
        bench.archive.end_run(bench.run, "finished")
    return best


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A fresh archive with one run that goes on."""
    made = bench_in(tmp_path / "run")
    yield made
    made.archive.close()


@pytest.fixture
def result() -> Callable[..., Result]:
    """Makes results on the letters."""
    return make_result


@pytest.fixture
def small(bench: Bench) -> Bench:
    """A finished run of three candidates."""
    fill_small(bench)
    return bench


@pytest.fixture
def shuffled(bench: Bench) -> Bench:
    """A finished run that learned nothing."""
    fill_shuffled(bench)
    return bench


@pytest.fixture
def hostile() -> str:
    """Text that tries to be markup, a terminal's command, and a name turned around."""
    return HOSTILE


@pytest.fixture(scope="session")
def large_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of 300 candidates."""
    made = bench_in(tmp_path_factory.mktemp("large") / "run")
    fill_large(made)
    made.archive.close()
    return made.folder
