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

from metaloop.loop import Learned, Tried, learn
from metaloop.loop.settings import Settings

SETTINGS = Settings(
    learners=("nearest_centroid", "protonet", "simpleshot"), final_episodes=200, test_episodes=200
)


def say(content: dict[str, Any]) -> None:
    """Prints a line that is out when this returns."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Learns, or goes on with learning."""
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    tried_before = (out / "archive.sqlite").exists()
    budget = sys.argv[3] if len(sys.argv) > 3 else "90steps"
    options: dict[str, Any] = {"budget": budget, "queries": 5, "workers": 1, "settings": SETTINGS}
    for event in learn(data, out=out, resume=tried_before, **options):
        if isinstance(event, Tried):
            trial = event.trial
            value = trial.results[0].value if trial.results else None
            said = {"candidate": trial.candidate, "status": trial.status, "value": value}
            say(said)
        if isinstance(event, Learned):
            say(event.report)


if __name__ == "__main__":
    main()
