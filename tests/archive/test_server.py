"""What can be wrong with a server: one line without a password, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest

from metaloop.archive import Archive, check_elsewhere, place_of
from metaloop.core.errors import MetaloopError, OutputError

if TYPE_CHECKING:
    from tests.postgres import Server

pytestmark = pytest.mark.long
SECRETS = ("s3cret", "bob's")


def refusal(url: str, read_only: bool = False) -> str:
    ask = partial(Archive.open, read_only=True) if read_only else check_elsewhere
    with pytest.raises(MetaloopError) as caught:
        ask(url)
    text = str(caught.value)
    assert "\n" not in text and caught.value.__cause__ is None
    assert not any(secret in text for secret in SECRETS)
    return text


def test_a_server_that_cannot_be_used_is_told_of_in_one_line(server: Server) -> None:
    url, name = server.url("nobodys"), server.database()
    for read_only in (True, False):
        assert "no such database; make it with createdb" in refusal(url, read_only)
        wrong = server.url(name, password="s3cretive")
        assert "password authentication failed" in refusal(wrong, read_only)
        assert "PGPASSWORD" in refusal(wrong, read_only)
        away = server.url(name).replace(f":{server.port}/", ":1/")
        assert "cannot be reached" in refusal(away, read_only)
        assert "is no URL of PostgreSQL" in refusal(f"{server.url(name)}?sslmodus=x", read_only)
        halves = server.url(name).replace("s3cret%40%2F", "s3cret@/")
        assert "is no URL of PostgreSQL" in refusal(halves, read_only)
        assert "no schema" in refusal(f"{server.url(name)}?options=-csearch_path%3Dno", read_only)
    assert "the database is empty" in refusal(server.url(name), read_only=True)
    latin = server.url(server.database("SQL_ASCII"))
    assert "is encoded as SQL_ASCII" in refusal(latin)


def test_a_database_that_holds_something_else_is_left_alone(server: Server) -> None:
    for statement in (
        "CREATE TABLE bills (id int)",
        "CREATE TABLE runs (id int); CREATE TABLE meta (key text, value text)",
        "CREATE TABLE runs (id int); CREATE VIEW meta AS SELECT 'format' AS key, 'x' AS value",
    ):
        name = server.database()
        server.do(*statement.split(";"), database=name)
        for read_only in (True, False):
            assert "holds something else" in refusal(server.url(name), read_only)


def test_tables_that_are_gone_or_compute_what_is_read_are_refused(server: Server) -> None:
    name = server.database()
    Archive.open_or_create(server.url(name)).close()
    server.do("ALTER TABLE curves RENAME TO c", "CREATE VIEW curves AS TABLE c", database=name)
    for read_only in (True, False):
        assert "'curves' is no table" in refusal(server.url(name), read_only)


def test_a_user_who_may_only_read_reads_and_is_told_before_a_run(server: Server) -> None:
    name = server.database()
    with Archive.open_or_create(server.url(name)) as archive:
        archive.begin_run("learn", arguments={}, seed=7, budget="1s")
    server.do("CREATE ROLE bob LOGIN PASSWORD 'bob''s'")
    url = server.url(name, "bob", "bob's")
    assert "this user may not" in refusal(url, read_only=True)
    server.do("GRANT SELECT ON ALL TABLES IN SCHEMA public TO bob", database=name)
    with Archive.open(url, read_only=True) as archive:
        assert archive.runs()[0].seed == 7
    assert "cannot be written: this user may not" in refusal(url)
    assert "cannot be written: this user may not" in refusal(
        server.url(server.database(), "bob", "bob's")
    )
    server.do("GRANT INSERT ON ALL TABLES IN SCHEMA public TO bob", database=name)
    check_elsewhere(url)  # no right to a sequence is needed
    server.do("ALTER ROLE bob SET default_transaction_read_only = on")
    check_elsewhere(url)


@pytest.fixture
def returning(server: Server) -> Iterator[Server]:
    """The server, which a test may stop: it is there again afterwards."""
    yield server
    server.stop()
    server.start()


def test_a_server_that_goes_away_takes_only_what_was_not_committed(returning: Server) -> None:
    url = returning.url(returning.database())
    archive = Archive.open_or_create(url)
    archive.begin_run("learn", arguments={}, seed=1, budget="1s")

    def broken_off() -> None:
        with archive.transaction():
            archive.begin_run("learn", arguments={}, seed=2, budget="1s")
            returning.stop()
            archive.begin_run("learn", arguments={}, seed=3, budget="1s")

    with pytest.raises(OutputError, match="has gone away") as caught:
        broken_off()
    text = str(caught.value)
    assert "\n" not in text and "s3cret" not in text
    for _ in range(2):
        with pytest.raises(OutputError, match="has gone away"):
            archive.begin_run("learn", arguments={}, seed=4, budget="1s")
    archive.close()
    returning.start()
    with Archive.open(url) as archive:
        assert [run.seed for run in archive.runs()] == [1]
        archive.begin_run("learn", arguments={}, seed=5, budget="1s")
        assert str(archive.place) == str(place_of(url)) and "***" in str(archive.place)


def test_a_url_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MetaloopError, match=r"metaloop\[postgres\]"):
        Archive.open("postgresql://ann@127.0.0.1/team")
