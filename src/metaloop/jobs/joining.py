"""What a worker does to join trained nets: greedy selection on `search`, then every head on it.

Beginning with the best net, the net is added that raises the figure of one plain head most, as long
as one does (Caruana et al. 2004, forward selection without replacement). Nets trained on different
data err differently, and features are joined without training anything.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metaloop.catalogue.domains import domain_of
from metaloop.catalogue.nets import RAW, VIEW
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import CENTER, EmbeddingLearner, MetaParams
from metaloop.core.records import Candidate, Choice, DataRecipe, Plan
from metaloop.engine.beginning import typical_examples
from metaloop.engine.evaluation import FeatureCache
from metaloop.executors.base import Report
from metaloop.jobs.measured import Figures, Found
from metaloop.jobs.scoring import score_heads, task_lists
from metaloop.jobs.workplace import TrainedNet, Workplace
from metaloop.nets.joined import beside, join
from metaloop.tasks.episodes import Episodes
from metaloop.tasks.sight import OWN, SEVERAL

MOST_MEMBERS = 4
_NUMBERS_AT_ONCE = 1 << 23  # floats of gathered features: about what a processor's cache holds
_LEAST_GAIN = 1e-4  # of the accuracy: below it a net only costs time


@dataclass(frozen=True)
class Joinable:
    """What may be joined: the net of a node (None: inputs in some form, nothing trained).

    `candidate` is what was trained there, or says which form.
    """

    node: int | None
    candidate: Candidate


@dataclass(frozen=True)
class JoinRequest:
    """Nets to choose from, and heads to measure on those that are joined, as node `node`."""

    node: int
    nets: tuple[Joinable, ...]
    heads: tuple[Candidate, ...]
    seed: int
    episodes: int


@dataclass(frozen=True)
class JoinResult:
    """`members`: nodes whose nets were joined, best first; `num_nets`: with those of no node.

    One net is a finding, too: nothing is gained by joining, and no heads are measured.
    """

    members: tuple[int, ...]
    num_nets: int
    found: tuple[Found, ...] = ()
    steps: int = 0
    flops: float | None = None


def join_nets(workplace: Workplace, request: JoinRequest, report: Report) -> JoinResult:
    """Selects among the nets, keeps the joined one as a node, measures every head on it."""
    family = workplace.classes()
    nets = [_net(workplace, part.node) for part in request.nets]
    lists = [listed for _, listed in task_lists(family, workplace.spec, "search", request.episodes)]
    typical = typical_examples(family)
    rows = typical
    for listed in lists:
        rows = reduce(np.union1d, (rows, listed.support.examples, listed.query.examples))
    directions, centers = [], []
    for net, part in zip(nets, request.nets, strict=True):
        features, center = _directions(workplace, net, part.candidate, request.seed, rows)
        directions.append(features)
        centers.append(center)
        report({"node": request.node, "step": len(directions), "loss": 0.0})
    plain = [place for place, part in enumerate(request.nets) if part.node is None]
    chosen = select(directions, rows, lists, MOST_MEMBERS, plain)
    nodes = [request.nets[index].node for index in chosen]
    result = JoinResult(tuple(node for node in nodes if node is not None), len(chosen))
    if len(chosen) < 2:
        return result
    trained = join([nets[i].meta_params for i in chosen], [centers[i] for i in chosen])
    features = beside([directions[index] for index in chosen])
    places = torch.from_numpy(np.searchsorted(rows, typical)).to(features.device)
    trained[CENTER] = features[places].mean(0)
    workplace.save_net(request.node, trained)
    whole, view = joined_net([request.nets[index].candidate for index in chosen])
    heads = list({h.identity: h for h in (on_net(h, whole, view) for h in request.heads)}.values())
    figures = _figures(workplace, heads, trained, request, rows, features)
    words = f"committee: {len(chosen)} nets joined"
    pairs = zip(heads, figures, strict=True)
    return replace(result, found=tuple(Found(head, one, words) for head, one in pairs))


def select(
    directions: list[Tensor],
    rows: np.ndarray,
    lists: Sequence[Episodes],
    most: int = MOST_MEMBERS,
    doubtful: Collection[int] = (),
) -> list[int]:
    """Returns which of the nets to join, in the order of their choice.

    `directions`: for each net the unit features `[N, D_i]` of the store's `rows` (sorted), all that
    the episodes use among them; each of the `lists` of episodes counts the same. Nets that are as
    good alone are better together, so that any gain will do; of those that are `doubtful`, for they
    may be far behind, the gain has to be above its standard error.
    """
    cosines = [[_cosines(features, rows, listed) for features in directions] for listed in lists]

    def figures(members: list[int]) -> list[np.ndarray]:
        return [
            _accuracies(torch.stack([of_net[index] for index in members]).sum(0), listed)
            for of_net, listed in zip(cosines, lists, strict=True)
        ]

    chosen: list[int] = []
    best: list[np.ndarray] = []
    while len(chosen) < min(most, len(directions)):
        left = [index for index in range(len(directions)) if index not in chosen]
        found = {index: figures([*chosen, index]) for index in left}
        gains = {index: _gain(found[index], best) for index in left}
        enough = [
            index
            for index in left
            if gains[index][0] >= max(_LEAST_GAIN, gains[index][1] if index in doubtful else 0.0)
        ]
        if not enough:
            break
        leader = max(enough, key=lambda index: gains[index][0])
        best = found[leader]
        chosen.append(leader)
    return chosen


def _gain(figures: Sequence[np.ndarray], before: Sequence[np.ndarray]) -> tuple[float, float]:
    """Returns the mean gain over lists of episodes, paired, and its standard error.

    Over nothing whatever there is is gained, and certainly so.
    """
    if not before:
        return 1.0 + float(np.mean([of_list.mean() for of_list in figures])), 0.0
    apart = [new - old for new, old in zip(figures, before, strict=True)]
    variance = sum(float(each.var()) / len(each) for each in apart)
    return float(np.mean([each.mean() for each in apart])), math.sqrt(variance) / len(apart)


def joined_net(candidates: Sequence[Candidate]) -> tuple[Choice, str]:
    """Returns the net that joins those of these candidates, and the view that it has of inputs.

    Where they have several views, inputs are seen in all, beside each other, each net its piece.
    """
    views = list(dict.fromkeys(one.view for one in candidates))
    members = [
        {"name": one.net.name, "options": dict(one.net.options), "candidate": one.identity}
        | ({"piece": views.index(one.view)} if len(views) > 1 else {})
        for one in candidates
    ]
    view = SEVERAL.join(each or OWN for each in views) if len(views) > 1 else views[0]
    return Choice("joined", {"members": members}), view


def on_net(head: Candidate, net: Choice, view: str = "") -> Candidate:
    """Returns a head's candidate on a joined net, in its view: nothing of it is trained."""
    options = {name: value for name, value in head.learner.options.items() if name != "trunk"}
    learner = replace(head.learner, options=options)
    return Candidate(learner, net, Plan("none"), DataRecipe(), head.program, view)


