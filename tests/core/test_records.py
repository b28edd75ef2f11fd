"""Candidates as JSON and back; identities."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from typing import Any

import pytest

from metaloop.core.errors import unknown_name
from metaloop.core.records import Candidate, Choice, DataRecipe, Plan, candidate_from_json, to_json

CANDIDATE = Candidate(
    Choice("maml", {"inner_steps": 3, "inner_rate": 0.1}),
    Choice("conv4", {"channels": 8}),
    Plan("episodes", ways=7, augmentation=Choice("affine", {"shift": 0.1})),
    DataRecipe(("glyphs",), (Choice("rotate", {"share": 0.5}),), 0.25),
    "program text",
)


def test_a_candidate_comes_back_from_its_json() -> None:
    assert candidate_from_json(to_json(CANDIDATE)) == CANDIDATE
    assert to_json(candidate_from_json(to_json(CANDIDATE))) == to_json(CANDIDATE)


def test_the_identity_is_that_of_the_content() -> None:
    reordered = replace(CANDIDATE, learner=Choice("maml", {"inner_rate": 0.1, "inner_steps": 3}))
    assert reordered.identity == CANDIDATE.identity
    assert len(CANDIDATE.identity) == 16
    others = [
        replace(CANDIDATE, learner=Choice("maml")),
        replace(CANDIDATE, plan=Plan("episodes")),
        replace(CANDIDATE, program=None),
    ]
    assert len({CANDIDATE.identity, *(c.identity for c in others)}) == 4


def test_a_field_at_its_default_is_no_part_of_the_identity() -> None:
    """As if these fields had been added later: what was not chosen is not hashed."""
    plain = Candidate(Choice("maml"), Choice("conv4"), Plan("episodes"))
    spelled = replace(
        plain,
        plan=Plan("episodes", ways=5, schedule="cosine", augmentation=Choice("none", {})),
        data=DataRecipe((), (), 1.0),
        program=None,
    )
    text = '{"learner":{"name":"maml"},"net":{"name":"conv4"},"plan":{"style":"episodes"}}'
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert plain.identity == spelled.identity == digest
    assert json.loads(to_json(plain))["plan"]["schedule"] == "cosine"  # the record is complete


def test_every_field_that_differs_from_its_default_changes_the_identity() -> None:
    plain = Candidate(Choice("maml"), Choice("conv4"), Plan("episodes"))
    others: dict[str, Any] = {
        "style": "classes",
        "augmentation": Choice("photo", {"crop": 0.5}),
        "optimiser": "sgd",
        "schedule": "linear",
        "precision": "fastest",
        "classifier": "means",
    }
    for known in fields(Plan):
        if known.name not in others:
            others[known.name] = type(known.default)(77)
    plans = [replace(plain.plan, **{name: value}) for name, value in others.items()]
    changed = [replace(plain, plan=plan) for plan in plans]
    changed += [
        replace(plain, data=DataRecipe(("glyphs",))),
        replace(plain, data=DataRecipe(generators=(Choice("rotate"),))),
        replace(plain, data=DataRecipe(generators=(Choice("rotate", {"share": 0.5}),))),
        replace(plain, data=DataRecipe(original_share=0.5)),
        replace(plain, net=Choice("conv4", {"depth": 3})),
        replace(plain, program="text"),
    ]
    assert len({plain.identity, *(c.identity for c in changed)}) == len(changed) + 1


def test_values_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json(replace(CANDIDATE, learner=Choice("maml", {"inner_rate": float("nan")})))


def test_a_wrong_name_lists_near_matches_or_all() -> None:
    known = ["maml", "fomaml", "ridge"]
    assert "did you mean 'maml' or 'fomaml'?" in str(unknown_name("learner", "Maml", known))
    assert str(unknown_name("net", "xyz", known)) == (
        "no net is called 'xyz'; known: fomaml, maml, ridge"
    )
