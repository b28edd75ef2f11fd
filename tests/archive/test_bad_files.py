"""Files that cannot be used are refused in one line; nothing else ever escapes."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from metaloop.archive import Archive, DataSet, RunId, content, schema
from metaloop.core.errors import ArchiveError, MetaloopError, OutputError
from metaloop.core.records import Candidate

MakeCandidate = Callable[..., Candidate]


@pytest.fixture
def whole_file(archive: Archive, candidate: MakeCandidate) -> Path:
    with archive.transaction():
        for rate in range(1, 200):
            archive.add_candidate(candidate(rate=float(rate)))
    archive.close()
    return archive.path


def missing(path: Path) -> None:
    path.unlink(missing_ok=True)


def folder(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("trials\n" * 1000)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE trials (id)")
    connection.close()


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (missing, "no archive"),
        (folder, "folder"),
        (empty, "empty"),
        (text, "not an SQLite file"),
        (pipe, "not a file"),
        (other_database, "not a metaloop archive"),
    ],
)
def test_what_is_no_archive_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], None], says: str, read_only: bool
) -> None:
    path = tmp_path / "archive.sqlite"
    make(path)
    with pytest.raises(ArchiveError, match=says) as caught:
        Archive.open(path, read_only=read_only)
    assert "\n" not in str(caught.value)
    assert path.exists() == (make is not missing)


def test_a_path_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(MetaloopError):
        Archive.open("a\0b")
    with pytest.raises(MetaloopError):
        Archive.create("a\0b")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_archive_is_refused(whole_file: Path, share: float) -> None:
    path = whole_file
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(ArchiveError, match="damaged"):
        Archive.open(path).candidates()


def test_random_damage_raises_nothing_but_our_errors(
    archive: Archive, tmp_path: Path, whole_file: Path
) -> None:
    whole = whole_file.read_bytes()
    rng, refused = random.Random(0), 0
    for number in range(150):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path = tmp_path / f"{number}.sqlite"
        path.write_bytes(damaged)
        try:
            with Archive.open(path, read_only=True) as opened:
                opened.candidates(), opened.trials(), opened.runs(), opened.openings()
        except MetaloopError:
            refused += 1
    assert refused > 100


def test_an_archive_from_a_newer_version_is_refused(archive: Archive) -> None:
    archive.query(f"PRAGMA user_version = {schema.VERSION + 1}")
    archive.close()
    with pytest.raises(ArchiveError, match="newer metaloop"):
        Archive.open(archive.path)


def test_an_older_archive_is_upgraded_for_a_reader_in_memory(
    archive: Archive, run: RunId, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_column(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE runs ADD COLUMN host TEXT")

    archive.close()
    old, new = schema.VERSION, schema.VERSION + 1
    monkeypatch.setattr(schema, "VERSION", new)
    with pytest.raises(ArchiveError, match="cannot be upgraded"):
        Archive.open(archive.path)
    monkeypatch.setitem(schema.UPGRADES, old, add_column)
    for read_only, on_disk in ((True, old), (False, new), (False, new)):
        with Archive.open(archive.path, read_only=read_only) as opened:
            assert "host" in opened.query("SELECT * FROM runs")[0].keys()  # noqa: SIM118
            said = opened.query("SELECT value FROM meta WHERE key = 'schema version'")[0][0]
            assert said == str(new)
            assert opened.runs()[0].seed == 3
        connection = sqlite3.connect(archive.path)
        assert connection.execute("PRAGMA user_version").fetchone() == (on_disk,)
        connection.close()


def test_what_exists_is_never_overwritten(archive: Archive, run: RunId) -> None:
    with pytest.raises(OutputError, match="already exists"):
        Archive.create(archive.path)
    assert len(archive.runs()) == 1


def test_the_log_of_an_archive_that_is_gone_is_not_mixed_into_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "archive.sqlite-wal").write_bytes(b"results")
    with pytest.raises(OutputError, match="move it away"):
        Archive.create(tmp_path / "archive.sqlite")


@pytest.mark.parametrize("place", ["no/such/folder/a.sqlite", "file/a.sqlite"])
def test_a_place_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="no such folder") as caught:
        Archive.create(tmp_path / place)
    assert "\n" not in str(caught.value)


def test_a_reader_cannot_write(archive: Archive, candidate: MakeCandidate) -> None:
    with Archive.open(archive.path, read_only=True) as reader:
        with pytest.raises(ArchiveError, match="reading only"):
            reader.add_candidate(candidate())
        with pytest.raises(OutputError, match="read-only"):
            reader.query("DELETE FROM runs")


def test_a_full_disk_is_one_line_and_keeps_what_was_there(
    archive: Archive, run: RunId, candidate: MakeCandidate, data_set: DataSet
) -> None:
    identity = archive.add_candidate(candidate())
    pages = archive.query("PRAGMA page_count")[0][0]
    archive.query(f"PRAGMA max_page_count = {pages}")
    before = content(archive)
    with pytest.raises(OutputError, match="disk is full") as caught:
        archive.add_candidate(candidate("x" * 100_000))
    assert "\n" not in str(caught.value)
    assert content(archive) == before
    archive.query("PRAGMA max_page_count = 1000000")
    archive.begin_trial(run, identity, data_set.hash, seed=0)
    assert len(archive.trials()) == 1


def test_a_limit_on_file_sizes_is_one_line_and_keeps_what_was_there(
    archive: Archive,
    run: RunId,
    candidate: MakeCandidate,
    small_files: Callable[[int | None], None],
) -> None:
    before = content(archive)
    small_files(archive.path.stat().st_size + 200_000)
    with pytest.raises(OutputError) as caught:
        archive.add_candidate(candidate("x" * 1_000_000))
    small_files(None)
    assert "\n" not in str(caught.value)
    assert content(archive) == before


def test_an_archive_on_a_read_only_disk_can_be_read(
    archive: Archive, run: RunId, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.close()
    folder_mode = archive.path.parent.stat().st_mode
    archive.path.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    if os.access(archive.path.parent, os.W_OK):  # root may write anywhere
        archive.path.parent.chmod(folder_mode)
        pytest.skip("no folder is read-only for this user")
    try:
        with Archive.open(archive.path, read_only=True) as reader:
            assert len(reader.runs()) == 1
    finally:
        archive.path.parent.chmod(folder_mode)


def test_reading_leaves_nothing_beside_an_archive_nor_misses_what_a_killed_writer_left(
    tmp_path: Path,
) -> None:
    path = tmp_path / "archive.sqlite"
    with Archive.create(path) as archive:
        archive.begin_run("learn", arguments={}, seed=0, budget="1s")
    with Archive.open(path, read_only=True) as archive:
        assert len(archive.runs()) == 1
        assert [each.name for each in tmp_path.iterdir()] == ["archive.sqlite"]
    writer = Archive.open(path)
    writer.begin_run("learn", arguments={}, seed=1, budget="1s")  # in the -wal only
    with Archive.open(path, read_only=True) as archive:
        assert len(archive.runs()) == 2
    writer.close()
    assert [each.name for each in tmp_path.iterdir()] == ["archive.sqlite"]
