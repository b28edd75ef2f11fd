"""Step 4, generate new algorithms from old ones: small changes of plans and nets, and crossover.

A variation is a candidate that differs from its parents, with the operator that made it in words.
The space it moves in is `catalogue/space.py`; the random numbers come from the caller's generator
alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metaloop.catalogue.learners import learner_entry
from metaloop.catalogue.space import (
    DECIDING,
    TargetKind,
    space_of,
    trained_as,
    value_of,
    with_value,
)
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Candidate

_CHANCES = (0.6, 0.3, 0.1)  # of one, two and three changes at once


@dataclass(frozen=True)
class Variation:
    """A new candidate and how it came to be: `plan: learning_rate 0.003 -> 0.0071`.

    `further_parents`: identities of those that gave something beside the one that was changed.
    """

    candidate: Candidate
    operator: str
    further_parents: tuple[str, ...] = ()


def vary_plan(
    candidate: Candidate,
    input_format: InputFormat,
    rng: np.random.Generator,
    target_kind: TargetKind = "classes",
) -> Variation | None:
    """Returns the candidate with one to three changes of its plan or augmentation.

    None where nothing can vary: a plain baseline.
    """
    return _varied(candidate, input_format, rng, target_kind, ("plan", "augmentation"), "plan")


def vary_net(
    candidate: Candidate,
    input_format: InputFormat,
    rng: np.random.Generator,
    target_kind: TargetKind = "classes",
) -> Variation | None:
    """Returns the candidate with one to three changes of its net, which may become another one.

    None where nothing can vary: a plain baseline, raw inputs, a net of the user's own.
    """
    return _varied(candidate, input_format, rng, target_kind, ("net",), "net")


def crossover(
    first: Candidate,
    second: Candidate,
    rng: np.random.Generator,
    third: Candidate | None = None,
) -> Variation | None:
    """Returns a candidate whose learner, net, plan and data recipe come from different parents.

    All combinations that are new and fit are equally likely; only the data recipe may come from
    `third`. A plan fits a learner whose own parent is trained in the same style. None where the
    parents have nothing new to exchange, and for plain baselines.
    """
    parents = [first, second]
    if any(parent.plan.style == "none" for parent in parents):
        return None
    givers = [*parents, *([third] if third is not None else [])]
    known = {parent.identity for parent in givers}
    found: dict[str, Variation] = {}
    for learner, net, plan, data in itertools.product(parents, parents, parents, givers):
        if not _fits(learner, plan):
            continue
        if learner_entry(learner.learner.name).net and net is not learner:
            continue  # it has a net of its own
        child = replace(learner, net=net.net, plan=plan.plan, data=data.data)
        if child.identity not in known:
            givers_of = {"learner": learner, "net": net, "plan": plan, "data": data}
            gave = dict.fromkeys(giver.identity for giver in givers_of.values())
            others = tuple(identity for identity in gave if identity != first.identity)
            found.setdefault(child.identity, Variation(child, _exchange(givers_of), others))
    if not found:
        return None
    return list(found.values())[rng.integers(len(found))]


def _varied(
    candidate: Candidate,
    input_format: InputFormat,
    rng: np.random.Generator,
    target_kind: TargetKind,
    places: Collection[str],
    label: str,
) -> Variation | None:
    wanted = 1 + int(rng.choice(len(_CHANCES), p=_CHANCES))
    done: set[tuple[str, str]] = set()
    words: list[str] = []
    child = candidate
    while len(done) < wanted:
        left = [
            dimension
            for dimension in space_of(child, input_format, target_kind)
            if dimension.place in places and (dimension.place, dimension.name) not in done
        ]
        if done:  # what decides which other choices matter changes first or not at all
            left = [d for d in left if (d.place, d.name) not in DECIDING]
        if not left:
            break
        dimension = left[rng.integers(len(left))]
        before = value_of(child, dimension)
        after = dimension.values.step(before, rng)
        child = with_value(child, dimension, after)
        done.add((dimension.place, dimension.name))
        name = dimension.name
        if dimension.place == "augmentation":
            name = f"{child.plan.augmentation.name}.{name}"
        words.append(f"{name} {_words(before)} -> {_words(after)}")
    if not words:
        return None
    return Variation(child, f"{label}: {', '.join(words)}")


def _fits(learner: Candidate, plan: Candidate) -> bool:
    """Whether the learner can be trained by the plan: its own parent is, in that style."""
    if learner.plan.style == plan.plan.style:
        return True
    return trained_as(learner) == trained_as(plan)


def _exchange(givers: dict[str, Candidate]) -> str:
    parts: dict[str, list[str]] = {}
    for part, giver in givers.items():
        parts.setdefault(giver.identity, []).append(part)
    return "crossover: " + "; ".join(
        f"{' and '.join(names)} of {identity[:8]}" for identity, names in parts.items()
    )


def _words(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
