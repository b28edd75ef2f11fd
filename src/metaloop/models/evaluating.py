"""Evaluating a saved model: on frozen episodes, every look at `test` written down first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from metaloop.archive import Archive
from metaloop.catalogue.families import AS_IT_IS, DataOptions, OpenedData, open_data
from metaloop.core.errors import DataError, MetaloopError
from metaloop.core.generation import GENERATION
from metaloop.core.objective import objective
from metaloop.core.records import PARTS, Part, Result
from metaloop.engine.devices import best_device
from metaloop.engine.evaluation import evaluate
from metaloop.models.model import Model
from metaloop.models.opening import open_test
from metaloop.tasks.generation import classes_of
from metaloop.tasks.recognising import classes_of_rows, part_of_class


def open_for(
    model: Model,
    data: Any,
    options: DataOptions = AS_IT_IS,
    *,
    part: Part = "test",
    allow_seen: bool = False,
) -> OpenedData:
    """Returns data for `evaluate_model`, with what the model has seen of it (`recognised`).

    Classes that it was trained or chosen on are told by content, then by name, and stay in their
    parts; all others are `test`. Raises `DataError` if there are copies of what it was trained or
    chosen on among the examples of `test`, unless `allow_seen`.
    """
    if model.spec.objective == GENERATION.name:
        options = replace(options, objective=GENERATION.name)
    opened = open_data(
        data,
        options,
        parts=model.parts,
        seen=model.seen,
        input_format=model.input_format,
        view=model.view,
    )
    copies = _copies_in_test(model, opened) if part == "test" and not allow_seen else 0
    if copies:
        raise DataError(
            f"{opened.family.name}: {copies} examples of classes that the model has not seen are "
            "copies of examples that it was trained or chosen on; take them out, or evaluate all "
            "the same with --allow-seen"
        )
    return opened


def _copies_in_test(model: Model, opened: OpenedData) -> int:
    """Returns how many examples of `test` are copies of what a model learned or was chosen on."""
    family = classes_of(opened.family)
    if model.seen is None or family is None or not len(family.parts["test"]):
        return 0
    found = classes_of_rows(family.as_read, family.labelled("test")[0], model.seen)
    known = part_of_class(model.parts)[found[found >= 0]]
    return int((known != PARTS.index("test")).sum())


def evaluate_model(
    model: Model,
    data: Any,
    *,
    part: Part = "test",
    ways: int | None = None,
    shots: int | None = None,
    queries: int | None = None,
    episodes: int = 1000,
    archive: str | Path | None = None,
    subject: str = "",
    options: DataOptions = AS_IT_IS,
    allow_seen: bool = False,
    apart: bool = False,
) -> Result:
    """Returns the model's result on `part` of the data; ways and shots default to the model's.

    `data`: what `open_for` has opened, or what it opens with these `options` and `allow_seen`: a
    path, a built-in name, a `Reading`, a data frame.
    `apart`: the support of a task is of one speaker, its queries are of others.
    A look at `test` is recorded in `archive` (if one is given) as `subject`, the model file's hash.
    """
    spec_of_model = model.spec
    opened = data
    if not isinstance(data, OpenedData):
        opened = open_for(model, data, options, part=part, allow_seen=allow_seen)
    device = best_device()
    family = opened.family.to(device)
    if apart:
        if family.as_classes is None:
            raise DataError(f"{family.name} has no speakers to be kept apart")
        family = replace(family.as_classes, one_voice=True)
    spec = family.spec(
        spec_of_model.ways if ways is None else ways,
        spec_of_model.shots if shots is None else shots,
        spec_of_model.queries if queries is None else queries,
        part=part,
    )
    if spec.objective != spec_of_model.objective:
        raise MetaloopError(
            f"the model learns {spec_of_model.objective} tasks, {family.name} has "
            f"{objective(spec.objective).name} tasks"
        )
    if episodes < 2:
        raise MetaloopError(f"an interval needs at least 2 episodes, got {episodes}")
    learner = model.learner
    meta_params = {name: t.to(device) for name, t in model.meta_params.items()}
    if part != "test" or archive is None:
        return evaluate(learner, meta_params, family, part, spec, episodes)[0]
    with Archive.open_or_create(archive) as record:
        purpose = "evaluate, speakers apart" if apart else "evaluate"
        return open_test(record, subject, purpose, learner, meta_params, family, spec, episodes)
