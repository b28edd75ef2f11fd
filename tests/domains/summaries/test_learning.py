"""Learners of summaries: what they learn, the command line, and documents that are odd."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.made_documents import rows, write

import metaloop as ml
from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.cli import run as run_command
from metaloop.core.errors import ModelFileError
from metaloop.core.examples import Examples
from metaloop.core.extraction import ABSENT, PLACES
from metaloop.core.objective import objective
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Choice
from metaloop.domains.summaries.view import check
from metaloop.engine.evaluation import evaluate
from metaloop.estimators.summarising import summarise
from metaloop.jobs.shipping import load_shipped, ship_family
from metaloop.modelfile import read_model
from metaloop.tasks.groups import GroupFamily

LEARNERS = ("sentence_cover", "sentence_mixture", "sentence_ridge", "sentence_steps")


def test_a_trained_scorer_finds_the_sentence_that_plain_ones_do_not(
    model_file: Path, documents_file: Path
) -> None:
    found = ml.evaluate(model_file, documents_file, episodes=40, progress=False)
    assert found.metric == "rouge1" and found.value > 0.8
    assert found.metrics["rouge1_oracle"].value == pytest.approx(1.0)
    assert found.ci95_new is None  # documents are split: nothing is known of new domains


def test_extracts_of_workers_are_scored_alike(documents: GroupFamily, tmp_path: Path) -> None:
    shipped = load_shipped(ship_family(documents, tmp_path / "family"))
    spec = documents.spec(0, 5, 5)
    candidate = make_candidate("textrank", documents.input_format, spec)
    learner = build_learner(candidate, documents.input_format, spec.objective)
    one, other = (
        evaluate(learner, {}, each, "search", spec, 10)[0] for each in (documents, shipped)
    )
    assert one.value == other.value and one.metrics == other.metrics


@pytest.mark.parametrize("name", LEARNERS)
def test_adapting_does_not_change_meta_params_and_padding_changes_nothing(
    name: str, documents: GroupFamily
) -> None:
    spec = documents.spec(0, 5, 5)
    candidate = make_candidate(name, documents.input_format, spec)
    learner: Any = build_learner(candidate, documents.input_format, spec.objective)
    params = learner.init(spec, torch_stream(0, "test"))
    before = {key: tensor.clone() for key, tensor in params.items()}
    assert documents.store.values is not None
    inputs, targets = (
        documents.store.taken(np.arange(8)).float(),
        documents.store.values[:5].float(),
    )
    state = learner.adapt(params, Examples(inputs[:5], targets, torch.ones(5, dtype=torch.bool)))
    mask = torch.tensor([True] * 5 + [False] * 2)
    more = Examples(inputs[:7], documents.store.values[:7].float(), mask, padded=True)
    padded = learner.adapt(params, more)
    assert all(torch.equal(before[key], params[key]) for key in params)
    torch.testing.assert_close(state["weights"], padded["weights"], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        learner.predict(params, state, inputs), learner.predict(params, padded, inputs),
        atol=1e-3, rtol=1e-3,
    )  # fmt: skip


def test_without_adapting_the_support_says_nothing(documents: GroupFamily) -> None:
    spec = documents.spec(0, 5, 5)
    candidate = make_candidate("sentence_ridge", documents.input_format, spec)
    candidate = replace(candidate, learner=Choice("sentence_ridge", {"adapts": False}))
    learner: Any = build_learner(candidate, documents.input_format, spec.objective)
    params = learner.init(spec, torch_stream(0, "test"))
    assert documents.store.values is not None
    inputs, mask = documents.store.taken(np.arange(5)).float(), torch.ones(5, dtype=torch.bool)
    states = [
        learner.adapt(params, Examples(inputs, each.float(), mask))
        for each in (documents.store.values[:5], 1 - documents.store.values[:5])
    ]
    assert torch.equal(states[0]["weights"], states[1]["weights"])


def test_the_loss_wants_the_better_sentence_first() -> None:
    targets = torch.full((1, 1, PLACES), ABSENT)
    targets[0, 0, :2] = torch.tensor([0.9, 0.1])
    mask, scores = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1, PLACES)
    loss = objective("extraction").loss
    even, good = loss(scores, targets, mask), scores.clone()
    good[0, 0, 0] = 3.0
    assert loss(good, targets, mask) < even < loss(good.flip(-1).roll(2, -1), targets, mask)


def test_predict_prints_the_summary_and_nothing_else(
    model_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    support = write(tmp_path / "pairs.jsonl", rows(5, seed=1))
    asked = rows(1, seed=2)[0]
    article = tmp_path / "article.txt"
    article.write_text("\n".join(asked["document"]))  # type: ignore[arg-type]
    words = ["predict", str(model_file), "--support", str(support), str(article)]
    assert run_command([*words, "--sentences", "1"]) == 0
    assert capfd.readouterr().out == f"{asked['summary']}\n"
    assert run_command([*words, "--words", "20", "--json"]) == 0
    (told,) = json.loads(capfd.readouterr().out)["predictions"]
    assert told["words"] <= 20 and len(told["sentences"]) == 2
    assert " ".join(each["text"] for each in told["sentences"]) == told["summary"]


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("One sentence with some words.", 60, "all of it is within the length"),
        (
            "This first sentence is far longer than what is asked for.",
            4,
            "(4 words): no sentence is that short; one was cut",
        ),
        ("no signs at all " * 100, 30, ""),
        ("<html><body><p>We show that it works.</p><p>Other things.</p></body></html>", 6, ""),
        ("Мы показали, что это работает. Остальное неважно.", 5, ""),
        ("a" * 2_000_000, 10, "all of it is within the length"),
    ],
)
def test_odd_documents_have_summaries_and_a_reason(
    text: str, words: int, said: str, fitted: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fitted.save(tmp_path / "adapted.metaloop")
    document = tmp_path / "odd.txt"
    document.write_text(text)
    asked = ["predict", str(tmp_path / "adapted.metaloop"), str(document), "--words", str(words)]
    assert run_command(asked) == 0
    out, err = capfd.readouterr()
    assert out.strip() and len(out.split()) <= words and said in err


@pytest.mark.parametrize(
    ("support", "document", "said"),
    [
        ('{"text": "One. Two.", "n": 1}\n', "One. Two.", "no document with a summary"),
        ('{"document": "One. Two.", "summary": ""}\n', "One. Two.", "no document has a summary"),
        ('{"document": "One. Two.", "summary": "One."}\n', "   ", "has no word in it"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    support: str, document: str, said: str, model_file: Path, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "s.jsonl").write_text(support)
    (tmp_path / "d.txt").write_text(document)
    paths = ["--support", str(tmp_path / "s.jsonl"), str(tmp_path / "d.txt")]
    assert run_command(["predict", str(model_file), *paths]) == 2
    out, err = capfd.readouterr()
    assert out == "" and said in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "place", "value", "said"),
    [
        ("rules", 0, 7.0, "a length is in one of"),
        ("rules", 1, 1e300, "is a whole number from 1"),
        ("kept", (3, 1), -5.0, "counted from 0"),
        ("kept_weights", -2, -5.0, "counted from 0"),
        ("kept_weights", -1, 0.0, "counted from 0"),
        ("seen_parts", 0, 9, "the documents it knows do not fit"),
    ],
)
def test_a_view_whose_numbers_make_no_sense_is_a_damaged_file(
    name: str, place: Any, value: float, said: str, model_file: Path
) -> None:
    view = read_model(model_file).assets
    assert view is not None
    check(view, 0)
    changed = {**view, name: view[name].clone()}
    changed[name][place] = value
    with pytest.raises(ModelFileError, match=said):
        check(changed, 0)


def test_many_documents_of_the_same_kind_are_warned_of_in_one_line(
    fitted: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fitted.save(tmp_path / "adapted.metaloop")
    table = write(tmp_path / "many.jsonl", [{"document": "Only this is here."}] * 9)
    asked = ["predict", str(tmp_path / "adapted.metaloop"), str(table)]
    for words, said in ((9, "all of it is within the length"), (2, "cut")):
        assert run_command([*asked, "--words", str(words)]) == 0
        out, err = capfd.readouterr()
        assert len(out.splitlines()) == 9
        assert len(err.splitlines()) == 1 and "and 6 more" in err and said in err


def test_from_python_summaries_come_back_as_texts_of_any_length(fitted: Any) -> None:
    asked = rows(3, seed=3)
    found = fitted.predict([row["document"] for row in asked])
    assert found.tolist() == [row["summary"] for row in asked]
    longer = summarise(fitted, [row["document"] for row in asked], words=30)
    assert all(each.words <= 30 and len(each.sentences) == 3 for each in longer)
    assert [each.places for each in longer] == [tuple(sorted(each.places)) for each in longer]


def test_without_the_extra_one_line_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert importlib.util.find_spec("rouge_score") is not None
    from metaloop.domains.summaries import stems

    stems._stem.cache_clear()
    stems._stems.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "rouge_score.tokenizers", None)
    write(tmp_path / "a.jsonl", rows(60, seed=9))
    try:
        assert run_command(["data", str(tmp_path / "a.jsonl")]) == 2
    finally:
        stems._stem.cache_clear()
    assert "pip install 'metaloop[summaries]'" in capfd.readouterr().err


@pytest.mark.long
def test_learn_chooses_a_learner_and_shows_every_plain_one(
    documents_file: Path, tmp_path: Path
) -> None:
    found = ml.learn(
        documents_file, budget="60steps", shots=5, queries=10, sentences=1, workers=1,
        out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert found.test is not None and found.test.value > 0.8
    names = {row[0] for row in found.leaderboard.table}
    assert {"lead", "longest", "centroid", "textrank"} <= names