def plain_members(input_format: InputFormat, view: str = "") -> list[Candidate]:
    """Returns what may be joined untrained: vectors in those forms that differ once centred.

    What a plain learner sees of them is then part of what is chosen from. Pixels add nothing.
    """
    return [
        Candidate(Choice("nearest_centroid"), Choice(RAW, {VIEW: form}), Plan("none"), view=view)
        for form in domain_of(input_format).forms
    ]


def _net(workplace: Workplace, node: int | None) -> TrainedNet:
    return TrainedNet({}) if node is None else workplace.net(node)


def _directions(
    workplace: Workplace,
    net: TrainedNet,
    candidate: Candidate,
    seed: int,
    rows: np.ndarray,
) -> tuple[Tensor, Tensor]:
    """Returns the centred features of the store's rows, at unit length `[N, D]`, and the centre."""
    learner, meta_params = workplace.assemble(candidate, net, seed)
    family = workplace.classes(candidate.view)
    assert isinstance(learner, EmbeddingLearner)
    features = FeatureCache(learner, meta_params).features(family.store, rows, family.input_format)
    center = net.center(learner, meta_params, family)
    return functional.normalize(features - center.to(features), dim=-1), center


def _figures(
    workplace: Workplace,
    heads: Sequence[Candidate],
    trained: MetaParams,
    request: JoinRequest,
    rows: np.ndarray,
    features: Tensor,
) -> tuple[Figures, ...]:
    """Returns the heads' figures on the joined features of these rows: none is embedded again."""
    family, seed = workplace.classes(heads[0].view), request.seed
    learner, meta_params = workplace.assemble(heads[0], TrainedNet(trained), seed)
    assert isinstance(learner, EmbeddingLearner)
    cache = FeatureCache(learner, meta_params)
    cache.add(family.store, rows, features)
    return score_heads(workplace, heads, trained, seed, request.episodes, cache)


def _cosines(
    features: Tensor, rows: np.ndarray, episodes: Episodes, at_once: int = _NUMBERS_AT_ONCE
) -> Tensor:
    """Returns `[tasks, queries, classes]`: inner products of queries with class means.

    A few tasks at a time: gathered features of all may be far more than those of the store.
    """
    examples = episodes.support.examples.shape[1] + episodes.query.examples.shape[1]
    chunk = max(1, at_once // (examples * features.shape[1]))
    return torch.cat(
        [
            _cosines_of_few(features, rows, episodes[start : start + chunk])
            for start in range(0, len(episodes), chunk)
        ]
    )


def _cosines_of_few(features: Tensor, rows: np.ndarray, episodes: Episodes) -> Tensor:
    def gathered(examples: np.ndarray) -> Tensor:
        return features[torch.from_numpy(np.searchsorted(rows, examples)).to(features.device)]

    labels = torch.from_numpy(episodes.support.labels).to(features.device)
    mask = torch.from_numpy(episodes.support.mask).to(features.device)
    one_hot = functional.one_hot(labels, episodes.num_classes).float() * mask.unsqueeze(-1)
    sums = torch.einsum("tsc,tsd->tcd", one_hot, gathered(episodes.support.examples))
    means = sums / one_hot.sum(1).clamp(min=1).unsqueeze(-1)
    squared = means.square().sum(-1).unsqueeze(1)
    return 2 * torch.einsum("tqd,tcd->tqc", gathered(episodes.query.examples), means) - squared


def _accuracies(logits: Tensor, episodes: Episodes) -> np.ndarray:
    """Returns the accuracy `[T]` of each task that has any queries."""
    labels = torch.from_numpy(episodes.query.labels).to(logits.device)
    mask = torch.from_numpy(episodes.query.mask).to(logits.device)
    right = ((logits.argmax(-1) == labels) & mask).sum(-1).double()
    there = mask.sum(-1)
    found: np.ndarray = (right[there > 0] / there[there > 0]).cpu().numpy()
    return found
