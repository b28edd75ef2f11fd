"""A program as a Python module of its own: readable, importable, run by plain Python.

Its functions take the tensors of one task without padding and need nothing but
`metaloop.programs.operations`. They compute what the interpreter does.
"""

from __future__ import annotations

from metaloop.programs.canonical import canonical
from metaloop.programs.inference import TypedFunction, TypedProgram, infer_types
from metaloop.programs.parsing import parse
from metaloop.programs.primitives import GRADIENT, VECTOR
from metaloop.programs.syntax import Program, Statement

_COMMENT_COLUMN = 44
_LONGEST_IMPORT = 96
_HELPER = "support_gradient"
_AXES = "Axes: S support examples, Q queries, N either, C classes, D features."
_CROSS_ENTROPY = """
def inner_loss(logits, y):
    return negate(mean(sum(multiply(y, log_softmax(logits, axis=1)), axis=1), axis=0))
"""


def standalone_module(program: Program | TypedProgram, title: str, measured: str = "") -> str:
    """Returns the text of a Python module with the program's functions, in canonical form.

    Its docstring has the `title`, what was `measured` (value, interval, episodes, protocol, parent;
    as the caller words it) and how to call it. Vectors of rates appear as their first value, as in
    the program's own text. Raises `ProgramError` if the program has no types.
    """
    untyped = program.program if isinstance(program, TypedProgram) else program
    typed = infer_types(_with_inner_loss(canonical(untyped)))
    calls = {step.statement.primitive for f in typed.slots.values() for step in f.steps}
    names = (calls - {GRADIENT}) | ({_HELPER} if GRADIENT in calls else set())
    parts = [_docstring(typed, title, measured)]
    if names:
        parts.append(_imports(sorted(names)))
    parts += [_function(function, GRADIENT in calls) for function in typed.slots.values()]
    return "\n\n\n".join(parts) + "\n"


def _with_inner_loss(program: Program) -> Program:
    """Returns the program with the default loss written out where `grad` needs it."""
    used = any(s.primitive == GRADIENT for f in program.functions for s in f.statements)
    if not used or program.function("inner_loss") is not None:
        return program
    return program.with_function(parse(_CROSS_ENTROPY).functions[0])


def _docstring(typed: TypedProgram, title: str, measured: str) -> str:
    signatures = [_signature(function) for function in typed.slots.values()]
    mapped = "embed_map({}, center)" if "embed_map" in typed.slots else "{}"
    state = "adapt({}, one_hot_labels)".format(mapped.format("support"))
    star = "*" if len(typed.state_types) > 1 else ""
    usage = f"logits = predict({mapped.format('queries')}, {star}{state})"
    paragraphs = [title.strip(), measured.strip(), _AXES + "\n\n" + "\n".join(signatures)]
    text = "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{text}\n\nUse:\n\n    {usage}\n"""'


def _signature(typed: TypedFunction) -> str:
    given = ", ".join(f"{name}: {typed.types[name]}" for name in typed.function.parameters)
    results = ", ".join(map(str, typed.result_types))
    return f"    {typed.function.slot}({given}) -> {results}"


def _imports(names: list[str]) -> str:
    line = f"from metaloop.programs.operations import {', '.join(names)}"
    if len(line) <= _LONGEST_IMPORT:
        return line
    listed = "".join(f"    {name},\n" for name in names)
    return f"from metaloop.programs.operations import (\n{listed})"


def _function(typed: TypedFunction, uses_gradient: bool) -> str:
    function = typed.function
    lines = [f"def {function.slot}({', '.join(function.parameters)}):"]
    if function.slot == "adapt" and uses_gradient:
        x, y = function.parameters
        lines.append(f"    {GRADIENT} = {_HELPER}(predict, inner_loss, {x}, {y})")
    for step in typed.steps:
        statement = step.statement
        line = f"    {statement.target} = {_call(statement, function.parameters[0])}"
        lines.append(f"{line:<{_COMMENT_COLUMN}}  # {step.typing.result}")
    lines.append(f"    return {', '.join(function.results)}")
    return "\n".join(lines)


def _call(statement: Statement, features: str) -> str:
    if statement.primitive == VECTOR:
        return f"{VECTOR}({statement.arguments[0]}, {features}.shape[1])"
    return statement.call
