"""Recordings and ratings over HTTP, by models that were really trained, if only for a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.domains.ratings.conftest import low_rank, write
from tests.sounds import encoded, tune, write_words

import metaloop as ml

pytest.importorskip("fastapi", reason="metaloop[serve]")
pytest.importorskip("uvicorn", reason="metaloop[serve]")
pytestmark = pytest.mark.long


def test_recordings_are_files_or_samples(serve: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("soundfile", reason="metaloop[speech]")
    pytest.importorskip("soxr", reason="metaloop[speech]")
    write_words(tmp_path / "words", words=16, takes=7)
    few = {"ways": 4, "queries": 4, "progress": False}
    trained = ml.train(tmp_path / "words", "protonet", budget="3 steps", **few)
    with serve({"sounds": trained.model}, sound_seconds=2.0) as client:
        task = client.new("sounds")
        for word in (50, 51):
            for take in range(3):
                client.show(task, (f"word {word}", encoded(tune(word, 0, take))))
        assert client.ask(task, (None, encoded(tune(51, 0, 9))))["label"] == "word 51"
        samples = {"array": tune(50, 0, 9).tolist()}
        assert client.ask(task, samples, "?nearest=1")["label"] == "word 50"
        reply = client("POST", f"/tasks/{task}/predict", (None, encoded(tune(50, seconds=3.0))))
        assert reply.status == 413 and "3 s long" in reply.error
        assert client("POST", f"/tasks/{task}/predict", (None, b"no sound")).status == 422
        about = client("GET", f"/tasks/{task}").json["examples"][0]
        content = client("GET", f"/tasks/{task}/examples/{about['id']}")
        assert content.headers["content-type"] == "audio/wav"


def test_ratings_are_items_with_a_number(serve: Callable[..., Any], tmp_path: Path) -> None:
    data = write(tmp_path / "stars.csv", low_rank(users=120))
    trained = ml.train(data, "deep_kernel", budget="5steps", shots=5, progress=False)
    estimator = trained.model
    with serve({"films": estimator}) as client:
        task = client.new("films")
        rated = {f"i{number}": 1.0 + number % 5 for number in range(8)}
        for item, stars in rated.items():
            client.show(task, {"item": item, "rating": stars})
        client.show(task, {"label": "i9", "rating": 2})
        estimator.fit([*rated, "i9"], [*rated.values(), 2.0])
        value = client.ask(task, {"item": "i20"})["value"]
        assert value == pytest.approx(estimator.predict(["i20"])[0], abs=1e-4)
        assert client.ask(task, {"item": "never heard of"})["value"] == pytest.approx(
            estimator.predict(["never heard of"])[0], abs=1e-4
        )
        assert "takes items" in client("POST", f"/tasks/{task}/predict", {"text": "i2"}).error
        best = client("GET", f"/tasks/{task}/top?count=3").json["items"]
        assert len(best) == 3 and not {*rated, "i9"} & {each["item"] for each in best}
        values = estimator.predict([each["item"] for each in best])
        assert [each["value"] for each in best] == pytest.approx(values.tolist(), abs=1e-4)


def test_events_are_items_alone(serve: Callable[..., Any], tmp_path: Path) -> None:
    data = tmp_path / "had.csv"
    lines = [f"u{int(user)},i{int(item)}" for user, item, _ in low_rank(users=120)]
    data.write_text("user_id,item_id\n" + "\n".join(lines) + "\n")
    model = ml.train(data, "spectral", budget="1steps", shots=3, progress=False).model
    with serve({"had": model}) as client:
        task = client.new("had")
        for item in ("i1", "i4", "i7"):
            client.show(task, {"item": item})
        best = client("GET", f"/tasks/{task}/top?count=4").json["items"]
        model.fit(["i1", "i4", "i7"])
        values = model.predict([each["item"] for each in best])
        assert [each["value"] for each in best] == pytest.approx(values.tolist(), rel=1e-4)
        asked = client.ask(task, {"item": best[0]["item"]})
        assert asked["value"] == pytest.approx(values[0], rel=1e-4)


def test_summaries_are_those_of_predict_in_any_length(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    pytest.importorskip("rouge_score", reason="metaloop[summaries]")
    pytest.importorskip("sentencex", reason="metaloop[summaries]")
    from tests import made_documents as made

    from metaloop.estimators.summarising import summarise

    data = made.write(tmp_path / "papers.jsonl", made.rows(60))
    how = {"sentences": 1, "shots": 2, "queries": 4, "progress": False}
    model = ml.train(data, "sentence_cover", budget="2steps", **how).model
    shown, asked = made.rows(3, seed=1), made.rows(2, seed=2)
    with serve({"papers": model}) as client:
        task = client.new("papers")
        for row in shown:
            document = " ".join(row["document"])
            client.show(task, {"document": document, "summary": row["summary"]})
        documents = [" ".join(row["document"]) for row in shown]
        model.fit(documents, [row["summary"] for row in shown])
        for row in asked:
            text = " ".join(row["document"])
            told = client.ask(task, {"document": text})
            assert told["summary"] == model.predict([text])[0]
            longer = client.ask(task, {"document": text}, "?sentences=3")
            (expected,) = summarise(model, [text], sentences=3)
            assert longer["sentences"] == list(expected.sentences)
            assert longer["places"] == list(expected.places)
        for body, says in (
            ({"document": "A text."}, "needs a 'summary'"),
            ({"document": "A text.", "summary": "..."}, "no word"),
            ({"document": " ", "summary": "A text."}, "empty"),
            ({"document": "A text.", "text": "A text.", "summary": "A text."}, "exactly one"),
        ):
            assert says in client("POST", f"/tasks/{task}/examples", body).error
        query = f"/tasks/{task}/predict?sentences=1&words=3"
        assert "give one of" in client("POST", query, {"document": "A text."}).error
