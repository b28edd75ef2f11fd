"""What the server says of its models and routes: summaries, examples of bodies and of answers."""

from __future__ import annotations

from typing import Any

from metaloop.serve.rows import ServedTable
from metaloop.serve.served import Served

_FORM = {
    "type": "object",
    "properties": {"label": {"type": "string"}, "file": {"type": "string", "format": "binary"}},
}
_EXAMPLE = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": {**_FORM, "required": ["label", "file"]}},
        "application/json": {
            "schema": {"type": "object"},
            "examples": {
                "text": {"value": {"label": "refund", "text": "I want my money back"}},
                "array": {"value": {"label": "setosa", "array": [5.1, 3.5, 1.4, 0.2]}},
                "rating": {"value": {"item": "Spirited Away", "rating": 9}},
                "event": {"value": {"item": "Spirited Away"}},
                "function": {"value": {"label": 0.7, "array": [1.2]}},
                "summary": {"value": {"document": "A long text.", "summary": "A short one."}},
            },
        },
    },
}
_QUESTION = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": {**_FORM, "required": ["file"]}},
        "application/json": {
            "schema": {"type": "object"},
            "examples": {
                "text": {"value": {"text": "where is my parcel?"}},
                "array": {"value": {"array": [4.9, 3.0, 1.4, 0.2]}},
                "item": {"value": {"item": "Princess Mononoke"}},
                "document": {"value": {"document": "A long text of several sentences."}},
            },
        },
    },
}
_TASK = {
    "id": "5f0c2a91d3e84b67", "name": "kitchen", "model": "photos",
    "classes": {"cup": 3, "spoon": 2}, "num_examples": 5, "fixed": False, "available": True,
}  # fmt: skip
_ANSWER = {
    "label": "cup", "confidence": 0.93, "probabilities": {"cup": 0.93, "spoon": 0.07},
}  # fmt: skip


def _json_body(properties: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    return {"content": {"application/json": {"schema": schema, "example": example}}}


_ABOUT: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/tasks"): {
        "summary": "Create a task",
        "body": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "model": {"type": "string"}},
                    },
                    "example": {"name": "kitchen"},
                }
            },
        },
        "answer": {**_TASK, "classes": {}, "num_examples": 0},
    },
    ("GET", "/tasks"): {"summary": "List tasks", "answer": {"tasks": [_TASK]}},
    ("GET", "/tasks/{task}"): {
        "summary": "A task with its examples",
        "answer": {
            **_TASK,
            "examples": [{"id": 17, "label": "cup", "kind": "file", "name": "cup.jpg"}],
        },
    },
    ("DELETE", "/tasks/{task}"): {"summary": "Forget a task"},
    ("POST", "/tasks/{task}/examples"): {
        "summary": "Add an example",
        "body": _EXAMPLE,
        "answer": {"id": 17, "label": "cup", "examples": 6},
    },
    ("GET", "/tasks/{task}/examples/{example}"): {"summary": "An example as it came"},
    ("DELETE", "/tasks/{task}/examples/{example}"): {"summary": "Forget an example"},
    ("POST", "/tasks/{task}/predict"): {
        "summary": "Ask a task",
        "body": _QUESTION,
        "answer": _ANSWER,
    },
    ("POST", "/tasks/{task}/generate"): {
        "summary": "New images of the task's class",
        "body": _json_body(
            {
                "count": {"type": "integer"},
                "seed": {"type": "integer"},
                "temperature": {"type": "number"},
            },
            {"count": 4, "seed": 0, "temperature": 0.5},
        ),
        "answer": {"images": ["iVBORw0KGgo..."], "seed": 0, "temperature": 0.5},
    },
    ("GET", "/tasks/{task}/top"): {
        "summary": "The items that a user would like most",
        "answer": {"items": [{"item": "1", "title": "Princess Mononoke", "value": 8.7}]},
    },
    ("POST", "/models/{model}/predict"): {
        "summary": "Ask a model of a table",
        "body": _json_body(
            {"rows": {"type": "array", "items": {"type": "object"}}},
            {"rows": [{"age": 31, "city": "Oslo", "income": None}]},
        ),
        "answer": {"model": "churn", "target": "left", "predictions": [
            {"label": "no", "confidence": 0.9, "probabilities": {"no": 0.9, "yes": 0.1}}
        ]},
    },
    ("GET", "/models"): {
        "summary": "List models",
        "answer": {
            "models": [
                {
                    "name": "photos", "takes": "images", "send": ["file", "array"],
                    "accept": "image/*", "fixed": False,
                    "answers": "labels", "learner": "protonet", "league": "none",
                }
            ]
        },
    },
    ("GET", "/health"): {"summary": "Whether the process answers", "answer": {"status": "alive"}},
    ("GET", "/ready"): {"summary": "Whether tasks can be kept", "answer": {"status": "ready"}},
    ("GET", "/metrics"): {"summary": "Figures for Prometheus"},
}  # fmt: skip
_CREATING = (("POST", "/tasks"), ("POST", "/tasks/{task}/examples"))
_ERROR = {"description": "Why not", "content": {"application/json": {"example": {"error": "..."}}}}


def of(verb: str, path: str) -> dict[str, Any]:
    """Returns what FastAPI is to know of a route, beside its function."""
    about = _ABOUT.get((verb, path))
    if about is None:  # the page and its parts
        return {"include_in_schema": False}
    ok = (
        "201" if (verb, path) in (("POST", "/tasks"), ("POST", "/tasks/{task}/examples")) else "200"
    )
    extra: dict[str, Any] = {"requestBody": about["body"]} if "body" in about else {}
    told: dict[int | str, Any] = {"4XX": _ERROR}
    if "answer" in about:
        told[ok] = {
            "description": about["summary"],
            "content": {"application/json": {"example": about["answer"]}},
        }
    return {"summary": about["summary"], "responses": told, "openapi_extra": extra or None}


def model(served: Served | ServedTable) -> dict[str, Any]:
    """Returns what a client needs to know of a model."""
    if isinstance(served, ServedTable):
        return {
            "name": served.name, "takes": "rows", "send": ["rows"], "accept": "", "fixed": True,
            "answers": "labels" if served.model.classes else "values",
            "learner": served.model.name, "league": "none", "target": served.model.target,
            "columns": [{"name": c.name, "kind": c.kind} for c in served.model.schema],
        }  # fmt: skip
    return {
        "name": served.name,
        "takes": served.model.takes,
        "send": list(served.taken.kinds),
        "accept": served.taken.accept,
        "fixed": served.fixed,
        "answers": served.answers,
        "learner": served.model.candidate.learner.name,
        "league": served.model.league,
    }


def version() -> str:
    """Returns the version of metaloop."""
    from metaloop import __version__  # lazy: the package's top module points here

    return __version__
