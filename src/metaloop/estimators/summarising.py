"""Summaries of documents, in the words of the documents, as long as they are asked for."""

from __future__ import annotations

from typing import Any

from metaloop.core.errors import InputError
from metaloop.core.extracts import asked_length
from metaloop.domains.summaries.view import ENCODED, NAME
from metaloop.estimators.documents import Extract as Extract
from metaloop.estimators.documents import extracts, length_of, read_documents
from metaloop.estimators.regressor import FewShotRegressor
from metaloop.estimators.task import AdaptedTask


def summarise(
    regressor: FewShotRegressor,
    X: Any,
    *,
    words: int | None = None,
    sentences: int | None = None,
    ratio: float | None = None,
) -> list[Extract]:
    """Returns the extract of each document: whole sentences in their order, within the length.

    `regressor` was fitted to documents and their summaries. `words`, `sentences` or `ratio`, one of
    them: the length, by default the one that its model was trained for. Where no sentence is short
    enough, the best one is cut. Raises `InputError` for a model of other inputs.
    """
    task: AdaptedTask | None = getattr(regressor, "task_", None)
    view = None if task is None else task.model.view
    if task is None or view is None or view.choice.name not in (NAME, ENCODED):
        raise InputError("summarise is for a fitted regressor whose model was trained on documents")
    length = asked_length(words, sentences, ratio) or length_of(view)
    rows = read_documents(X, view)
    return extracts(task.outputs(rows), rows, length)
