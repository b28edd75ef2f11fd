"""The table of programs: known learning algorithms as text, and candidates that use them.

A program may be a head on a net that another learner trains (its candidate says which, as the
option `trunk`), or train the net itself by its own loss of queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from metaloop.catalogue.learners import PROGRAM
from metaloop.core.records import Candidate, Choice
from metaloop.programs.library import LIBRARY, LibraryProgram

PROGRAMS: Mapping[str, LibraryProgram] = LIBRARY


def on_trunk(head: Candidate, source: str) -> Candidate:
    """Returns the candidate of a program as a head on the net that `head` trains."""
    trunk = head.learner.options.get("trunk", head.learner.name)
    trained = head.plan.style != "none" and trunk != PROGRAM
    options = {"trunk": trunk} if trained else {}
    return replace(head, learner=Choice(PROGRAM, options), program=source)


def program_name(source: str | None) -> str | None:
    """Returns the name of the table's program with this text; None if there is none."""
    return next((name for name, entry in PROGRAMS.items() if entry.source == source), None)
