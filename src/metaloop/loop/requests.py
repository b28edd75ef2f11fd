"""What a worker is asked for a node that is proposed: a request, which goes through JSON."""

from __future__ import annotations

from collections.abc import Sequence

from metaloop.core.budget import Budget
from metaloop.core.randomness import derive_seed
from metaloop.generators.recipes import recipe_text
from metaloop.jobs import baselines
from metaloop.jobs.baselines import BaselinesRequest
from metaloop.jobs.inventing import InventRequest
from metaloop.jobs.training import Start, TrainRequest
from metaloop.jobs.workplace import TrainingData
from metaloop.loop.population import Node, Population
from metaloop.loop.run import Run
from metaloop.loop.settings import Settings

_EVALUATIONS_PER_STEP, _LEAST_EVALUATIONS = 5, 20  # of programs, under a budget in steps


def node_request(
    run: Run,
    population: Population,
    node: Node,
    budget: Budget,
    settings: Settings,
    known_programs: Sequence[str] = (),
) -> TrainRequest | InventRequest | BaselinesRequest:
    """Returns the request for a node; `known_programs` were invented in earlier runs."""
    proposal = node.proposal
    parent = population.nodes.get(proposal.parent) if proposal.parent is not None else None
    if proposal.kind == "baselines":
        seconds = budget.wall_seconds  # CPU-seconds, of one process, which a worker is
        return BaselinesRequest(proposal.heads, run.seed, baselines.EPISODES, seconds)
    if proposal.kind == "invent":
        assert parent is not None
        plain = parent.kind == "baselines"
        return InventRequest(
            node=node.number,
            on=None if plain else parent.number,
            candidate=proposal.candidate if plain else parent.candidate,
            measured=proposal.heads,
            programs=_programs(population, known_programs),
            wall_seconds=budget.wall_seconds,
            evaluations=_evaluations(budget),
            seed=run.seed,
            episodes=settings.episodes,
        )
    start = None
    if parent is not None and proposal.continues:
        data = _training_data(run, population, parent)
        start = Start(parent.number, parent.candidate, data)
    is_first = not proposal.continues and proposal.parent is None
    return TrainRequest(
        node=node.number,
        heads=proposal.heads,
        budget=budget,
        seed=_line_seed(run, node),
        episodes=settings.race_episodes if is_first else settings.episodes,
        data=_training_data(run, population, node),
        start=start,
    )


def _evaluations(budget: Budget) -> int | None:
    if budget.steps is None:
        return None
    return max(_LEAST_EVALUATIONS, _EVALUATIONS_PER_STEP * budget.steps)


def _programs(population: Population, known: Sequence[str]) -> tuple[str, ...]:
    """Returns the sources of programs that were invented before, in earlier runs or this one."""
    here = [head.candidate.program for head in population.inventions]
    return tuple(dict.fromkeys([*known, *(text for text in here if text is not None)]))


def _line_seed(run: Run, node: Node) -> int:
    """Returns the seed of a line: those of two runs have nothing in common."""
    return derive_seed(run.seed, "line", node.line) % 2**31


def _training_data(run: Run, population: Population, node: Node) -> TrainingData:
    by = node.proposal.filtered_by
    filtering = population.nodes.get(by) if by is not None else None
    return TrainingData(
        families=node.candidate.data.families,
        text=recipe_text(node.candidate.data),
        seed=_line_seed(run, node),
        filtered_by=filtering.number if filtering is not None else None,
        filter_candidate=filtering.candidate if filtering is not None else None,
        view=node.candidate.view,
    )
