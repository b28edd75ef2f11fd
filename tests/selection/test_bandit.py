"""The bandit: finds what helps, leaves what hurts, forgets, and is the same after a resume."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from metaloop.archive import Archive, DataSet
from metaloop.core.errors import UnknownNameError
from metaloop.core.records import Candidate, Choice, Plan, Trial, Verdict
from metaloop.selection.bandit import Bandit, Use, uses_in

ARMS = ("best", "idle 1", "idle 2", "idle 3", "hurts")
RATES = (0.1, 0.0, 0.0, 0.0, -0.1)  # points per CPU-second
NOISE = 0.7  # points: about as much as the best arm brings in ten seconds


def play(
    bandit: Bandit, rates: Sequence[float], rounds: int, rng: np.random.Generator
) -> list[str | None]:
    """Returns what a bandit chose in an environment with these rates, and credits it."""
    chosen: list[str | None] = []
    for _ in range(rounds):
        arm = bandit.choose(rng)
        chosen.append(arm)
        if arm is None:
            bandit.passed()
            continue
        seconds = float(rng.uniform(5, 15))
        rate = rates[bandit.arms.index(arm)] * (1 + 0.3 * rng.normal())
        bandit.credit(arm, float(rate * seconds + NOISE * rng.normal()), NOISE, seconds)
    return chosen


def played(rates: Sequence[float], rounds: int, runs: int) -> list[list[str | None]]:
    return [play(Bandit(ARMS), rates, rounds, np.random.default_rng(run)) for run in range(runs)]


def test_the_best_arm_is_found_far_more_often_than_by_chance() -> None:
    late = [arm for run in played(RATES, 40, 15) for arm in run[20:]]
    found = late.count("best")
    assert binomtest(found, len(late), 1 / len(ARMS), "greater").pvalue < 1e-6
    assert found > 0.5 * len(late)


def test_a_hurting_arm_is_hardly_chosen_any_more() -> None:
    late = [arm for run in played(RATES, 40, 15) for arm in run[20:]]
    assert late.count("hurts") < 0.1 * len(late)


def test_where_every_arm_hurts_most_rounds_choose_none() -> None:
    late = [arm for run in played([-0.15] * 5, 60, 10) for arm in run[30:]]
    assert late.count(None) > 0.5 * len(late)


def test_what_helped_early_is_left_when_it_hurts_later() -> None:
    changed = (-0.1, 0.0, 0.1, 0.0, 0.0)
    late: Counter[str | None] = Counter()
    for run in range(8):
        bandit, rng = Bandit(ARMS), np.random.default_rng(run)
        early = play(bandit, RATES, 40, rng)
        assert early[20:].count("best") > early[20:].count("idle 2")
        late.update(play(bandit, changed, 50, rng)[30:])
    assert late["idle 2"] > 0.4 * late.total()
    assert late["best"] < 0.15 * late.total()


def test_old_uses_count_less_with_every_round() -> None:
    bandit = Bandit(["a", "b"])
    bandit.credit("a", 1.0, 0.1, 10.0)
    (before,) = (row for row in bandit.table() if row.arm == "a")
    for _ in range(60):
        bandit.passed()
    (after,) = (row for row in bandit.table() if row.arm == "a")
    assert 0 < after.rate < before.rate
    assert after.high - after.low > before.high - before.low
    steady = Bandit(["a", "b"], forgetting=1.0)
    steady.credit("a", 1.0, 0.1, 10.0)
    rate = steady.table()[0].rate
    steady.passed()
    assert steady.table()[0].rate == rate


def test_before_any_credit_all_arms_are_alike() -> None:
    bandit = Bandit(ARMS)
    drawn = Counter(bandit.choose(np.random.default_rng(seed)) for seed in range(3000))
    counts = np.array([drawn[arm] for arm in ARMS])
    assert counts.max() - counts.min() < 5 * math.sqrt(counts.mean())
    assert 0 < drawn[None] < 0.2 * 3000


def test_only_arms_among_those_that_apply_are_chosen() -> None:
    bandit = Bandit(ARMS)
    bandit.credit("best", 5.0, 0.1, 10.0)
    chosen = {bandit.choose(np.random.default_rng(s), ["hurts", "idle 1"]) for s in range(200)}
    assert chosen == {"hurts", "idle 1", None}
    assert bandit.choose(np.random.default_rng(0), []) is None


def test_the_same_credits_and_generators_choose_the_same() -> None:
    first, rng = Bandit(ARMS), np.random.default_rng(3)
    play(first, RATES, 20, rng)
    resumed = Bandit(ARMS)
    for use in first.uses:
        resumed.credit(use.arm, use.difference, use.standard_error, use.cpu_seconds)
    picks = [[b.choose(np.random.default_rng(s)) for s in range(50)] for b in (first, resumed)]
    assert picks[0] == picks[1]
    assert first.table() == resumed.table()


def test_earlier_uses_decide_what_is_tried_first_and_are_outweighed() -> None:
    earlier = [Use("idle 1", 1.0, NOISE, 10.0)] * 4 + [Use("unknown", -1.0, NOISE, 10.0)] * 4
    warm = Bandit(ARMS, earlier)
    drawn = Counter(warm.choose(np.random.default_rng(seed)) for seed in range(500))
    assert drawn["idle 1"] > 1.5 * max(drawn[arm] for arm in ARMS if arm != "idle 1")
    assert {row.arm: row.earlier_uses for row in warm.table()}["idle 1"] == 4
    for _ in range(10):
        warm.credit("idle 1", -1.0, NOISE, 10.0)
    assert {row.arm: row.rate for row in warm.table()}["idle 1"] < 0


def test_a_cheap_gain_is_worth_more_than_a_dear_one() -> None:
    bandit = Bandit(["cheap", "dear"])
    for _ in range(5):
        bandit.credit("cheap", 1.0, 0.3, 5.0)
        bandit.credit("dear", 1.0, 0.3, 50.0)
    cheap, dear = bandit.table()
    assert (cheap.arm, dear.arm) == ("cheap", "dear")
    assert cheap.rate > 2 * dear.rate
    assert cheap.chance > 0.9


def test_a_use_without_an_interval_teaches_nothing() -> None:
    bandit = Bandit(["a", "b"])
    bandit.credit("a", 1.0, 0.1, 10.0)
    before = {row.arm: row.rate for row in bandit.table()}["b"]
    bandit.credit("b", 50.0, math.inf, 10.0)
    after = {row.arm: row.rate for row in bandit.table()}["b"]
    assert after == pytest.approx(before, rel=0.1)


def test_the_table_counts_what_was_used() -> None:
    bandit = Bandit(["a", "b"])
    bandit.credit("a", 1.0, 0.5, 10.0)
    bandit.credit("a", -2.0, 0.5, 20.0)
    bandit.passed()
    rows = {row.arm: row for row in bandit.table()}
    assert (rows["a"].uses, rows["a"].cpu_seconds, rows["a"].mean_difference) == (2, 30.0, -0.5)
    assert rows["b"].uses == 0 and math.isnan(rows["b"].mean_difference)
    assert rows["a"].low < rows["a"].rate < rows["a"].high
    assert sum(row.chance for row in rows.values()) <= 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(ARMS),
            st.floats(-100, 100),
            st.floats(0, 100),
            st.floats(1e-3, 1e4),
        ),
        max_size=25,
    )
)
def test_any_credits_leave_numbers_to_choose_by(
    credits: list[tuple[str, float, float, float]],
) -> None:
    bandit = Bandit(ARMS)
    for credit in credits:
        bandit.credit(*credit)
    assert bandit.choose(np.random.default_rng(0)) in {*ARMS, None}
    for row in bandit.table():
        assert math.isfinite(row.rate) and row.low <= row.rate <= row.high


@given(difference=st.floats(0.01, 10), scale=st.floats(1e-3, 1e3))
def test_the_unit_of_rewards_changes_nothing(difference: float, scale: float) -> None:
    one, other = Bandit(ARMS), Bandit(ARMS)
    for bandit, unit in ((one, 1.0), (other, scale)):
        bandit.credit("best", difference * unit, 0.5 * unit, 10.0)
        bandit.credit("hurts", -difference * unit, 0.5 * unit, 10.0)
    for seed in range(5):
        picks = [b.choose(np.random.default_rng(seed)) for b in (one, other)]
        assert picks[0] == picks[1]


@pytest.mark.parametrize(
    "use",
    [(math.nan, 0.1, 1.0), (1.0, -0.1, 1.0), (1.0, math.nan, 1.0), (1.0, 0.1, 0.0)],
)
def test_credits_that_are_no_measurements_are_refused(use: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="a use"):
        Bandit(ARMS).credit("best", *use)


def test_unknown_arms_and_none_at_all_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'hurts'\?"):
        Bandit(ARMS).credit("hurt", 1.0, 0.1, 1.0)
    for arms in ((), ("a", "a")):
        with pytest.raises(ValueError, match="each once"):
            Bandit(arms)
    with pytest.raises(ValueError, match="forgetting"):
        Bandit(ARMS, forgetting=0.0)


def test_an_archive_tells_what_operators_brought(tmp_path: Path) -> None:
    def candidate(rate: float) -> Candidate:
        return Candidate(Choice("protonet"), Choice("conv4"), Plan("episodes", learning_rate=rate))

    nothing: dict[str, tuple[str, ...]] = {}
    with Archive.create(tmp_path / "archive.sqlite") as archive:
        archive.add_data_set(DataSet("d4ta", "toy", "a test", 1, 1, nothing, {}))
        run = archive.begin_run("learn", arguments={}, seed=0, budget="9s")
        parent = archive.add_candidate(candidate(0.1))
        helped = archive.add_candidate(candidate(0.2), [parent], "data: mix(0.3)")
        harmed = archive.add_candidate(candidate(0.3), [parent], "data: rotate(90)")
        other = archive.add_candidate(candidate(0.4), [parent], "plan: something")
        for child, seconds in ((helped, (4.0, 6.0)), (harmed, (5.0,)), (other, (5.0,))):
            for rung, cost in enumerate(seconds):
                trial = archive.begin_trial(run, child, "d4ta", seed=0, rung=rung)
                outcome = Trial(child, "finished", 0, cpu_seconds=cost, rung=rung)
                archive.end_trial(trial, outcome)
        archive.add_verdict(run, Verdict(helped, parent, "search", 2.0, 0.04, 100, ""))
        archive.add_verdict(run, Verdict(parent, harmed, "search", 3.0, 1.04, 100, ""))
        archive.add_verdict(run, Verdict(other, parent, "search", 9.0, 8.0, 100, ""))
        archive.add_verdict(run, Verdict(helped, harmed, "search", 9.0, 8.0, 100, ""))
        found = uses_in(archive, lambda text: text[6:] if text.startswith("data: ") else None)
    assert [(use.arm, use.difference, use.cpu_seconds) for use in found] == [
        ("mix(0.3)", 2.0, 10.0),
        ("rotate(90)", -3.0, 5.0),
    ]
    assert [use.standard_error for use in found] == pytest.approx([1.0, 1.0])
