"""From text to a syntax tree, by Python's own grammar; nothing of the text is ever executed.

Only what the language has is taken over; everything else is refused with its line. Sizes are
limited, so that a hostile file costs no more than an honest one.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from metaloop.core.errors import unknown_name
from metaloop.programs.errors import ProgramError
from metaloop.programs.primitives import GRADIENT, primitive
from metaloop.programs.slots import MAX_STATE_VALUES, SLOTS
from metaloop.programs.syntax import (
    MAX_CHARACTERS,
    MAX_STATEMENTS,
    Argument,
    Function,
    Literal,
    Name,
    Program,
    Statement,
    check_name,
    fresh_names,
    make_program,
)

_LARGEST_NUMBER = 1e30  # of a literal: float32 with room for products
_DEEPEST_CALL = 20  # calls within calls
_LARGEST_POSITION = 9  # of axis= and wrt=; what fits is a question of types


def parse(text: str) -> Program:
    """Returns the program that a text describes.

    Raises `ProgramError`, one line that begins with the place, for text that is not in the language
    or too large. Types are checked elsewhere (`metaloop.programs.checking`).
    """
    if len(text) > MAX_CHARACTERS:
        raise ProgramError(f"a program has at most {MAX_CHARACTERS} characters, got {len(text)}")
    functions: dict[str, Function] = {}
    for node in _tree(text).body:
        if not isinstance(node, ast.FunctionDef):
            raise _at(node, f"expected functions only, got {_kind(node)}")
        if node.name not in SLOTS:
            raise _at(node, unknown_name("slot", node.name, SLOTS))
        if node.name in functions:
            raise _at(node, f"slot '{node.name}' is there twice; remove one")
        functions[node.name] = _function(node)
    return make_program(functions.values())


@dataclass
class _Body:
    """What has been read of a function so far."""

    known: set[str]
    fresh: Iterator[str]
    statements: list[Statement] = field(default_factory=list)
    depth: int = 0

    def add(self, node: ast.AST, statement: Statement) -> None:
        if len(self.statements) >= MAX_STATEMENTS:
            raise _at(node, f"a slot has at most {MAX_STATEMENTS} calls; make it shorter")
        self.statements.append(statement)
        self.known.add(statement.target)


def _tree(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about texts that are refused anyway
            return ast.parse(text)
    except SyntaxError as error:
        raise ProgramError(f"line {error.lineno or 1}: not Python: {error.msg}") from None
    except (RecursionError, MemoryError, ValueError) as error:
        problem = str(error) or "it is nested too deeply"
        raise ProgramError(f"the text cannot be read as Python: {problem}") from None


def _function(node: ast.FunctionDef) -> Function:
    parameters = _parameters(node)
    names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
    body = _Body(set(parameters), fresh_names([*names, *parameters]))
    for line in node.body[:-1]:
        if not (
            isinstance(line, ast.Assign)
            and len(line.targets) == 1
            and isinstance(line.targets[0], ast.Name)
        ):
            raise _at(line, f"expected `name = primitive(...)`, got {_kind(line)}")
        target = line.targets[0].id
        _new_name(line, target, body.known)
        _call(line.value, body, target)
    return Function(node.name, parameters, *_ending(node.body[-1], body))


def _parameters(node: ast.FunctionDef) -> tuple[str, ...]:
    slot, given = SLOTS[node.name], node.args
    plain = not (
        given.posonlyargs or given.vararg or given.kwonlyargs or given.kwarg or given.defaults
    )
    if not plain or node.decorator_list or node.returns or any(a.annotation for a in given.args):
        raise _at(node, "parameters are plain names, without defaults, stars and annotations")
    names = tuple(argument.arg for argument in given.args)
    least = len(slot.parameters)
    most = least + (MAX_STATE_VALUES if slot.takes_state else 0)
    if not least <= len(names) <= most:
        usual = ", ".join(slot.parameter_names(1))
        raise _at(node, f"expected {node.name}({usual}), got {len(names)} parameters")
    known: set[str] = set()
    for name in names:
        _new_name(node, name, known)
        known.add(name)
    return names


def _ending(node: ast.stmt, body: _Body) -> tuple[tuple[Statement, ...], tuple[str, ...]]:
    if not isinstance(node, ast.Return) or node.value is None:
        raise _at(node, f"expected `return` with a value at the end, got {_kind(node)}")
    values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    if not 1 <= len(values) <= MAX_STATE_VALUES:
        raise _at(node, f"expected 1 to {MAX_STATE_VALUES} returned values, got {len(values)}")
    results = []
    for value in values:
        argument = _argument(value, body)
        if not isinstance(argument, Name):
            raise _at(node, "expected names or calls after `return`, got a number")
        results.append(argument.name)
    return tuple(body.statements), tuple(results)


def _call(node: ast.expr, body: _Body, target: str | None = None) -> str:
    """Adds the statements of a call, those of the calls in its arguments first.

    Returns the name of its value: `target`, or a fresh one.
    """
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise _at(node, f"expected a call such as add(x, 1.0), got {_kind(node)}")
    try:
        called = primitive(node.func.id)
    except ProgramError as error:
        raise _at(node, error) from None
    if body.depth >= _DEEPEST_CALL:
        raise _at(node, f"calls are nested more than {_DEEPEST_CALL} deep; use more lines")
    body.depth += 1
    arguments = tuple(_argument(argument, body) for argument in node.args)
    body.depth -= 1
    allowed = "wrt" if called.name == GRADIENT else "axis" if called.axis != "never" else None
    options: dict[str, int] = {}
    for option in node.keywords:
        if option.arg is None or option.arg != allowed or option.arg in options:
            raise _at(node, f"'{called.name}' does not take {option.arg or '**'}")
        options[option.arg] = _position(option.value)
    target = target or next(body.fresh)
    body.add(node, Statement(target, called.name, arguments, **options))
    return target


def _argument(node: ast.expr, body: _Body) -> Argument:
    if isinstance(node, ast.Name):
        if node.id not in body.known:
            raise _at(node, unknown_name("value", node.id, body.known))
        return Name(node.id)
    if isinstance(node, ast.Call):
        return Name(_call(node, body))
    return Literal(_number(node))


def _number(node: ast.expr) -> float:
    negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    inner = node.operand if isinstance(node, ast.UnaryOp) and negative else node
    # bool is a subclass of int: `True` is not a number here
    if not isinstance(inner, ast.Constant) or type(inner.value) not in (int, float):
        raise _at(node, f"expected a name, a number or a call, got {_kind(node)}")
    if not abs(inner.value) <= _LARGEST_NUMBER:  # type: ignore[arg-type]
        raise _at(node, f"numbers go up to {_LARGEST_NUMBER:g}")
    return -float(inner.value) if negative else float(inner.value)  # type: ignore[arg-type]


def _position(node: ast.expr) -> int:
    if (
        not isinstance(node, ast.Constant)
        or type(node.value) is not int
        or not 0 <= node.value <= _LARGEST_POSITION
    ):
        raise _at(node, f"axis and wrt are small whole numbers, got {_kind(node)}")
    return node.value


def _new_name(node: ast.AST, name: str, known: set[str]) -> None:
    try:
        check_name(name)
    except ProgramError as error:
        raise _at(node, error) from None
    if name in known:
        raise _at(node, f"'{name}' already has a value; use a new name")


def _at(node: ast.AST, problem: object) -> ProgramError:
    return ProgramError(f"line {getattr(node, 'lineno', 1)}: {problem}")


def _kind(node: ast.AST) -> str:
    """A short piece of the text that is refused."""
    try:
        text = ast.unparse(node).split("\n")[0]
    except (RecursionError, ValueError):
        text = type(node).__name__
    return f"`{text}`" if len(text) <= 40 else f"`{text[:40]}...`"
