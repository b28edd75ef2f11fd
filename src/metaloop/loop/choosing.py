"""Step 1, choose learning algorithms: the catalogue's candidates, grouped by what trains them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from torch import nn

from metaloop.archive import TrialId
from metaloop.catalogue.candidates import build_learner, catalogue_candidates, trunk_of, with_module
from metaloop.core.learner import Learner, MetaParams
from metaloop.core.objective import higher_is_better, objective
from metaloop.core.records import Candidate, Result, TrialStatus
from metaloop.core.spec import TaskSpec
from metaloop.engine.state import TrainState
from metaloop.tasks.family import TaskFamily


@dataclass
class Head:
    """One candidate: its learner, what it measured last, and its cost so far.

    Heads of one contender share its training, and each is charged all of it.
    """

    candidate: Candidate
    learner: Learner
    meta_params: MetaParams = field(default_factory=dict)
    result: Result | None = None
    scores: np.ndarray | None = None
    promotion: Result | None = None
    promotion_scores: np.ndarray | None = None
    status: TrialStatus | Literal["untried"] = "untried"
    trial: TrialId | None = None  # the one under way
    rung: int = -1
    message: str = ""
    cpu_seconds: float = 0.0
    seconds_per_episode: float = 0.0  # of measuring it, the last time
    steps: int = 0

    def fail(self, status: TrialStatus, message: str) -> None:
        """Notes that the last trial gave no figure, and why."""
        self.status, self.message, self.result, self.scores = status, message, None, None

    @property
    def value(self) -> float:
        """The last figure as a number of which more is better; minus infinity if there is none."""
        if self.result is None:
            return -np.inf
        better = higher_is_better(self.result.metric)
        return self.result.value if better else -self.result.value

    @property
    def merit(self) -> tuple[float, float]:
        """What heads are ordered by: their figure, and where that is equal, what it cost."""
        return self.value, -self.cpu_seconds


@dataclass
class Contender:
    """Candidates that share one training (or need none: then `trunk` is that of a baseline)."""

    trunk: str
    heads: list[Head]
    state: TrainState | None = None

    @property
    def trains(self) -> bool:
        """Whether there is anything to train."""
        return self.heads[0].candidate.plan.style != "none"

    @property
    def best(self) -> Head:
        """The head with the best figure."""
        return max(self.heads, key=lambda head: head.merit)


def choose_contenders(
    family: TaskFamily,
    spec: TaskSpec,
    module: nn.Module | None = None,
    candidates: Sequence[Candidate] | None = None,
) -> list[Contender]:
    """Returns the contenders among `candidates` (default: all the catalogue has), baselines first.

    `module` is a net of the user's own: the trained candidates then use it.
    """
    if candidates is None:
        candidates = catalogue_candidates(family.input_format, spec)
    if module is not None:
        candidates = [
            with_module(candidate, module) if candidate.plan.style != "none" else candidate
            for candidate in candidates
        ]
    contenders: dict[str, Contender] = {}
    for candidate in candidates:
        name = objective(spec.objective).name
        head = Head(candidate, build_learner(candidate, family.input_format, name, module))
        trunk = trunk_of(candidate)
        contenders.setdefault(trunk, Contender(trunk, [])).heads.append(head)
    return sorted(contenders.values(), key=lambda contender: contender.trains)
