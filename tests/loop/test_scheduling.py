"""The loop with more workers than lines: all have something to do (benchmarks/scaling.py)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "scaling.py"


@pytest.fixture(scope="module")
def scaling() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scaling", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scaling"] = module
    spec.loader.exec_module(module)
    return module


def test_many_workers_are_kept_busy_by_as_many_lines_and_the_budget_is_kept(
    scaling: ModuleType, tmp_path: Path
) -> None:
    found = scaling.simulated(tmp_path, 12, "20m")
    assert found.efficiency > 0.85
    assert min(found.busy_by_tenth[1:8]) > 0.9  # after the race, before the last judgement
    assert found.lines >= 12
    assert found.wall_seconds < 1.02 * 20 * 60
