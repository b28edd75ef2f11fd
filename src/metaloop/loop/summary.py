"""The report that `learn` ends with and `--json` prints: who won, by how much, beside whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metaloop.catalogue.programs import program_name
from metaloop.catalogue.sights import backbones_of
from metaloop.core.leagues import Backbone, backbones_json, cards_in, league_of
from metaloop.core.metrics import ACCURACY
from metaloop.core.objective import metric, objective
from metaloop.core.pretraining import pretraining_json
from metaloop.core.records import Result
from metaloop.generators.recipes import recipe_text
from metaloop.jobs.measured import difference
from metaloop.loop.charging import ARCHIVE_NAME
from metaloop.loop.judging import Judge
from metaloop.loop.population import Head, Node, Population
from metaloop.loop.proposing import Proposer
from metaloop.loop.run import Run
from metaloop.programs.parsing import parse
from metaloop.programs.standalone import standalone_module
from metaloop.tasks.kept import class_parts

_LONGEST_LEADERBOARD = 40
PROGRAM_NAME = "program.py"


def summary(
    run: Run, population: Population, judge: Judge, status: str, reading_seconds: float
) -> dict[str, Any]:
    """Returns the report without what `test` said: JSON values."""
    backbones, classes = backbones_of(run.family), class_parts(run.family).get("test", ())
    report: dict[str, Any] = {
        "status": status,
        "model": str(run.model_path) if run.model_path.exists() else None,
        "archive": str(run.folder / ARCHIVE_NAME),
        "best": None,
        "test": None,
        "leaderboard": leaderboard(population, backbones, classes),
        "backbones": backbones_json(backbones),
        "certain": judge.certain,
        "certainty": judge.certainty,
        "rounds": judge.rounds,
        "cpu_seconds": run.cpu_seconds,
        "wall_seconds": run.wall_seconds,
        "reading_seconds": reading_seconds,
    }
    if judge.incumbent is not None:
        reason = judge.reasons[-1] if judge.reasons else "it had no rival"
        report["best"] = {
            **row(*judge.incumbent, backbones, classes),
            "certain": judge.certain,
            "reason": reason,
        }
    return report


def leaderboard(
    population: Population, backbones: Sequence[Backbone], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns a row per candidate, promoted ones first, then by what the loop orders them by.

    That is the mean over the tasks they were measured on; rows show the task that was asked for.
    A candidate that was measured in several nodes stands as it was promoted, else at its best. All
    baselines are in it, and the best of the others.
    """
    standing: dict[str, tuple[Node, Head]] = {}
    for node, head in population.heads():
        before = standing.get(head.candidate.identity)
        if before is None or _stands_before(head, before[1]):
            standing[head.candidate.identity] = (node, head)
    rows = sorted(standing.values(), key=lambda pair: _place(pair[1]))
    kept = [pair for pair in rows if pair[0].kind == "baselines"]
    others = [pair for pair in rows if pair[0].kind != "baselines"][:_LONGEST_LEADERBOARD]
    shown = sorted([*kept, *others], key=lambda pair: _place(pair[1]))
    return [row(*pair, backbones, classes) for pair in shown]


def _stands_before(head: Head, other: Head) -> bool:
    if (head.promotion is None) != (other.promotion is None):
        return head.promotion is not None
    return head.merit >= other.merit


def row(
    node: Node, head: Head, backbones: Sequence[Backbone], classes: Sequence[str]
) -> dict[str, Any]:
    """Returns what a table says of a candidate.

    `backbones` are those on offer, `classes` the names of those that are kept for the test.
    """
    candidate = head.candidate
    return {
        "candidate": candidate.identity,
        "learner": candidate.learner.name,
        "net": candidate.net_label,
        "league": league_of(candidate.views, backbones),
        "pretraining": pretraining_json(cards_in(candidate.views, backbones), classes),
        "options": {k: v for k, v in candidate.learner.options.items() if k != "trunk"},
        "data": recipe_text(candidate.data),
        "operator": node.proposal.operator,
        "generated": head.generated,
        "baseline": node.kind == "baselines",
        "status": head.status,
        "message": head.message,
        "rung": node.proposal.rung,
        "steps": head.steps,
        "cpu_seconds": head.cpu_seconds,
        "search": figures(head.search.result if head.search else None),
        "promotion": figures(head.promotion.result if head.promotion else None),
    }


def figures(result: Result | None) -> dict[str, Any] | None:
    """Returns value, both intervals, and the numbers of episodes and of classes in them."""
    if result is None:
        return None
    return {
        "metric": result.metric,
        "value": result.value,
        "ci95": result.ci95,
        "ci95_new": result.ci95_new,
        "episodes": result.episodes,
        "units": result.units,
    }


def write_program(run: Run, population: Population, judge: Judge) -> Path | None:
    """Writes the best program that was invented as a Python module; None if there is none.

    The promoted one if it is a program, else the one with the best figure on `search`.
    """
    invented = [(node, head) for node, head in population.heads() if head.generated]
    invented = [pair for pair in invented if pair[1].search is not None]
    chosen = judge.incumbent
    if chosen is None or not chosen[1].generated:
        chosen = max(invented, key=lambda pair: pair[1].merit, default=None)
    source = chosen[1].candidate.program if chosen else None
    if chosen is None or source is None:
        return None
    title = f"A learning algorithm that metaloop invented on {run.family.name}."
    path = run.folder / PROGRAM_NAME
    path.write_text(standalone_module(parse(source), title, _measured(*chosen)))
    return path


def _measured(node: Node, head: Head) -> str:
    """Returns what was measured of a program and of the best catalogue head on the same net."""
    assert head.search is not None
    how, value = head.search.result.protocol, head.search.result
    times, unit = (100, "points") if metric(value.metric).scale.share else (1, value.metric)
    said = (
        f"{value.metric} {times * value.value:.3g} +/- {times * value.ci95:.2g} "
        f"({value.episodes} episodes of `{how.part}`, {how.ways}-way {how.shots}-shot, inductive)"
    )
    rivals = [other for other in node.heads if not other.generated and other.search is not None]
    rival = max(rivals, key=lambda other: other.merit, default=None)
    gained = difference(head.search, rival.search) if rival is not None else None
    if rival is None or gained is None:
        return said
    name = program_name(rival.candidate.program) or rival.candidate.learner.name
    shots = " and ".join(str(each.protocol.shots) for each in head.search.results)
    return (
        f"{said}; {times * gained.value:+.3g} +/- {times * gained.ci95:.2g} {unit} over {name}, "
        f"the best known one on the same features ({shots}-shot)"
    )


def operators(proposer: Proposer) -> dict[str, list[dict[str, Any]]]:
    """Returns what the bandits have learned: rows of `ArmRow`, the best rate first.

    `going on`: what a line goes on with; `breeding`: what a new line differs by.
    """
    bandits = {"going on": proposer.going_on, "breeding": proposer.breeding}
    return {
        name: [
            {key: None if value != value else value for key, value in vars(row).items()}
            for row in bandit.table()
        ]
        for name, bandit in bandits.items()
    }


def chance_of(run: Run) -> float | None:
    """Returns the accuracy of guessing; None where a task has no such thing."""
    accuracy = objective(run.spec.objective).primary is ACCURACY
    return 1 / run.spec.ways if accuracy else None


def _place(head: Head) -> tuple[bool, float]:
    """Returns what orders promoted heads, best first, before all others."""
    if head.promotion is None:
        return True, -head.value
    return False, -head.promotion.value
