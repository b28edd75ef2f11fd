"""A program that learns from an npz file and says what has ended, for tests that kill it.

    python program_that_learns.py DATA.npz OUT [BUDGET]

Prints a JSON line for every trial that is told of, and at the end the report. A run that is there
already is resumed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from metaloop.catalogue import candidates
from metaloop.core.records import Candidate
from metaloop.loop import Learned, Tried, choosing, finishing, learn, repeating

QUICK = ("nearest_centroid", "protonet", "simpleshot")


def quick(*arguments: Any, **options: Any) -> list[Candidate]:
    """Returns the few candidates that are measured in no time."""
    every = candidates.catalogue_candidates(*arguments, **options)
    return [candidate for candidate in every if candidate.learner.name in QUICK]


def say(content: dict[str, Any]) -> None:
    """Prints a line that is out when this returns."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Learns, or goes on with learning."""
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    choosing.catalogue_candidates = quick  # type: ignore[attr-defined]
    finishing._TEST_EPISODES = repeating.FINAL_EPISODES = 200
    tried_before = (out / "archive.sqlite").exists()
    budget = sys.argv[3] if len(sys.argv) > 3 else "90steps"
    for event in learn(data, out=out, budget=budget, queries=5, workers=1, resume=tried_before):
        if isinstance(event, Tried):
            trial = event.trial
            value = trial.results[0].value if trial.results else None
            said = {"candidate": trial.candidate, "status": trial.status, "value": value}
            say(said)
        if isinstance(event, Learned):
            say(event.report)


if __name__ == "__main__":
    main()
