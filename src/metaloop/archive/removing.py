"""Taking runs out of an archive: when they are replaced by what is known better, or pruned.

What nothing else refers to goes with them. Looks at `test` stay, without their run: that somebody
has looked must not be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable

from metaloop.archive.archive import Archive
from metaloop.archive.stored import RunId

_TRIALS = "(SELECT id FROM trials WHERE run = ?)"
_STATEMENTS = (
    f"UPDATE trials SET continues = NULL WHERE continues IN {_TRIALS}",
    f"DELETE FROM curves WHERE trial IN {_TRIALS}",
    f"DELETE FROM results WHERE trial IN {_TRIALS}",
    "DELETE FROM trials WHERE run = ?",
    "DELETE FROM jobs WHERE run = ?",
    "DELETE FROM verdicts WHERE run = ?",
    "DELETE FROM artefacts WHERE run = ?",
    "DELETE FROM spent WHERE run = ?",
    "UPDATE openings SET run = NULL WHERE run = ?",
    "UPDATE candidates SET run = NULL WHERE run = ?",
    "DELETE FROM runs WHERE id = ?",
)


def remove_run(archive: Archive, run: RunId) -> None:
    """Takes a run out, inside a transaction; what it shares with others stays."""
    for statement in _STATEMENTS:
        archive.change(statement, (run,))


def remove_orphans(archive: Archive) -> tuple[int, int]:
    """Takes out what no run refers to: returns how many candidates and data sets those were.

    A candidate stays that was tried, compared or looked at on `test`, and so do its ancestors.
    """
    parents: dict[str, list[str]] = {}
    for row in archive.query("SELECT child, parent FROM parents"):
        parents.setdefault(row["child"], []).append(row["parent"])
    kept = with_ancestors(
        (
            row["identity"]
            for row in archive.query(
                "SELECT candidate AS identity FROM trials UNION SELECT winner FROM verdicts "
                "UNION SELECT loser FROM verdicts UNION SELECT subject FROM openings "
                "UNION SELECT identity FROM candidates WHERE run IS NOT NULL"
            )
        ),
        parents,
    )
    known = [row["identity"] for row in archive.query("SELECT identity FROM candidates")]
    gone = [(identity,) for identity in known if identity not in kept]
    archive.storage.change_many("DELETE FROM parents WHERE child = ?", gone)
    archive.storage.change_many("DELETE FROM candidates WHERE identity = ?", gone)
    archive.change(
        "DELETE FROM episode_lists WHERE list_hash NOT IN (SELECT list_hash FROM results)", ()
    )
    data_sets = archive.change(
        "DELETE FROM data_sets WHERE hash NOT IN (SELECT data_hash FROM trials "
        "UNION SELECT data_hash FROM openings)",
        (),
    )
    return len(gone), data_sets


def with_ancestors(identities: Iterable[str], parents: dict[str, list[str]]) -> set[str]:
    """Returns candidates and all that they came from."""
    kept: set[str] = set()
    left = list(identities)
    while left:
        identity = left.pop()
        if identity not in kept:
            kept.add(identity)
            left += parents.get(identity, [])
    return kept
