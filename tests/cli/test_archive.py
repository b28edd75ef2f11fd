"""`metaloop archive`, and runs that record in an archive that others share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from metaloop.archive import Archive, record_elsewhere

if TYPE_CHECKING:
    from tests.postgres import Server

Command = Callable[..., Any]


@pytest.fixture
def ended(learned_run: Any, tmp_path: Path) -> Path:
    """The folder of a finished run, to change."""
    shutil.copytree(learned_run.out, tmp_path / "run", ignore=shutil.ignore_patterns("*.lock"))
    return Path("run")


@pytest.fixture(params=["file", pytest.param("server", marks=pytest.mark.long)])
def team(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the archive of a team will be."""
    if request.param == "file":
        return "team.sqlite"
    return str(request.getfixturevalue("server").place())


def test_the_archive_of_a_run_is_listed_shown_merged_and_pruned(
    command: Command, ended: Path, team: str, json_contract: Any, learned_run: Any
) -> None:
    merged = command("archive", "merge", ended, "--into", team, "--json").json
    json_contract.check("archive merge", merged)
    (uid,) = merged["sources"][0]["added"]
    again = command("archive", "merge", ended, "--into", team, "--whole")
    assert again.out == "run/archive.sqlite: 1 updated\n"
    assert command("archive", "merge", ended, "--into", team).out.endswith(": 1 known\n")

    listed = command("archive", "list", team, "--json").json
    json_contract.check("archive list", listed)
    (run,) = listed["runs"]
    assert (run["uid"], run["verb"], run["data"]) == (uid, "learn", "shapes")
    assert (run["status"], run["best"]["league"]) == ("finished", "none")
    assert run["best"]["value"] == pytest.approx(learned_run.test.value)
    line = command("archive", "list", team).out.splitlines()[1]
    assert line.split()[:2] == [str(run["run"]), uid[:8]] and "(test, without)" in line

    shown = command("archive", "show", team, uid[:6], "--json").json
    json_contract.check("archive show", shown)
    own = command("archive", "show", ended, "1", "--json").json
    assert shown["digest"] == own["digest"] and shown["trial_statuses"] == own["trial_statuses"]
    assert "digest" in command("archive", "show", team, uid[:6]).out

    dry = command("archive", "prune", team, "--data", "shapes", "--dry-run", "--json").json
    json_contract.check("archive prune", dry)
    assert [one["uid"] for one in dry["removed"]] == [uid] and dry["dry_run"] is True
    assert len(command("archive", "list", team, "--json").json["runs"]) == 1
    assert "removed: runs 1" in command("archive", "prune", team, "--data", "shapes").out
    assert "holds no runs" in command("archive", "list", team).out
    for said in (merged, listed, shown, dry):
        assert "s3cret" not in str(said)


def test_what_is_wrong_is_said_in_one_line(command: Command, ended: Path) -> None:
    Path("notes.txt").write_text("not one")
    for words, says in (
        (("list", "nowhere.sqlite"), "no archive"),
        (("list", "notes.txt"), "not a metaloop archive"),
        (("list", "."), "is a folder"),
        (("list", "mysql://ann:pw@h/d"), "postgresql://USER@HOST/DATABASE"),
        (("show", ended, "7"), "no run '7'; the last one is 1"),
        (("prune", ended), "--older-than 90d"),
        (("prune", ended, "--older-than", "soon"), "12h, 90d or 6w"),
        (("merge", "nowhere.sqlite", "--into", "new.sqlite"), "no archive"),
        (("merge", ended, "--into", "no/such/new.sqlite"), "no such folder"),
        (("merge", ended, "--into", ended / "archive.sqlite"), "into itself"),
    ):
        assert says in command("archive", *words).error
    assert not Path("new.sqlite").exists()


def test_whichever_verb_is_given_a_url_its_password_is_not_shown(command: Command) -> None:
    url = "postgresql://ann:s3cret@db.invalid/team"
    for words in (("report", url), ("show", url, "x"), ("cite", url), ("data", url)):
        error = command(*words).error
        assert "s3cret" not in error and "ann" in error


def test_where_a_run_goes_on_nothing_is_pruned(command: Command, ended: Path) -> None:
    from metaloop.archive import run_lock

    with run_lock(ended):
        assert "another metaloop run" in command("archive", "prune", ended, "--unfinished").error
        assert command("archive", "list", ended).code == 0


def vectors(name: str, seed: int) -> str:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(24), 8)
    centres = rng.normal(size=(24, 5))[y]
    np.savez(name, X=centres + 0.3 * rng.normal(size=centres.shape), y=y)
    return name


QUICK = ("--budget", "20steps", "--workers", "1", "-q")


@pytest.mark.long
def test_a_run_records_on_a_server_and_the_next_one_begins_with_what_it_found(
    command: Command, server: Server, settle: Any
) -> None:
    settle(test_episodes=100)
    url = server.place()
    first = command("learn", vectors("a.npz", 0), "--archive-to", url, "--out", "a", *QUICK)
    assert first.code == 0, first.err
    again = command("learn", vectors("b.npz", 1), "--archive", url, "--out", "b", *QUICK, "--json")
    assert again.json["status"] == "finished"
    with Archive.open("b/archive.sqlite", read_only=True) as archive:
        (run,) = archive.runs()
        assert run.arguments["archive"].startswith("postgresql://keeper:***@")
    with Archive.open(url, read_only=True) as archive:
        assert [run.command for run in archive.runs()] == ["learn"] and archive.trials()
    kept = b"".join(path.read_bytes() for path in Path("b").rglob("*") if path.is_file())
    assert b"s3cret" not in kept and b"s3cret" not in (first.out + first.err).encode()


@pytest.mark.long
def test_where_the_server_goes_away_the_run_is_whole_and_is_recorded_later(
    command: Command, server: Server, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metaloop.api import learning

    def then_it_is_gone(*arguments: Any) -> None:
        server.stop()
        record_elsewhere(*arguments)

    settle(test_episodes=100)
    url = server.place()
    monkeypatch.setattr(learning, "record_elsewhere", then_it_is_gone)
    try:
        ended = command("learn", vectors("a.npz", 0), "--archive-to", url, "--out", "a", *QUICK)
    finally:
        server.start()
    assert ended.code == 2 and "s3cret" not in ended.err
    said = ended.err.splitlines()[-1]
    assert "the run has finished and is whole in 'a'" in said
    assert "'metaloop archive merge a/archive.sqlite --into postgresql://keeper:***@" in said
    assert Path("a/model.metaloop").exists()
    assert "1 added" in command("archive", "merge", "a", "--into", url).out


@pytest.mark.long
def test_what_is_known_of_algorithms_is_the_same_from_a_file_and_from_a_server(
    learned_run: Any, server: Server
) -> None:
    from metaloop.loop.choosing import errors_of, known_programs
    from metaloop.selecting.knowledge import known_pipelines

    url = server.place()
    record_elsewhere(learned_run.archive, url)
    with (
        Archive.open(learned_run.archive, read_only=True) as own,
        Archive.open(url, read_only=True) as shared,
    ):
        (mine, candidates), (theirs, same) = errors_of(own), errors_of(shared)
        np.testing.assert_array_equal(mine, theirs)
        assert candidates == same and candidates
        assert known_programs(own) == known_programs(shared)
        assert known_pipelines(own) == known_pipelines(shared)
