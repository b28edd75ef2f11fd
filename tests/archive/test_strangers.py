"""Archives that somebody else made: values of wrong types, and tables that are programs."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metaloop.archive import Archive, RunId
from metaloop.core.errors import ArchiveError
from metaloop.core.records import Candidate, Trial

MakeCandidate = Callable[..., Candidate]


@pytest.fixture
def stored(
    archive: Archive,
    run: RunId,
    candidate: MakeCandidate,
    finished: Callable[..., Trial],
) -> Path:
    identity = archive.add_candidate(candidate())
    trial = archive.begin_trial(run, identity, "d4ta", seed=5, rung=1)
    archive.end_trial(trial, finished(identity))
    archive.close()
    return archive.path


def changed(path: Path, *statements: str) -> Path:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA foreign_keys = OFF")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return path


# In these tests beartype looks at every record as it is made; a user's process has no such check.
_READ = """
import sys
from metaloop.archive import Archive
from metaloop.core.errors import ArchiveError
for path in sys.argv[1:]:
    try:
        with Archive.open(path, read_only=True) as a:
            a.runs(), a.data_sets(), a.candidates(), a.trials(), a.results()
        print("read")
    except ArchiveError as error:
        print(error)
"""


def refusals(paths: list[Path]) -> list[str]:
    """What a fresh process says of each archive, one line for each."""
    command = [sys.executable, "-c", _READ, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


WRONG = {
    "UPDATE runs SET seed = 'three'": "Run.seed is str",
    "UPDATE runs SET arguments = '[1]'": "Run.arguments is list",
    "UPDATE runs SET arguments = '{'": "damaged",
    "UPDATE runs SET status = 'asleep'": "Run.status",
    "UPDATE runs SET budget = x'00ff'": "Run.budget is bytes",
    "UPDATE data_sets SET parts = '{\"train\": [1]}'": "DataSet.parts",
    "UPDATE data_sets SET classes = 'many'": "DataSet.classes is str",
    "UPDATE candidates SET json = '{}'": "damaged",
    "UPDATE trials SET cpu_seconds = 'long'": "Trial.cpu_seconds is str",
    "UPDATE curves SET step = 1.5": "CurvePoint.step is float",
    "UPDATE results SET value = 'best'": "Result.value is str",
    "UPDATE results SET episodes = x'01'": "Result.episodes is bytes",
    "UPDATE candidates SET json = json_set(json, '$.plan.ways', '5')": "Plan.ways is str",
    "UPDATE results SET value = 1e300": "figure 1e+300",
    "UPDATE trials SET cpu_seconds = 9e999": "inf seconds",
    "UPDATE candidates SET json = replace(json, '2.0', 'NaN')": "not finite",
    "UPDATE candidates SET json = replace(json, '2.0', '1e999')": "not finite",
    "UPDATE candidates SET json = replace(json, '2.0', '\"\\ud800\"')": "surrogates",
    f"UPDATE runs SET arguments = '{'[' * 80}{']' * 80}'": "nested deeper",
    f"UPDATE runs SET arguments = '{'[' * 9000}{']' * 9000}'": "nested deeper",
    "UPDATE candidates SET json = json_set(json, '$.net.name', 7)": "Choice.name is int",
    "UPDATE candidates SET json = json_set(json, '$.data.original_share', 'x')": "original_share",
}


def test_values_of_wrong_types_are_refused_by_name(stored: Path, tmp_path: Path) -> None:
    paths = [stored]
    for number, statement in enumerate(WRONG):
        path = tmp_path / f"{number}.sqlite"
        shutil.copy(stored, path)
        paths.append(changed(path, statement))
    whole, *said = refusals(paths)
    assert whole == "read"
    assert len(said) == len(WRONG)
    for line, (statement, says) in zip(said, WRONG.items(), strict=True):
        assert says in line, (statement, line)


ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id FROM n"


@pytest.mark.parametrize(
    "statements",
    [
        ("ALTER TABLE runs RENAME TO r", f"CREATE VIEW runs AS {ENDLESS}"),
        ("CREATE TRIGGER t AFTER INSERT ON openings BEGIN DELETE FROM runs; END",),
        ("ALTER TABLE runs ADD COLUMN x TEXT GENERATED ALWAYS AS (zeroblob(900000000)) VIRTUAL",),
    ],
    ids=["view", "trigger", "computed column"],
)
def test_tables_that_run_somebody_elses_program_are_refused(
    stored: Path, statements: tuple[str, ...]
) -> None:
    changed(stored, *statements)
    for read_only in (True, False):
        with pytest.raises(ArchiveError, match="not as metaloop makes them"):
            Archive.open(stored, read_only=read_only)
