"""Credits of operators follow from the verdicts, whoever won."""

from __future__ import annotations

from typing import Any

import pytest

from metaloop.report.crediting import comparisons, credits_of


def test_a_credit_is_the_mean_of_the_paired_differences(bench: Any) -> None:
    parent = bench.add("protonet", 0.5)
    won = bench.add("protonet", 0.6, [parent], "data: add rotate(90)", rate=0.1, cpu_seconds=3.0)
    lost = bench.add("protonet", 0.4, [parent], "data: add mix(0.3)", rate=0.2, cpu_seconds=4.0)
    bench.judge(won, parent, 0.08, 0.02)
    bench.judge(parent, lost, 0.02, 0.03)
    bench.add("protonet", None, [parent], "data: cut", rate=0.3, status="diverged", cpu_seconds=1.0)
    credit = {credit.kind: credit for credit in credits_of(bench.records())}["data"]
    assert (credit.made, credit.tried, credit.failed) == (3, 3, 1)
    assert (credit.pairs, credit.better) == (2, 1)
    assert credit.gain is not None and credit.gain.value == pytest.approx(0.03)
    assert credit.cpu_seconds == pytest.approx(8.0)


def test_a_pair_counts_once_by_its_latest_verdict(bench: Any) -> None:
    parent = bench.add("protonet", 0.5)
    child = bench.add("protonet", 0.6, [parent], "plan: x", rate=0.1)
    bench.judge(child, parent, 0.2, 0.01)
    bench.judge(parent, child, 0.05, 0.01)
    (pair,) = comparisons(bench.records())
    assert (pair.child, pair.parent) == (child, parent)
    assert pair.advantage == pytest.approx(-0.05) and not pair.is_better
    credit = credits_of(bench.records())[0]
    assert credit.gain is not None and credit.gain.ci95 == pytest.approx(0.01)  # of its episodes


def test_an_unsure_winner_has_an_interval_that_reaches_below_zero(bench: Any) -> None:
    parent = bench.add("protonet", 0.5)
    child = bench.add("protonet", 0.51, [parent], "net: x", rate=0.1)
    bench.judge(parent, child, -0.01, 0.03)  # the parent stays, though the child measured better
    (pair,) = comparisons(bench.records())
    assert pair.advantage == pytest.approx(0.01) and not pair.is_better


def test_a_verdict_on_heads_that_share_nets_counts_by_its_operator(bench: Any) -> None:
    recipe, head = bench.add("protonet", 0.5), bench.add("ridge", 0.55)
    child = bench.add("ridge", 0.6, [recipe], "plan: rate", rate=0.1)
    bench.judge(child, head, 0.05, reason="plan: rate")
    bench.judge(head, recipe, 0.05, reason="another matter")
    (pair,) = comparisons(bench.records())
    assert (pair.child, pair.parent) == (child, head)


def test_promotions_are_no_credits(small: Any) -> None:
    credits = {credit.kind: credit for credit in credits_of(small.records())}
    assert credits["catalogue"].pairs == 0 and credits["catalogue"].gain is None
    assert credits["plan"].pairs == 1
