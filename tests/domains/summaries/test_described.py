"""What is known of sentences before anything is learned, and what plain methods make of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from tests.made_documents import WORDS, write

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.budget import parse_budget
from metaloop.core.examples import Examples
from metaloop.core.extracts import Length
from metaloop.core.records import Choice
from metaloop.domains.summaries.features import (
    COLUMNS,
    Terms,
    asked_for,
    counted,
    described,
    fitted_terms,
)
from metaloop.domains.summaries.kept import fitted_kept
from metaloop.domains.summaries.stems import stems
from metaloop.domains.summaries.view import Rules, seen_document
from metaloop.engine.evaluation import evaluate
from metaloop.engine.events import Finished
from metaloop.engine.training import train
from metaloop.nets.sentences import DIRECTIONS, Seen, without_repeats
from metaloop.tasks.groups import GroupFamily

FLOOD = [
    "Small talk opened the day.",
    "A flood of the river broke the dam.",
    "On and on and on and on and on and on and on and on and on it went.",
    "The flood of the river broke the dam and reached the town.",
    "The town by the river has no dam.",
    "Birds sang.",
]


@pytest.fixture(scope="module")
def terms() -> Terms:
    stemmed = [stems(line) for line in FLOOD]
    counts = sparse.csr_matrix(counted(FLOOD, True))
    return fitted_terms(counts, fitted_kept([stemmed], [[stemmed[1]]]))


def column(told: np.ndarray, name: str) -> list[float]:
    values: list[float] = told[COLUMNS.index(name)].tolist()
    return values


def test_sentences_are_described_by_place_length_signs_and_what_they_share(terms: Terms) -> None:
    lines = ["Ann: What is 7?", *FLOOD[1:4], FLOOD[1]]
    told, pairs = described(lines, terms, True)
    assert told.shape == (len(COLUMNS), 5) and pairs.shape == (5, 5)
    assert column(told, "there") == [1.0] * 5
    assert column(told, "first") == [1, 0, 0, 0, 0] and column(told, "last") == [0, 0, 0, 0, 1]
    assert column(told, "early") == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert column(told, "question") == [1, 0, 0, 0, 0] == column(told, "speaker")
    assert column(told, "digits") == pytest.approx([1 / 4, 0, 0, 0, 0])
    assert int(np.argmax(column(told, "words"))) == 2
    assert column(told, "novelty")[4] == pytest.approx(0.0, abs=1e-5)  # said before, word for word
    assert column(told, "like_most")[1] == pytest.approx(1.0, abs=1e-5)
    assert column(told, "by_lead") == sorted(column(told, "by_lead"), reverse=True)
    np.testing.assert_allclose(pairs, pairs.T)
    assert (np.diagonal(pairs) >= pairs.max(1) - 1e-12).all()
    alike = told[1 : 1 + DIRECTIONS]
    norms = np.linalg.norm(alike, axis=0)
    assert norms[[1, 2, 3, 4]] == pytest.approx(1.0, abs=1e-5)
    assert float(alike[:, 1] @ alike[:, 4]) == pytest.approx(1.0, abs=1e-5)
    again = described(lines[::-1], terms, True)[0]
    assert column(again, "centroid") == pytest.approx(column(told, "centroid")[::-1], abs=1e-5)


@pytest.mark.parametrize(
    ("length", "tens", "scarce"),
    [
        (Length("words", 10), 1.0, 1.0),
        (Length("ratio", 0.5), 2.0, 2.0),
        (Length("ratio", 0.001), 0.1, 2.0),  # one word at least
        (Length("sentences", 2), 3.0, 0.0),  # those of a usual summary
    ],
)
def test_sentences_know_what_is_asked_for_and_nothing_else_of_them_changes(
    length: Length, tens: float, scarce: float, terms: Terms
) -> None:
    inputs = np.zeros((2, len(COLUMNS), 64), np.float32)
    inputs[:, :, :6] = described(list(FLOOD), terms, True)[0]
    before = inputs.copy()
    found = asked_for(inputs, np.array([40, 40]), length, usual=30.0)
    for document in found:
        assert column(document, "wanted") == pytest.approx([tens] * 6 + [0.0] * 58)
        assert column(document, "by_words") == [scarce] * 6 + [0.0] * 58
    assert np.array_equal(inputs, before)
    again = asked_for(found, np.array([40, 40]), Length("words", 7), usual=30.0)
    assert np.array_equal(again, asked_for(inputs, np.array([40, 40]), Length("words", 7), 30.0))
    others = [place for place, name in enumerate(COLUMNS) if name not in ("wanted", "by_words")]
    assert np.array_equal(found[:, others], inputs[:, others])


def test_a_sentence_that_repeats_a_better_one_is_worth_less() -> None:
    there = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    alike = torch.zeros(1, 4, DIRECTIONS)
    alike[0, :2, 0] = alike[0, 2, 1] = alike[0, 3, 0] = 1.0  # the last place has no sentence
    nothing = torch.zeros(1, 4)
    seen = Seen(there, alike, alike, alike, torch.zeros(1, 4, 4), nothing, nothing, nothing)
    scores = torch.tensor([[2.0, 1.9, 0.5, 9.0]])
    found = without_repeats(scores, seen, torch.tensor(1.0))[0]
    assert float(found[2]) == pytest.approx(0.5)  # it is like no other
    assert float(scores[0, 1] - found[1]) > float(scores[0, 0] - found[0]) > 0
    assert torch.equal(without_repeats(scores, seen, torch.tensor(0.0)), scores)
    far = torch.tensor([[9.0, 0.0, 0.5, 0.0]])
    found = without_repeats(far, seen, torch.tensor(1.0))[0]
    assert float(found[0]) == pytest.approx(9.0, abs=1e-3)
    assert float(found[1]) == pytest.approx(-1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "first", "worst"),
    [("lead", 0, 5), ("longest", 2, 5), ("centroid", 3, 5), ("textrank", 3, 5)],
)
def test_plain_methods_choose_the_sentence_that_they_are_about(
    name: str, first: int, worst: int, terms: Terms, documents: GroupFamily
) -> None:
    spec = documents.spec(0, 5, 5)
    candidate = make_candidate(name, documents.input_format, spec)
    learner: Any = build_learner(candidate, documents.input_format, spec.objective)
    rules = Rules(Length("sentences", 1), False, True)
    inputs = torch.from_numpy(seen_document(list(FLOOD), terms, rules).inputs)[None]
    examples = Examples(inputs, torch.zeros(1, 64), torch.ones(1, dtype=torch.bool))
    scores = learner.predict({}, learner.adapt({}, examples), inputs)[0, : len(FLOOD)]
    assert int(scores.argmax()) == first
    assert int(scores.argmin()) == worst


@pytest.fixture(scope="module")
def by_domain(tmp_path_factory: pytest.TempPathFactory) -> GroupFamily:
    """Topics whose summaries are the first sentence, and others where they are the last."""
    rng, table = np.random.default_rng(0), []
    for topic in range(16):
        for _ in range(12):
            lines = [" ".join(rng.choice(WORDS, 8)).capitalize() + "." for _ in range(6)]
            place = 0 if topic % 2 else -1
            table.append({"document": lines, "summary": lines[place], "topic": f"t{topic}"})
    path = write(tmp_path_factory.mktemp("topics") / "topics.jsonl", table)
    family = open_data(path, DataOptions(length=Length("sentences", 1))).family
    assert isinstance(family, GroupFamily) and not family.alike
    return family


def _value(family: GroupFamily, name: str, options: dict[str, Any]) -> Any:
    spec = family.spec(0, 5, 5)
    candidate = make_candidate(name, family.input_format, spec)
    candidate = replace(candidate, learner=Choice(name, options))
    learner = build_learner(candidate, family.input_format, spec.objective)
    events = train(
        learner, family, candidate.plan, parse_budget("60steps"), spec, seed=0, evaluations=0
    )
    *_, last = events
    assert isinstance(last, Finished)
    found = [
        evaluate(learner, last.meta_params, family, p, spec, 60)[1] for p in ("test", "search")
    ]
    return np.concatenate([scores.values for scores in found])


@pytest.mark.parametrize("name", ["sentence_mixture", "sentence_ridge"])
def test_five_pairs_of_a_domain_are_worth_more_than_none(name: str, by_domain: GroupFamily) -> None:
    adapted, fixed = _value(by_domain, name, {}), _value(by_domain, name, {"adapts": False})
    assert adapted.mean() > fixed.mean() + 0.15
