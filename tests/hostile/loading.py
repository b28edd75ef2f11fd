"""A process that loads files from strangers, one a line of its input, and says what became of each.

An answer is one line of JSON: `refused` with the error's line, `answers` with a digest of what the
model predicts, or `bug` with what escaped. Memory is limited, so that a file that asks for too much
is found out and harms nobody.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import torch
from rich.console import Console

from metaloop.archive import Archive, merge
from metaloop.archive.overview import list_runs, run_json
from metaloop.archive.spent import spent_by
from metaloop.core.errors import MetaloopError
from metaloop.estimators.files import task_from_file
from metaloop.loop.choosing import choose_field, known_programs
from metaloop.modelfile import read_model
from metaloop.models.model import load_model
from metaloop.report import page_of, read_run, summary_json
from metaloop.report.export import export
from metaloop.report.terminal import candidate_story, run_report
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.store import ClassInfo, Reading, Store

MOST_BYTES = 6 * 2**30  # of address space: torch alone takes some of them


def answer(path: Path) -> dict[str, object]:
    """Returns what becomes of one file."""
    try:
        digest = _archive(path) if path.suffix == ".sqlite" else _model(path)
    except MetaloopError as error:
        text = str(error)
        return {"refused": text} if "\n" not in text else {"bug": f"several lines: {text}"}
    except BaseException:
        return {"bug": traceback.format_exc()}
    return {"answers": digest}


def _model(path: Path) -> str:
    content = read_model(path)
    rng = torch.Generator().manual_seed(0)
    if content.kind == "adapted":
        task = task_from_file(content)
        outputs = task.outputs(_inputs(task.model.input_format, 4, rng))
    else:
        model = load_model(path)
        inputs = _inputs(model.input_format, 8, rng)
        ways = 2 if content.spec.objective == "classification" else 0
        targets = torch.arange(4) % 2 if ways else torch.zeros(4, *content.spec.target_shape)
        if _steps(model) > 50:
            return "takes long, as it says"
        outputs = model.predict(model.adapt(inputs[:4], targets, ways), inputs[4:])
    return hashlib.sha256(outputs.double().numpy().tobytes()).hexdigest()


def _inputs(input_format: object, number: int, rng: object) -> object:
    shape = (number, *input_format.shape)  # type: ignore[attr-defined]
    if input_format.kind == "image":  # type: ignore[attr-defined]
        return torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)  # type: ignore[call-overload]
    return torch.randn(shape, generator=rng)  # type: ignore[call-overload]


def _steps(model: object) -> int:
    learner = model.learner  # type: ignore[attr-defined]
    return max(getattr(learner, name, 0) for name in ("inner_steps", "num_steps", "num_iterations"))


def _archive(path: Path) -> str:
    """Reads an archive as all commands do; returns how each of them ended."""
    said = []
    for verb in (_all_records, _show, _report, _export, _begin, _list, _merge):
        try:
            said.append(f"{verb.__name__} {verb(path)}")
        except MetaloopError as error:
            said.append(f"{verb.__name__} refuses: {error}")
    if any("\n" in each for each in said):
        raise ValueError(f"several lines: {said}")
    return ", ".join(said)


def _all_records(path: Path) -> int:
    with Archive.open(path, read_only=True) as archive:
        found = [archive.runs(), archive.data_sets(), archive.trials(), archive.verdicts()]
        found += [archive.openings(), archive.jobs(), archive.artefacts()]
        for result in archive.results():
            if result.has_scores:
                archive.scores(result.id), archive.episode_scores(result.id)
        candidates = archive.candidates()
        found += [archive.lineage(stored.identity) for stored in candidates[-3:]]
        for run in archive.runs():
            spent_by(archive, run.id)
        return sum(map(len, found))


def _show(path: Path) -> int:
    records = read_run(path)
    last = list(records.candidates.values())[-1:]
    json.dumps(summary_json(records))
    console = Console(width=160, file=io.StringIO())
    for part in (*run_report(records), *(p for one in last for p in candidate_story(records, one))):
        console.print(part)
    return len(console.file.getvalue())  # type: ignore[attr-defined]


def _report(path: Path) -> int:
    return len(page_of(read_run(path)).encode())


def _export(path: Path) -> int:
    out = path.with_name("exported")
    try:
        return len(list(export(read_run(path), "csv", out).iterdir()))
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _begin(path: Path) -> int:
    """Starts from the archive as `learn --archive` does."""
    with Archive.open(path, read_only=True) as archive:
        chosen = choose_field(FAMILY, FAMILY.spec(3, 1, 5), archive=archive)
        return len(chosen.contenders) + len(known_programs(archive))


def _list(path: Path) -> int:
    """Lists and shows what there is, as `metaloop archive` does."""
    with Archive.open(path, read_only=True) as archive:
        found = list_runs(archive)
        return len(json.dumps([run_json(archive, one) for one in found], default=str))


def _merge(path: Path) -> int:
    """Brings the runs into another archive, which is gone afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Archive.open(path, read_only=True) as archive,
        Archive.create(Path(folder, "other.sqlite")) as other,
    ):
        return len(merge(archive, other, whole=True).added)


def _toy_family() -> ClassFamily:
    inputs = torch.randn(16 * 6, 6, generator=torch.Generator().manual_seed(0))
    classes = tuple(ClassInfo(f"class {k}") for k in range(16))
    store = Store(inputs, torch.arange(16).repeat_interleave(6), classes)
    return class_family(Reading("toy", "a test", store))[0]


FAMILY = _toy_family()


def run() -> None:
    """Answers until the input ends."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    out = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        before = resource.getrusage(resource.RUSAGE_SELF)
        said = answer(Path(line.rstrip("\n")))
        after = resource.getrusage(resource.RUSAGE_SELF)
        said["cpu_seconds"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        said["peak_kib"] = after.ru_maxrss - before.ru_maxrss
        print(json.dumps(said), file=out, flush=True)


if __name__ == "__main__":
    run()
