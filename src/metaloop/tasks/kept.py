"""What a model keeps of the family that it was made with: names of its parts, content, view."""

from __future__ import annotations

from dataclasses import replace

from metaloop.core.fitted_view import FittedView
from metaloop.tasks.family import ClassFamily, TaskFamily
from metaloop.tasks.generation import GenerationFamily
from metaloop.tasks.groups import GroupFamily, seen_groups
from metaloop.tasks.recognising import Seen, seen_of


def with_store(family: TaskFamily) -> ClassFamily | GroupFamily | None:
    """Returns the family itself where it has a store of examples; None of families of functions."""
    if isinstance(family, GenerationFamily):
        return replace(family.classes, given_format=family.input_format)
    return family if isinstance(family, ClassFamily | GroupFamily) else None


def examples_seen(family: TaskFamily) -> Seen | None:
    """Returns what a model made with this family keeps of it; None where there is no data."""
    if isinstance(family, GroupFamily):
        return seen_groups(family)
    if isinstance(family, GenerationFamily):
        return seen_of(family.classes)
    return seen_of(family) if isinstance(family, ClassFamily) else None


def view_of(family: TaskFamily) -> FittedView | None:
    """Returns the view that a family's inputs are seen in, if any."""
    stored = with_store(family)
    return None if stored is None else stored.view


def class_parts(family: TaskFamily) -> dict[str, tuple[str, ...]]:
    """Returns the names of the classes or groups of every part (empty where there are none)."""
    stored = with_store(family)
    if stored is None:
        return {}
    names = [info.name for info in stored.store.classes]
    return {part: tuple(names[index] for index in stored.parts[part]) for part in stored.parts}
