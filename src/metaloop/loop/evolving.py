"""Other losses for a trained net: episodes after classes, an invention's own, other inner losses.

Programs are invented on cached features, which is quick; what is found there can then train a net
by its own loss of queries, going on from the weights that the features came from. Nets that learn
by gradient steps evolve through the same slots: their inner loss is that of a program.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from metaloop.catalogue.learners import EVOLVED, PROGRAM
from metaloop.catalogue.plans import usual_plan
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Candidate, Choice
from metaloop.core.spec import TaskSpec
from metaloop.loop.arms import END_TO_END, EPISODES, INNER_LOSS
from metaloop.loop.variation import Variation
from metaloop.programs.errors import ProgramError
from metaloop.programs.library import library_program
from metaloop.programs.mutation import mutate
from metaloop.programs.parsing import parse
from metaloop.programs.syntax import to_text

PROTOTYPES = "protonet"
_FIRST = "gradient_step"  # its inner loss is cross-entropy, written out


def end_to_end(trained: Candidate, invented: Candidate) -> Variation:
    """Returns the candidate with its net trained by an invented program's own loss of queries.

    A whole-class classifier goes on beside the episodes.
    """
    style = "both" if trained.plan.style == "classes" else trained.plan.style
    plan = replace(trained.plan, style=style)
    candidate = replace(trained, learner=Choice(PROGRAM), plan=plan, program=invented.program)
    words = f"{END_TO_END}: trained by the program's own loss"
    return Variation(candidate, words, (invented.identity,))


def by_episodes(trained: Candidate, input_format: InputFormat, spec: TaskSpec) -> Variation:
    """Returns a whole-class candidate that goes on as prototypes, by what their usual plan is.

    A net that tells all training classes apart is asked for less by an episode, and for what a task
    will ask: distances to means of few examples. Chen et al. 2021, Meta-Baseline, arXiv:2003.04390.
    """
    plan = usual_plan(PROTOTYPES, input_format, spec)
    candidate = replace(trained, learner=Choice(PROTOTYPES), plan=plan, program=None)
    return Variation(candidate, f"{EPISODES}: {trained.learner.name} -> {PROTOTYPES}")


def other_inner_loss(trained: Candidate, rng: np.random.Generator) -> Variation | None:
    """Returns an `evolved_gradient` with one change of its inner loss; None if none fits."""
    if trained.learner.name != EVOLVED:
        return None
    program = parse(trained.program or library_program(_FIRST).source)
    try:
        variant = mutate(program, rng, slots=("inner_loss",))
    except ProgramError:
        return None
    if variant is None:
        return None
    candidate = replace(trained, program=to_text(variant.program))
    return Variation(candidate, f"{INNER_LOSS}: {variant.words}")
