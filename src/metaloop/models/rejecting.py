"""Whether a query is of one of a task's classes at all: a model's thresholds, and how they do."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from metaloop.archive import Archive
from metaloop.catalogue.candidates import build_learner
from metaloop.catalogue.families import OpenedData
from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.errors import DivergenceError, MetaloopError, ModelFileError
from metaloop.core.learner import EmbeddingLearner
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice, Measure, Part, Plan, Result
from metaloop.core.rejection import checked_rate
from metaloop.core.statistics import EpisodeScores, estimate
from metaloop.engine.calibrating import calibrated
from metaloop.engine.devices import best_device
from metaloop.engine.evaluation import protocol, result_of
from metaloop.engine.open_scores import OpenTable
from metaloop.engine.open_set import Eyes, OpenEpisodes, answer, open_list
from metaloop.models.model import Model
from metaloop.tasks.family import TaskFamily
from metaloop.tasks.readers.recordings import mean_seconds

_HOUR = 3600.0  # seconds
OLDER = "was made before thresholds were kept in models, or of too few classes to measure them"


@dataclass(frozen=True)
class OpenResult:
    """AUROC, with the other figures as its metrics; `others` classes a task, asked for `rate`.

    `outside` says what of the task lies outside of what the model's thresholds were measured on.
    """

    result: Result
    others: int
    rate: float
    outside: str = ""


def eyes_of(model: Model) -> Eyes | None:
    """Returns the embedding in which a model looks for evidence: its own, or its inputs.

    None for learners that adapt their net to a task: their outputs are all there is.
    """
    learner = model.learner
    if isinstance(learner, EmbeddingLearner):
        return Eyes.of(learner, model.meta_params)
    if not isinstance(learner, BlackBoxLearner):
        return None
    plain = Candidate(Choice("nearest_centroid"), Choice("raw"), Plan("none"))
    raw = build_learner(plain, model.input_format, model.spec.objective)
    assert isinstance(raw, EmbeddingLearner)
    return Eyes.of(raw, raw.init(model.spec, torch_stream(0, "eyes")))


def with_rejection(model: Model, family: TaskFamily) -> Model:
    """Returns the model with thresholds, measured on the family as the model sees it.

    As it is where its tasks are no classes, or there are too few of them.
    """
    classes = family.as_classes
    if classes is None:
        return model
    try:
        found = calibrated(model.learner, model.meta_params, classes, model.spec, eyes_of(model))
    except DivergenceError:  # it may do on tasks like its own, and cannot be calibrated
        return model
    return replace(model, rejection=found)


def evaluate_open(
    model: Model,
    opened: OpenedData,
    *,
    part: Part = "test",
    ways: int | None = None,
    shots: int | None = None,
    queries: int | None = None,
    episodes: int = 1000,
    archive: str | Path | None = None,
    subject: str = "",
    rate: float = 0.05,
) -> OpenResult:
    """Returns how a model tells a task's classes from others of `part`; see `evaluate_model`.

    Raises `MetaloopError` for tasks that are no classes and for models without thresholds.
    """
    checked_rate(rate)
    family = opened.family.to(best_device()).as_classes
    if family is None or model.spec.objective != "classification":
        raise MetaloopError("--open is about classes, which the tasks of this model are not")
    if episodes < 2:
        raise MetaloopError(f"an interval needs at least 2 episodes, got {episodes}")
    if model.rejection is None:
        raise ModelFileError(f"the model {OLDER}; run learn or train again")
    own = model.spec
    spec = family.spec(
        own.ways if ways is None else ways,
        own.shots if shots is None else shots,
        own.queries if queries is None else queries,
        part=part,
    )
    asked = open_list(family, part, spec, episodes)
    measured_by = protocol(model.learner, family, part, spec, asked.episodes)
    others = asked.units.shape[1] - spec.ways
    threshold = model.rejection.threshold(rate, spec.ways, spec.shots)

    def measured() -> Result:
        scores = _scores(model, asked, rate, threshold.value, _seconds_of(family))
        result = result_of(scores.pop("auroc"), "auroc", measured_by)
        return replace(result, metrics=tuple(_measure(name, one) for name, one in scores.items()))

    if part != "test" or archive is None:
        return OpenResult(measured(), others, rate, threshold.outside)
    with Archive.open_or_create(archive) as record:
        opening = record.record_opening(subject, "evaluate --open", measured_by)
        result = measured()
        record.finish_opening(opening, result)
    return OpenResult(result, others, rate, threshold.outside)


def _seconds_of(family: TaskFamily) -> float | None:
    """How long a recording of the family is on average; None where there are none."""
    return None if family.as_read is None else mean_seconds(family.as_read.inputs)


@torch.no_grad()
def _scores(
    model: Model, asked: OpenEpisodes, rate: float, threshold: float, seconds: float | None
) -> dict[str, EpisodeScores]:
    """Returns each figure by its name, and where there is an embedding those of the cosine.

    Of recordings, `seconds` long, also the alarms of an hour of others, one behind the other.
    """
    rejection = model.rejection
    assert rejection is not None
    device = best_device()
    params = {name: tensor.to(device) for name, tensor in model.meta_params.items()}
    moved = replace(model, meta_params=params)
    likeness = None if rejection.likeness is None else rejection.likeness.to(device)
    said = answer(model.learner, params, asked, model.input_format, likeness, eyes_of(moved))
    table = OpenTable(asked)
    everything = table.there
    found = {
        "auroc": table.auroc(said.evidence),
        "recall": table.recall(said.evidence, everything, rate),
        "recognised": table.recall(said.evidence, said.right, rate),
        "false_alarms": table.false_alarms(said.evidence, threshold),
        "kept": table.accepted(said.evidence, everything, threshold),
    }
    if seconds is not None:
        found["false_alarms_per_hour"] = found["false_alarms"].scaled(_HOUR / seconds)
    if said.plain is not None:
        for name, of_cosine in (
            ("auroc", table.auroc(said.plain)),
            ("recall", table.recall(said.plain, everything, rate)),
        ):
            found[f"{name}_cosine"] = of_cosine
            found[f"{name}_lead"] = found[name] - of_cosine
    return found


def _measure(name: str, scores: EpisodeScores) -> Measure:
    found = estimate(scores)
    new = found.ci95_new
    return Measure(
        name, found.value, found.ci95, new if new is None or math.isfinite(new) else None
    )
