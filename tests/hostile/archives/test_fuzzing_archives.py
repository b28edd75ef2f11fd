"""Whatever an archive from a stranger holds: each command reads it, or says why not in a line."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(__file__).parents[2] / "archive"
_HONEST = ("version_1.sql", "version_2.sql")
_MOST_CPU = 6.0  # seconds of one archive, on a busy machine
_MOST_KIB = 300 * 1024


def wrong_with(said: dict[str, Any], before: bytes, path: Path) -> str | None:
    """Returns what is wrong with what became of an archive; None if nothing is."""
    if "bug" in said:
        return str(said["bug"])
    if said["peak_kib"] > _MOST_KIB or said["cpu_seconds"] > _MOST_CPU:
        return f"it took {said['cpu_seconds']:.1f} s and {said['peak_kib']} KiB"
    if path.read_bytes() != before:
        return "reading has changed it"
    if left := [other.name for other in path.parent.iterdir() if other != path]:
        return f"reading has left {left}"
    return None


def fuzz(
    loader: Any, mutate: Callable[..., str], odd: Callable[..., Any], path: Path, seeds: range
) -> list[str]:
    """Returns what is wrong with any of these mutations, each named by its seed."""
    texts = [(_FOLDER / name).read_text(encoding="utf-8") for name in _HONEST]
    found, whole = [], 0
    for seed in seeds:
        rng = random.Random(seed)
        done = mutate(rng.choice(texts), path, rng, odd)
        before = path.read_bytes()
        said = loader.ask(path)
        whole += "refuses" not in said.get("answers", "refuses")
        if problem := wrong_with(said, before, path):
            found.append(f"seed {seed}: {done[:90]}: {problem[-700:]}")
    assert 0.05 * len(seeds) < whole < 0.9 * len(seeds)  # else this would test nothing
    return found


# what is odd, but no reason to read nothing at all
PASSED_OVER = {
    "as it is": "SELECT 1",
    "verdicts on nobody": "UPDATE verdicts SET winner = 'nobody', loser = 'no one'",
    "infinite figures": "UPDATE results SET value = 9e999",
    "options that are a number": "UPDATE candidates SET json = json_set(json, '$.net.options.x', "
    """json('{"name": "a", "options": 3}'))""",
    "a kind that is a list": "UPDATE candidates SET json = json_set(json, '$.data.generators', "
    """json('[{"name": "prior", "options": {"kind": [1]}}]'))""",
    "an unknown learner": "UPDATE candidates SET json = json_set(json, '$.learner.name', 'x')",
    "no such parents": "UPDATE parents SET parent = '0'",
    "own parents": "UPDATE parents SET parent = child",
}


@pytest.mark.parametrize(
    ("name", "odd"),
    [("version_1.sql", "as it is"), *(("version_2.sql", odd) for odd in PASSED_OVER)],
)
def test_what_is_odd_in_an_archive_is_passed_over_by_every_command(
    loader: Any, tmp_path: Path, name: str, odd: str
) -> None:
    connection = sqlite3.connect(tmp_path / "archive.sqlite")
    connection.executescript((_FOLDER / name).read_text(encoding="utf-8"))
    connection.executescript(f"PRAGMA foreign_keys = OFF; {PASSED_OVER[odd]}")
    connection.close()
    said = loader.ask(tmp_path / "archive.sqlite")
    assert "refuses" not in said.get("answers", "refuses"), said


def test_forty_mutated_archives_are_read_or_refused_in_one_line(
    loader: Any,
    mutate_archive: Callable[..., str],
    draw_odd_value: Callable[..., Any],
    tmp_path: Path,
) -> None:
    path = tmp_path / "archive.sqlite"
    found = fuzz(loader, mutate_archive, draw_odd_value, path, range(40))
    assert not found, "\n".join(found)


@pytest.mark.long
def test_a_thousand_mutated_archives_are_read_or_refused_in_one_line(
    loader: Any,
    mutate_archive: Callable[..., str],
    draw_odd_value: Callable[..., Any],
    tmp_path: Path,
) -> None:
    path = tmp_path / "archive.sqlite"
    found = fuzz(loader, mutate_archive, draw_odd_value, path, range(1000))
    assert not found, "\n".join(found)
