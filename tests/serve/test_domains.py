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
