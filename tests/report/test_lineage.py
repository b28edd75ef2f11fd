"""The lineage: every candidate is drawn or counted once, the promoted path is always there."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from metaloop.report import claim_of, read_run
from metaloop.report.lineage import lineage_of
from metaloop.report.page.lineage_figure import lineage_figure


def test_a_child_stands_below_its_parent_and_the_path_is_marked(small: Any) -> None:
    names = small.names
    lineage = lineage_of(small.records(), names["child"])
    rows = {row.entry.identity: row for row in lineage.rows if row.entry}
    order = list(rows)
    assert order.index(names["parent"]) < order.index(names["child"])
    child = rows[names["child"]]
    assert lineage.rows[child.parent].entry.identity == names["parent"]
    assert child.leads_on and child.lane == rows[names["parent"]].lane
    marked = {identity for identity, row in rows.items() if row.on_path}
    assert marked == {names["parent"], names["child"]}
    assert lineage.collapsed == 0


@pytest.mark.parametrize("limit", [1, 5, 32, 1000])
def test_every_candidate_is_drawn_or_counted_once(limit: int, large_folder: Path) -> None:
    records = read_run(large_folder)
    best = claim_of(records).best
    assert best is not None
    lineage = lineage_of(records, best.identity, limit)
    drawn = [row.entry.identity for row in lineage.rows if row.entry]
    assert len(drawn) == len(set(drawn)) == min(limit, lineage.candidates)
    assert len(drawn) + sum(row.collapsed for row in lineage.rows) == lineage.candidates == 300
    assert best.identity in drawn
    for index, row in enumerate(lineage.rows):
        assert row.parent is None or row.parent < index
        if row.entry and row.parent is not None and not row.skipped:
            above = lineage.rows[row.parent].entry
            assert above is not None and row.entry.stored.parents[0] == above.identity


def test_a_long_path_is_cut_in_the_middle_and_says_so(bench: Any) -> None:
    names = [bench.add("protonet", 0.5)]
    for step in range(60):
        rate = 0.01 + step / 1000
        names.append(bench.add("protonet", 0.5, [names[-1]], f"plan: {step}", rate=rate))
    lineage = lineage_of(bench.records(), names[-1], limit=32)
    drawn = [row for row in lineage.rows if row.entry]
    assert len(drawn) == 32 and all(row.on_path for row in drawn)
    assert sum(row.skipped for row in drawn) == 29
    assert "29 steps not drawn, then plan: 40" in lineage_figure(lineage, {})


def test_further_parents_are_named(bench: Any) -> None:
    first, second = bench.add("protonet", 0.5), bench.add("ridge", 0.6)
    child = bench.add("protonet", 0.7, [first, second], "crossover: nets", rate=0.1)
    lineage = lineage_of(bench.records(), child)
    (row,) = (row for row in lineage.rows if row.entry and row.entry.identity == child)
    assert row.others == (second,)
    figure = lineage_figure(lineage, {second: "ridge / conv4"})
    assert f"crossover: nets, with ridge / conv4 ({second[:8]})" in figure
    assert figure.count('class="other"') == 2  # one dashed line in each of the two drawings


@pytest.mark.parametrize("candidates", [0, 1])
def test_hardly_any_candidate_is_drawn_without_complaint(candidates: int, bench: Any) -> None:
    for _ in range(candidates):
        bench.add("protonet", None, status="failed")
    lineage = lineage_of(bench.records(), None)
    assert len(lineage.rows) == candidates
    lineage_figure(lineage, {})


def test_a_circle_of_parents_does_not_hang(bench: Any) -> None:
    """No honest archive has one, but a report must end on any."""
    first = bench.add("protonet", 0.5)
    second = bench.add("ridge", 0.6, [first], "plan: x")
    bench.archive.close()
    with sqlite3.connect(bench.folder / "archive.sqlite") as connection:
        connection.execute("INSERT INTO parents VALUES (?, 0, ?)", (first, second))
    connection.close()
    lineage = lineage_of(bench.records(), first)
    lineage_figure(lineage, {})
    assert lineage.candidates == 2


def test_ancestors_from_earlier_runs_are_drawn(bench: Any) -> None:
    old = bench.add("protonet", 0.5)
    bench.archive.end_run(bench.run, "finished")
    bench.run = bench.archive.begin_run("learn", arguments={"data": "new"}, seed=0, budget="1s")
    new = bench.add("protonet", 0.6, [old], "archive: best of an earlier run", rate=0.5)
    lineage = lineage_of(bench.records(), new)
    assert [row.entry.identity for row in lineage.rows if row.entry] == [old, new]
