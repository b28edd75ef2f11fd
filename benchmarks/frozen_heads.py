"""The plain heads that benchmarks put on frozen features; nothing is learned from other tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metaloop.catalogue.candidates import build_learner
from metaloop.catalogue.nets import RAW, VIEW
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice, Part, Plan, Result
from metaloop.engine.evaluation import evaluate
from metaloop.tasks.family import ClassFamily

STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # C
SEARCH_EPISODES = 100


def centroid() -> Candidate:
    """Returns the nearest class mean of centred features of unit length; nothing is tuned."""
    return Candidate(Choice("nearest_centroid"), Choice(RAW, {VIEW: "unit"}), Plan("none"))


def regression(family: ClassFamily, shots: int, forms: Sequence[str]) -> Candidate:
    """Returns logistic regression with the form of features and the C that are best on `search`."""
    tried = [
        Candidate(
            Choice("logistic_regression", {"inverse_strength": strength}),
            Choice(RAW, {VIEW: form}),
            Plan("none"),
        )
        for form in forms
        for strength in STRENGTHS
    ]
    found = [scored(family, each, "search", 5, shots, SEARCH_EPISODES).value for each in tried]
    return tried[int(np.argmax(found))]


def scored(
    family: ClassFamily, candidate: Candidate, part: Part, ways: int, shots: int, episodes: int
) -> Result:
    """Returns the result of a head on tasks of that part."""
    spec = family.spec(ways, shots, part=part)
    learner = build_learner(candidate, family.input_format, spec.objective)
    phi = learner.init(spec, torch_stream(0, "benchmark"))
    return evaluate(learner, phi, family, part, spec, episodes)[0]
