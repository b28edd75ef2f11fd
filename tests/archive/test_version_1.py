"""Archives that an older metaloop wrote still open, with what they know: no classes of episodes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from metaloop.archive import Archive, content
from metaloop.archive.schema import VERSION
from metaloop.core.statistics import estimate

_SQL = Path(__file__).with_name("version_1.sql")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "archive.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(_SQL.read_text())
    connection.close()
    return path


@pytest.mark.parametrize("read_only", [True, False])
def test_an_archive_of_version_1_is_read_as_it_was(old: Path, read_only: bool) -> None:
    with Archive.open(old, read_only=read_only) as archive:
        (first, second) = archive.results(part="search")
        assert [one.result.value for one in (first, second)] == [0.5, 0.75]
        assert (first.result.ci95_new, first.result.units) == (None, 0)
        scores = archive.episode_scores(second.id)
        assert scores.values.tolist() == archive.scores(second.id).tolist()
        assert scores.units.shape == (4, 0) and estimate(scores).ci95_new is None
        (verdict,) = archive.verdicts()
        assert verdict.verdict.low == 0.05
        assert (verdict.verdict.low_new, verdict.verdict.certain) == (None, None)
        (opening,) = archive.openings()
        assert opening.result is not None and opening.result.ci95_new is None
    connection = sqlite3.connect(old)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    assert version == (1 if read_only else VERSION)


def test_an_upgraded_archive_has_the_tables_of_a_new_one(old: Path, tmp_path: Path) -> None:
    with Archive.open(old) as upgraded, Archive.create(tmp_path / "new.sqlite") as new:
        for table in content(new):
            columns = [
                [row["name"] for row in archive.query(f"PRAGMA table_info({table})")]
                for archive in (upgraded, new)
            ]
            assert columns[0] == columns[1], table
