"""What a worker does to invent programs: a search on the features of a trained net.

The search is scored on episodes of `search` that come after those whose figures are returned: what
decides later was not what was optimised. It starts from the programs of the library, from those
found earlier, and from a few that know nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch

from metaloop.catalogue.programs import PROGRAMS, on_trunk
from metaloop.core.budget import Budget
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.learner import CENTER, EmbeddingLearner, Learner, MetaParams
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Candidate
from metaloop.engine.evaluation import FeatureCache
from metaloop.executors.base import Report, one_line
from metaloop.jobs.measured import Found
from metaloop.jobs.scoring import Scorer, task_lists
from metaloop.jobs.workplace import TrainedNet, Workplace
from metaloop.programs.behaviour import behaviour
from metaloop.programs.blank import blank_program, random_program
from metaloop.programs.canonical import canonical
from metaloop.programs.errors import ProgramError
from metaloop.programs.evolution import Invented, Member, Settings, Start, invent
from metaloop.programs.explain import explain
from metaloop.programs.fitness import Features, fingerprint
from metaloop.programs.inference import infer_types
from metaloop.programs.interpreter import initial_constants
from metaloop.programs.learner import ProgramLearner
from metaloop.programs.parsing import parse
from metaloop.programs.syntax import Program
from metaloop.tasks.episodes import Episodes, Indices, in_turn
from metaloop.tasks.family import ClassFamily

NUM_INVENTED = 3  # programs that are brought back
_SEARCH_EPISODES = 200  # at most, of each number of shots, to search on
_MOST_NUMBERS = 1 << 25  # floats of stacked features: 128 MiB
_NUM_RANDOM = 2  # random programs among the first
_LEAST_SHARE = 0.3  # of the wall seconds, for the search, however slow the net is
_MEASURING_SHARE = 0.15  # of the wall seconds, for the figures at the end
_LONG_SEARCH = 200  # evaluations
_FEW_STEPS = 5  # of tuning, after a search that is not long
_BLANK, _RANDOM = "blank", "random"
_SECONDS_BETWEEN_REPORTS = 0.5


@dataclass(frozen=True)
class InventRequest:
    """A search on the features of the net of node `on`, where `candidate` was trained.

    None: on inputs as the candidate, a plain baseline, sees them.
    `measured`: candidates whose figures on that net are known. `programs`: sources that were found
    earlier. The search takes `wall_seconds`, or so many `evaluations`; `episodes` are for figures.
    """

    node: int
    on: int | None
    candidate: Candidate
    measured: tuple[Candidate, ...]
    programs: tuple[str, ...]
    wall_seconds: float | None
    evaluations: int | None
    seed: int
    episodes: int


@dataclass(frozen=True)
class InventResult:
    """The best inventions and the library's programs, best first.

    `steps`: how many programs were evaluated; operations are not counted.
    """

    found: tuple[Found, ...]
    steps: int
    flops: float | None = None


@dataclass(frozen=True)
class _Entry:
    """A program on the net, as a candidate, before it has figures."""

    candidate: Candidate
    operator: str
    behaviour: str | None
    ancestor: str | None = None


def invent_programs(workplace: Workplace, request: InventRequest, report: Report) -> InventResult:
    """Returns the best inventions and the library's programs with figures on `search`, best first.

    What is left of the library when the seconds are over is left out.
    """
    began = time.perf_counter()
    net = _Net.of(workplace, request)
    features = net.features(request.episodes)
    budget = _budget(request, time.perf_counter() - began)
    start = _start(request.programs, request.seed)
    told = began
    ended: Invented | None = None
    for event in invent(features, start, budget, request.seed, _settings(budget)):
        if isinstance(event, Invented):
            ended = event
        elif time.perf_counter() - told > _SECONDS_BETWEEN_REPORTS:
            told = time.perf_counter()
            loss = float(event.member.fitness.cross_entropy.mean())
            report({"node": request.node, "step": event.evaluations, "loss": loss})
    assert ended is not None
    entries = [_entry(one, request.candidate, start) for one in _new(ended.members, features)]
    entries += _catalogue(request)
    view = request.candidate.view
    scorer = Scorer(workplace, "search", request.episodes, view, net.cache)
    found: list[Found] = []
    for entry in entries:
        late = len(found) >= NUM_INVENTED and _late(request, time.perf_counter() - began)
        if not late:
            figures = scorer.figures(partial(net.made, entry.candidate))
            facts = (entry.operator, entry.behaviour, entry.ancestor)
            found.append(Found(entry.candidate, figures, *facts))
    found.sort(key=lambda one: -one.figures.goodness)
    return InventResult(tuple(found), ended.evaluations)


@dataclass(frozen=True)
class _Net:
    """A trained net with what every program on it shares: features and their mean."""

    workplace: Workplace
    family: ClassFamily
    meta_params: MetaParams
    cache: FeatureCache

    @staticmethod
    def of(workplace: Workplace, request: InventRequest) -> _Net:
        family = workplace.classes(request.candidate.view)
        candidate = on_trunk(request.candidate, PROGRAMS["prototypes"].source)
        net = TrainedNet({}) if request.on is None else workplace.net(request.on)
        learner, meta_params = workplace.assemble(candidate, net, request.seed)
        assert isinstance(learner, EmbeddingLearner)
        own = {n: t for n, t in meta_params.items() if not n.startswith("program.")}
        return _Net(workplace, family, own, FeatureCache(learner, meta_params))

    def features(self, after: int) -> Features:
        """Returns stacked features of the episodes of `search` after so many.

        Tasks of one and of several shots take turns: rules that are the same at one shot (a sum and
        a mean) are to be told apart, for the learner will be given either.
        """
        lists = task_lists(
            self.family, self.workplace.spec, "search", _SEARCH_EPISODES, first=after, otherwise=1
        )
        listed = in_turn([episodes for _, episodes in lists])
        first = self._stacked(listed[:1])
        sizes = first.sizes
        most = _MOST_NUMBERS // ((sizes["S"] + sizes["Q"]) * sizes["D"])
        return self._stacked(listed[: max(40, most)])

    def made(self, candidate: Candidate) -> tuple[Learner, MetaParams]:
        """Returns a candidate's learner and meta-parameters, a program's constants among them."""
        learner = self.workplace.learner(candidate, self.family)
        assert isinstance(learner, ProgramLearner)
        constants = initial_constants(learner.typed, learner.net.num_features)
        device = self.family.store.device
        constants = {name: tensor.to(device) for name, tensor in constants.items()}
        return learner, {**self.meta_params, **constants}

    def _stacked(self, episodes: Episodes) -> Features:
        def side(indices: Indices) -> Examples:
            rows = self.cache.features(
                self.family.store, indices.examples, self.family.input_format
            )
            labels = torch.from_numpy(indices.labels).to(rows.device)
            mask = torch.from_numpy(indices.mask).to(rows.device)
            padded = not bool(mask.all())
            return Examples(rows, labels, mask, episodes.num_classes, padded)

        batch = EpisodeBatch(side(episodes.support), side(episodes.query))
        return Features(batch, self.meta_params[CENTER])


def _budget(request: InventRequest, seconds_spent: float) -> Budget:
    if request.wall_seconds is None:
        return Budget(steps=request.evaluations)
    left = (1 - _MEASURING_SHARE) * request.wall_seconds - seconds_spent
    return Budget(wall_seconds=max(left, _LEAST_SHARE * request.wall_seconds))


def _settings(budget: Budget) -> Settings:
    """Returns the usual settings; after a short search less is tuned."""
    if budget.steps is None or budget.steps >= _LONG_SEARCH:
        return Settings()
    return Settings(tuned=NUM_INVENTED, tuning_steps=_FEW_STEPS)


def _late(request: InventRequest, seconds_spent: float) -> bool:
    return request.wall_seconds is not None and seconds_spent > request.wall_seconds


def _start(known: Iterable[str], seed: int) -> list[Start]:
    """Returns the library's programs, those found earlier that still parse, and blank ones."""
    start = [Start(name, canonical(parse(entry.source))) for name, entry in PROGRAMS.items()]
    for source in known:
        try:
            start.append(Start(source, canonical(parse(source))))
        except ProgramError:
            continue  # of an archive of another version
    rng = numpy_stream(seed, "random programs")
    start.append(Start(_BLANK, blank_program()))
    return start + [Start(_RANDOM, random_program(rng)) for _ in range(_NUM_RANDOM)]


