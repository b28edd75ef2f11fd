"""`report`, `show` and `export` as a user drives them, on a run that `learn` made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metaloop.archive import Archive
from metaloop.core.records import Candidate, Choice, Plan

Command = Callable[..., Any]

HOSTILE = "evil\x1b]0;title\x07\u202eprogram"


@pytest.fixture
def learned(command: Command, learned_run: Any, tmp_path: Path) -> Path:
    """The folder of a short run, a copy."""
    shutil.copytree(learned_run.out, tmp_path / "run")
    return Path("run")


def test_a_learned_run_is_reported_shown_and_exported(command: Command, learned: Path) -> None:
    written = command("report", learned)
    assert written.code == 0 and written.err == ""
    assert "report  run/report.html" in written.out
    page = (learned / "report.html").read_text(encoding="utf-8")
    headline = written.out.splitlines()[0]
    assert headline in page and "Every opening of the test part" in page
    report = command("report", learned, "--json").json
    assert report == {"report": "run/report.html", "status": "finished", "headline": headline}

    shown = command("show", learned)
    assert shown.code == 0 and shown.err == "" and shown.out.startswith(headline)
    for part in (
        "leaderboard",
        "lineage",
        "operator credits",
        "openings of test",
        "the best so far by CPU-seconds",
        "the best generated program",
        "def adapt(",
        "metaloop learn",
    ):
        assert part in shown.out
    summary = command("show", learned, "--json").json
    assert summary["status"] == "finished" and summary["claim"]["headline"] == headline
    test = summary["claim"]["test"]
    assert test["episodes"] == 1000 and test["protocol"]["part"] == "test"
    board = summary["leaderboard"]
    assert {entry["candidate"] for entry in board} >= {summary["claim"]["best"]}
    assert any(entry["baseline"] for entry in board)

    best = summary["claim"]["best"]
    story = command("show", learned, best[:6])
    assert best in story.out and "trials" in story.out
    told = command("show", learned, best, "--json").json
    assert told["candidate"] == best and told["trials"] and told["recipe"]["net"]

    exported = command("export", learned, "--to", "csv", "--out", "tables", "--json").json
    assert exported == {"format": "csv", "out": "tables"}
    assert (Path("tables") / "trials.csv").read_text().count("\n") > 3
    jobs = (Path("tables") / "jobs.csv").read_text()
    assert all(f",{work},finished," in jobs for work in ("baselines", "train", "invent", "judge"))


def test_what_is_wrong_is_said_in_one_line(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").write_text("hello")
    with Archive.create(tmp_path / "archive.sqlite") as archive:
        for rate in (0.1, 0.2):
            plan = Plan("episodes", learning_rate=rate)
            archive.add_candidate(Candidate(Choice("protonet"), Choice("conv4"), plan))
        first = archive.candidates()[0].identity
    for arguments, said in (
        (("report", "nowhere"), "there is no run at 'nowhere'"),
        (("show", "empty"), "holds no archive.sqlite"),
        (("export", "notes", "--to", "csv", "--out", "x"), "not an SQLite file"),
        (("show", ".", "zzz"), "no candidate is called 'zzz'"),
        (("show", ".", ""), "no candidate is called ''"),
        (("export", ".", "--to", "cvs", "--out", "x"), "did you mean 'csv'"),
        (("export", ".", "--to", "csv"), "--out"),
        (("export", ".", "--out", "x"), "--to"),
        (("export", ".", "--to", "csv", "--out", "notes"), "already exists"),
        (("report", ".", "--out", "notes"), "is no report"),
        (("report", ".", "--out", "no/page.html"), "no folder 'no'"),
    ):
        assert said in command(*arguments).error, arguments
    assert command("show", ".", first[:8]).code == 0
    assert not (tmp_path / "report.html").exists()


def test_a_prefix_of_several_candidates_is_refused(command: Command, tmp_path: Path) -> None:
    with Archive.create(tmp_path / "archive.sqlite") as archive:
        for step in range(40):
            plan = Plan("episodes", learning_rate=0.1 + step)
            archive.add_candidate(Candidate(Choice("protonet"), Choice("conv4"), plan))
        digits = [stored.identity[0] for stored in archive.candidates()]
    common = max(digits, key=digits.count)
    refused = command("show", ".", common).error
    assert f"candidates begin with '{common}'" in refused and "give more digits" in refused


def test_the_terminal_is_not_steered_by_names(command: Command, tmp_path: Path) -> None:
    with Archive.create(tmp_path / "archive.sqlite") as archive:
        run = archive.begin_run(HOSTILE, arguments={"data": HOSTILE}, seed=0, budget="1s")
        candidate = Candidate(
            Choice(HOSTILE),
            Choice("[bold]net[/bold]"),
            Plan("episodes"),
            program=f"x = 1  # {HOSTILE}",
        )
        identity = archive.add_candidate(candidate, [], f"program: {HOSTILE}", run=run)
    for arguments in (("show", "."), ("show", ".", identity)):
        outcome = command(*arguments)
        assert outcome.code == 0
        assert not set(outcome.out) & {"\x1b", "\x07", "\u202e"}
        assert "evil\\x1b]0;title\\x07\\u202eprogram" in outcome.out
        assert "[bold]net[/bold]" in outcome.out
    assert json.loads(command("show", ".", "--json").out)["leaderboard"][0]["candidate"] == identity


def test_a_run_that_goes_on_is_shown_as_such(command: Command, tmp_path: Path) -> None:
    with Archive.create(tmp_path / "archive.sqlite") as archive:
        archive.begin_run("learn", arguments={"data": "digits"}, seed=0, budget="1s")
        assert "has not ended" in command("show", ".").out
        assert command("show", ".", "--json").json["status"] == "running"
        assert command("report", ".").code == 0
