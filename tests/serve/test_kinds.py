"""Models that are no tasks of classes: rows of tables, and images that are made."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.serve.conftest import Client, image_maker, png, serving, table_model

pytest.importorskip("fastapi", reason="metaloop[serve]")
pytest.importorskip("uvicorn", reason="metaloop[serve]")
ROWS = [{"age": 30, "city": "Rome"}, {"age": 71, "city": "Bern"}, {"age": None, "city": "Oslo"}]


@pytest.fixture(scope="module")
def kinds() -> dict[str, Any]:
    return {"people": table_model(), "years": table_model(real=True), "strokes": image_maker()}


@pytest.fixture(scope="module")
def asked(kinds: dict[str, Any]) -> Iterator[Client]:
    with serving(kinds, cells=20, images=5) as client:
        yield client


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row.get(name) for row in rows] for name in ("age", "city")}


def test_rows_are_told_as_predict_tells_them(asked: Client, kinds: dict[str, Any]) -> None:
    reply = asked("POST", "/models/people/predict", {"rows": ROWS})
    assert reply.status == 200, reply.body
    labels, shares = kinds["people"].told(columns(ROWS))
    told = reply.json["predictions"]
    assert [each["label"] for each in told] == labels.tolist() == ["no", "yes", "yes"]
    for each, row in zip(told, shares, strict=True):
        assert list(each["probabilities"].values()) == pytest.approx(row.tolist())
        assert each["confidence"] == each["probabilities"][each["label"]]
    assert reply.json["target"] == "stays"

    reply = asked("POST", "/models/years/predict", {"rows": ROWS})
    values = [each["value"] for each in reply.json["predictions"]]
    assert values == pytest.approx(kinds["years"].predict(columns(ROWS)).tolist())


def test_a_model_of_a_table_says_what_columns_it_takes(asked: Client) -> None:
    known = {each["name"]: each for each in asked("GET", "/models").json["models"]}
    assert known["people"]["takes"] == "rows" and known["people"]["answers"] == "labels"
    assert [each["name"] for each in known["people"]["columns"]] == ["age", "city"]
    assert known["years"]["answers"] == "values" and known["strokes"]["answers"] == "samples"
    paths = asked("GET", "/openapi.json").json["paths"]
    body = paths["/models/{model}/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert body["example"]["rows"]


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("people", {"rows": []}, 422, "is empty"),
        ("people", {"rows": "a"}, 422, "a list"),
        ("people", {}, 422, "give 'rows'"),
        ("people", {"rows": [3]}, 422, "rows[0] is no object"),
        ("people", {"rows": [{"age": 3}]}, 422, "lack the column 'city'"),
        ("people", {"rows": [{"age": [3], "city": "Rome"}]}, 422, "a text, a number or null"),
        ("people", {"rows": [{"age": True, "city": "Rome"}]}, 422, "a text, a number or null"),
        ("people", {"rows": [{"age": 10**400, "city": "Rome"}]}, 422, "a text, a number or null"),
        ("people", {"rows": 11 * ROWS[:1]}, 413, "22 cells, the limit is 20"),
        ("strokes", {"rows": ROWS}, 409, "asked by task"),
        ("nobody", {"rows": ROWS}, 404, "no model 'nobody'"),
    ],
)
def test_rows_that_cannot_be_told_are_refused(
    asked: Client, path: str, body: Any, status: int, says: str
) -> None:
    reply = asked("POST", f"/models/{path}/predict", body)
    assert says in reply.error and reply.status == status


def test_a_table_learns_no_tasks(asked: Client) -> None:
    reply = asked("POST", "/tasks", {"name": "x", "model": "people"})
    assert reply.status == 422 and "'strokes'" in reply.error


def test_images_are_made_of_a_class_as_the_estimator_makes_them(asked: Client) -> None:
    task = asked.new("strokes", "a letter")
    assert "no examples yet" in asked("POST", f"/tasks/{task}/generate").error
    Image.new("L", (1, 1)).save(pixel := io.BytesIO(), "PNG")
    refused = asked("POST", f"/tasks/{task}/examples", (None, pixel.getvalue()))
    assert refused.status == 422 and "the image is 1 x 1 pixels" in refused.error
    shown = [png(3, take) for take in range(2)]
    for file in shown:
        asked.show(task, (None, file))  # of one class: no label is needed
    reply = asked("POST", f"/tasks/{task}/generate", {"count": 3, "seed": 7, "temperature": 0.8})
    assert reply.status == 200, reply.body
    expected = image_maker().fit(shown).sample(3, seed=7, temperature=0.8)
    usual = asked("POST", f"/tasks/{task}/generate", {"count": 1})
    assert usual.json["temperature"] == image_maker().fit(shown).usual_temperature
    files = [base64.b64decode(each) for each in reply.json["images"]]
    found = [np.asarray(Image.open(io.BytesIO(each))) for each in files]
    np.testing.assert_array_equal(np.stack(found), expected)

    about = asked("GET", f"/tasks/{task}").json
    assert about["classes"] is None and about["num_examples"] == 2
    assert "/generate" in asked("POST", f"/tasks/{task}/predict", (None, shown[0])).error
    for body, says in (
        ({"count": 6}, "from 1 to 5"),
        ({"count": True}, "from 1 to 5"),
        ({"seed": -1}, "'seed'"),
        ({"temperature": 0}, "above 0"),
        ({"temperature": "warm"}, "above 0"),
        ({"colour": 1}, "unknown key 'colour'"),
    ):
        reply = asked("POST", f"/tasks/{task}/generate", body)
        assert says in reply.error and reply.status == 422
    assert "ranks no items" in asked("GET", f"/tasks/{task}/top").error


def test_examples_of_images_without_a_class_are_there_after_a_restart(
    serve: Callable[..., Any], kinds: dict[str, Any], tmp_path: Path
) -> None:
    some = {"strokes": kinds["strokes"]}
    with serve(some, tmp_path) as client:
        task = client.new("strokes")
        client.show(task, (None, png(1)))
        first = client("POST", f"/tasks/{task}/generate", {"count": 2}).json["images"]
    with serve(some, tmp_path) as client:
        again = client("POST", f"/tasks/{task}/generate", {"count": 2}).json["images"]
    assert first == again
