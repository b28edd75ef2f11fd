"""A real server on a free port of this machine, with small models of every kind of inputs.

Nets have the weights they start with: what is tested hangs on no training.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metaloop.catalogue import build_learner, make_candidate
from metaloop.catalogue.views import fitted
from metaloop.core.fitted_view import FittedView
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.domains.tables.fitting import fit_pipeline
from metaloop.domains.tables.understanding import understand
from metaloop.estimators import (
    FewShotClassifier,
    FewShotGenerator,
    FewShotRegressor,
    TrainedTable,
)
from metaloop.modelfile import TrainingRecord
from metaloop.models import Model
from metaloop.models.tabular import TabularModel
from metaloop.tasks.readers.tables import table_of

SIDE = 16
RECORD = TrainingRecord(0, "0steps", 0, 0.0, 0.0, "0" * 16, "made up")
WORDS = ("parcel", "invoice", "password", "refund", "delivery", "account", "card", "loan")


def fresh_model(
    learner: str, inputs: InputFormat, ways: int = 5, view: FittedView | None = None, **how: Any
) -> Model:
    """A model with the weights that its learner starts with."""
    objective = "classification" if ways else "regression"
    targets = () if ways else (1,)
    spec = TaskSpec(ways, 1, 2, inputs.shape, objective, targets)
    candidate = make_candidate(learner, inputs, spec, **how)
    built = build_learner(candidate, inputs, objective)
    meta_params = built.init(spec, torch_stream(0, "init"))
    return Model(built, meta_params, candidate, spec, inputs, {}, RECORD, view=view)


IMAGES = InputFormat("image", (1, SIDE, SIDE), (0.5,), (0.25,))
VECTORS = InputFormat("vector", (4,), (0.0,) * 4, (1.0,) * 4)


def drawing(name: int, take: int) -> np.ndarray:
    """A noisy drawing of a class."""
    coarse = np.random.default_rng(name).integers(0, 255, (4, 4))
    noise = np.random.default_rng(1000 + take).normal(0, 25, (SIDE, SIDE))
    pixels = np.kron(coarse, np.ones((SIDE // 4, SIDE // 4))) + noise
    return np.clip(pixels, 0, 255).astype(np.uint8)


def png(name: int, take: int = 0) -> bytes:
    """The same as a file."""
    file = io.BytesIO()
    Image.fromarray(drawing(name, take)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """ProtoNet on terms of texts."""
    from metaloop.catalogue.families import open_data

    path = tmp_path_factory.mktemp("texts") / "asked.csv"
    lines = [f"where is my {w} {n},{w}" for w in WORDS * 2 for n in range(3)]
    lines += [f"I lost a {w} {n},lost {w}" for w in WORDS for n in range(3)]
    path.write_text("text,label\n" + "\n".join(lines) + "\n")
    view = fitted(open_data(path).family, "words")  # type: ignore[arg-type]
    width = int(view.choice.options["features"])
    inputs = InputFormat("vector", (width,), (0.0,) * width, (1.0,) * width)
    return fresh_model("nearest_centroid", inputs, view=view)


def table_model(real: bool = False) -> TrainedTable:
    """A pipeline fitted to a table of ages and cities: who is old, or lives in Oslo, stays."""
    rng = np.random.default_rng(0)
    ages, cities = rng.integers(18, 80, 60), np.array(["Oslo", "Rome", "Bern"])[np.arange(60) % 3]
    stays = ((ages > 50) | (cities == "Oslo")).astype(np.int64)
    columns = {"age": ages, "city": cities.astype(object)}
    frame = understand("people", table_of(columns, "people"), ()).frame
    classes = () if real else ("no", "yes")
    values = 0.5 * ages + stays if real else stays
    fitted = fit_pipeline("logistic", frame, values, len(classes), 0)
    metric = "rmse" if real else "balanced_accuracy"
    common = np.ones(1) if real else np.array([0.5, 0.5])
    return TrainedTable(
        TabularModel(
            (fitted,), (1.0,), (1.0,), frame.schema, "stays", classes, common, 0.0, metric, RECORD
        )
    )


def image_maker() -> FewShotGenerator:
    """What draws images of a class: the plain method, which is not trained."""
    inputs = InputFormat("image", (1, SIDE, SIDE), (0.5,), (0.5,), levels=2)
    spec = TaskSpec(0, 3, 2, inputs.shape, "generation", (2,))
    candidate = make_candidate("blurred_mixture", inputs, spec)
    learner = build_learner(candidate, inputs, "generation")
    meta_params = learner.init(spec, torch_stream(0, "init"))
    return FewShotGenerator(Model(learner, meta_params, candidate, spec, inputs, {}, RECORD))


@pytest.fixture(scope="session")
def models(text_model: Model) -> dict[str, Any]:
    """Estimators by the names under which they are served."""
    known = FewShotClassifier(fresh_model("protonet", IMAGES))
    known.fit(np.stack([drawing(n, t) for n in (0, 1) for t in range(2)]), ["a", "a", "b", "b"])
    return {
        "pictures": FewShotClassifier(fresh_model("protonet", IMAGES)),
        "numbers": FewShotClassifier(fresh_model("ridge", VECTORS)),
        "curves": FewShotRegressor(fresh_model("ridge", VECTORS, ways=0)),
        "boxes": FewShotClassifier(fresh_model("logistic_regression", VECTORS)),
        "words": FewShotClassifier(text_model),
        "letters": known,
    }


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body, parsed."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The reason of a refusal: one line."""
        assert 400 <= self.status < 500, (self.status, self.body)
        assert set(self.json) == {"error"} and "\n" not in self.json["error"]
        return str(self.json["error"])


