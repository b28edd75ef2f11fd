"""Telling queries of other classes: evidence that knows a likelihood, figures, thresholds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sounds import write_words

import metaloop
from metaloop.core.errors import EpisodeError, MetaloopError
from metaloop.core.examples import Examples
from metaloop.core.likeness import fit_likenesses, means_of, nearest_cosine
from metaloop.core.rejection import Rejection, from_tensors, parse_rate, to_tensors
from metaloop.engine.open_scores import OpenTable
from metaloop.engine.open_set import open_list
from metaloop.models import Model, evaluate_open, open_for
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.store import Reading

CLASSES, EXAMPLES, WIDTH = 96, 12, 8


def clusters(apart: float, shuffled: bool = False) -> Reading:
    rng = np.random.default_rng(0)
    means = np.repeat(rng.normal(size=(CLASSES, WIDTH)) * apart, EXAMPLES, 0)
    labels = np.repeat(np.arange(CLASSES), EXAMPLES)
    values = (means + rng.normal(size=means.shape)).astype(np.float32)
    return read_arrays(values, rng.permutation(labels) if shuffled else labels, name="clusters")


def trained(reading: Reading) -> Model:
    return metaloop.train(reading, "nearest_centroid", budget="1steps", progress=False).trained


@pytest.fixture(scope="module")
def model() -> Model:
    return trained(clusters(3.0))


@pytest.fixture(scope="module")
def family() -> ClassFamily:
    return class_family(clusters(3.0))[0]


def test_clear_clusters_are_told_from_others_and_shuffled_labels_are_not(model: Model) -> None:
    clear = evaluate_open(model, open_for(model, clusters(3.0)), episodes=60, queries=5, shots=5)
    assert clear.result.value > 0.98 and clear.others == 5
    nothing = trained(clusters(3.0, shuffled=True))
    data = open_for(nothing, clusters(3.0, shuffled=True))
    result = evaluate_open(nothing, data, episodes=100, queries=5).result
    assert abs(result.value - 0.5) < 0.03


def test_a_threshold_for_ten_percent_lets_about_ten_percent_through(model: Model) -> None:
    found = evaluate_open(
        model, open_for(model, clusters(3.0)), episodes=100, queries=5, shots=1, rate=0.1
    )
    share = {each.metric: each.value for each in found.result.metrics}["false_alarms"]
    classes = 24  # of the test part: they vary, not only the queries
    assert abs(share - 0.1) < 4 * np.sqrt(0.1 * 0.9 / (classes * 5))


def test_a_likelihood_ratio_is_that_of_two_gaussians() -> None:
    rng = np.random.default_rng(1)
    features = torch.from_numpy(np.repeat(rng.normal(size=(30, 4)) * 2, 20, 0)).float()
    features = features + torch.from_numpy(rng.normal(size=features.shape)).float()
    known = fit_likenesses(features, torch.arange(30).repeat_interleave(20), (0.1,))[0]
    seen = known.seen(features[:3]).double()
    mean, counts = seen[:2].mean(0, keepdim=True), torch.tensor([2.0])
    between, identity = torch.diag(known.between.double()), torch.eye(4, dtype=torch.float64)
    gain = between @ torch.linalg.inv(between + identity / 2)
    as_known = torch.distributions.MultivariateNormal(
        (gain @ mean.T).flatten(), between - gain @ between + identity
    )
    as_new = torch.distributions.MultivariateNormal(torch.zeros_like(seen[0]), between + identity)
    found = known.evidence(mean.float(), counts, seen[2:].float())
    expected = as_known.log_prob(seen[2]) - as_new.log_prob(seen[2])
    torch.testing.assert_close(found[0].double(), expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=20)
@given(st.permutations(range(4)))
def test_permuting_classes_leaves_evidence_as_it_is(order: list[int]) -> None:
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(40, 6, generator=rng)
    labels = torch.arange(40) % 4
    known = fit_likenesses(features, labels, (0.5,))[0]
    mask = torch.ones(40, dtype=torch.bool)
    queries = torch.randn(7, 6, generator=rng)
    found = []
    for targets in (labels, torch.tensor(order)[labels]):
        support = Examples(features, targets, mask, 4)
        means, counts = means_of(support.with_inputs(known.seen(features)))
        cosine = nearest_cosine(known.center, support, queries)
        found.append((known.evidence(means, counts, known.seen(queries)), cosine))
    torch.testing.assert_close(found[0], found[1])


def test_of_recordings_alarms_are_also_counted_by_the_hour(tmp_path: Path) -> None:
    pytest.importorskip("soundfile", reason="recordings need the extra speech")
    words = write_words(tmp_path / "words", words=20, takes=6)
    how = {"ways": 2, "queries": 2}
    run = metaloop.train(words, "nearest_centroid", budget="1steps", progress=False, **how)
    opened = open_for(run.trained, words, part="search", allow_seen=True)
    found = evaluate_open(run.trained, opened, part="search", episodes=20, rate=0.3, **how).result
    of = {each.metric: each.value for each in found.metrics}
    an_hour = of["false_alarms"] * 3600 / 0.5
    assert of["false_alarms_per_hour"] == pytest.approx(an_hour, rel=0.02) and an_hour > 0


def test_a_class_without_examples_gives_no_evidence() -> None:
    features, labels = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)), None
    labels = torch.arange(40) % 4
    known = fit_likenesses(features, labels, (0.5,))[0]
    seen = known.seen(features)
    means, counts = means_of(Examples(seen, labels, torch.ones(40, dtype=torch.bool), 6))
    expected = known.evidence(means[:4], counts[:4], seen)
    torch.testing.assert_close(known.evidence(means, counts, seen), expected)


def test_one_example_of_each_class_says_nothing_of_likeness() -> None:
    assert fit_likenesses(torch.randn(9, 3), torch.arange(9), (0.1,)) == ()


def test_the_figures_are_those_that_counting_gives(family: ClassFamily) -> None:
    asked = open_list(family, "test", family.spec(3, 1, 4), 20)
    table, rng = OpenTable(asked), np.random.default_rng(0)
    evidence = rng.normal(size=asked.episodes.query.mask.shape) + asked.inside
    own, other = evidence[:, asked.inside], evidence[:, ~asked.inside]
    pairs = own[:, :, None] > other[:, None, :]
    assert np.isclose(table.auroc(evidence).values.mean(), pairs.mean())
    recall = table.recall(evidence, table.there, 0.1)
    assert np.isclose(recall.values.mean(), (own > np.quantile(other, 0.9)).mean(), atol=0.01)
    alarms = table.false_alarms(evidence, 0.5)
    assert np.isclose(alarms.values.mean(), (other > 0.5).mean())
    assert (alarms.units[:, :3] == -1).all()


def test_what_classes_do_adds_up_to_what_episodes_have(family: ClassFamily) -> None:
    asked = open_list(family, "test", family.spec(3, 1, 4), 20)
    table, rng = OpenTable(asked), np.random.default_rng(0)
    evidence = rng.normal(size=asked.episodes.query.mask.shape) + asked.inside
    found = table.auroc(evidence)  # both sides of a pair: a task's own classes, and the others
    both = 2 * found.values - found.values.mean()
    assert np.allclose(found.unit_values.mean(1), both)
    found = table.recall(evidence, table.there, 0.1)
    assert np.allclose(found.unit_values.mean(1), found.values)
    found = table.false_alarms(evidence, 0.5)
    assert np.allclose(np.nanmean(found.unit_values, 1), found.values)
    assert np.nanmax(found.unit_values) <= 1


def test_others_are_of_the_part_and_not_in_the_task(family: ClassFamily) -> None:
    asked = open_list(family, "search", family.spec(5, 1, 3), 10)
    targets = family.store.targets.numpy()[asked.episodes.query.examples]
    assert np.isin(targets, family.parts["search"]).all()
    assert (targets == asked.units[:, asked.classes]).all()
    assert all(len(set(row)) == len(row) for row in asked.units.tolist())


def test_a_part_without_further_classes_is_refused(family: ClassFamily) -> None:
    ways = len(family.parts["test"])
    spec = replace(family.spec(5, 1), ways=ways)
    with pytest.raises(EpisodeError, match=f"largest possible --ways is {ways - 1}"):
        open_list(family, "test", spec, 2)


def test_a_table_and_its_likeness_come_back_from_tensors(model: Model, tmp_path: Path) -> None:
    rejection = model.rejection
    assert rejection is not None and rejection.likeness is not None
    again = from_tensors(to_tensors(rejection))
    assert again is not None and again.ways == rejection.ways
    assert again.threshold(0.05, 5, 3) == rejection.threshold(0.05, 5, 3)
    tensors = to_tensors(rejection)
    assert tensors is not None
    for damage in ("between", "thresholds", "ways"):
        with pytest.raises(ValueError, match="rejection"):
            from_tensors({**tensors, damage: tensors[damage].float()[:1] * -1})


def test_more_ways_than_measured_ask_for_more_evidence_and_are_said() -> None:
    table = torch.linspace(3, -2, 8, dtype=torch.float64).expand(2, 1, 8).clone()
    table[1] += 1
    rejection = Rejection((5, 10), (1,), table)
    few, many = rejection.threshold(0.1, 10, 1), rejection.threshold(0.1, 40, 1)
    assert few.outside == "" and many.outside == "40 ways (5 to 10 were measured)"
    assert many.value > few.value > rejection.threshold(0.1, 7, 1).value
    assert rejection.threshold(0.2, 10, 1).value < few.value


@pytest.mark.parametrize("text", ["five", "0", "60%", "nan%", "5", "-1%"])
def test_a_share_of_false_alarms_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(MetaloopError, match="share of false alarms"):
        parse_rate(text)
