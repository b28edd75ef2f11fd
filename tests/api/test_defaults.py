"""A function and its verb take the same arguments, with the same defaults."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import metaloop as ml
from metaloop.cli import evaluate, learn, select, train

OF_THE_LOOP = {"net", "candidates", "generates", "settings", "stop"}
VERBS: dict[str, tuple[Callable[..., Any], Callable[..., Any], set[str]]] = {
    # what only the function has: things that cannot be typed, or are for experiments
    "learn": (learn.learn, ml.learn, OF_THE_LOOP),
    "stream": (learn.learn, ml.stream, OF_THE_LOOP),
    "select": (select.select, ml.select, {"settings", "stop"}),
    "train": (train.train, ml.train, {"stop"}),
    "evaluate": (evaluate.evaluate, ml.evaluate, {"net", "learner", "backbone"}),
}
OF_THE_COMMAND_LINE = {"as_json", "quiet"}
SHORT = {"text", "label", "domain"}  # for what `columns` names from Python


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Parameters and their defaults; no further data is no further data."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: None if p.default == () else p.default for p in parameters}


@pytest.mark.parametrize("name", VERBS)
def test_a_function_has_the_arguments_and_defaults_of_its_verb(name: str) -> None:
    verb, function, only = VERBS[name]
    typed, called = defaults(verb), defaults(function)
    typed = {key: default for key, default in typed.items() if key not in SHORT}
    for flag in OF_THE_COMMAND_LINE | ({"seed"} if name == "evaluate" else set()):
        typed.pop(flag)
    called.pop("progress", None)
    assert {key: called.pop(key) for key in only}.keys() == only
    if name == "train":  # from Python a model need not be written
        assert typed.pop("out") is inspect.Parameter.empty and called.pop("out") is None
    assert called == typed


@pytest.mark.parametrize("name", VERBS)
def test_all_but_the_first_arguments_are_named(name: str) -> None:
    parameters = inspect.signature(VERBS[name][1]).parameters.values()
    places = [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert places in (["data"], ["data", "learner"], ["model", "data"])


def test_a_learner_that_is_added_to_a_table_can_be_seen() -> None:
    assert "protonet" in ml.LEARNERS and "conv4" in ml.NETS and "glyphs" in ml.FAMILIES
    assert {"image", "vector"} <= set(ml.DOMAINS)
    assert "rotate" in ml.GENERATORS and len(ml.PROGRAMS) > 3
    assert importlib.import_module("metaloop.learners") is ml.learners
