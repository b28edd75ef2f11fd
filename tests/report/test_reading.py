"""A run is read whatever state it is in, from its folder or its archive, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metaloop.archive import Archive
from metaloop.core.errors import ArchiveError
from metaloop.core.objective import OBJECTIVES
from metaloop.core.scales import OF_OPEN_TASKS, OF_TABLES, SCALES
from metaloop.report import claim_of, page_of, read_run, summary_json


def test_a_report_needs_no_torch(small: Any) -> None:
    program = (
        "import sys; from pathlib import Path; from metaloop.report import *; "
        "from metaloop.report.terminal import run_report; "
        "from metaloop.report.export import export; "
        f"records = read_run(Path({str(small.folder)!r})); page_of(records); "
        "summary_json(records); list(run_report(records)); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_a_report_knows_the_scale_of_every_metric_without_torch() -> None:
    scales = [metric.scale for known in OBJECTIVES.values() for metric in known.metrics]
    scales += [*OF_OPEN_TASKS, *OF_TABLES]
    assert {scale.name for scale in scales} == set(SCALES)
    assert all(SCALES[scale.name] is scale for scale in scales)


def test_a_folder_and_its_archive_are_the_same_run(small: Any) -> None:
    assert read_run(small.folder) == read_run(small.folder / "archive.sqlite")


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_a_run_that_did_not_finish_is_reported_and_said_to_be_so(status: Any, bench: Any) -> None:
    best = bench.add("protonet", 0.7)
    if status != "running":
        bench.archive.end_run(bench.run, status)
    claim = claim_of(bench.records())
    assert claim.best is not None and claim.best.identity == best
    said = {"running": "has not ended", "failed": "failed", "interrupted": "was interrupted"}
    assert said[status] in claim.sentences[0]
    assert "The test part was not opened for it." in claim.sentences
    assert said[status] in page_of(bench.records())


def test_a_run_is_read_while_it_is_written(bench: Any) -> None:
    bench.add("protonet", 0.5)
    before = bench.records()
    with bench.archive.transaction():
        bench.add("ridge", 0.6)
        assert bench.records() == before  # a reader sees whole transactions only
    assert len(bench.records().trials) == 2


def test_a_resumed_run_is_one_run_and_other_runs_are_left_out(bench: Any) -> None:
    first = bench.add("protonet", 0.5)
    bench.archive.end_run(bench.run, "interrupted")
    (begun,) = bench.archive.runs()
    again = {"arguments": begun.arguments, "seed": 0, "budget": begun.budget}
    bench.archive.begin_run("learn", **{**again, "arguments": {"data": "other"}})
    bench.run = bench.archive.begin_run("learn", **again)
    second = bench.add("ridge", 0.6)
    bench.archive.end_run(bench.run, "finished")
    records = bench.records()
    assert len(records.tries) == 2 and records.other_runs == 1
    assert set(records.trials_of) == {first, second}
    assert records.status == "finished"


def test_an_archive_with_looks_only_is_reported(tmp_path: Path, result: Any) -> None:
    seen = result(0.9, "test")
    with Archive.create(tmp_path / "archive.sqlite") as archive:
        archive.record_opening("c0ffee", "evaluate", seen.protocol, result=seen)
    records = read_run(tmp_path)
    assert records.status == "empty"
    assert "model c0ffee" in page_of(records)
    assert summary_json(records)["openings"][0]["result"]["value"] == 0.9


def test_what_is_no_run_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no archive")
    for path, said in (
        (tmp_path, "holds no archive.sqlite"),
        (tmp_path / "nowhere", "there is no run"),
        (tmp_path / "notes.txt", "not a metaloop archive"),
    ):
        with pytest.raises(ArchiveError, match=said) as caught:
            read_run(path)
        assert "\n" not in str(caught.value)
