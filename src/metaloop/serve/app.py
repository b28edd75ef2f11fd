"""The routes of the server and what they say of themselves: `/openapi.json`.

This module needs the extra `serve`, and is imported by `serving.py` once that is known to be there.
What is slow (decoding, adapting, the disk) is done by a few threads, the nets by one each.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from metaloop.core.errors import DivergenceError, MachineError, MetaloopError, MissingExtraError
from metaloop.core.extracts import Length
from metaloop.models.sheets import png
from metaloop.serve import described, page
from metaloop.serve.answering import Answer, Query, answers
from metaloop.serve.batching import Batcher
from metaloop.serve.guarding import Guard
from metaloop.serve.limits import Limits, RefusedError, too_large
from metaloop.serve.metrics import MEDIA_TYPE, Metrics
from metaloop.serve.parsing import example_of, object_of
from metaloop.serve.rows import AskedRows, ServedTable, answers_of_rows, asked_rows
from metaloop.serve.sent import media_type
from metaloop.serve.served import Served
from metaloop.serve.storage import TaskStore
from metaloop.serve.tasks import Tasks

_THREADS = 8
_NEAREST = 5
_NEW: Mapping[str, type] = {"name": str, "model": str}
_ROWS: Mapping[str, type] = {"rows": list}
_DRAWN: Mapping[str, type] = {"count": object, "seed": object, "temperature": object}
_LARGEST_SEED = 2**53  # that JSON can tell
Found = TypeVar("Found")


def create_app(
    models: Mapping[str, Served | ServedTable],
    store: TaskStore,
    limits: Limits,
    token: str | None = None,
) -> Guard:
    """Returns the ASGI application that serves these models; it closes the store at its end."""
    service = _Service(models, store, limits)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        service.started = True
        yield
        service.close()

    app = FastAPI(
        title="metaloop",
        description="Tasks that are learned from a few examples: docs/serving.md.",
        version=described.version(),
        docs_url=None,  # its page loads scripts of another host
        redoc_url=None,
        lifespan=lifespan,
    )
    for path, verb, function, status in service.routes():
        about = described.of(verb, path)
        app.add_api_route(path, function, methods=[verb], status_code=status, **about)
    for error in (MetaloopError, HTTPException, RequestValidationError, ClientDisconnect):
        app.add_exception_handler(error, _refused)
    return Guard(app, token, service.metrics)


class _Service:
    """What the routes do; an instance lives as long as its server."""

    def __init__(
        self, models: Mapping[str, Served | ServedTable], store: TaskStore, limits: Limits
    ) -> None:
        self.started, self.metrics, self._limits = False, Metrics(), limits
        self._models = models
        of_tasks = {name: each for name, each in models.items() if isinstance(each, Served)}
        self._tasks = Tasks(of_tasks, store, limits)
        self._tables: dict[str, Batcher[AskedRows, list[dict[str, Any]]]] = {
            name: Batcher(answers_of_rows, limits.batch, 0.0, partial(self.metrics.batch, name))
            for name, each in models.items()
            if isinstance(each, ServedTable)
        }
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="requests")
        self._batchers: dict[str, Batcher[Query, Answer]] = {
            name: Batcher(
                answers, limits.batch, limits.wait_seconds, partial(self.metrics.batch, name)
            )
            for name in of_tasks
        }
        self._files = page.files()

    def routes(self) -> list[tuple[str, str, Callable[..., Any], int]]:
        """Returns path, verb, function and status of every route."""
        pages = [(path, "GET", self._file(path), 200) for path in self._files]
        return [
            ("/tasks", "POST", self.create, 201),
            ("/tasks", "GET", self.list, 200),
            ("/tasks/{task}", "GET", self.about, 200),
            ("/tasks/{task}", "DELETE", self.remove, 204),
            ("/tasks/{task}/examples", "POST", self.add, 201),
            ("/tasks/{task}/examples/{example}", "GET", self.example, 200),
            ("/tasks/{task}/examples/{example}", "DELETE", self.remove_example, 204),
            ("/tasks/{task}/predict", "POST", self.predict, 200),
            ("/tasks/{task}/generate", "POST", self.generate, 200),
            ("/tasks/{task}/top", "GET", self.top, 200),
            ("/models", "GET", self.models, 200),
            ("/models/{model}/predict", "POST", self.predict_rows, 200),
            ("/health", "GET", self.health, 200),
            ("/ready", "GET", self.ready, 200),
            ("/metrics", "GET", self.figures, 200),
            *pages,
        ]

    def close(self) -> None:
        """Answers what was asked and closes the file of tasks."""
        self._threads.shutdown()
        for batcher in self._batchers.values():
            batcher.close()
        for table in self._tables.values():
            table.close()
        self._tasks.close()

    async def create(self, request: Request) -> Response:
        """Creates a task, to be shown examples next."""
        asked = object_of(_kind(request), await self._body(request), _NEW)
        if "name" not in asked:
            raise RefusedError(422, "a task needs a 'name'")
        made = await self._do(self._tasks.create, asked["name"], asked.get("model"))
        return _json(made, 201)

    async def list(self, request: Request) -> Response:
        """Lists all tasks, the oldest first; models that know theirs come before."""
        return _json({"tasks": await self._do(self._tasks.list)})

    async def about(self, request: Request, task: str) -> Response:
        """Tells a task with its examples."""
        return _json(await self._do(self._tasks.about, task))

    async def remove(self, request: Request, task: str) -> Response:
        """Forgets a task and its examples."""
        await self._do(self._tasks.remove, task)
        return Response(status_code=204)

    async def add(self, request: Request, task: str) -> Response:
        """Adds an example of a class, or a value of a function; once answered it is on disk."""
        label, sent = example_of(_kind(request), await self._body(request))
        return _json(await self._do(self._tasks.add, task, label, sent), 201)

    async def example(self, request: Request, task: str, example: int) -> Response:
        """Returns an example as it came."""
        sent = await self._do(self._tasks.sent, task, example)
        return Response(sent.content, media_type=media_type(sent))

    async def remove_example(self, request: Request, task: str, example: int) -> Response:
        """Forgets an example."""
        await self._do(self._tasks.remove_example, task, example)
        return Response(status_code=204)

    async def predict(
        self,
        request: Request,
        task: str,
        nearest: int = 0,
        reject: str | None = None,
        words: int | None = None,
        sentences: int | None = None,
        ratio: float | None = None,
    ) -> Response:
        """Tells the class of an input, the value of a function there, or a document's summary.

        With `reject`, such as 5%, an input that looks like none of the classes has no label.
        `words`, `sentences` or `ratio`: how long a summary is to be, by default as trained for.
        """
        length = _length(words=words, sentences=sentences, ratio=ratio)
        batcher = self._batchers[self._tasks.model_of(task)]
        with batcher.expecting():
            label, sent = example_of(_kind(request), await self._body(request))
            if label is not None:
                raise RefusedError(422, "a question has no 'label' or 'summary'; leave it away")
            if not 0 <= nearest <= 100:
                raise RefusedError(422, "'nearest' is a number of examples from 0 to 100")
            query = await self._do(self._tasks.query, task, sent, nearest, length, reject)
            answer = await self._within(batcher.ask(query))
        return _json(_told(answer, nearest))

    async def generate(self, request: Request, task: str) -> Response:
        """Makes new images of the task's class, as PNG files in base64."""
        body = await self._body(request)
        asked = object_of(_kind(request), body, _DRAWN) if body else {}
        count = _number(
            "count", asked.get("count", min(16, self._limits.images)), 1, self._limits.images
        )
        seed = _number("seed", asked.get("seed", 0), 0, _LARGEST_SEED)
        temperature = asked.get("temperature")
        numeric = isinstance(temperature, int | float) and not isinstance(temperature, bool)
        if temperature is not None and not (numeric and 0 < temperature < math.inf):
            raise RefusedError(422, f"'temperature' is a number above 0, got {temperature!r:.40}")

        def drawn() -> dict[str, Any]:
            pictures, at = self._tasks.generate(task, count, seed, temperature)
            images = [base64.b64encode(png(each)).decode() for each in pictures]
            return {"images": images, "seed": seed, "temperature": at}

        return _json(await self._do(drawn))

    async def top(self, request: Request, task: str, count: int = 10) -> Response:
        """Lists the items that the user of the task would like most, none that she had."""
        if not 1 <= count <= 1000:
            raise RefusedError(422, "'count' is a number of items from 1 to 1000")
        found = await self._do(self._tasks.top, task, count)
        items = [{"item": each.name, "title": each.title, "value": each.value} for each in found]
        return _json({"items": items})

    async def predict_rows(self, request: Request, model: str) -> Response:
        """Tells the class, or the value, of each of some rows of a table."""
        served = self._models.get(model)
        if served is None:
            raise RefusedError(404, f"there is no model {model[:80]!r}; GET /models lists them")
        if not isinstance(served, ServedTable):
            raise RefusedError(409, f"'{model}' is asked by task: POST /tasks/ID/predict")
        asked = object_of(_kind(request), await self._body(request), _ROWS)
        if "rows" not in asked:
            raise RefusedError(422, "give 'rows', a list of objects with a value for each column")
        rows = asked_rows(served, asked["rows"], self._limits)
        told = await self._within(self._tables[model].ask(rows))
        return _json({"model": model, "target": served.model.target, "predictions": told})

    async def models(self, request: Request) -> Response:
        """Lists the models that are served."""
        return _json({"models": [described.model(each) for each in self._models.values()]})

    async def health(self, request: Request) -> Response:
        """Says that the process answers."""
        return _json({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Says whether tasks can be read and kept."""
        works = self.started and await self._do(lambda: self._tasks.works)
        return _json({"status": "ready" if works else "not ready"}, 200 if works else 503)

    async def figures(self, request: Request) -> Response:
        """Counts of requests, times, batches and tasks in Prometheus' text format."""
        tasks, examples = self._tasks.counts()
        gauges = {
            "metaloop_tasks": ("Tasks that are kept.", float(tasks)),
            "metaloop_examples": ("Examples of all tasks.", float(examples)),
            "metaloop_adaptations_total": (
                "Times that a model learned a task.",
                float(self._tasks.adaptations),
            ),
        }
        return Response(self.metrics.text(gauges), media_type=MEDIA_TYPE)

    def _file(self, path: str) -> Callable[..., Any]:
        content, kind = self._files[path]

        async def file(request: Request) -> Response:
            return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

        return file

    async def _body(self, request: Request) -> bytes:
        """The body of a request, no larger and no slower than the limits."""
        most = self._limits.body_bytes
        too_long = too_large(f"the body has more than {most:,} bytes; send something smaller")
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > most:
            raise too_long

        async def whole() -> bytes:
            parts, size = [], 0
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_long
                parts.append(part)
            return b"".join(parts)

        try:
            return await asyncio.wait_for(whole(), self._limits.seconds)
        except asyncio.TimeoutError as error:
            raise RefusedError(
                408, f"the body did not arrive within {self._limits.seconds:g} s"
            ) from error

    async def _do(self, work: Callable[..., Found], *arguments: Any) -> Found:
        """What a function returns that may take a while: on a thread."""
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._threads, partial(work, *arguments))
        return await self._within(done)

    async def _within(self, awaited: Awaitable[Found]) -> Found:
        try:
            return await asyncio.wait_for(awaited, self._limits.seconds)
        except asyncio.TimeoutError as error:
            raise RefusedError(
                503, f"no answer within {self._limits.seconds:g} s; try again later"
            ) from error


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "")


