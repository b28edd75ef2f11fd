"""Data recipes as text: `rotate(90) . mix(0.3, copies=2) . ways=8 . original=0.5`, and back.

Operators come in their order, each applied to all classes so far; then the settings: `ways`,
`shots` and `queries` of the training episodes, and `original`, the share of draws that keep to the
original classes (left away: a half). `original` alone is the recipe that generates nothing. Family
names are not part of the text. `parse_recipe` and `recipe_text` are inverse to each other on what
`parse_recipe` returns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from metaloop.core.errors import MetaloopError, UnknownNameError, unknown_name
from metaloop.core.records import Choice, DataRecipe, Plan
from metaloop.generators.operators import OPERATORS, Parameter, Value, operator

LEAST_ORIGINAL_SHARE = 0.25
USUAL_ORIGINAL_SHARE = 0.5  # where a recipe with operators does not say
NOTHING_GENERATED = "original"

_SHAPES = {
    "ways": Parameter("value", "whole", 2, 1000),
    "shots": Parameter("value", "whole", 1, 100),
    "queries": Parameter("value", "whole", 1, 100),
}
_SETTINGS = (*_SHAPES, "original")
_ITEM = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\(([^()]*)\)|=\s*(-?[\d.]*\d(?:[eE][-+]?\d+)?))?\s*")
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def parse_recipe(text: str, families: Sequence[str] = ()) -> DataRecipe:
    """Returns the recipe written so, of these families.

    Raises `UnknownNameError` for unknown operators and arguments and `MetaloopError` for values
    that cannot be.

    >>> recipe_text(parse_recipe("rotate(90) . mix(0.3) . original=0.25"))
    'rotate(90) . mix(0.3) . original=0.25'
    """
    generators: list[Choice] = []
    shapes: list[Choice] = []
    original: Value | None = None
    if text.strip() == NOTHING_GENERATED:
        return DataRecipe(tuple(families))
    for name, arguments, setting in _items(text):
        if setting is None:
            generators.append(_parse_operator(name, arguments))
            continue
        if name not in _SETTINGS:
            raise _unknown(name, is_setting=True)
        if name == "original" and original is None:
            original = _number(setting)
        elif name == "original" or any(shape.name == name for shape in shapes):
            raise MetaloopError(f"a recipe sets {name} once; leave one of {name}=... away")
        else:
            shapes.append(Choice(name, {"value": _number(setting)}))
    share = original if original is not None else USUAL_ORIGINAL_SHARE if generators else 1.0
    shapes.sort(key=lambda shape: list(_SHAPES).index(shape.name))
    return checked(DataRecipe(tuple(families), (*generators, *shapes), float(share)))


def recipe_text(recipe: DataRecipe) -> str:
    """Returns the recipe as text, without its families; raises as `checked`."""
    recipe = checked(recipe)
    items = [choice_text(choice) for choice in recipe.generators]
    if operators_of(recipe) and recipe.original_share != USUAL_ORIGINAL_SHARE:
        items.append(f"original={recipe.original_share!r}")
    return " . ".join(items) or NOTHING_GENERATED


def choice_text(choice: Choice) -> str:
    """Returns one item of a recipe as text: `mix(0.3, copies=2)` or `ways=8`."""
    if choice.name in _SHAPES:
        return f"{choice.name}={choice.options['value']}"
    arguments = [
        str(choice.options[p.name]) if p.default is None else f"{p.name}={choice.options[p.name]}"
        for p in operator(choice.name).all_parameters
        if p.name in choice.options
    ]
    return f"{choice.name}({', '.join(arguments)})"


def checked(recipe: DataRecipe) -> DataRecipe:
    """Returns the recipe in its one canonical form: options in their types, defaults left away.

    Raises `UnknownNameError` or `MetaloopError` if it is not a recipe: unknown names, values out
    of bounds, fewer than a quarter of original draws.
    """
    operators = [_checked_operator(c) for c in recipe.generators if c.name not in _SHAPES]
    shapes = [_checked_shape(c) for c in recipe.generators if c.name in _SHAPES]
    names = [shape.name for shape in shapes]
    if len(set(names)) < len(names):
        raise MetaloopError(f"a recipe sets each of {', '.join(_SHAPES)} once; got {names}")
    shapes.sort(key=lambda shape: list(_SHAPES).index(shape.name))
    share = recipe.original_share
    if operators and not LEAST_ORIGINAL_SHARE <= share < 1:
        raise MetaloopError(
            f"original is a share from {LEAST_ORIGINAL_SHARE} to less than 1, for learning loses "
            f"sight of the data without originals; got {share:g}"
        )
    if not operators and share != 1:
        raise MetaloopError(
            f"original={share:g} needs an operator that generates the rest; add one, "
            f"such as mix(0.3), or leave original away"
        )
    return replace(recipe, generators=(*operators, *shapes))


def operators_of(recipe: DataRecipe) -> tuple[Choice, ...]:
    """Returns the recipe's operators in order, settings left aside."""
    return tuple(choice for choice in recipe.generators if choice.name not in _SHAPES)


