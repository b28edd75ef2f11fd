"""Summaries of documents, in the words of the documents, as long as they are asked for.

How long a summary is to be is known to a learner, of the examples and of what it is asked: what a
sentence is worth hangs on it. So another length than the one that a model was trained for is
another task, learned from the same examples, as `evaluate` has it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from metaloop.core.errors import InputError
from metaloop.core.extracts import Length, asked_length
from metaloop.domains.summaries.features import asked_for
from metaloop.domains.summaries.view import ENCODED, NAME, asking, terms_of
from metaloop.estimators.documents import Extract as Extract
from metaloop.estimators.documents import extracts, length_of, read_documents
from metaloop.estimators.regressor import FewShotRegressor
from metaloop.estimators.task import AdaptedTask, Support, adapt_to


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
    them: the length, by default the one that its model was trained for; another one is learned for
    (`at_length`). Where no sentence is short enough, the best one is cut. Raises `InputError` for a
    model of other inputs, and for another length where the support was not kept.
    """
    task: AdaptedTask | None = getattr(regressor, "task_", None)
    view = None if task is None else task.model.view
    if task is None or view is None or view.choice.name not in (NAME, ENCODED):
        raise InputError("summarise is for a fitted regressor whose model was trained on documents")
    length = asked_length(words, sentences, ratio) or length_of(view)
    task = at_length(task, length)
    assert task.model.view is not None
    rows = read_documents(X, task.model.view)
    return extracts(task.outputs(rows), rows, length)


def at_length(task: AdaptedTask, length: Length) -> AdaptedTask:
    """Returns a task of documents as it is learned for extracts of this length; itself if it is.

    The support is seen, and what summaries say of it is told, as for a model of that length. Raises
    `InputError` where the support was not kept, so that it cannot be learned from again.
    """
    view, support = task.model.view, task.support
    assert view is not None
    known = length_of(view)
    if length == known:
        return task
    if support is None or support.worth is None:
        raise InputError(
            f"the examples were not kept for other lengths than {known}: leave the length away, or "
            "fit to them again and keep them (keep_support)"
        )
    worth, usual = support.worth, terms_of(view.assets).kept.usual
    inputs = asked_for(support.inputs.numpy(), worth.total.numpy(), length, usual)
    model = replace(task.model, view=asking(view, length))
    asked = Support(torch.from_numpy(inputs), worth.targets(length), worth)
    return adapt_to(model, asked, task.num_classes)
