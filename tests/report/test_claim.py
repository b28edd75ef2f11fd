"""The claim says what the records say, and says so when that is nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from metaloop.core.records import Verdict
from metaloop.report import claim_of, page_of
from metaloop.report.claim import is_at_chance


def test_the_claim_quotes_the_test_figure_of_what_was_promoted(small: Any) -> None:
    claim = claim_of(small.records())
    assert claim.headline == "74.2 ± 0.6 %"
    assert claim.best is not None and claim.best.identity == small.names["child"]
    assert claim.test is not None and claim.test.episodes == 1000
    assert claim.chance == 0.2 and claim.no_better_than_chance is False
    text = " ".join(claim.sentences)
    assert "told 5 classes apart that it had never seen, from 1 example each" in text
    assert "1,000 episodes of test" in text and "Guessing would give 20.0 %" in text
    plain = f"nearest_centroid / raw ({small.names['plain'][:8]})"
    assert f"+25.0 ± 1.0 points against {plain} (paired, 400 episodes)." in text
    assert "The best plain baseline, nearest_centroid / raw, has 50.0 ± 1.0 %" in text


def test_a_run_at_chance_says_that_it_is_no_better_than_chance(shuffled: Any) -> None:
    claim = claim_of(shuffled.records())
    assert claim.no_better_than_chance is True
    assert claim.headline == "No better than chance"
    assert any(said.startswith("This is no better than chance") for said in claim.sentences)


@pytest.mark.parametrize(
    ("value", "ci95", "at_chance"),
    [
        (0.2, 0.0, True),
        (0.21, 0.01, True),
        (0.211, 0.01, False),
        (0.1, 0.001, True),  # worse than chance is no better than chance
        (0.9, math.inf, True),  # one episode shows nothing
        (0.9, math.nan, True),
        (math.nan, 0.1, None),
    ],
)
def test_chance_is_judged_by_the_lower_end_of_the_interval(
    value: float, ci95: float, at_chance: bool | None, result: Any
) -> None:
    assert is_at_chance(result(value, ci95=ci95)) is at_chance


def test_without_classes_there_is_no_chance_to_compare_with(result: Any) -> None:
    assert is_at_chance(result(0.3, ways=0, metric="mse")) is None
    assert is_at_chance(result(0.3, metric="mse")) is None


def test_lower_is_better_for_an_error(bench: Any) -> None:
    worse = bench.add("maml", 0.9, metric="mse")
    best = bench.add("protonet", 0.1, metric="mse")
    claim = claim_of(bench.records())
    assert claim.best is not None and claim.best.identity == best != worse
    assert claim.headline == "0.100 ± 0.010 mse"
    assert not any("chance" in said or "Guessing" in said for said in claim.sentences)


def test_what_was_judged_with_several_numbers_of_shots_is_said_to_be_so(
    small: Any, result: Any
) -> None:
    """The figure shown is that of the task that was asked for."""
    (trial,) = small.archive.trials(candidate=small.names["child"])
    for value, shots in ((0.73, 1), (0.85, 5)):
        seen = result(value, "promotion")
        protocol = replace(seen.protocol, shots=shots, list_hash=f"with {shots}")
        small.archive.add_result(trial.id, replace(seen, protocol=protocol), np.full(200, value))
    claim = claim_of(small.records())
    assert claim.best is not None and claim.best.promotion is not None
    assert claim.best.promotion.value == 0.73
    assert "(paired, 400 episodes each with 1 and 5 shots)." in " ".join(claim.sentences)


def test_a_promotion_that_was_not_sure_is_said_to_be_so(bench: Any) -> None:
    plain = bench.add("nearest_centroid", 0.5, style="none", net="raw")
    other = bench.add("protonet", 0.51)
    bench.judge(plain, other, -0.002, 0.01, part="promotion")
    bench.open_test(plain, 0.5)
    sentences = " ".join(claim_of(bench.records()).sentences)
    assert "−0.2 ± 1.0 points against protonet / conv4" in sentences
    assert "not surely a difference" in sentences
    assert "It is itself a plain baseline" in sentences


@pytest.mark.parametrize("certain", [True, False, None])
def test_what_is_sure_on_these_classes_only_is_said_to_be_so(
    bench: Any, result: Any, certain: bool | None
) -> None:
    plain = bench.add("nearest_centroid", 0.5, style="none", net="raw")
    best = bench.add("protonet", 0.6)
    verdict = Verdict(best, plain, "promotion", 0.1, 0.08, 400, "", 0.1 - 0.12, 6, certain)
    bench.archive.add_verdict(bench.run, verdict)
    seen = replace(result(0.6, "test"), ci95_new=0.41, units=6)
    opening = bench.archive.record_opening(best, "the end", seen.protocol, run=bench.run)
    bench.archive.finish_opening(opening, seen)
    claim = claim_of(bench.records())
    text = " ".join(claim.sentences)
    assert claim.headline == "60.0 ± 1.0 % (± 41.0 new)"
    assert "+10.0 ± 2.0 points (± 12.0 new) against nearest_centroid" in text
    assert ("sure on these classes only" in text) == (certain is not True)
    assert "on these 6 classes" in text and "For new ones it is not surely better" in text
    page = page_of(bench.records())
    assert ("sure for new classes" in page) == (certain is not None)


def test_a_look_that_was_broken_off_is_no_result(bench: Any) -> None:
    best = bench.add("protonet", 0.7)
    bench.open_test(best, None)
    claim = claim_of(bench.records())
    assert claim.test is None and claim.headline == "70.0 ± 1.0 %"
    bench.open_test(best, 0.68)
    claim = claim_of(bench.records())
    assert claim.test is not None and claim.headline == "68.0 ± 0.6 %"
    assert "This run opened the test part 2 times; all are listed below." in claim.sentences


def test_nothing_measured_is_a_claim_of_nothing(bench: Any) -> None:
    assert claim_of(bench.records()).headline == "Nothing was measured"
    bench.add("protonet", None, status="failed", message="out of memory")
    claim = claim_of(bench.records())
    assert claim.best is None and claim.headline == "Nothing was measured"
