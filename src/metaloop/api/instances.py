"""`select` on a scenario of ASlib: what choosing an algorithm for each instance is worth."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaloop.core.errors import MetaloopError
from metaloop.selecting.instances.judging import judged
from metaloop.selecting.instances.reading import is_scenario, read_scenario

__all__ = ["InstancesResult", "is_scenario", "judge_scenario"]


@dataclass(frozen=True)
class InstancesResult:
    """A scenario that was judged by its own folds; `content` is what `--json` prints."""

    content: Mapping[str, Any]

    @property
    def gap_closed(self) -> float:
        """The share of the gap between the single best algorithm and an oracle."""
        return float(self.content["gap_closed"])

    def __str__(self) -> str:
        low, high = self.content["ci95"]
        return f"gap closed {self.gap_closed:.1%} ({low:.1%} to {high:.1%})"


def judge_scenario(folder: str | Path, *, seed: int = 0) -> InstancesResult:
    """Returns what choosing is worth on the scenario in a folder, feature costs included.

    Raises `DataError` for what is no scenario, `MetaloopError` where one algorithm is best always.
    """
    start = time.process_time()
    scenario = read_scenario(Path(folder))
    try:
        found = judged(scenario, seed)
    except ValueError as error:
        raise MetaloopError(f"{scenario.name}: {error}") from error
    gap = found.gap
    return InstancesResult(
        {
            "scenario": found.scenario,
            "measure": "error" if scenario.limit is None else "PAR10, seconds",
            "instances": gap.instances,
            "algorithms": len(scenario.algorithms),
            "features": len(scenario.feature_names),
            "best_alone": found.single,
            "gap_closed": gap.closed,
            "ci95": [gap.low, gap.high],
            "score_best_alone": gap.single_best,
            "score_chosen": gap.chosen,
            "score_oracle": gap.oracle,
            "chosen": found.chosen,
            "presolvers": found.presolvers,
            "folds_given_up": found.gave_up,
            "cpu_seconds": time.process_time() - start,
        }
    )
