"""The canonical form: programs that differ only in spelling become one text.

    dead code            statements, and values of the state, that nothing reads
    common expressions   computed once (not `vector`: each is a parameter of its own)
    undone work          transpose of transpose, negate of negate
    order                arguments of commutative calls; statements just before their first use
    names                x, y, w, ... for parameters; a, b, c, ... for values
    axes                 `axis=0` wherever a vector runs along rows: the text is plain Python
    slots                an `embed_map` that returns `x`, an `inner_loss` that no `grad` uses: gone

Results are equal to the last bit but for sums whose terms change places. Canonical form is
idempotent. Constants keep their values and may get other numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from metaloop.programs.inference import TypedFunction, infer_types
from metaloop.programs.primitives import GRADIENT, PRIMITIVES, VECTOR
from metaloop.programs.slots import SLOTS
from metaloop.programs.syntax import (
    Argument,
    Function,
    Literal,
    Name,
    Program,
    Statement,
    fresh_names,
    make_program,
)

_OWN_INVERSE = ("transpose", "negate")


def canonical(program: Program) -> Program:
    """Returns the canonical form; raises `ProgramError` if the program has no types."""
    typed = infer_types(program)
    functions = [_canonical_function(function) for function in typed.slots.values()]
    shorter = _without_dead_state(make_program(functions))
    shorter = _without_idle_slots(shorter)
    # What was dead may have kept other things alive.
    return shorter if shorter == program else canonical(shorter)


def canonical_text(program: Program) -> str:
    """Returns the text of the canonical form: equal for programs that differ only in spelling."""
    return str(canonical(program))


@dataclass(frozen=True)
class _Node:
    """A value: a parameter (`place`), a number, or a call of other nodes (by their index).

    `order` sorts the arguments of commutative calls: numbers, parameters, then shallow before deep;
    it does not depend on names.
    """

    order: tuple[int, float, str]
    statement: Statement | None = None
    arguments: tuple[int, ...] = ()
    name: str = ""
    literal: Literal | None = None


@dataclass
class _Graph:
    """The values of one function, each once."""

    nodes: list[_Node] = field(default_factory=list)
    known: dict[object, int] = field(default_factory=dict)

    def add(self, key: object, node: _Node) -> int:
        if key not in self.known:
            self.known[key] = len(self.nodes)
            self.nodes.append(node)
        return self.known[key]


def _canonical_function(typed: TypedFunction) -> Function:
    function = typed.function
    graph, values = _Graph(), {}
    for place, parameter in enumerate(function.parameters):
        node = _Node((1, float(place), ""), name=parameter)
        values[parameter] = graph.add(("parameter", place), node)
    for number, step in enumerate(typed.steps):
        statement = replace(step.statement, axis=step.typing.axis)
        if statement.primitive == GRADIENT:
            statement = replace(statement, wrt=statement.wrt or 0)
        arguments = tuple(_argument(graph, values, a) for a in statement.arguments)
        values[statement.target] = _call(graph, statement, arguments, number)
    return _printed(function, graph, [values[name] for name in function.results])


def _argument(graph: _Graph, values: dict[str, int], argument: Argument) -> int:
    if isinstance(argument, Name):
        return values[argument.name]
    return graph.add(("number", str(argument)), _Node((0, argument.value, ""), literal=argument))


def _call(graph: _Graph, statement: Statement, arguments: tuple[int, ...], number: int) -> int:
    """Returns the node of a call, a known one if it computes nothing new."""
    called = PRIMITIVES[statement.primitive]
    orders = [graph.nodes[index].order for index in arguments]
    if called.commutative:
        arguments = tuple(sorted(arguments, key=lambda index: graph.nodes[index].order))
        orders.sort()
    inner = graph.nodes[arguments[0]]
    inner_name = inner.statement.primitive if inner.statement is not None else ""
    if called.name in _OWN_INVERSE and inner_name == called.name:
        return inner.arguments[0]
    options = (called.name, statement.axis, statement.wrt)
    depth = 1.0 + max(order[1] if order[0] == 2 else 0.0 for order in orders)
    digest = hashlib.sha256(repr((options, orders)).encode()).hexdigest()
    node = _Node((2, depth, digest), statement, arguments)
    own = number if called.name == VECTOR else None
    return graph.add((options, arguments, own), node)


def _printed(function: Function, graph: _Graph, results: Sequence[int]) -> Function:
    """Returns the function that computes the results, each value just before its first use."""
    parameters = SLOTS[function.slot].parameter_names(len(function.parameters))
    parameters = parameters[: len(function.parameters)]
    names: dict[int, str] = {}
    for place, parameter in enumerate(parameters):
        names[graph.known["parameter", place]] = parameter
    fresh = fresh_names(parameters)
    statements: list[Statement] = []

    def visit(index: int) -> Argument:
        node = graph.nodes[index]
        if node.literal is not None:
            return node.literal
        if index not in names:
            assert node.statement is not None
            arguments = tuple(visit(argument) for argument in node.arguments)
            names[index] = next(fresh)
            statements.append(replace(node.statement, target=names[index], arguments=arguments))
        return Name(names[index])

    returned = tuple(str(visit(index)) for index in results)
    return Function(function.slot, parameters, tuple(statements), returned)


def _without_dead_state(program: Program) -> Program:
    """Returns the program without values of the state that predict and gradients do not need."""
    adapt, predict = program.function("adapt"), program.function("predict")
    assert adapt is not None and predict is not None
    read = {name for statement in predict.statements for name in statement.names}
    read |= set(predict.results)
    gradients = [s for s in adapt.statements if s.primitive == GRADIENT]
    differentiated = {statement.wrt or 0 for statement in gradients}
    keep = [
        place
        for place in range(len(adapt.results))
        if predict.parameters[place + 1] in read or place in differentiated
    ]
    keep = keep or [0]  # a state is never empty
    if len(keep) == len(adapt.results):
        return program

    def shortened(statement: Statement) -> Statement:
        if statement.primitive != GRADIENT:
            return statement
        arguments = tuple(statement.arguments[place] for place in keep)
        return replace(statement, arguments=arguments, wrt=keep.index(statement.wrt or 0))

    shorter_adapt = replace(
        adapt,
        statements=tuple(shortened(statement) for statement in adapt.statements),
        results=tuple(adapt.results[place] for place in keep),
    )
    parameters = (predict.parameters[0], *(predict.parameters[place + 1] for place in keep))
    shorter_predict = replace(predict, parameters=parameters)
    return program.with_function(shorter_adapt).with_function(shorter_predict)


def _without_idle_slots(program: Program) -> Program:
    embed_map, adapt = program.function("embed_map"), program.function("adapt")
    assert adapt is not None
    if embed_map is not None and embed_map.results == embed_map.parameters[:1]:
        program = program.without("embed_map")
    if all(statement.primitive != GRADIENT for statement in adapt.statements):
        program = program.without("inner_loss")
    return program