@dataclass(frozen=True)
class Client:
    """Asks a server; bodies are JSON, or forms where they are `(label or None, file)`."""

    port: int
    token: str | None = None

    def __call__(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Returns the answer to one request, on a connection of its own."""
        sent = dict(headers or {})
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if isinstance(body, tuple):
            kind, body = form(*body)
            sent["Content-Type"] = kind
        elif body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.headers), answer.read())
        finally:
            connection.close()

    def new(self, model: str, name: str = "a task") -> str:
        """The id of a new task."""
        reply = self("POST", "/tasks", {"name": name, "model": model})
        assert reply.status == 201, reply.body
        return str(reply.json["id"])

    def show(self, task: str, body: Any) -> int:
        """The number of a new example."""
        reply = self("POST", f"/tasks/{task}/examples", body)
        assert reply.status == 201, reply.body
        return int(reply.json["id"])

    def ask(self, task: str, body: Any, query: str = "") -> Any:
        """The answer to a question."""
        reply = self("POST", f"/tasks/{task}/predict{query}", body)
        assert reply.status == 200, reply.body
        return reply.json


def form(label: str | None, file: bytes, name: str = "picture.png") -> tuple[str, bytes]:
    """The kind and the bytes of a form with a label and a file."""
    edge = b"edge-of-parts"
    parts = []
    if label is not None:
        parts.append(b'Content-Disposition: form-data; name="label"\r\n\r\n' + label.encode())
    head = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    parts.append(head.encode() + file)
    body = b"".join(b"--" + edge + b"\r\n" + part + b"\r\n" for part in parts)
    return f"multipart/form-data; boundary={edge.decode()}", body + b"--" + edge + b"--\r\n"


@contextmanager
def serving(
    models: Mapping[str, Any], folder: Path | None = None, token: str | None = None, **limits: Any
) -> Iterator[Client]:
    """Serves models by a thread of this process."""
    import uvicorn

    from metaloop.serve.app import create_app
    from metaloop.serve.limits import Limits
    from metaloop.serve.rows import ServedTable
    from metaloop.serve.served import served
    from metaloop.serve.storage import TaskStore

    found = {
        name: ServedTable(name, each) if isinstance(each, TrainedTable) else served(name, each)
        for name, each in models.items()
    }
    app = create_app(found, TaskStore(folder), Limits(**limits), token)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield Client(listening.getsockname()[1], token)
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        listening.close()
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def client(models: dict[str, Any]) -> Iterator[Client]:
    """Asks a server of all models that many tests share; tasks are in memory."""
    torch.set_num_threads(1)
    with serving(models) as client:
        yield client


@pytest.fixture
def serve() -> Callable[..., Any]:
    """Serves models as `serving` does."""
    return serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium."""
    from playwright.sync_api import sync_playwright
    from tests.report.test_page_in_browser import CHROMIUM

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()
