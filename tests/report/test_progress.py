"""What the time bought: costs counted once, leaders by what is sure, charts of hardly anything."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaloop.report import read_run
from metaloop.report.costs import total_cost
from metaloop.report.failures import failures_of
from metaloop.report.page.axis import axis, tick_text
from metaloop.report.page.progress_figure import progress_figure
from metaloop.report.progress import progress_of
from metaloop.report.standing import standings


def test_heads_of_one_training_cost_it_once(bench: Any) -> None:
    for name in ("protonet", "simpleshot", "ridge"):
        bench.add(name, 0.5, cpu_seconds=8.25)
    bench.add("maml", 0.4, cpu_seconds=3.0)
    records = bench.records()
    assert total_cost(records) == pytest.approx(11.25)
    assert progress_of(records).cpu_seconds == pytest.approx(11.25)


def test_work_without_a_trial_counts_and_a_job_counts_once(bench: Any) -> None:
    archive = bench.archive
    job = archive.begin_job(bench.run, 1, "train", {})
    for name in ("protonet", "ridge"):
        bench.add(name, 0.5, cpu_seconds=4.0 if name == "ridge" else 5.0, job=job)
    archive.end_job(job, "finished", {}, cpu_seconds=6.0, wall_seconds=3.0)
    for number, status in ((2, "finished"), (3, "crashed")):
        judging = archive.begin_job(bench.run, number, "judge", {})
        archive.end_job(judging, status, {}, "gone", cpu_seconds=1.5, wall_seconds=1.0)
    archive.begin_job(bench.run, 4, "train", {})
    records = bench.records()
    assert total_cost(records) == pytest.approx(9.0)
    assert [dot.cpu_seconds for dot in progress_of(records).dots] == [6.0, 6.0]
    (failure,) = failures_of(records)
    assert (failure.status, failure.message, failure.times) == ("crashed", "judge: gone", 1)


def test_a_lucky_figure_with_a_wide_interval_does_not_lead(bench: Any, result: Any) -> None:
    sure = bench.add("protonet", 0.7)
    lucky = bench.add("maml", None)
    trial = bench.records().trials_of[lucky][0].id
    bench.archive.add_result(trial, result(0.75, ci95=0.2))
    progress = progress_of(bench.records())
    assert [dot.candidate for dot in progress.leaders] == [sure]
    assert len(progress.dots) == 2


def test_figures_with_other_shots_than_were_asked_for_stay_out(bench: Any, result: Any) -> None:
    first = bench.add("protonet", 0.6)
    seen = result(0.85)
    how = replace(seen.protocol, shots=5, list_hash="with 5")
    (trial,) = bench.archive.trials(candidate=first)
    bench.archive.add_result(trial.id, replace(seen, protocol=how), np.full(200, 0.85))
    records = bench.records()
    assert [dot.result.value for dot in progress_of(records).dots] == [0.6]
    (entry,) = standings(records)
    assert entry.search is not None and entry.search.value == 0.6
    assert [one.value for one in records.results_of(first, "search")] == [0.6, 0.85]


def test_the_lower_ends_of_the_leaders_rise(large_folder: Path) -> None:
    progress = progress_of(read_run(large_folder))
    lows = [dot.result.value - dot.result.ci95 for dot in progress.leaders]
    assert lows == sorted(lows) and len(lows) > 3
    assert all(not dot.is_baseline for dot in progress.leaders)
    spent = [dot.cpu_seconds for dot in progress.dots]
    assert spent == sorted(spent) and spent[-1] <= progress.cpu_seconds


@pytest.mark.parametrize("values", [[], [0.5], [None], [0.5, 0.5], [math.nan], [0.3, math.nan]])
def test_charts_of_hardly_anything_are_drawn(values: list[float | None], bench: Any) -> None:
    for index, value in enumerate(values):
        bench.add("protonet", value, rate=0.1 + index, cpu_seconds=0.0)
    figure = progress_figure(progress_of(bench.records()), None, None)
    assert "nan" not in figure and "inf" not in figure.replace("information", "")
    assert ("<svg" in figure) == any(value is not None and value == value for value in values)


def test_a_figure_without_an_interval_is_drawn(bench: Any, result: Any) -> None:
    bench.add("protonet", 0.5)
    test = result(0.6, "test", ci95=math.inf, episodes=1)
    figure = progress_figure(progress_of(bench.records()), test, 0.2)
    assert not re.search(r'="[^"]*(nan|inf)\b[^"]*"', figure)


@given(st.lists(st.floats(-1e9, 1e9, allow_nan=False)), st.integers(2, 10), st.booleans())
def test_an_axis_holds_all_values_in_its_pixels(
    values: list[float], num_ticks: int, exact: bool
) -> None:
    found = axis(values, 50.0, 500.0, num_ticks, exact)
    slack = 1e-6 * max(1.0, *(abs(value) for value in values), 1.0)
    for value in values:
        assert found.low - slack <= value <= found.high + slack
        assert 50.0 <= found.place(value) <= 500.0
    assert list(found.ticks) == sorted(found.ticks) and len(found.ticks) <= 2 * num_ticks + 2
    assert all(tick_text(tick, found.ticks) for tick in found.ticks)


def test_ticks_have_the_decimals_that_tell_them_apart() -> None:
    ticks = axis([0.1, 0.9], 0.0, 1.0, 4).ticks
    assert [tick_text(tick, ticks) for tick in ticks] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    ticks = axis([0.0, 10.0], 0.0, 1.0, 4).ticks
    assert [tick_text(tick, ticks) for tick in ticks] == ["0.0", "2.5", "5.0", "7.5", "10.0"]
    ticks = axis([0.0, 50_000.0], 0.0, 1.0, 5).ticks
    assert tick_text(ticks[-1], ticks) == "50,000"
