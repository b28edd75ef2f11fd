"""Evaluating a saved model: on frozen episodes, every look at `test` written down first."""

from __future__ import annotations

from pathlib import Path

from metaloop.archive import Archive
from metaloop.catalogue.families import open_data
from metaloop.catalogue.model import Model
from metaloop.core.errors import MetaloopError
from metaloop.core.objective import objective
from metaloop.core.records import Part, Result
from metaloop.engine.evaluation import evaluate
from metaloop.loop.opening import open_test
from metaloop.loop.run import best_device
from metaloop.tasks.store import Reading
from metaloop.tasks.value_range import ValueRange


def evaluate_model(
    model: Model,
    data: str | Path | Reading,
    *,
    part: Part = "test",
    ways: int | None = None,
    shots: int | None = None,
    queries: int | None = None,
    episodes: int = 1000,
    archive: str | Path | None = None,
    subject: str = "",
    strict: bool = False,
    classes_at: int | None = None,
    value_range: ValueRange | None = None,
) -> Result:
    """Returns the model's result on `part` of the data; ways and shots default to the model's.

    Classes that the model was trained or chosen on stay in their parts; all others are `test`.
    A look at `test` is recorded in `archive` (if one is given) as `subject`, the model file's hash.
    """
    spec_of_model = model.spec
    opened = open_data(
        data,
        parts=model.parts,
        input_format=model.input_format,
        strict=strict,
        classes_at=classes_at,
        value_range=value_range,
    )
    device = best_device()
    family = opened.family.to(device)
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
        return open_test(record, subject, "evaluate", learner, meta_params, family, spec, episodes)
