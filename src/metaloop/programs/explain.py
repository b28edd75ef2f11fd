"""The difference between a parent program and its child, in short sentences.

Both are brought to canonical form. Values that compute the same expression are paired, then calls
of the same primitive in the same order, then the rest by place; what is left was inserted or
removed. A sentence has the canonical names of the child, of the parent for what is gone.

    predict: constant 10.0 became 13.2 in multiply(13.2, b)
    embed_map: inserted power(subtract(x, center), 0.5)
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from metaloop.programs.canonical import canonical
from metaloop.programs.slots import SLOTS
from metaloop.programs.syntax import Argument, Function, Literal, Name, Program, Statement

_LONGEST_EXPRESSION = 60  # characters, before inner values are left as names
_MOST_CHANGES = 6  # of one slot, before it is called rewritten
_SAME = "the same algorithm in other words"


def explain(parent: Program, child: Program) -> tuple[str, ...]:
    """Returns one sentence for each change from `parent` to `child`, slot by slot.

    Raises `ProgramError` if one of them has no types.
    """
    before, after = canonical(parent), canonical(child)
    sentences: list[str] = []
    for slot in SLOTS:
        old, new = before.function(slot), after.function(slot)
        if new is not None and old is None:
            sentences.append(f"{slot}: new; it returns {_returned(new)}")
        elif old is not None and new is None:
            sentences.append(f"{slot}: removed; it returned {_returned(old)}")
        elif old is not None and new is not None and old != new:
            changes = list(_Comparison(old, new, _pairs(old, new)).changes())
            if not 0 < len(changes) <= _MOST_CHANGES:
                changes = [f"rewritten with {_words(new)}; before with {_words(old)}"]
            sentences += [f"{slot}: {change}" for change in changes]
    return tuple(sentences) or (_SAME,)


@dataclass(frozen=True)
class _Comparison:
    """Two functions of one slot, and which value of the new one is which of the old one."""

    old: Function
    new: Function
    paired: dict[str, str]  # names of the new function -> names of the old one

    def changes(self) -> Iterator[str]:
        old_calls = {statement.target: statement for statement in self.old.statements}
        for statement in self.new.statements:
            if statement.target not in self.paired:
                yield f"inserted {_expression(self.new, statement.target)}"
                continue
            before = old_calls[self.paired[statement.target]]
            if before.primitive != statement.primitive:
                was = _expression(self.old, before.target)
                yield f"replaced {was} by {_expression(self.new, statement.target)}"
            else:
                yield from self._in_call(before, statement)
        kept = set(self.paired.values())
        for statement in self.old.statements:
            if statement.target not in kept:
                yield f"removed {_expression(self.old, statement.target)}"
        if not self._follows(
            tuple(map(Name, self.old.results)), tuple(map(Name, self.new.results))
        ):
            yield f"now returns {_returned(self.new)} instead of {_returned(self.old)}"

    def _in_call(self, before: Statement, after: Statement) -> Iterator[str]:
        """Yields what differs between two calls of one primitive."""
        if before.axis != after.axis:
            yield f"{before.call} became {after.call}"
        if before.wrt != after.wrt:
            yield f"differentiates by state value {after.wrt} instead of {before.wrt}"
        if not self._follows(before.arguments, after.arguments):
            now = _expression(self.new, after.target)
            yield f"{_expression(self.old, before.target)} became {now}"
            return
        for was, argument in zip(before.arguments, after.arguments, strict=False):
            if isinstance(was, Literal) and isinstance(argument, Literal) and was != argument:
                yield f"constant {was} became {argument} in {after.call}"

    def _follows(self, before: tuple[Argument, ...], after: tuple[Argument, ...]) -> bool:
        """Whether arguments are those of before, or changed as reported elsewhere."""
        if len(before) != len(after):
            return False
        return all(self._same(was, now) for was, now in zip(before, after, strict=True)) or (
            len(before) == 2  # of a commutative call, in the other order
            and self._same(before[0], after[1])
            and self._same(before[1], after[0])
        )

    def _same(self, was: Argument, now: Argument) -> bool:
        if isinstance(was, Literal) or isinstance(now, Literal):
            return isinstance(was, Literal) and isinstance(now, Literal)
        if self.paired.get(now.name) == was.name:
            return True
        inserted = self._call(self.new, now.name) if now.name not in self.paired else None
        removed = self._call(self.old, was.name) if was.name not in self.paired.values() else None
        if inserted is not None and any(
            self._same(was, argument) for argument in inserted.arguments
        ):
            return True
        return removed is not None and any(
            self._same(argument, now) for argument in removed.arguments
        )

    @staticmethod
    def _call(function: Function, name: str) -> Statement | None:
        return next((s for s in function.statements if s.target == name), None)


def _pairs(old: Function, new: Function) -> dict[str, str]:
    """Returns which value of `new` corresponds to which of `old`, by name."""
    pairs = dict(zip(new.parameters, old.parameters, strict=False))
    by_digest = {digest: name for name, digest in _digests(old).items()}
    for name, digest in _digests(new).items():
        if digest in by_digest:
            pairs[name] = by_digest.pop(digest)
    taken = set(pairs.values())
    left_old = [s for s in old.statements if s.target not in taken]
    left_new = [s for s in new.statements if s.target not in pairs]
    matcher = difflib.SequenceMatcher(
        None, [s.primitive for s in left_old], [s.primitive for s in left_new], autojunk=False
    )
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag in ("equal", "replace"):
            for was, now in zip(left_old[i1:i2], left_new[j1:j2], strict=False):
                pairs[now.target] = was.target
    return pairs


def _digests(function: Function) -> dict[str, str]:
    """Returns a hash of the expression behind each statement, by name."""
    found = {name: str(place) for place, name in enumerate(function.parameters)}
    for s in function.statements:
        inner = [found[a.name] if isinstance(a, Name) else f"={a}" for a in s.arguments]
        text = repr((s.primitive, s.axis, s.wrt, inner))
        found[s.target] = hashlib.sha256(text.encode()).hexdigest()
    return {s.target: found[s.target] for s in function.statements}


def _words(function: Function) -> str:
    return ", ".join(dict.fromkeys(s.primitive for s in function.statements)) or "no calls"


def _returned(function: Function) -> str:
    return ", ".join(_expression(function, name) for name in function.results)


def _expression(function: Function, name: str) -> str:
    """Returns what a value is, written out as far as it stays short."""
    written = {parameter: parameter for parameter in function.parameters}
    for statement in function.statements:
        expanded = statement.renamed(lambda inner: written.get(inner, inner)).call
        short = len(expanded) <= _LONGEST_EXPRESSION
        written[statement.target] = expanded if short else statement.target
        if statement.target == name:
            return expanded if short else statement.call
    return name