def shaped(plan: Plan, recipe: DataRecipe) -> Plan:
    """Returns the plan with the shape of training episodes that the recipe sets, if it does."""
    shapes = {c.name: c.options["value"] for c in checked(recipe).generators if c.name in _SHAPES}
    return replace(plan, **shapes)


def extended(recipe: DataRecipe, items: str) -> DataRecipe:
    """Returns the recipe with more operators at its end, or settings changed, written as text.

    The text's share of originals counts if the recipe generated nothing before.
    """
    added = parse_recipe(items)
    new_shapes = {choice.name for choice in added.generators} & set(_SHAPES)
    kept = [choice for choice in recipe.generators if choice.name not in new_shapes]
    share = recipe.original_share if operators_of(recipe) else added.original_share
    return checked(replace(recipe, generators=(*kept, *added.generators), original_share=share))


def without(recipe: DataRecipe, position: int) -> DataRecipe:
    """Returns the recipe without the item at `position` of its generators."""
    kept = recipe.generators[:position] + recipe.generators[position + 1 :]
    left = replace(recipe, generators=kept)
    return checked(left if operators_of(left) else replace(left, original_share=1.0))


def _items(text: str) -> list[tuple[str, str, str | None]]:
    """Returns name, arguments and setting (None for an operator) of each item."""
    items = []
    position = 0
    while True:
        found = _ITEM.match(text, position)
        if found is None or text[found.end() : found.end() + 1] not in ("", "."):
            near = text[position:].strip()[:30]
            raise MetaloopError(
                f"a recipe reads like 'rotate(90) . mix(0.3) . ways=8', items with dots between; "
                f"got {near!r}"
            )
        items.append((found[1], found[2] or "", found[3]))
        if found.end() == len(text):
            return items
        position = found.end() + 1


def _parse_operator(name: str, arguments: str) -> Choice:
    if name not in OPERATORS:
        raise _unknown(name, is_setting=False)
    parameters = {p.name: p for p in OPERATORS[name].all_parameters}
    options: dict[str, Any] = {}
    pieces = [piece.strip() for piece in arguments.split(",")] if arguments.strip() else []
    for position, piece in enumerate(pieces):
        key, equals, value = (side.strip() for side in piece.rpartition("="))
        if not equals:
            if position >= len(parameters):
                raise MetaloopError(f"{signature(name)} has no place for {piece!r}")
            key = list(parameters)[position]
        if key not in parameters:
            raise unknown_name(f"argument of {name}", key, parameters)
        if key in options:
            raise MetaloopError(f"{name}({arguments}) gives {key} twice")
        options[key] = _number(value) if _NUMBER.fullmatch(value) else value
    return Choice(name, options)


def signature(name: str) -> str:
    """Returns how an operator is written: `mix(share, copies=1)`."""
    written = (
        p.name if p.default is None else f"{p.name}={p.default}"
        for p in operator(name).all_parameters
    )
    return f"{name}({', '.join(written)})"


def _checked_operator(choice: Choice) -> Choice:
    if choice.name not in OPERATORS:
        raise _unknown(choice.name, is_setting=False)
    parameters = {p.name: p for p in OPERATORS[choice.name].all_parameters}
    for name in choice.options:
        if name not in parameters:
            raise unknown_name(f"argument of {choice.name}", name, parameters)
    options: dict[str, Value] = {}
    for name, parameter in parameters.items():
        if name not in choice.options:
            if parameter.default is None:
                raise MetaloopError(
                    f"{signature(choice.name)} needs its {name}: {parameter.expected}"
                )
            continue
        value = parameter.checked(choice.options[name], choice.name)
        if value != parameter.default:
            options[name] = value
    return Choice(choice.name, options)


def _checked_shape(choice: Choice) -> Choice:
    unknown = sorted(set(choice.options) - {"value"})
    if unknown or "value" not in choice.options:
        raise MetaloopError(f"{choice.name} has one value; got {dict(choice.options)!r}")
    value = _SHAPES[choice.name].checked(choice.options["value"], choice.name)
    return Choice(choice.name, {"value": value})


def _unknown(name: str, is_setting: bool) -> UnknownNameError:
    if is_setting and name in OPERATORS:
        return UnknownNameError(f"{name} is an operator; write {signature(name)}")
    if not is_setting and name in _SETTINGS:
        return UnknownNameError(f"{name} is a setting; write {name}=...")
    return unknown_name("operator or setting", name, [*OPERATORS, *_SETTINGS])


def _number(text: str) -> int | float:
    if _NUMBER.fullmatch(text) is None:
        raise MetaloopError(f"expected a number such as 8 or 0.5; got {text!r}")
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)
