"""The best algorithm on the page: its recipe, its program, and what changed on the way to it."""

from __future__ import annotations

from metaloop.report.claim import Claim
from metaloop.report.differences import (
    Step,
    ancestry,
    best_generated,
    is_generated,
    oldest_program,
    program_diff,
    recipe,
)
from metaloop.report.figures import count, figure, shortened
from metaloop.report.lineage import origin
from metaloop.report.page.markup import Html, element, join
from metaloop.report.page.source import difference, source
from metaloop.report.page.tables import folded, pairs
from metaloop.report.reading import Records
from metaloop.report.standing import Standing, label, short, standing

_MOST_STEPS = 30
_LONGEST_TEXT = 1000  # characters


def best_algorithm(records: Records, claim: Claim) -> Html:
    """Returns the recipe of the best candidate and, where there is one, a program's story."""
    best = claim.best
    if best is None:
        return element("p", "No candidate has a figure yet.", class_="quiet")
    parts = [
        element("h3", f"{best.label} ({short(best.identity)})"),
        _recipe(best),
        _program(records, best),
        _steps(records, best),
    ]
    generated = None if is_generated(records, best.identity) else best_generated(records)
    if generated is not None:
        parts += [
            element("h3", f"The best generated program: {generated.label}"),
            element(
                "p",
                f"It is not what was chosen; on search it has {figure(generated.search)}. "
                f"({short(generated.identity)}, {origin(generated)})",
            ),
            _program(records, generated),
            _steps(records, generated),
        ]
    return join(*parts)


def _recipe(entry: Standing) -> Html:
    told = [*recipe(entry.stored.candidate).items(), ("made by", origin(entry))]
    return pairs([(name, shortened(value, _LONGEST_TEXT)) for name, value in told])


def _program(records: Records, entry: Standing) -> Html | None:
    program = entry.stored.candidate.program
    if program is None:
        return None
    parts = [source(program)]
    oldest = oldest_program(records, entry.identity)
    if oldest is not None:
        lines = program_diff(oldest, entry.stored)
        name = f"{label(oldest.candidate)} ({short(oldest.identity)})"
        parts.append(element("p", f"The difference from its oldest ancestor, {name}:"))
        parts.append(difference(lines) if lines else element("p", "none", class_="quiet"))
    return join(*parts)


def _steps(records: Records, entry: Standing) -> Html | None:
    steps = ancestry(records, entry.identity)
    if not steps:
        return None
    shown = [_step(records, step) for step in steps[:_MOST_STEPS]]
    more = len(steps) - len(shown)
    note = element("p", f"{count(more, 'earlier step')} not shown.", class_="quiet")
    name = f"{count(len(steps), 'step')} from its first ancestor, the latest first"
    return folded(name, *shown, note if more else None)


def _step(records: Records, step: Step) -> Html:
    child = standing(records, step.child)
    others = ", ".join(map(short, step.child.parents))
    return join(
        element("h3", f"{short(child.identity)}: {shortened(origin(child), _LONGEST_TEXT)}"),
        element("p", f"from {others}; on search {figure(child.search)}", class_="quiet"),
        element("p", shortened("; ".join(step.changes), _LONGEST_TEXT)) if step.changes else None,
        difference(step.diff) if step.diff else None,
    )
