"""Events without ratings: what a user had is asked for among what she had not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import metaloop as ml
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.cli import run
from metaloop.core.columns import Lookup
from metaloop.core.errors import DataError
from metaloop.core.ranking import ranking_loss, recall_of_the_best, right_order
from metaloop.core.records import PARTS
from metaloop.engine.evaluation import evaluate
from metaloop.jobs.shipping import load_shipped, ship_family
from metaloop.models import Model
from metaloop.models.training import Trained, train_model
from metaloop.tasks.groups import GroupFamily

SHOTS = 5


@pytest.fixture(scope="module")
def family(events_file: Path) -> GroupFamily:
    found = open_data(events_file).family
    assert isinstance(found, GroupFamily)
    return found


def trained(family: GroupFamily, learner: str, budget: str) -> Model:
    *_, last = train_model(family, learner, budget=budget, shots=SHOTS, queries=10)
    assert isinstance(last, Trained)
    return last.model


def gain(model: Model, family: GroupFamily) -> float:
    result, _ = evaluate(model.learner, model.meta_params, family, "test", model.spec, 200)
    assert result.metric == "ndcg@10" and {m.metric for m in result.metrics} == {"recall@10", "auc"}
    return result.value


def test_a_table_of_users_and_items_alone_is_of_events_and_that_is_said(events_file: Path) -> None:
    opened = open_data(events_file)
    assert opened.kind == "table, items that users had, groups"
    assert any("no rating: events" in note and "clicks" in note for note in opened.notes)
    assert any(item.reason == "each counts once" and item.count == 1 for item in opened.left_out)
    named = DataOptions(columns={"user": "user", "item": "item", "rating": "clicks"})
    assert open_data(events_file, named).kind == "table, ratings of items by users, groups"


def test_too_few_users_are_told_with_the_reason_why_they_are_so_few(tmp_path: Path) -> None:
    path = tmp_path / "alike.csv"
    rows = [f"u{user},i{item}" for user in range(50) for item in range(8)]
    path.write_text("\n".join(["user,item", *rows]))
    with pytest.raises(DataError, match=r"has 1 groups, without those left out: .*copy of another"):
        open_data(path)
    path.write_text("\n".join(["user,item", *(f"u{user},the same" for user in range(50))]))
    with pytest.raises(DataError, match=r"has 0 groups, without those left out: .*needs 2 items"):
        open_data(path)


def test_what_is_asked_is_some_of_what_she_had_and_items_that_she_had_not(
    family: GroupFamily,
) -> None:
    lookup = family.store.inputs
    assert isinstance(lookup, Lookup)
    items, users = lookup.index.numpy() % (family.num_items + 1), family.store.targets.numpy()
    had = {(user, item) for user, item in zip(users.tolist(), items.tolist(), strict=True)}
    tables = (lookup.index.numpy() // (family.num_items + 1)).tolist()
    fold = dict(zip(users.tolist(), tables, strict=True))
    for part in PARTS:
        episodes = family.sample(part, family.spec(0, SHOTS, 8), 20, np.random.default_rng(3))
        everything = episodes.store.inputs
        assert isinstance(everything, Lookup) and episodes.store.values is not None
        for user, rows, mask, known in zip(
            episodes.units[:, 0], episodes.query.examples, episodes.query.mask,
            episodes.support.examples, strict=True,
        ):  # fmt: skip
            places = everything.index.numpy()[rows[mask]]
            wanted = episodes.store.values[:, 0].numpy()[rows[mask]] == 1
            asked = places % (family.num_items + 1)
            assert [(user, item) in had for item in asked.tolist()] == wanted.tolist()
            assert 1 <= wanted.sum() <= 8 and len(np.unique(asked)) == len(asked)
            assert set(places // (family.num_items + 1)) == {fold[int(user)]}
            assert family.num_items not in asked and not set(rows[mask][wanted]) & set(known)


def test_factors_of_what_she_had_beat_how_many_had_it(family: GroupFamily) -> None:
    spectral, popular = (trained(family, name, "1steps") for name in ("spectral", "item_mean"))
    assert gain(spectral, family) > 1.1 * gain(popular, family)


def test_a_family_of_events_reaches_workers_as_it_is(family: GroupFamily, tmp_path: Path) -> None:
    again = load_shipped(ship_family(family, tmp_path / "family"))
    assert again.digest == family.digest
    spec = again.spec(0, SHOTS, 5)
    assert spec.objective == "ranking"
    draws = [f.sample("train", spec, 4, np.random.default_rng(0)) for f in (family, again)]
    one, other = (each.gather(family.input_format) for each in draws)
    assert torch.equal(one.query.features, other.query.features)
    assert torch.equal(one.query.targets, other.query.targets)


def test_the_command_line_recommends_by_a_list_of_items(
    events_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "m.metaloop"
    words = ["--learner", "spectral", "--shots", "3", "--budget", "1steps", "--out", str(model)]
    assert run(["train", str(events_file), *words]) == 0
    mine = tmp_path / "mine.csv"
    mine.write_text("item\ni1\ni4\ni7\ni4\n")
    capfd.readouterr()
    words = ["predict", str(model), "--support", str(mine), "--top", "3", "--json"]
    assert run(words) == 0
    best = json.loads(capfd.readouterr().out)["predictions"]
    assert len(best) == 3 and not {"i1", "i4", "i7"} & {row["input"] for row in best}
    regressor = ml.load(model).fit(["i1", "i4", "i7"])
    values = regressor.predict([row["input"] for row in best])
    np.testing.assert_allclose(values, [row["value"] for row in best], rtol=1e-5)
    assert values.tolist() == sorted(values, reverse=True)
    mine.write_text("item\nnever heard of\ni4\n")
    for asked in (words, ["fit", *words[1:4], "--out", str(tmp_path / "fitted.metaloop")]):
        assert run(asked) == 0
        assert "1 of 2 items are unknown to the model" in capfd.readouterr().err
    assert run(["predict", str(model), "--support", str(tmp_path), "--top", "3"]) == 2
    assert "was trained on events, expected a table with a column item" in capfd.readouterr().err


def test_loss_and_metrics_of_a_ranking_are_what_they_say() -> None:
    outputs = torch.tensor([[[3.0], [1.0], [2.0], [9.0]]])
    targets = torch.tensor([[[1.0], [1.0], [0.0], [0.0]]])
    mask = torch.tensor([[True, True, True, False]])
    total = math.exp(3) + math.exp(1) + math.exp(2)
    expected = -(math.log(math.exp(3) / total) + math.log(math.exp(1) / total)) / 2
    assert float(ranking_loss(outputs, targets, mask)) == pytest.approx(expected, rel=1e-6)
    assert right_order(outputs, targets, mask).tolist() == [0.5]
    assert right_order(torch.zeros_like(outputs), targets, mask).tolist() == [0.5]
    assert recall_of_the_best(outputs, targets, mask).tolist() == [1.0]


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), number=st.integers(2, 30))
def test_the_area_is_the_share_of_pairs_in_the_right_order(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, number).astype(float)
    wanted, there = rng.integers(0, 2, number), rng.random(number) < 0.8
    pairs = [
        (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])
        for i in range(number) for j in range(number)
        if there[i] and there[j] and wanted[i] and not wanted[j]
    ]  # fmt: skip
    found = right_order(
        torch.tensor(scores)[None, :, None], torch.tensor(wanted)[None, :, None].float(),
        torch.tensor(there)[None],
    )  # fmt: skip
    assert float(found) == pytest.approx(np.mean(pairs) if pairs else 0.5)
