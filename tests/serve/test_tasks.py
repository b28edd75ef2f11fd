"""Tasks over HTTP: created, shown, asked, extended, deleted; for every kind of inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from tests.serve.conftest import Client, drawing, png, serving

import metaloop
from metaloop.tasks.readers import read_arrays

pytest.importorskip("fastapi", reason="metaloop[serve]")
pytest.importorskip("uvicorn", reason="metaloop[serve]")


def test_a_task_of_images_is_taught_asked_extended_and_deleted(client: Client) -> None:
    task = client.new("pictures", "cups and spoons")
    assert "no examples yet" in client("POST", f"/tasks/{task}/predict", (None, png(0))).error
    numbers = [client.show(task, (label, png(n))) for n, label in enumerate(("cup", "spoon"))]

    answer = client.ask(task, (None, png(1, 5)))
    assert set(answer) == {"label", "confidence", "probabilities"}
    assert answer["label"] == "spoon" and set(answer["probabilities"]) == {"cup", "spoon"}
    assert answer["confidence"] == max(answer["probabilities"].values())
    assert sum(answer["probabilities"].values()) == pytest.approx(1)

    added = client.show(task, ("plate", png(2)))
    answer = client.ask(task, (None, png(2, 5)), "?nearest=2")
    assert answer["label"] == "plate" and len(answer["nearest"]) == 2
    assert answer["nearest"][0]["id"] == added and answer["nearest"][0]["likeness"] <= 1 + 1e-6

    about = client("GET", f"/tasks/{task}").json
    assert about["name"] == "cups and spoons" and about["model"] == "pictures"
    assert about["classes"] == {"cup": 1, "plate": 1, "spoon": 1}
    assert [each["id"] for each in about["examples"]] == [*numbers, added]
    content = client("GET", f"/tasks/{task}/examples/{added}")
    assert (content.body, content.headers["content-type"]) == (png(2), "image/png")
    assert client("DELETE", f"/tasks/{task}/examples/{added}").status == 204
    assert client.ask(task, (None, png(2, 5)))["label"] in ("cup", "spoon")

    assert task in [each["id"] for each in client("GET", "/tasks").json["tasks"]]
    assert client("DELETE", f"/tasks/{task}").status == 204
    for method, path in (("GET", ""), ("POST", "/predict"), ("POST", "/examples"), ("DELETE", "")):
        reply = client(method, f"/tasks/{task}{path}", (None, png(0)))
        assert reply.status in (404, 422) and reply.error


def test_what_is_none_of_the_classes_has_no_label_where_that_is_asked_for(client: Client) -> None:
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(30, 8)) * 3, 8, 0) + rng.normal(size=(240, 8))
    reading = read_arrays(X.astype(np.float32), np.repeat(np.arange(30), 8), name="clusters")
    model = metaloop.train(reading, "nearest_centroid", budget="1steps", progress=False).model
    estimator = clone(model)
    estimator.fit(X[:24], np.repeat(["a", "b", "c"], 8))
    expected = estimator.score_known(X[20:30])
    with serving({"clusters": model}) as server:
        task = server.new("clusters")
        for label, vector in zip(np.repeat(["a", "b", "c"], 8), X[:24], strict=True):
            server.show(task, {"label": label, "array": vector.tolist()})
        for vector, evidence in zip(X[20:30], expected, strict=True):
            for reject, rate in (("5%25", 0.05), ("0.5", 0.5)):
                least = estimator.threshold(rate).value
                answer = server.ask(task, {"array": vector.tolist()}, f"?reject={reject}")
                assert answer["evidence"] == pytest.approx(evidence, abs=1e-4)
                assert answer["threshold"] == pytest.approx(least)
                assert answer["known"] == (answer["evidence"] > least)
                assert answer["label"] == (answer["most_likely"] if answer["known"] else None)
                assert answer["confidence"] == max(answer["probabilities"].values())
        path = f"/tasks/{task}/predict?reject="
        refused = server("POST", f"{path}often", {"array": X[0].tolist()})
        assert refused.status == 422 and "such as 5%" in refused.error
    task = client.new("curves")
    client.show(task, {"label": 1.0, "array": [0, 0, 0, 1]})
    refused = client("POST", f"/tasks/{task}/predict?reject=0.05", {"array": [0, 0, 0, 1]})
    assert refused.status == 422 and "only classes" in refused.error
    task = client.new("numbers")  # a model that nobody has measured thresholds of
    client.show(task, {"label": "a", "array": [0, 0, 0, 1]})
    refused = client("POST", f"/tasks/{task}/predict?reject=0.05", {"array": [0, 0, 0, 1]})
    assert refused.status == 422 and "thresholds" in refused.error


def test_answers_are_those_of_predict(client: Client, models: Any) -> None:
    task = client.new("pictures")
    shown = [(name, take) for name in range(4) for take in range(1 + name % 2)]
    for name, take in shown:
        client.show(task, (f"class {name}", png(name, take)))
    estimator = clone(models["pictures"])  # what is served learns on
    estimator.fit([png(*each) for each in shown], [f"class {name}" for name, _ in shown])

    asked = [png(name, 9) for name in range(4)]
    expected = estimator.predict_proba(asked)

    found = [client.ask(task, (None, file)) for file in asked]
    classes = estimator.classes_.tolist()
    for answer, row in zip(found, expected, strict=True):
        assert list(answer["probabilities"].values()) == pytest.approx(row.tolist(), abs=1e-5)
        assert answer["label"] == classes[int(row.argmax())]


@pytest.mark.parametrize("model", ["numbers", "boxes"])
def test_vectors_are_arrays_of_json(client: Client, model: str, models: Any) -> None:
    task = client.new(model)
    rng = np.random.default_rng(0)
    centres = 4 * rng.normal(size=(3, 4))
    for _ in range(2):
        for name in range(3):
            vector = (centres[name] + rng.normal(0, 0.1, 4)).tolist()
            client.show(task, {"label": "abc"[name], "array": vector})
    answer = client.ask(task, {"array": centres[1].tolist()})
    assert set(answer["probabilities"]) == set("abc")
    if model == "boxes":  # a net that is not trained promises nothing
        assert answer["label"] == "b"
        assert client.ask(task, {"array": centres[1].tolist()}, "?nearest=1")["nearest"]
    assert "takes vectors" in client("POST", f"/tasks/{task}/predict", {"text": "a"}).error
    reply = client("POST", f"/tasks/{task}/predict", {"array": [1, 2]})
    assert "2 features" in reply.error and reply.status == 422


def test_a_function_has_real_labels(client: Client) -> None:
    task = client.new("curves")
    for number in range(5):
        client.show(task, {"label": number / 2, "array": [number, 0, 0, 1]})
    answer = client.ask(task, {"array": [1.5, 0, 0, 1]})
    assert isinstance(answer["value"], float) and answer["label"] is None
    for label in ("high", [1.0, 2.0], 1e300, True):
        body = {"label": label, "array": [0, 0, 0, 0]}
        assert client("POST", f"/tasks/{task}/examples", body).status == 422


def test_texts_are_texts(client: Client) -> None:
    task = client.new("words")
    for label, text in (("money", "refund of my invoice"), ("mail", "where is the parcel")):
        client.show(task, {"label": label, "text": text})
    assert client.ask(task, {"text": "the parcel"})["label"] == "mail"
    assert client.ask(task, {"text": "a refund, please"})["label"] == "money"
    assert "image" not in client("POST", f"/tasks/{task}/predict", (None, png(0))).error


def test_images_may_be_arrays(client: Client) -> None:
    task = client.new("pictures")
    for name in (0, 1):
        client.show(task, {"label": str(name), "array": drawing(name, 0).tolist()})
    assert client.ask(task, {"array": drawing(1, 3).tolist()})["label"] == "1"


def test_a_model_that_knows_its_task_is_a_task_by_itself(client: Client) -> None:
    tasks = client("GET", "/tasks").json["tasks"]
    (known,) = [each for each in tasks if each["fixed"]]
    assert (known["id"], known["classes"]) == ("letters", {"a": 0, "b": 0})
    assert client.ask("letters", (None, png(1, 7)))["label"] == "b"
    assert client("POST", "/tasks/letters/examples", ("a", png(0))).status == 409
    assert client("DELETE", "/tasks/letters").status == 409
    reply = client("POST", "/tasks", {"name": "x", "model": "letters"})
    assert reply.status == 422 and "'pictures'" in reply.error


def test_a_task_names_its_model_where_there_are_several(client: Client) -> None:
    assert "name the 'model'" in client("POST", "/tasks", {"name": "x"}).error
    names = [each["name"] for each in client("GET", "/models").json["models"]]
    assert names == ["pictures", "numbers", "curves", "boxes", "words", "letters"]


def test_the_server_describes_itself_and_counts(client: Client) -> None:
    described = client("GET", "/openapi.json").json
    assert described["openapi"].startswith("3.")
    examples = described["paths"]["/tasks/{task}/examples"]["post"]["requestBody"]["content"]
    assert set(examples) == {"multipart/form-data", "application/json"}
    assert client("GET", "/health").json == {"status": "alive"}
    assert client("GET", "/ready").json == {"status": "ready"}
    figures = client("GET", "/metrics").body.decode()
    assert 'metaloop_requests_total{method="GET",route="/health",status="200"}' in figures
    for line in figures.splitlines():
        assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0


def test_the_page_may_load_nothing_of_others(client: Client) -> None:
    page = client("GET", "/")
    assert b"<h1>" in page.body and "default-src 'none'" in page.headers["content-security-policy"]
    for path, kind in (("/style.css", "text/css"), ("/script.js", "text/javascript")):
        reply = client("GET", path)
        assert reply.headers["content-type"].startswith(kind) and b"://" not in reply.body
