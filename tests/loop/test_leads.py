"""The benchmark of the loop: leads with both intervals, and results of older versions."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from metaloop.core.statistics import EpisodeScores

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "leads.py"
SHOTS = (1, 5)


@pytest.fixture(scope="module")
def leads() -> ModuleType:
    """What reckons the benchmark's results."""
    spec = importlib.util.spec_from_file_location("leads_of_the_benchmark", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scores(
    rng: np.random.Generator, classes: np.ndarray, gain: float = 0.0, episodes: int = 400
) -> EpisodeScores:
    """Returns scores of 5-way episodes: what each class is worth, a gain, and noise."""
    draws = np.random.default_rng(0)
    units = np.array([draws.choice(len(classes), 5, replace=False) for _ in range(episodes)])
    values = classes[units] + gain + 0.05 * rng.normal(size=units.shape)
    return EpisodeScores(values.mean(1), values, units)


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


def test_classes_widen_the_second_interval_and_seeds_both(leads: ModuleType) -> None:
    rng = np.random.default_rng(1)
    worth = 0.1 * rng.normal(size=12)  # where the two sides differ, class by class
    ours = [scores(rng, 0.6 + worth) for _ in range(4)]
    theirs = [scores(rng, np.full(12, 0.6)) for _ in range(4)]
    lead = leads.lead_over(ours, theirs)
    assert lead["lead"] == pytest.approx(100 * worth.mean(), abs=1.0)
    assert width(lead["new"]) > 4 * width(lead["these"])
    # about t(11) * 10 points / sqrt(12) on either side
    assert width(lead["new"]) / 2 == pytest.approx(2.2 * 100 * worth.std(ddof=1) / 12**0.5, rel=0.3)
    unsteady = [scores(rng, 0.6 + worth, gain) for gain in (-0.05, 0.05, -0.05, 0.05)]
    wider = leads.lead_over(unsteady, theirs)
    assert width(wider["these"]) > 4 * width(lead["these"])
    assert width(wider["new"]) > width(lead["new"])


def test_equal_results_have_no_lead(leads: ModuleType) -> None:
    same = [scores(np.random.default_rng(2), np.full(8, 0.5))]
    assert leads.lead_over(same, same) == {"lead": 0.0, "these": (0.0, 0.0), "new": (0.0, 0.0)}


def write(path: Path, seed: int, gain: float, old: bool = False) -> None:
    arrays = {}
    for shots in SHOTS:
        found = scores(np.random.default_rng(seed), np.linspace(0.4, 0.8, 10), gain + shots / 100)
        arrays[f"{shots}-shot"] = found.values
        if not old:
            arrays[f"{shots}-shot-classes"] = found.units
            arrays[f"{shots}-shot-of-classes"] = found.unit_values
    np.savez(path, allow_pickle=False, facts="{}", **arrays)


def test_a_summary_is_made_of_results_alone(
    leads: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(3):
        write(tmp_path / f"toy-loop-6s-{seed}.npz", seed, 0.05)
        write(tmp_path / f"toy-single-6s-{seed}.npz", 10 + seed, 0.0)
    table = leads.summary(tmp_path, "6s", ["toy"], ["loop", "single"], SHOTS)
    assert list(table) == ["toy 1-shot", "toy 5-shot", f"toy {leads.MEAN}"]
    row = table[f"toy {leads.MEAN}"]["single"]
    assert row["seeds"] == 3 and row["lead"] == pytest.approx(5, abs=0.5)
    assert row["these"][0] < row["lead"] < row["these"][1]
    leads.print_table(table)
    assert "new classes of the family" in capsys.readouterr().out


def test_results_without_classes_are_refused_in_one_line(leads: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "toy-loop-6s-0.npz"
    write(path, 0, 0.0, old=True)
    assert not leads.is_whole(path, SHOTS)
    with pytest.raises(SystemExit, match=r"1 results .*older version.*without --summary"):
        leads.summary(tmp_path, "6s", ["toy"], ["loop"], SHOTS)
