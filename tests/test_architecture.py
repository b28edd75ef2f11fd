"""What the map says and import-linter cannot see: who asks what kind of data there is."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "metaloop"

KINDS = {
    *("image", "images", "vector", "vectors", "text", "texts", "audio", "recording", "recordings"),
    *("speech", "video"),
}
# Rooms that may ask: a domain is about its kind, a reader decides what kind data are, and records
# know of no inputs: what is compared there are columns of tables.
OF_KINDS = ("domains/", "tasks/readers/", "report/")

OF_FAMILIES = ("tasks/",)


def asks_for_a_kind(node: ast.AST) -> bool:
    """Whether something is compared with the name of a kind of inputs."""
    if not isinstance(node, ast.Compare):
        return False
    sides = [node.left, *node.comparators]
    sides += [each for side in sides if isinstance(side, ast.Tuple | ast.Set) for each in side.elts]
    return any(isinstance(side, ast.Constant) and side.value in KINDS for side in sides)


def tells_families_apart(node: ast.AST) -> bool:
    """Whether it is asked if something is a family of classes, or of groups."""
    if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance"):
        return False
    names = {each.id for each in ast.walk(node.args[1]) if isinstance(each, ast.Name)}
    return bool(names & {"ClassFamily", "GroupFamily", "SinusoidFamily"})


def found(rule: Callable[[ast.AST], bool], rooms: tuple[str, ...]) -> Counter[str]:
    """How often each file outside of these rooms does what the rule is about."""
    hits: Counter[str] = Counter()
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(rooms):
            hits[name] += sum(map(rule, ast.walk(ast.parse(path.read_text()))))
    return +hits


@pytest.mark.parametrize(
    ("rule", "rooms"),
    [(asks_for_a_kind, OF_KINDS), (tells_families_apart, OF_FAMILIES)],
    ids=["kinds of inputs", "kinds of families"],
)
def test_nobody_asks_what_kind_there_is(
    rule: Callable[[ast.AST], bool], rooms: tuple[str, ...]
) -> None:
    asking = dict(found(rule, rooms))
    assert not asking, f"ask the domain, or the family (`as_classes`), instead: {asking}"


def test_the_rules_see_what_they_are_about() -> None:
    def hits(rule: Callable[[ast.AST], bool], text: str) -> int:
        return sum(map(rule, ast.walk(ast.parse(text))))

    assert hits(asks_for_a_kind, 'if f.kind == "image" or kind in ("vector", x): pass') == 2
    assert hits(asks_for_a_kind, 'kind = "image"; print(kind == other)') == 0
    assert hits(tells_families_apart, "isinstance(f, ClassFamily | GroupFamily)") == 1
    assert hits(tells_families_apart, "isinstance(f, TaskFamily) and isinstance(x, int)") == 0
