"""What extracts are judged by: intervals over documents, cut sentences, the best sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.made_documents import rows, write

import metaloop as ml
from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.cli import run as run_command
from metaloop.core.extracts import Length
from metaloop.domains.summaries.stems import stems
from metaloop.engine.evaluation import evaluate
from metaloop.tasks.documents import dealt
from metaloop.tasks.family import episode_list
from metaloop.tasks.groups import GroupFamily
from metaloop.tasks.judged import Judged, JudgedDocument
from metaloop.tasks.readers import read


def test_more_episodes_of_the_same_documents_do_not_narrow_the_interval(
    documents: GroupFamily,
) -> None:
    spec = documents.spec(0, 5, 10)
    candidate = make_candidate("lead", documents.input_format, spec)
    learner = build_learner(candidate, documents.input_format, spec.objective)
    few, many = (evaluate(learner, {}, documents, "test", spec, n)[0] for n in (40, 400))
    assert few.value == pytest.approx(many.value, abs=0.05)
    assert many.ci95 > 0.7 * few.ci95  # over episodes it would be a third
    number = len(documents.store.examples_of[int(documents.parts["test"][0])])
    assert many.ci95 > 1.5 / np.sqrt(number) * 0.2
    of_metrics = {each.metric: each for each in many.metrics}
    assert of_metrics["rouge2"].ci95 > 0.02


def test_evaluate_says_why_nothing_is_known_of_new_domains(
    model_file: Path, documents_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = ["evaluate", str(model_file), str(documents_file), "--episodes", "8", "-q"]
    assert run_command(asked) == 0
    out = capfd.readouterr().out
    assert "± is over documents" in out and "nothing is known of new domains" in out
    assert run_command([*asked, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["ci95_new"] is None and "nothing is known of new domains" in told["ci95_new_reason"]


def test_frozen_lists_of_split_domains_say_nothing_of_new_ones(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two sources, each in every part: two groups a part are no sample of sources."""
    table = write(tmp_path / "two.jsonl", rows(80, seed=5, domains=2))
    out = tmp_path / "two.metaloop"
    ml.train(table, "lead", out=out, shots=3, queries=4, sentences=1, progress=False)
    found = ml.evaluate(out, table, episodes=12, progress=False)
    assert found.units == 1 and found.ci95_new is None
    family = open_data(table).family
    listed = episode_list(family, "search", family.spec(0, 3, 4), 12)
    assert set(listed.units.ravel().tolist()) == {0}
    assert run_command(["data", str(table)]) == 0
    assert "Traceback" not in capfd.readouterr().err


def test_new_topics_have_an_interval_in_evaluate_as_in_learn(tmp_path: Path) -> None:
    table = write(tmp_path / "topics.jsonl", rows(120, seed=4, domains=12))
    out = tmp_path / "topics.metaloop"
    ml.train(table, "lead", out=out, shots=3, queries=4, sentences=1, progress=False)
    found = ml.evaluate(out, table, episodes=20, progress=False)
    assert found.ci95_new is not None and found.units > 1
    assert found.to_json()["ci95_new_reason"] is None
    seen = dealt(read(table))
    known = dict(zip(seen.hashes.tolist(), seen.part_of.tolist(), strict=True))
    again = dealt(read(table), known=known)
    assert not again.by_document and not again.notes
    mixed = {number: place // 12 % 4 for place, number in enumerate(known)}
    shared = dealt(read(table), known=mixed)
    assert shared.by_document and "nothing is known of new ones" in shared.notes[0]


def test_few_domains_that_are_all_new_to_a_model_are_not_said_to_be_shared(
    model_file: Path, documents_file: Path, tmp_path: Path
) -> None:
    new = write(tmp_path / "new.jsonl", rows(60, seed=7, domains=3))
    found = ml.evaluate(model_file, new, episodes=4, progress=False).to_json()
    assert found["ci95_new"] is None and "parts share" not in found["ci95_new_reason"]
    assert "takes 8 domains of 8 documents or more" in found["ci95_new_reason"]
    view: Any = ml.load(model_file).model.view  # type: ignore[union-attr]
    hashes, parts = view.assets["seen"].tolist(), view.assets["seen_parts"].tolist()
    known = dict(zip(hashes, parts, strict=True))
    fresh, same = dealt(read(new), known=known), dealt(read(documents_file), known=known)
    assert fresh.by_document and same.by_document
    assert fresh.notes == ("3 domains of 8 documents or more: to tell of new domains takes 8",)
    assert "the model was made with documents of these domains" in same.notes[0]


LONG = "Alpha beta gamma delta epsilon zeta eta theta iota kappa."


def test_a_sentence_that_has_to_be_cut_is_judged_as_predict_prints_it(
    model_file: Path, tmp_path: Path
) -> None:
    """Every sentence has ten words and four are asked for: `predict` prints the first four."""
    lines = [LONG, "Other words that are not of it at all are here."]
    table = [{"document": [*lines, f"No {row} of these is a short one at all here."],
              "summary": "alpha beta gamma delta"} for row in range(60)]  # fmt: skip
    path = write(tmp_path / "long.jsonl", table)
    family: Any = open_data(path, DataOptions(length=Length("words", 4))).family
    judged = family.judged
    row = 0
    scores = np.array([3.0, 2.0, 1.0])
    assert judged.extract(row, scores) == [0]
    assert judged.rouge(row, [0], "rouge1") == pytest.approx(1.0)
    assert judged.oracle(row) == [0]
    out = tmp_path / "lead.metaloop"
    ml.train(path, "lead", out=out, shots=3, queries=4, words=4, progress=False)
    found = ml.evaluate(out, path, episodes=4, progress=False)
    assert found.value == pytest.approx(1.0)
    assert found.metrics["rouge2_oracle"].value == pytest.approx(1.0)


def test_where_a_sentence_fits_none_is_cut() -> None:
    texts = ["alpha beta gamma delta epsilon", "zeta eta"]
    document = JudgedDocument([stems(t) for t in texts], [5, 2], 7, [stems("zeta eta theta")])
    judged = Judged.of([document], Length("words", 3))
    assert judged.extract(0, np.array([1.0, 0.0])) == [1]
    assert judged.rouge(0, [1], "rouge1") == pytest.approx(0.8)


def test_the_best_sentences_are_told_by_all_three_measures(documents: GroupFamily) -> None:
    spec = documents.spec(0, 5, 10)
    candidate = make_candidate("lead", documents.input_format, spec)
    learner = build_learner(candidate, documents.input_format, spec.objective)
    found = evaluate(learner, {}, documents, "search", spec, 6)[0]
    told = {each.metric: each.value for each in found.metrics}
    assert {"rouge1_oracle", "rouge2_oracle", "rougeL_oracle"} <= set(told)
    assert all(told[f"{name}_oracle"] == pytest.approx(1.0) for name in ("rouge1", "rougeL"))
    assert told["rouge2"] <= told["rouge2_oracle"]


def test_outputs_for_padding_mean_nothing(documents: GroupFamily) -> None:
    judged = documents.judged
    assert judged is not None
    episodes = documents.sample("train", documents.spec(0, 5, 3), 2, np.random.default_rng(0))
    outputs = torch.rand(2, 3, 64)
    from metaloop.core.extraction import EXTRACTION

    values, units, *others = judged.scores(EXTRACTION, outputs, episodes)["rouge1"]
    (queries,) = others
    assert queries.shape == (2, 3) and units.shape == (2, 1)
    torch.testing.assert_close(values, queries.mean(1))
