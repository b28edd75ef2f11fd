"""What is believed of pipelines after a race, and who is tried next."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from metaloop.catalogue.pipelines import (
    KNOBS,
    PIPELINES,
    build_classifier,
    check_pipeline,
    crossed,
    pipeline,
    training_of,
    varied,
)
from metaloop.core.errors import MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Candidate, Choice
from metaloop.selecting.racing import Entry, Race, size_loss
from metaloop.selecting.settings import USUAL, SelectSettings

FORMAT = InputFormat("image", (3, 32, 32), (0.5,) * 3, (0.2,) * 3)


def _race(left: float = 100.0, most: int = 24, settings: SelectSettings = USUAL) -> Race:
    race = Race(
        {}, first=2.0, left=left, gain=0.9, seed=0, settings=settings, most_raced=most,
        fits=lambda candidate: check_pipeline(candidate, FORMAT, 10), size_of=lambda _: (0.0, 0.0),
    )  # fmt: skip
    for candidate in PIPELINES.values():
        race.entries[candidate.identity] = Entry(candidate, "catalogue")
    return race


def _right(share: float, number: int = 1000) -> np.ndarray:
    return (np.arange(number) < share * number).astype(float)


def test_what_was_not_measured_is_believed_to_be_what_was_expected() -> None:
    race = _race()
    for place, entry in enumerate(race.entries.values()):
        entry.expected = 0.01 * place
    assert race.values() == {e.identity: e.expected for e in race.entries.values()}


def test_a_measured_lead_counts_in_part_and_more_on_longer_proxies() -> None:
    one, other = list(PIPELINES.values())[:2]
    leads = []
    for rung in (0, 1):
        race = _race()
        for candidate, share in ((one, 0.5), (other, 0.6)):
            race.entries[candidate.identity].right[rung] = _right(share)
        values = race.values()
        leads.append(values[other.identity] - values[one.identity])
    assert 0 < leads[0] < leads[1] < 0.1 / 0.9


def test_a_lead_counts_less_where_it_may_be_that_of_a_small_net_at_the_start() -> None:
    one, other = list(PIPELINES.values())[:2]
    leads = []
    for log_cost in (0.0, -1.4):
        race = _race()
        race.entries[other.identity].log_cost = log_cost
        for candidate, share in ((one, 0.5), (other, 0.6)):
            race.entries[candidate.identity].right[0] = _right(share)
        values = race.values()
        leads.append(values[other.identity] - values[one.identity])
    assert 0 < leads[1] < leads[0]


def test_a_surprise_that_noise_cannot_explain_is_believed_against_all_expectation() -> None:
    one, other = list(PIPELINES.values())[:2]
    race = _race()
    race.entries[one.identity].expected = 0.05
    race.entries[one.identity].right[0] = _right(0.5, 20)
    race.entries[other.identity].right[0] = _right(1.0, 20)
    assert race.beliefs()[0].identity == other.identity


def test_with_hardly_anything_to_spend_nothing_is_raced() -> None:
    assert _race(left=3.0).propose() is None


def test_the_race_never_spends_more_than_it_has_and_ends() -> None:
    for left in (5.0, 30.0, 200.0):
        race, spent = _race(left), 0.0
        rng = np.random.default_rng(0)
        while (proposal := race.propose()) is not None:
            spent += proposal.amount
            race.take(proposal, _right(rng.uniform(0.3, 0.6)), "", 1.0)
        assert 0 < spent <= left
        assert len([entry for entry in race.entries.values() if entry.right]) >= 2


def test_children_come_from_the_best_and_the_best_are_raced_longer() -> None:
    race = _race(200.0)
    good = list(PIPELINES.values())[2].identity
    while (proposal := race.propose()) is not None:
        is_good = proposal.entry.identity == good or good in proposal.entry.parents
        race.take(proposal, _right(0.7 if is_good else 0.4), "", 1.0)
    children = [entry for entry in race.entries.values() if entry.parents]
    named = Counter(parent for child in children for parent in child.parents)
    assert named.most_common(1)[0][0] == good
    raced_longer = [entry for entry in race.entries.values() if 1 in entry.right]
    assert raced_longer and all(entry.right[0].mean() > 0.6 for entry in raced_longer)
    assert race.beliefs()[0].identity == good or good in race.beliefs()[0].parents


def test_who_failed_is_not_believed_in_nor_tried_again() -> None:
    race = _race(200.0)
    first = race.propose()
    assert first is not None
    race.take(first, None, "the loss is not finite", 1.0)
    asked = []
    while (proposal := race.propose()) is not None:
        asked.append(proposal.entry.identity)
        race.take(proposal, _right(0.5), "", 1.0)
    assert first.entry.identity not in asked
    assert first.entry not in race.beliefs()


def test_a_larger_budget_expects_a_larger_net() -> None:
    costs = [0.25, 1.0, 4.0]
    best = [
        max(costs, key=lambda cost: size_loss(cost, examples, USUAL))
        for examples in (5e3, 2e5, 1e7)
    ]
    assert best == sorted(best) and len(set(best)) == 3


@pytest.mark.parametrize("knob", KNOBS)
def test_every_value_of_every_knob_is_a_pipeline_that_can_be_built(knob: str) -> None:
    for value in KNOBS[knob].values:
        candidate = KNOBS[knob].set(PIPELINES["medium"], value)
        check_pipeline(candidate, FORMAT, 10)
        training_of(candidate)
        assert knob == "width" or KNOBS[knob].read(candidate) == value


def test_a_change_changes_one_pipeline_into_another() -> None:
    for seed in range(30):
        changed, words = varied(PIPELINES["medium"], numpy_stream(seed, "x"))
        assert changed.identity != PIPELINES["medium"].identity
        assert words.startswith("mutate ")


def test_crossing_takes_the_net_of_one_and_the_rest_of_the_other() -> None:
    one, other = pipeline((8, 8)), pipeline((16, 16), flip=False, batch_size=64)
    child = crossed(one, other)
    assert (child.net, child.plan, child.learner) == (one.net, other.plan, other.learner)


@pytest.mark.parametrize(
    ("net", "learner"),
    [
        ({"widths": [10**9]}, {}),
        ({"widths": []}, {}),
        ({"widths": [8, True]}, {}),
        ({"patches": 10**6}, {}),
        ({"stride": -1}, {}),
        ({"unknown": 1}, {}),
        ({"activation": "eval"}, {}),
        ({}, {"copies": 1000}),
        ({}, {"label_smoothing": float("nan")}),
        ({}, {"most_epochs": "9"}),
    ],
)
def test_a_stranger_s_pipeline_beyond_limits_is_refused_before_it_is_built(
    net: dict[str, object], learner: dict[str, object]
) -> None:
    usual = PIPELINES["medium"]
    strange: Candidate = dataclasses.replace(
        usual, net=Choice("whitened", net), learner=Choice("classifier", learner)
    )
    with pytest.raises(MetaloopError):
        build_classifier(strange, FORMAT, 10)