def _length(**amounts: int | float | None) -> Length | None:
    """The length of a summary, of which one is given at most."""
    given = [(unit, amount) for unit, amount in amounts.items() if amount is not None]
    if len(given) > 1:
        raise RefusedError(422, "give one of 'words', 'sentences' and 'ratio'")
    return Length(given[0][0], given[0][1]) if given else None  # type: ignore[arg-type]


def _number(what: str, value: Any, least: int, most: int) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        raise RefusedError(422, f"{what!r} is a whole number from {least} to {most}")
    return int(value)


def _told(answer: Answer, nearest: int) -> dict[str, Any]:
    if answer.extract is not None:
        found = answer.extract
        return {
            "summary": found.summary, "sentences": list(found.sentences),
            "places": list(found.places), "words": found.words, "of_words": found.of_words,
            "cut": found.cut, "whole": found.whole,
        }  # fmt: skip
    shares = answer.probabilities
    confidence = None if shares is None or answer.label is None else shares[answer.label]
    told: dict[str, Any] = {
        "label": answer.label, "confidence": confidence, "probabilities": shares,
    }  # fmt: skip
    if answer.value is not None:
        told["value"] = answer.value
    if answer.evidence is not None:
        told |= {
            "label": answer.label if answer.is_known else None, "most_likely": answer.label,
            "known": answer.is_known, "evidence": answer.evidence, "threshold": answer.least,
        }  # fmt: skip
    if nearest:
        told["nearest"] = [{"id": number, "likeness": like} for number, like in answer.nearest]
    return told


def _json(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    """The answer to a request that was refused: a status, and why in one line."""
    headers: dict[str, str] = {}
    if isinstance(error, RefusedError):
        status, reason = error.status, str(error)
    elif isinstance(error, HTTPException):
        status, reason = error.status_code, str(error.detail)
        headers = dict(error.headers or {})
    elif isinstance(error, RequestValidationError):
        first = error.errors()[0]
        status, reason = 422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    elif isinstance(error, ClientDisconnect):
        status, reason = 400, "the client went away"
    else:
        status, reason = _status(error), " ".join(str(error).split())
    if status in (408, 413):
        headers["connection"] = "close"  # what else comes of the body is not read
    return Response(json.dumps({"error": reason}), status, headers, media_type="application/json")


def _status(error: Exception) -> int:
    if isinstance(error, MachineError):
        return 503
    if isinstance(error, MissingExtraError):
        return 501
    return 422 if not isinstance(error, DivergenceError) else 409
