"""What a worker does to join trained nets: greedy selection on `search`, then every head on it.

Beginning with the best net, the net is added that raises the figure of one plain head most, as long
as one does (Caruana et al. 2004, forward selection without replacement). Nets trained on different
data err differently, and features are joined without training anything. Those chosen look at mirror
images of photographs as well, if that is measured to help.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metaloop.catalogue.domains import domain_of
from metaloop.catalogue.nets import RAW, VIEW
from metaloop.core.inputs import InputFormat, embedded_at_once
from metaloop.core.learner import CENTER, EmbeddingLearner, MetaParams
from metaloop.core.records import Candidate, Choice, DataRecipe, Plan
from metaloop.engine.beginning import typical_examples
from metaloop.engine.evaluation import FeatureCache
from metaloop.executors.base import Report
from metaloop.jobs.measured import Figures, Found
from metaloop.jobs.scoring import score_heads, task_lists
from metaloop.jobs.workplace import TrainedNet, Workplace
from metaloop.nets.joined import beside, join, mean_of
from metaloop.tasks.episodes import Episodes
from metaloop.tasks.sight import OWN, SEVERAL

MOST_MEMBERS = 4
_NUMBERS_AT_ONCE = 1 << 23  # floats of gathered features: about what a processor's cache holds
_MIRRORING = "photo"  # the augmentation of inputs whose mirror images mean the same
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

    One net is a finding, too: nothing is gained by joining, and no heads are measured, unless it
    is better for having `mirrored` images to look at.
    """

    members: tuple[int, ...]
    num_nets: int
    found: tuple[Found, ...] = ()
    steps: int = 0
    flops: float | None = None
    mirrored: bool = False


def join_nets(workplace: Workplace, request: JoinRequest, report: Report) -> JoinResult:
    """Selects among the nets, keeps the joined one as a node, measures every head on it."""
    family = workplace.classes()
    lists = [listed for _, listed in task_lists(family, workplace.spec, "search", request.episodes)]
    typical = typical_examples(family)
    rows = typical
    for listed in lists:
        rows = reduce(np.union1d, (rows, listed.support.examples, listed.query.examples))
    looks: list[_Looks] = []
    for part in request.nets:
        looks.append(_looks(workplace, part, request.seed, rows))
        report({"node": request.node, "step": len(looks), "loss": 0.0})
    plain = [place for place, part in enumerate(request.nets) if part.node is None]
    chosen = select([one.directions for one in looks], rows, lists, MOST_MEMBERS, plain)
    parts, looks = [request.nets[index] for index in chosen], [looks[index] for index in chosen]
    mirrored, pieces = _mirrored(looks, rows, lists)
    members = tuple(part.node for part in parts if part.node is not None)
    result = JoinResult(members, len(chosen), mirrored=any(mirrored))
    if len(chosen) < 2 and not any(mirrored):
        return result
    nets = [_net(workplace, part.node).meta_params for part in parts]
    trained = join(nets, [one.center for one in looks])
    features = beside(pieces)
    places = torch.from_numpy(np.searchsorted(rows, typical)).to(features.device)
    trained[CENTER] = features[places].mean(0)
    workplace.save_net(request.node, trained)
    whole, view = joined_net([part.candidate for part in parts], mirrored)
    heads = list({h.identity: h for h in (on_net(h, whole, view) for h in request.heads)}.values())
    figures = _figures(workplace, heads, trained, request, rows, features)
    words = f"committee: {len(chosen)} nets joined" + ", mirror images" * any(mirrored)
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
        return _together([[of_list[index] for index in members] for of_list in cosines], lists)

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


def joined_net(
    candidates: Sequence[Candidate], mirrored: Sequence[bool] = ()
) -> tuple[Choice, str]:
    """Returns the net that joins those of these candidates, and the view that it has of inputs.

    Where they have several views, inputs are seen in all, beside each other, each net its piece.
    `mirrored`: which of them look at mirror images as well; none of them if it is empty.
    """
    views = list(dict.fromkeys(one.view for one in candidates))
    members = [
        {"name": one.net.name, "options": dict(one.net.options), "candidate": one.identity}
        | ({"piece": views.index(one.view)} if len(views) > 1 else {})
        | ({"mirrored": True} if twice else {})
        for one, twice in zip(candidates, mirrored or (False,) * len(candidates), strict=True)
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


@dataclass(frozen=True)
class _Looks:
    """What a net says of the store's rows: centred features at unit length `[N, D]`.

    `again` says it of their mirror images; None where inputs have none that mean the same.
    """

    directions: Tensor
    center: Tensor
    again: Callable[[], Tensor] | None


def _looks(workplace: Workplace, part: Joinable, seed: int, rows: np.ndarray) -> _Looks:
    net, family = _net(workplace, part.node), workplace.classes(part.candidate.view)
    learner, meta_params = workplace.assemble(part.candidate, net, seed)
    assert isinstance(learner, EmbeddingLearner)
    center = net.center(learner, meta_params, family)

    def looked(change: Callable[[Tensor], Tensor]) -> Tensor:
        chunks = torch.split(torch.from_numpy(rows), embedded_at_once(family.store.device))
        inputs = (family.input_format.to_float(family.store.taken(chunk)) for chunk in chunks)
        features = torch.cat([learner.embed(meta_params, change(some)) for some in inputs])
        return functional.normalize(features - center.to(features), dim=-1)

    usual = domain_of(family.input_format).augmentation(family.input_format)
    again = partial(looked, lambda images: images.flip(-1)) if usual.name == _MIRRORING else None
    return _Looks(looked(lambda inputs: inputs), center, again)


def _mirrored(
    looks: Sequence[_Looks], rows: np.ndarray, lists: Sequence[Episodes]
) -> tuple[list[bool], list[Tensor]]:
    """Returns which nets shall see mirror images as well, and what each then says of the rows.

    All that can or none: where the gain of that is not above its standard error.
    """
    once = [one.directions for one in looks]
    twice = [
        one.directions if one.again is None else mean_of([one.directions, one.again()])
        for one in looks
    ]
    can = [one.again is not None for one in looks]
    if any(can):
        before, after = (
            _together([[_cosines(own, rows, listed) for own in each] for listed in lists], lists)
            for each in (once, twice)
        )
        gain, error = _gain(after, before)
        if gain > max(_LEAST_GAIN, error):
            return can, twice
    return [False] * len(looks), once


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


def _together(cosines: Sequence[Sequence[Tensor]], lists: Sequence[Episodes]) -> list[np.ndarray]:
    """Returns the accuracies of each list's tasks, by the sum of several nets' cosines."""
    return [
        _accuracies(reduce(torch.add, of_nets), listed)
        for of_nets, listed in zip(cosines, lists, strict=True)
    ]


def _accuracies(logits: Tensor, episodes: Episodes) -> np.ndarray:
    """Returns the accuracy `[T]` of each task that has any queries."""
    labels = torch.from_numpy(episodes.query.labels).to(logits.device)
    mask = torch.from_numpy(episodes.query.mask).to(logits.device)
    right = ((logits.argmax(-1) == labels) & mask).sum(-1).double()
    there = mask.sum(-1)
    found: np.ndarray = (right[there > 0] / there[there > 0]).cpu().numpy()
    return found
