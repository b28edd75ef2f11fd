"""Another length than the model's: what `predict` and `serve` make is what `evaluate` measures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.made_documents import rows, write

import metaloop as ml
from metaloop.catalogue.summarised import document_family
from metaloop.core.errors import InputError, ModelFileError
from metaloop.core.extracts import Length
from metaloop.estimators.files import task_from_file
from metaloop.estimators.summarising import at_length, summarise
from metaloop.modelfile import read_model
from metaloop.models import Model
from metaloop.serve.answering import Query, answers, learned
from metaloop.serve.limits import Limits
from metaloop.serve.sent import Sent
from metaloop.serve.served import Reader, served
from metaloop.tasks.readers import read

SHOTS, ASKED = 5, 6
LENGTHS = [Length("words", 40), Length("words", 3), Length("sentences", 2), Length("ratio", 0.6)]


def table() -> list[dict[str, Any]]:
    """Documents that no model was made with, two summaries each: the first ones are the support."""
    found: list[dict[str, Any]] = rows(SHOTS + ASKED, seed=11)
    return [{**row, "summary": [row["summary"], " ".join(row["document"][:2])]} for row in found]


@pytest.fixture(scope="module")
def short(documents_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 8 words whose learner stops where summaries of the asked length would end."""
    out = tmp_path_factory.mktemp("short") / "short.metaloop"
    ml.train(
        documents_file, "sentence_cover", out=out, budget="3steps", shots=SHOTS, queries=5,
        words=8, progress=False,
    )  # fmt: skip
    return out


@pytest.fixture
def fitted_short(short: Path) -> Any:
    """The same, fitted to the first of the new documents."""
    known, model = table()[:SHOTS], ml.load(short)
    assert isinstance(model, ml.FewShotRegressor)
    return model.fit([row["document"] for row in known], [row["summary"] for row in known])


def asked_of(length: Length) -> dict[str, Any]:
    amount = length.amount if length.unit == "ratio" else int(length.amount)
    return {length.unit: amount}


def as_evaluate_has_it(model: Model, length: Length, folder: Path) -> list[list[int]]:
    """The places of sentences that are judged where `evaluate` is asked for this length."""
    reading = read(write(folder / "new.jsonl", table()))
    family = document_family(
        reading, length=length, view=model.view, input_format=model.input_format
    )[0]
    assert family.judged is not None and family.store.values is not None
    known, new = np.arange(SHOTS), np.arange(SHOTS, SHOTS + ASKED)
    state = model.adapt(family.store.taken(known), family.store.values[:SHOTS], 0)
    outputs = model.predict(state, family.store.taken(new)).numpy()
    return [
        family.judged.extract(row, scores)
        for row, scores in zip(new.tolist(), outputs, strict=True)
    ]


@pytest.mark.parametrize("length", LENGTHS, ids=str)
def test_extracts_of_another_length_are_those_that_evaluate_judges(
    length: Length, fitted_short: Any, tmp_path: Path
) -> None:
    new = [row["document"] for row in table()[SHOTS:]]
    found = summarise(fitted_short, new, **asked_of(length))
    expected = as_evaluate_has_it(fitted_short.model, length, tmp_path)
    assert [list(each.places) for each in found] == expected


def test_without_a_length_it_is_that_of_the_model(fitted_short: Any) -> None:
    new = [row["document"] for row in table()[SHOTS:]]
    usual = summarise(fitted_short, new)
    assert [each.summary for each in usual] == fitted_short.predict(new).tolist()
    assert usual == summarise(fitted_short, new, words=8)
    assert at_length(fitted_short.task_, Length("words", 8)) is fitted_short.task_


def test_a_saved_task_is_learned_for_other_lengths_from_its_support(
    fitted_short: Any, short: Path, tmp_path: Path
) -> None:
    new = [row["document"] for row in table()[SHOTS:]]
    fitted_short.save(tmp_path / "kept.metaloop")
    again: Any = ml.load(tmp_path / "kept.metaloop")
    for length in LENGTHS:
        assert summarise(again, new, **asked_of(length)) == summarise(
            fitted_short, new, **asked_of(length)
        )
    half = table()[:SHOTS]
    apart: Any = ml.load(short)
    apart.fit([r["document"] for r in half[:2]], [r["summary"] for r in half[:2]])
    apart.partial_fit([r["document"] for r in half[2:]], [r["summary"] for r in half[2:]])
    assert summarise(apart, new, sentences=3) == summarise(fitted_short, new, sentences=3)
    fitted_short.set_params(keep_support=False)
    fitted_short.fit([r["document"] for r in half], [r["summary"] for r in half])
    assert summarise(fitted_short, new, words=8) == summarise(again, new)
    with pytest.raises(InputError, match="were not kept for other lengths than 8 words"):
        summarise(fitted_short, new, words=40)


def test_a_support_that_says_other_things_than_its_targets_is_a_damaged_file(
    fitted_short: Any, tmp_path: Path
) -> None:
    fitted_short.save(tmp_path / "kept.metaloop")
    content = read_model(tmp_path / "kept.metaloop")
    support = content.support
    assert support is not None and len(support) == 5
    for changed, said in (
        ({**support, "by_words": support["by_words"] + 1}, "not those of its length"),
        ({**support, "total": support["total"] - 1000}, "fewer than no words"),
        ({**support, "total": support["total"][:1]}, "total"),
        ({**support, "by_sentences": support["by_sentences"].float()}, "by_sentences"),
        ({name: support[name] for name in ("inputs", "targets", "total")}, "by_"),
        ({**support, "more": support["total"]}, "a support is inputs and targets"),
    ):
        with pytest.raises(ModelFileError, match=said):
            task_from_file(replace(content, support=changed))
    older = {name: support[name] for name in ("inputs", "targets")}
    task = task_from_file(replace(content, support=older))
    assert at_length(task, Length("words", 8)) is task
    with pytest.raises(InputError, match="were not kept for other lengths"):
        at_length(task, Length("words", 9))


def test_a_served_task_is_learned_for_every_length_that_is_asked_for(
    fitted_short: Any, short: Path
) -> None:
    of, limits = served("short", ml.load(short)), Limits()
    reader, known, new = Reader(of, limits), table()[:SHOTS], table()[SHOTS:]

    def sent(row: dict[str, Any]) -> Sent:
        return Sent("text", " ".join(row["document"]).encode())

    inputs = [reader.read(sent(row)) for row in known]
    task = learned(of, reader, inputs, [row["summary"][0] for row in known], range(SHOTS))
    fitted_short.fit(
        [" ".join(row["document"]) for row in known], [row["summary"][0] for row in known]
    )
    lengths = [Length("words", 8), *LENGTHS, *(Length("words", 20 + n) for n in range(6))]
    asked = [(task.at(length), length, row) for row in new[:2] for length in lengths]
    assert task.at(lengths[-1]) is task.at(lengths[-1])  # learned once
    found = answers([Query(each, each.reader.read(sent(row))) for each, _, row in asked])
    for (_, length, row), answer in zip(asked, found, strict=True):
        (expected,) = summarise(fitted_short, [" ".join(row["document"])], **asked_of(length))
        assert not isinstance(answer, Exception)
        assert answer.extract is not None and answer.extract.places == expected.places
