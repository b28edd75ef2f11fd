"""Candidates as JSON and back; identities."""

from __future__ import annotations

from dataclasses import replace

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


def test_values_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json(replace(CANDIDATE, learner=Choice("maml", {"inner_rate": float("nan")})))


def test_a_wrong_name_lists_near_matches_or_all() -> None:
    known = ["maml", "fomaml", "ridge"]
    assert "did you mean 'maml' or 'fomaml'?" in str(unknown_name("learner", "Maml", known))
    assert str(unknown_name("net", "xyz", known)) == (
        "no net is called 'xyz'; known: fomaml, maml, ridge"
    )
