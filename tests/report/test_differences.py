"""What changed from parent to child: every field that differs, every line of a program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from metaloop.core.records import Candidate, Choice, DataRecipe, Plan
from metaloop.report.differences import (
    ancestry,
    changed_fields,
    choices_of,
    is_generated,
    oldest_program,
    program_diff,
    recipe,
)
from metaloop.report.standing import standings

PARENT = Candidate(Choice("protonet"), Choice("conv4", {"width": 64}), Plan("episodes"))


def test_changed_fields_are_named_with_both_values() -> None:
    child = replace(
        PARENT,
        net=Choice("conv4", {"width": 96, "norm": "group"}),
        plan=replace(PARENT.plan, learning_rate=0.01, augmentation=Choice("affine")),
        data=DataRecipe(generators=(Choice("rotate", {"degrees": 90}),)),
        program="x = 1",
    )
    assert changed_fields(PARENT, child) == (
        "data.generators none → rotate(degrees=90)",
        "net.norm none → group",
        "net.width 64 → 96",
        "plan.augmentation none → affine",
        "plan.learning_rate 0.003 → 0.01",
    )
    assert changed_fields(PARENT, PARENT) == ()


def test_every_choice_of_a_candidate_is_in_its_recipe() -> None:
    choices = choices_of(PARENT)
    assert choices["net"] == "conv4" and choices["net.width"] == 64
    assert choices["plan.learning_rate"] == 0.003 and "program" not in choices
    assert recipe(PARENT)["net"] == "conv4(width=64)"
    assert "learning_rate 0.003" in recipe(PARENT)["plan"]


def test_the_ancestry_of_a_program_is_followed_to_its_oldest_program(bench: Any) -> None:
    head = bench.add("protonet", 0.5)
    first = bench.add("program", 0.5, [head], "program: wrap", program="a = 1\nb = 2\n")
    second = bench.add("program", 0.6, [first], "program: b", program="a = 1\nb = 3\n")
    records = bench.records()
    steps = ancestry(records, second)
    assert [(step.child.identity, step.parent.identity) for step in steps] == [
        (second, first),
        (first, head),
    ]
    assert steps[0].diff == ("@@ -1,2 +1,2 @@", " a = 1", "-b = 2", "+b = 3")
    assert steps[0].changes == () and steps[1].changes == ("learner protonet → program",)
    assert is_generated(records, second) and not is_generated(records, head)
    oldest = oldest_program(records, second)
    assert oldest is not None and oldest.identity == first
    assert oldest_program(records, head) is None
    same = records.candidates[first]
    assert program_diff(same, same) == ()


def test_a_program_of_the_catalogue_is_not_generated(bench: Any) -> None:
    known = bench.add("program", 0.5, program="a = 1")
    turned = bench.add("program", 0.6, [known], "data: add rotate(90)", program="a = 1", rate=0.1)
    records = bench.records()
    assert not is_generated(records, turned)
    entries = {entry.identity: entry.label for entry in standings(records)}
    assert entries[known] == entries[turned]  # the tag of the same program
    changed = bench.add("program", 0.7, [turned], "program: a became 2", program="a = 2")
    later = bench.add("program", 0.7, [changed], "plan: x", program="a = 2", rate=0.2)
    records = bench.records()
    assert is_generated(records, later)
    tags = {entry.label for entry in standings(records)}
    assert len(tags) == 2 and all(tag.startswith("program ") for tag in tags)
