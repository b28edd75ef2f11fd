"""Step 4, generate new algorithms: evolution of programs on cached embeddings.

Ageing evolution (Real et al. 2019, arXiv:1802.01548): the best of a few drawn members becomes a
parent, its child joins, the oldest member leaves, so that nobody lives long by a lucky measurement.
A child goes through a cascade that spends little on what is known or poor:

    types -> cost -> behaviour known? -> 20 episodes -> 200 episodes
          -> (in the end, the best few) shapes, constants tuned by gradient, all episodes

Merit is accuracy, then cross-entropy, then brevity: the last two weigh little, so that they decide
where accuracies are equal within noise. With a budget in evaluations the search is a function of
its arguments; with wall seconds, the last part of them is for tuning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import torch

from metaloop.core.budget import Budget
from metaloop.core.randomness import numpy_stream
from metaloop.programs.calibrating import calibrated
from metaloop.programs.checking import check
from metaloop.programs.crossover import recombine
from metaloop.programs.editing import live_size
from metaloop.programs.errors import ProgramError
from metaloop.programs.fitness import Features, Fitness, affordable, fingerprint, fitness
from metaloop.programs.inference import infer_types
from metaloop.programs.mutation import Variant, canonical_form, vary
from metaloop.programs.syntax import Program
from metaloop.programs.tuning import tune, with_constants

_MOST_FLOPS = 2e7  # of learning and predicting one task: beyond it a rule is not of this kind
_CHANGES = (0.65, 0.25, 0.10)  # chances of one, two and three mutations at once
_TUNING_SHARE = 0.2  # of wall seconds
_TRIES_PER_EVALUATION = 20  # before a search that finds nothing new ends
_NOTHING = ""  # the fingerprint of programs that say nothing
_COST_OF_GRADIENT = 4.0  # of a step of tuning, in the time that predicting takes
_LEAST_STEPS = 5
_NUMBER_OF_SHOWN = 100  # best members that are remembered for the end
_LEAST_DIFFERENCE = 0.01  # of the predictions, between two that are tuned in the end

Value = TypeVar("Value")


@dataclass(frozen=True)
class Settings:
    """How the search spends: `quick` episodes for all, `full` for those that pass.

    `tuned`: how many are tuned in the end, on `full` episodes.
    """

    cross_entropy_weight: float = 0.05  # of a nat, in units of accuracy
    price: float = 0.0003  # of one call or constant, in units of accuracy
    population: int = 64
    islands: int = 1
    migration: float = 0.05  # how often the second parent may come from any island
    tournament: int = 8
    crossover: float = 0.2
    quick: int = 20
    full: int = 200
    doubtful: float = 0.5  # a child must beat this share of the population on the quick episodes
    tuned: int = 6
    tuning_steps: int = 30
    tuning_episodes: int = 60


@dataclass(frozen=True)
class Member:
    """A measured program.

    `ancestor`: the start program that its line began with; `words`: the last change.
    """

    program: Program
    fitness: Fitness
    quick_merit: float
    merit: float
    fingerprint: str
    ancestor: str
    words: str

    @property
    def accuracy(self) -> float:
        """The mean accuracy on the episodes that it was measured on."""
        return float(self.fitness.accuracy.mean())


@dataclass(frozen=True)
class Measured:
    """A program has passed the quick episodes."""

    member: Member
    evaluations: int
    seconds: float


@dataclass(frozen=True)
class Invented:
    """The end: the best programs on all episodes, constants tuned, best first.

    `evaluations`: programs run on episodes; `tried`: all that were made, known ones included.
    """

    members: tuple[Member, ...]
    evaluations: int
    tried: int
    seconds: float


@dataclass(frozen=True)
class Start:
    """A program to start from, and its name in lineages."""

    name: str
    program: Program


def invent(
    features: Features,
    start: Iterable[Start],
    budget: Budget,
    seed: int,
    settings: Settings = Settings(),
) -> Iterator[Measured | Invented]:
    """Searches, and yields every program that passed the quick episodes, then the end.

    The steps of a budget are evaluations. Programs of `start` that cannot run are left aside.
    """
    search = _Search(features, budget, seed, settings)
    for first in start:
        yield from search.take(Variant(first.program, "start", "start"), first.name)
    search.settle()
    while any(search.islands) and not search.over:
        yield from search.step()
    yield search.finished()


def merit_of(measured: Fitness, size: int, settings: Settings) -> float:
    """Returns what programs are ordered by: accuracy; then cross-entropy; then brevity."""
    chance = float(np.log(max(2, int(measured.predictions.max()) + 1)))
    loss = float(measured.cross_entropy.mean().clamp(max=4 * chance))
    accuracy = float(measured.accuracy.mean())
    return accuracy - settings.cross_entropy_weight * loss - settings.price * size


def size_of(program: Program) -> int:
    """Returns the number of calls and constants of all slots."""
    return sum(len(f.statements) + len(f.literals) for f in program.functions)


@dataclass
class _Search:
    """The state of one search.

    `islands` are the populations, oldest member first; `known` has for each behaviour the member
    that shows it, None if that one is gone or was not good enough.
    """

    features: Features
    budget: Budget
    seed: int
    settings: Settings
    islands: list[list[Member]] = field(default_factory=list)
    best: list[Member] = field(default_factory=list)  # ever, best first
    known: dict[str, Member | None] = field(default_factory=dict)
    evaluations: int = 0
    tried: int = 0

    def __post_init__(self) -> None:
        self.rng = numpy_stream(self.seed, "inventing")
        self.began = time.perf_counter()
        quick, full = self.settings.quick, self.settings.full
        self.features, number = affordable(self.features, quick, full)
        self.quick_features = self.features[:quick]
        self.full_features = self.features[quick:number]
        self.islands = [[] for _ in range(self.settings.islands)]

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    @property
    def over(self) -> bool:
        if self.budget.steps is not None:
            exhausted = self.tried >= _TRIES_PER_EVALUATION * self.budget.steps
            return self.evaluations >= self.budget.steps or exhausted
        assert self.budget.wall_seconds is not None
        return self.seconds >= (1 - _TUNING_SHARE) * self.budget.wall_seconds

    def settle(self) -> None:
        """Gives islands that got no first program all of them."""
        everyone = [member for island in self.islands for member in island]
        for island in self.islands:
            if not island:
                island.extend(everyone)

    def step(self) -> Iterator[Measured]:
        """Makes one child, measures it as far as it deserves, and lets the oldest member go."""
        island = self.islands[self.rng.integers(len(self.islands))]
        parent = self._drawn(island)
        other = island
        if self.rng.random() < self.settings.migration:
            other = self.islands[self.rng.integers(len(self.islands))]
        child = _guarded(lambda: self._child(parent, self._drawn(other)))
        if child is None:
            self.tried += 1
            return
        yield from self.take(child, parent.ancestor, island)
        while len(island) > self.settings.population:
            gone = island.pop(0)
            if not any(gone is member for member in self.best):
                self.known[gone.fingerprint] = None

    def take(
        self, variant: Variant, ancestor: str, island: list[Member] | None = None
    ) -> Iterator[Measured]:
        """Measures a program through the cascade, and takes it in if it is good enough.

        `island`: whose it is; one of the first programs comes to the smallest.
        """
        self.tried += 1
        first = island is None
        island = min(self.islands, key=len) if island is None else island
        typed = _guarded(lambda: infer_types(variant.program))
        if typed is None or typed.cost(self.features.sizes) > _MOST_FLOPS:
            return
        behaviour = _guarded(lambda: fingerprint(typed, self.features))
        if behaviour is None:
            if first:
                self._join(self._knowing_nothing(typed.program, ancestor), island)
            return
        if behaviour in self.known:
            self._shorten(behaviour, variant, island)
            return
        self.known[behaviour] = None
        self.evaluations += 1
        quick = _guarded(lambda: fitness(typed, self.quick_features))
        if quick is None:
            return
        size = live_size(typed.program)
        quick_merit = merit_of(quick, size, self.settings)
        if not first and quick_merit < self._threshold(island):
            return
        rest = _guarded(lambda: fitness(typed, self.full_features, scale=quick.scale))
        if rest is None:
            return
        whole = quick.followed_by(rest)
        merit = merit_of(whole, size, self.settings)
        program = canonical_form(typed.program)
        member = Member(program, whole, quick_merit, merit, behaviour, ancestor, variant.words)
        self._join(member, island)
        yield Measured(member, self.evaluations, self.seconds)

    def finished(self) -> Invented:
        """Tunes the constants of the best, measures them on all episodes, and ends."""
        members: list[Member] = []
        limit = self.budget.wall_seconds
        for member in _different(self.best, self.settings.tuned):
            if limit is not None and members and self.seconds > limit:
                break
            finished = self._tuned(member)
            if finished is not None:
                members.append(finished)
        members.sort(key=lambda member: -member.merit)
        return Invented(tuple(members), self.evaluations, self.tried, self.seconds)

    def _drawn(self, island: list[Member]) -> Member:
        places = self.rng.integers(len(island), size=self.settings.tournament)
        drawn: list[Member] = [island[int(place)] for place in places]
        return max(drawn, key=lambda member: member.merit)

    def _child(self, parent: Member, other: Member) -> Variant | None:
        """Returns a changed program, not in canonical form: most are not worth the trouble."""
        child: Variant | None = None
        if self.rng.random() < self.settings.crossover:
            child = recombine(parent.program, other.program, self.rng)
            if child is None or self.rng.random() < 0.5:
                return child
        for _ in range(1 + int(self.rng.choice(len(_CHANGES), p=_CHANGES))):
            changed = vary(child.program if child else parent.program, self.rng)
            if changed is not None:
                words = f"{child.words}; {changed.words}" if child else changed.words
                child = replace(changed, words=words)
        return child

    def _shorten(self, behaviour: str, variant: Variant, island: list[Member]) -> None:
        """Takes in a shorter program that behaves like a member: its figures are known."""
        like = self.known[behaviour]
        if like is None or live_size(variant.program) >= size_of(like.program):
            return
        program = canonical_form(variant.program)
        saved = self.settings.price * (size_of(like.program) - size_of(program))
        if saved <= 0:
            return
        shorter = replace(
            like,
            program=program,
            quick_merit=like.quick_merit + saved,
            merit=like.merit + saved,
            words=variant.words,
        )
        self.best = [member for member in self.best if member is not like]
        self._join(shorter, island)

    def _knowing_nothing(self, program: Program, name: str) -> Member:
        """Returns a first program that says nothing: it is as good as chance."""
        query = self.quick_features.episodes.query
        chance = torch.full((len(self.quick_features),), 1.0 / query.num_classes)
        nothing = Fitness(chance, -chance.log(), torch.zeros_like(query.targets), 1.0)
        merit = merit_of(nothing, size_of(program), self.settings)
        return Member(program, nothing, merit, merit, _NOTHING, name, "start")

    def _threshold(self, island: list[Member]) -> float:
        if len(island) < self.settings.population // 2:
            return -np.inf
        merits = [member.quick_merit for member in island]
        return float(np.quantile(merits, self.settings.doubtful))

    def _join(self, member: Member, island: list[Member]) -> None:
        island.append(member)
        if member.fingerprint == _NOTHING:
            return
        self.known[member.fingerprint] = member
        self.best.append(member)
        self.best.sort(key=lambda known: -known.merit)
        del self.best[_NUMBER_OF_SHOWN:]

    def _tuned(self, member: Member) -> Member | None:
        """Returns the better of the program as it is and with tuned constants; None if it fails."""
        program = calibrated(member.program, member.fitness.scale)
        versions = [program]
        some = self.features[: self.settings.tuning_episodes]
        steps = self._tuning_steps(program, some)
        if steps:
            found = _guarded(
                lambda: tune(check(program), some.episodes, some.center_D, num_steps=steps)
            )
            if found is not None:
                versions.append(canonical_form(with_constants(program, found.constants)))
        measured = [self._on_all(replace(member, program=version)) for version in versions]
        finished = [version for version in measured if version is not None]
        return max(finished, key=lambda version: version.merit, default=None)

    def _tuning_steps(self, program: Program, features: Features) -> int:
        """Returns how many steps there is time for."""
        most = self.settings.tuning_steps
        if self.budget.wall_seconds is None:
            return most
        began = time.perf_counter()
        _guarded(lambda: fitness(check(program), features))
        step_seconds = _COST_OF_GRADIENT * (time.perf_counter() - began)
        left = (self.budget.wall_seconds - self.seconds) / 2  # the next one wants some, too
        steps = int(min(most, left / step_seconds))
        return steps if steps >= _LEAST_STEPS else 0

    def _on_all(self, member: Member) -> Member | None:
        figures = _guarded(lambda: fitness(check(member.program), self.features))
        seen = _guarded(lambda: fingerprint(check(member.program), self.features))
        if figures is None or seen is None:
            return None
        merit = merit_of(figures, size_of(member.program), self.settings)
        return replace(member, fitness=figures, merit=merit, fingerprint=seen)


def _different(best: Iterable[Member], number: int) -> list[Member]:
    """Returns the best members that predict differently, not variations of one rule."""
    chosen: list[Member] = []
    for member in best:
        ours = member.fitness.predictions
        shares = [(ours != other.fitness.predictions).float().mean() for other in chosen]
        if len(chosen) < number and all(share >= _LEAST_DIFFERENCE for share in shares):
            chosen.append(member)
    return chosen


def _guarded(function: Callable[[], Value]) -> Value | None:
    """Returns what the function does; None where the program that it runs is at fault."""
    try:
        return function()
    except (RuntimeError, ProgramError, ValueError, ArithmeticError, MemoryError):
        return None
