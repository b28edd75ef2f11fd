"""Programs as parts of whole candidates: an invention trained end to end, and other inner losses.

Programs are invented on cached features, which is quick; what is found there can then train a net
by its own loss of queries, going on from the weights that the features came from. Nets that learn
by gradient steps evolve through the same slots: their inner loss is that of a program.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from metaloop.catalogue.learners import EVOLVED, PROGRAM
from metaloop.core.records import Candidate, Choice
from metaloop.loop.arms import END_TO_END, INNER_LOSS
from metaloop.loop.variation import Variation
from metaloop.programs.errors import ProgramError
from metaloop.programs.library import library_program
from metaloop.programs.mutation import mutate
from metaloop.programs.parsing import parse
from metaloop.programs.syntax import to_text

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
