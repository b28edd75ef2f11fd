"""Plain baselines: tuned over views and strengths within a share, measured, and named by view."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from metaloop.catalogue.candidates import build_learner, plain_candidates
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.core.views import VIEWS
from metaloop.engine.evaluation import evaluate
from metaloop.jobs.baselines import RUNGS, BaselinesRequest, best_of_each, measure_baselines
from metaloop.jobs.workplace import prepare
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays

EPISODES = 30


@pytest.fixture(scope="module")
def family() -> ClassFamily:
    """Vectors of which two columns are noise in large units: raw inputs are at chance."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 12)
    vectors = rng.normal(size=(24, 6))[labels] + 0.4 * rng.normal(size=(len(labels), 6))
    noise = 300 * rng.normal(size=(len(labels), 2))
    inputs = np.concatenate([vectors, noise], axis=1)
    return class_family(read_arrays(inputs, labels, name="vectors"))[0]


def plain(learner: str, view: str, **options: float) -> Candidate:
    return Candidate(Choice(learner, options), Choice("raw", {"view": view}), Plan("none"))


def grid(family: ClassFamily) -> list[Candidate]:
    return plain_candidates(family.spec(5, 1, 5))


def test_the_grid_has_every_view_and_strengths_over_five_decades(family: ClassFamily) -> None:
    candidates = grid(family)
    by_method: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_method.setdefault(candidate.learner.name, []).append(candidate)
    assert set(by_method) == {
        "logistic_regression", "nearest_centroid", "nearest_neighbour", "ridge",
    }  # fmt: skip
    assert all({c.net.options["view"] for c in same} == set(VIEWS) for same in by_method.values())
    strengths = {
        c.learner.options["inverse_strength"]
        for c in candidates
        if c.learner.name == "logistic_regression"
    }
    assert min(strengths) <= 0.01 and max(strengths) >= 1000 and len(strengths) >= 6
    assert len({c.identity for c in candidates}) == len(candidates)
    first = {c.learner.name for c in candidates[: len(by_method)]}
    assert first == set(by_method)  # a guess of each before a second of any


def test_labels_name_the_view() -> None:
    assert plain("logistic_regression", "unit").label == "logistic_regression / unit"
    assert Candidate(Choice("protonet"), Choice("mlp"), Plan("episodes")).label == "protonet / mlp"
    seen = Candidate(Choice("protonet"), Choice("mlp", {"view": "unit"}), Plan("episodes"))
    assert seen.label == "protonet / mlp on unit"


def test_the_best_of_each_method_is_measured_on_the_tasks_that_are_judged(
    family: ClassFamily, tmp_path: Path
) -> None:
    place = prepare(tmp_path, family, family.spec(5, 1, 5))
    guesses = grid(family)[:12]  # on raw numbers of such units its solver takes long
    tried = tuple(c for c in guesses if c.label != "logistic_regression / raw")
    request = BaselinesRequest(tried, seed=0, episodes=EPISODES, cpu_seconds=None)
    said = measure_baselines(place, request, lambda content: None)
    chosen = [found.candidate for found in said.found]
    assert len({c.learner.name for c in chosen}) == len(chosen) == 4
    assert {c.net.options["view"] for c in chosen} == {"standardised"}  # others hear the noise
    for found in said.found:
        learner = build_learner(found.candidate, family.input_format, "classification")
        for shots, task in zip((1, 5), found.figures.tasks, strict=True):
            spec = family.spec(5, shots, 5)
            phi = learner.init(spec, torch_stream(0, "init"))
            result = evaluate(learner, phi, family, "search", spec, EPISODES)[0]
            assert result.value == task.result.value > 0.7
    assert measure_baselines(place, request, lambda content: None) == said


def asked(
    candidates: list[Candidate],
    worth: Callable[[Candidate, int], float],
    seconds: float = math.inf,
) -> tuple[list[Candidate], list[tuple[Candidate, int]]]:
    """Returns what is chosen, and what was measured; by the clock each measurement takes 1 s."""
    calls: list[tuple[Candidate, int]] = []

    def value(candidate: Candidate, episodes: int) -> float:
        calls.append((candidate, episodes))
        return worth(candidate, episodes)

    chosen = best_of_each(candidates, value, seconds, clock=lambda: float(len(calls)))
    return chosen, calls


def test_more_episodes_correct_what_few_have_said() -> None:
    lucky, good = plain("ridge", "raw"), plain("ridge", "unit")
    rest = [plain("ridge", "standardised", initial_lambda=float(k)) for k in range(6)]
    worth = dict.fromkeys((c.identity for c in rest), (0.1, 0.1))
    worth |= {lucky.identity: (0.9, 0.4), good.identity: (0.8, 0.7)}
    chosen, calls = asked([lucky, good, *rest], lambda c, n: worth[c.identity][n > RUNGS[0]])
    assert chosen == [good]
    assert len(calls) == 8 + 2  # all on few episodes, a quarter on more


def test_equals_stay_in_the_order_of_the_guesses() -> None:
    candidates = [plain("ridge", view) for view in VIEWS]
    assert asked(candidates, lambda c, n: 0.5)[0] == candidates[:1]


def test_what_the_share_does_not_suffice_for_are_the_last_guesses(family: ClassFamily) -> None:
    values = count()
    candidates = grid(family)
    chosen, calls = asked(candidates, lambda c, n: float(next(values)), seconds=10.0)
    assert [candidate for candidate, _ in calls] == candidates[:10]
    assert len(chosen) == 4


def test_without_any_time_the_first_guess_of_each_method_stands(family: ClassFamily) -> None:
    candidates = grid(family)
    chosen, calls = asked(candidates, lambda c, n: 0.5, seconds=0.0)
    assert [c for c, _ in calls] == chosen == candidates[:4]


def test_a_candidate_that_fails_is_behind_all_others() -> None:
    bad, good = plain("ridge", "raw"), plain("ridge", "unit")
    chosen, _ = asked([bad, good], lambda c, n: -math.inf if c is bad else 0.2)
    assert chosen == [good]
