"""What a worker does to judge: contestants on the first episodes of `promotion`, the same for all.

They are scored in blocks, and no longer than it helps: more episodes narrow the interval of what a
difference is on these classes, not of what it is for new ones, to which the classes add their part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from metaloop.core.learner import Learner, MetaParams
from metaloop.core.packing import scores_from_json
from metaloop.core.records import Candidate
from metaloop.core.statistics import EpisodeScores
from metaloop.executors.base import Report
from metaloop.jobs.measured import Figures, difference, measured
from metaloop.jobs.scoring import Scorer
from metaloop.jobs.workplace import TrainedNet, Workplace

BLOCK = 100  # episodes: between two looks at what more of them would bring
# The error of a mean over episodes, as a share of the whole error for new classes, from which on
# more episodes are not worth it: without any of it the interval were 8 % narrower at most.
SMALL = 0.4
_STANDARD_ERRORS_OF_INTERVAL = 1.96


@dataclass(frozen=True)
class Entrant:
    """Who is to be scored: a candidate on the net of a node (None: it has no net).

    `known`: packed scores of the first episodes of each task, by earlier judgements.
    """

    candidate: Candidate
    node: int | None
    known: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class JudgeRequest:
    """Who is to be scored, on how many of the first episodes of `promotion` at most.

    After each `block` of them it is asked what more would bring.
    """

    entrants: tuple[Entrant, ...]
    episodes: int
    seed: int
    block: int = BLOCK


@dataclass(frozen=True)
class JudgeResult:
    """Figures of all, in their order, on the list's episodes up to where the judgement ended."""

    figures: tuple[Figures, ...]


@dataclass
class _Tested:
    """Somebody under judgement: what makes it, what is known of it by now, and its figures."""

    scorer: Scorer
    make: Callable[[], tuple[Learner, MetaParams]]
    known: tuple[EpisodeScores, ...]
    figures: Figures = field(default_factory=lambda: Figures("finished"))

    def score(self, until: int) -> None:
        """Scores it on what it lacks of the list's first episodes, unless it has failed."""
        if self.figures.status != "finished":
            return
        self.figures = self.scorer.figures(self.make, self.known, until)
        found = measured(self.figures)
        self.known = found.scores if found is not None else ()


def judge(workplace: Workplace, request: JudgeRequest, report: Report) -> JudgeResult:
    """Scores every entrant on the first episodes of the frozen list, `episodes` at most."""
    most = request.episodes
    scorers: dict[tuple[int, str], Scorer] = {}
    tested: list[_Tested] = []
    for entrant in request.entrants:
        node, view = entrant.node, entrant.candidate.view
        place = (-1 if node is None else node, view)
        if node is None or place not in scorers:  # without a net there are no features to share
            scorers[place] = Scorer(workplace, "promotion", most, view)
        net = workplace.net(node) if node is not None else TrainedNet({})
        make = cache(partial(workplace.assemble, entrant.candidate, net, request.seed))
        tested.append(_Tested(scorers[place], make, tuple(map(scores_from_json, entrant.known))))
    until = max([request.block, *(len(each) for one in tested for each in one.known)])
    while True:
        until = min(until, most)
        for one in tested:
            one.score(until)
        if until == most or is_enough([one.figures for one in tested]):
            return JudgeResult(tuple(one.figures for one in tested))
        until += request.block


def is_enough(figures: Sequence[Figures]) -> bool:
    """Whether more episodes would hardly tell more of any difference that is looked at.

    Those are the differences from the first contestant, which claims are about, and from the best
    one, by which one of several is chosen: these are smaller, and classes agree about them more.
    """
    able = [found for found in map(measured, figures) if found is not None]
    best = max(able, key=lambda found: found.value, default=None)
    changes = [difference(challenger, able[0]) for challenger in able[1:]]
    changes += [difference(best, other) for other in able[1:] if other is not best]
    return all(
        change is not None
        and change.standard_error_new is not None
        and change.ci95 / _STANDARD_ERRORS_OF_INTERVAL <= SMALL * change.standard_error_new
        for change in changes
    )
