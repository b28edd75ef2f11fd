"""How trained learners of values become a committee: chosen on `search` by the error of their mean.

Greedy selection with replacement (Caruana et al. 2004, doi 10.1145/1015330.1015432): beginning with
the best learner, the one is counted once more that makes the mean best; the best mean is kept.
What each of them says of the same episodes is computed once, so that choosing takes no time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from metaloop.catalogue.learners import COMMITTEE
from metaloop.core.learner import Learner, MetaParams
from metaloop.core.objective import objective
from metaloop.core.records import Candidate, Choice, DataRecipe, Plan
from metaloop.engine.evaluation import learner_outputs
from metaloop.executors.base import Report
from metaloop.jobs.joining import Joinable, joined_net
from metaloop.jobs.measured import Found
from metaloop.jobs.scoring import score_heads, task_lists
from metaloop.jobs.workplace import Workplace
from metaloop.learners.committee import assembled

MOST_COUNTED = 12  # times that members are counted, in all
_LEAST_GAIN = 2e-4  # of the figure: below it a member only costs time


@dataclass(frozen=True)
class AverageRequest:
    """Learners to choose from, as they were trained in their nodes, to be put together as `node`.

    All see inputs in one view, and their targets are real values.
    """

    node: int
    learners: tuple[Joinable, ...]
    seed: int
    episodes: int


@dataclass(frozen=True)
class AverageResult:
    """`members`: nodes whose learners were put together, in the order of their choice.

    One alone is a finding, too: nothing is gained by a committee, and none is measured.
    """

    members: tuple[int, ...]
    found: tuple[Found, ...] = ()
    steps: int = 0
    flops: float | None = None


def average_learners(
    workplace: Workplace, request: AverageRequest, report: Report
) -> AverageResult:
    """Selects among the learners, keeps the committee as a node, measures it."""
    trained = []
    for step, one in enumerate(request.learners):
        assert one.node is not None
        net = workplace.net(one.node)
        trained.append(workplace.assemble(one.candidate, net, request.seed))
        report({"node": request.node, "step": step + 1, "loss": 0.0})
    counted = Counter(select_mean(*_said(workplace, request, trained)))
    chosen = [request.learners[place] for place in counted]
    result = AverageResult(tuple(one.node for one in chosen if one.node is not None))
    if len(chosen) < 2:
        return result
    candidate = committee_of([one.candidate for one in chosen], list(counted.values()))
    whole = assembled([trained[place][1] for place in counted])
    workplace.save_net(request.node, whole)
    figures = score_heads(workplace, [candidate], whole, request.seed, request.episodes)
    votes: Counter[str] = Counter()
    for one, times in zip(chosen, counted.values(), strict=True):
        votes[one.candidate.learner.name] += times
    told = (f"{times} x {name}" for name, times in votes.items())
    words = f"committee: the mean of {' and '.join(told)}"
    return replace(result, found=(Found(candidate, figures[0], words),))


def committee_of(members: Sequence[Candidate], weights: Sequence[int]) -> Candidate:
    """Returns the candidate of a committee of these, of one view; nothing of it is trained."""
    net, view = joined_net(members)
    learners = [
        {"name": one.learner.name, "options": dict(one.learner.options), "weight": weight}
        for one, weight in zip(members, weights, strict=True)
    ]
    return replace(
        members[0],
        learner=Choice(COMMITTEE, {"members": learners}),
        net=Choice(net.name, {**net.options, "centred": False}),
        plan=Plan("none"),
        data=DataRecipe(),
        view=view,
    )


def select_mean(
    outputs: Sequence[Tensor], value: Callable[[Tensor], float], most: int = MOST_COUNTED
) -> list[int]:
    """Returns the places of what to count, in the order of their choice, some of them often.

    A mean with others may be better only once its best member was counted twice: of `most` choices
    as many are kept as make the best mean. `value` of outputs is the figure, of which more is
    better. Outputs that are not numbers are left out; if all are, nothing is chosen.
    """
    able = [place for place, one in enumerate(outputs) if bool(one.isfinite().all())]
    chosen: list[int] = []
    best, kept, total = -math.inf, 0, torch.zeros(())
    while able and len(chosen) < most:
        values = {place: value((total + outputs[place]) / (len(chosen) + 1)) for place in able}
        leader = max(able, key=values.__getitem__)
        total = total + outputs[leader]
        chosen.append(leader)
        if not kept or values[leader] > best + _LEAST_GAIN * abs(best):
            best, kept = values[leader], len(chosen)
    return chosen[:kept]


def _said(
    workplace: Workplace,
    request: AverageRequest,
    trained: Sequence[tuple[Learner, MetaParams]],
) -> tuple[list[Tensor], Callable[[Tensor], float]]:
    """Returns each learner's outputs on the queries of `search`, and what gives their figure."""
    family = workplace.family.seen(request.learners[0].candidate.view)
    judge = objective(workplace.spec.objective)
    asked = replace(judge, metrics=judge.metrics[:1])
    episodes = task_lists(family, workplace.spec, "search", request.episodes)[0][1]
    inputs = family.input_format
    targets = episodes.real_targets(episodes.query)
    sign = 1 if judge.primary.scale.higher_is_better else -1

    def value(outputs: Tensor) -> float:
        scored = family.score(asked, inputs.raw_targets(outputs), targets, episodes)
        return sign * float(scored[judge.metric][0].double().mean())

    said = [learner_outputs(learner, own, episodes, inputs) for learner, own in trained]
    return said, value