def _new(members: Iterable[Member], features: Features) -> list[Member]:
    """Returns the best that do something else than the library's programs and each other."""
    seen = {fingerprint(infer_types(parse(entry.source)), features) for entry in PROGRAMS.values()}
    chosen: list[Member] = []
    for member in members:
        if member.fingerprint not in seen:
            seen.add(member.fingerprint)
            chosen.append(member)
    return chosen[:NUM_INVENTED]


def _entry(member: Member, trained: Candidate, start: Iterable[Start]) -> _Entry:
    ancestor = next((first for first in start if first.name == member.ancestor), None)
    return _Entry(
        on_trunk(trained, str(member.program)),
        f"program: {_difference(ancestor, member.program)}",
        _behaviour(member.program),
        _source(ancestor),
    )


def _catalogue(request: InventRequest) -> list[_Entry]:
    """Returns the library's programs on the net, but for those that were measured before."""
    measured = {candidate.identity for candidate in request.measured}
    entries = []
    for program in PROGRAMS.values():
        candidate = on_trunk(request.candidate, program.source)
        if candidate.identity not in measured:
            entries.append(_Entry(candidate, "catalogue", _behaviour(parse(program.source))))
    return entries


def _difference(ancestor: Start | None, program: Program) -> str:
    if ancestor is None or ancestor.name in (_BLANK, _RANDOM):
        return "grown from the primitives alone"
    if ancestor.program == program:
        return "found earlier"
    name = ancestor.name if ancestor.name in PROGRAMS else "an earlier program"
    return one_line(f"{name}, " + "; ".join(explain(ancestor.program, program)))


def _source(ancestor: Start | None) -> str | None:
    """Returns the text that a program came from; None if it was grown from nothing."""
    if ancestor is None or ancestor.name in (_BLANK, _RANDOM):
        return None
    return PROGRAMS[ancestor.name].source if ancestor.name in PROGRAMS else ancestor.name


def _behaviour(program: Program) -> str | None:
    found = behaviour(program)
    return found.identity if found is not None else None
