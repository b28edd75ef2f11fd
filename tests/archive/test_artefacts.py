"""Artefacts are kept as they are, with the run that made them."""

from __future__ import annotations

import sqlite3

import pytest

from metaloop.archive import Archive, RunId, content

PICTURE = bytes(range(256))


def test_an_artefact_is_read_back(archive: Archive, run: RunId) -> None:
    first = archive.add_artefact(run, "episode", "image/png", PICTURE, "five letters, one each")
    other = archive.begin_run("learn", arguments={}, seed=0, budget="1s")
    second = archive.add_artefact(other, "a name \ud800 of a file", "text/plain", b"")
    found = archive.artefacts()
    assert [artefact.id for artefact in found] == [first, second]
    assert (found[0].run, found[0].name, found[0].media_type) == (run, "episode", "image/png")
    assert (found[0].caption, found[0].content) == ("five letters, one each", PICTURE)
    assert (found[1].name, found[1].caption) == ("a name \\ud800 of a file", "")
    assert archive.artefacts(run) == found[:1]
    assert len(content(archive)["artefacts"]) == 2


def test_an_artefact_of_an_unknown_run_is_refused(archive: Archive) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        archive.add_artefact(RunId(7), "episode", "image/png", PICTURE)
    assert archive.artefacts() == ()
