"""Step 1, choose learning algorithms: what starts the race, best guess first.

With an archive of earlier runs the first contenders are a greedy portfolio: candidates of which
each helps where those before it do not, over the families that were learned before. All of the
catalogue follows. Candidates that share a trained net are one contender with several heads.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import numpy as np
from torch import nn

from metaloop.archive import Archive
from metaloop.catalogue.candidates import build_learner, catalogue_candidates, trunk_of, with_module
from metaloop.catalogue.domains import domain_of
from metaloop.catalogue.generators import generator_arms
from metaloop.catalogue.learners import learner_entry
from metaloop.catalogue.limits import check_candidate
from metaloop.catalogue.nets import tail_of
from metaloop.catalogue.plans import default_augmentation
from metaloop.catalogue.programs import PROGRAMS, on_trunk
from metaloop.catalogue.ranges import Among
from metaloop.catalogue.space import space_of
from metaloop.core.errors import MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.core.objective import higher_is_better, objective
from metaloop.core.records import Candidate, Choice, DataRecipe
from metaloop.core.spec import TaskSpec
from metaloop.generators.recipes import operators_of, parse_recipe
from metaloop.loop.heads import SLOW_HEADS
from metaloop.nets.embedding import NetLearner
from metaloop.selection.portfolio import portfolio
from metaloop.tasks.family import TaskFamily

PORTFOLIO_SIZE = 4
SLOW_START_SECONDS = 15.0  # of one core: gradient learners were near chance after less (LOG.md)
PROVEN, GIVEN = "archive: proven in earlier runs", "given: asked for"
_CATALOGUE_PROGRAMS = ("centred", "power", "ridge")  # heads worth measuring on every net


@dataclass(frozen=True)
class Field:
    """What there is to begin with: plain baselines, and contenders with their heads, in order.

    `origins`: in words, where contenders are from that are not of the catalogue, by identity.
    """

    baselines: tuple[Candidate, ...]
    contenders: tuple[tuple[Candidate, ...], ...]
    origins: Mapping[str, str] = field(default_factory=dict)


def choose_field(
    family: TaskFamily,
    spec: TaskSpec,
    module: nn.Module | None = None,
    archive: Archive | None = None,
    race_seconds: float | None = None,
    own: Sequence[Candidate] | None = None,
    shrunk: bool = False,
    learners: Collection[str] | None = None,
) -> Field:
    """Returns the contenders for such a family.

    `module` is a net of the user's own: all contenders then use it. `archive`: earlier runs.
    `race_seconds`: worker seconds for the first segments of all; where that is too little for
    those that start slowly, they are left out (None: a budget in steps). `own`: candidates to
    race instead of the catalogue's. `shrunk`: their nets begin on shrunk images, where they
    can: methods can be told apart sooner. `learners`: names of those of the catalogue to choose
    among; None for all.
    """
    candidates = _of_catalogue(family, spec, shrunk)
    candidates = [c for c in candidates if learners is None or c.learner.name in learners]
    baselines = tuple(c for c in candidates if c.plan.style == "none")
    trained = [c for c in candidates if c.plan.style != "none"]
    catalogue = {candidate.identity for candidate in trained}
    if own is not None:
        trained = [candidate for candidate in own if candidate.plan.style != "none"]
    elif _is_slow(family) and _is_short(race_seconds, len(trained)):
        trained = [c for c in trained if not learner_entry(c.learner.name).starts_slowly]
    if module is not None:
        trained = [with_module(candidate, module) for candidate in trained]
    elif archive is not None:
        trained = [*_proven(archive, family, spec), *trained]
    contenders: dict[str, list[Candidate]] = {}
    for candidate in trained:
        heads = contenders.setdefault(trunk_of(candidate), [])
        if candidate not in heads:
            heads.append(candidate)
    for heads in contenders.values():
        heads.sort(key=lambda head: head.learner.name in SLOW_HEADS)  # the first is always measured
        programs = _programs(heads[0], family, spec, module)
        heads += [program for program in programs if program not in heads]
    words = GIVEN if own is not None else PROVEN
    first = [heads[0].identity for heads in contenders.values()] if module is None else []
    origins = {identity: words for identity in first if identity not in catalogue}
    return Field(baselines, tuple(map(tuple, contenders.values())), origins)


def _of_catalogue(family: TaskFamily, spec: TaskSpec, shrunk: bool) -> list[Candidate]:
    """Returns the catalogue's candidates for every view, best guesses of baselines first.

    In further views those that start slowly are left out: there are enough who tell what it is
    worth. So are plain ones where a view is the front of a net, which is no features yet. Views
    take turns, encoders first.
    """
    found = []
    for view in family.views:
        input_format = family.seen(view).input_format
        candidates = catalogue_candidates(input_format, spec, shrunk=shrunk)
        found.append(
            [
                replace(candidate, view=view)
                for candidate in candidates
                if not (view and _is_out_of_place(candidate, input_format))
            ]
        )
    if len(found) == 1:
        return found[0]
    plain = [[c for c in of_view if c.plan.style == "none"] for of_view in found]
    trained = [[c for c in of_view if c.plan.style != "none"] for of_view in found]
    return _in_turns(plain) + _in_turns([*trained[1:], trained[0]])


def _is_out_of_place(candidate: Candidate, input_format: InputFormat) -> bool:
    plain = candidate.plan.style == "none"
    slow = learner_entry(candidate.learner.name).starts_slowly
    return slow or (plain and tail_of(input_format) is not None)


def _in_turns(of_views: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """The first of every view, then the second: a short budget must not end before a view began."""
    return [c for row in zip_longest(*of_views) for c in row if c is not None]


def _is_slow(family: TaskFamily) -> bool:
    """Whether a few seconds do not tell all learners apart on such inputs."""
    return not domain_of(family.input_format).quick_to_tell


def _is_short(race_seconds: float | None, contenders: int) -> bool:
    """Whether a first segment is too short for those that start slowly."""
    return race_seconds is not None and race_seconds < SLOW_START_SECONDS * contenders


def known_programs(archive: Archive) -> list[str]:
    """Returns the sources of programs that were invented in the archive's runs, oldest first."""
    catalogue = {entry.source for entry in PROGRAMS.values()}
    sources = [stored.candidate.program for stored in archive.candidates()]
    return list(dict.fromkeys(s for s in sources if s is not None and s not in catalogue))


def errors_of(archive: Archive) -> tuple[np.ndarray, list[Candidate]]:
    """Returns errors `[families, candidates]` on `search`, NaN where unmeasured, less is better.

    A family is a data set under one task; of several figures the one of the highest rung counts.
    Candidates that need no training, or were put together from others, are left out, and figures
    that are not finite are none.
    """
    stored = {c.identity: c.candidate for c in archive.candidates()}
    rungs = {trial.id: trial.trial.rung for trial in archive.trials()}
    best: dict[tuple[tuple[str, int, int, str], str], tuple[int, float]] = {}
    for result in archive.results(part="search"):
        candidate = stored.get(result.candidate)
        if candidate is None or candidate.plan.style == "none":
            continue
        how = result.result.protocol
        row = (how.data_hash, how.ways, how.shots, result.result.metric)
        value = result.result.value
        error = 1 - value if higher_is_better(result.result.metric) else value
        if not math.isfinite(error):
            continue
        rung = rungs[result.trial]
        if rung >= best.get((row, result.candidate), (-1, 0.0))[0]:
            best[row, result.candidate] = (rung, error)
    rows = list(dict.fromkeys(row for row, _ in best))
    identities = list(dict.fromkeys(identity for _, identity in best))
    errors = np.full((len(rows), len(identities)), np.nan)
    for (row, identity), (_, error) in best.items():
        errors[rows.index(row), identities.index(identity)] = error
    return errors, [stored[identity] for identity in identities]


def _proven(archive: Archive, family: TaskFamily, spec: TaskSpec) -> list[Candidate]:
    """Returns the archive's portfolio, of candidates that can be built for this family."""
    errors, stored = errors_of(archive)
    kind = objective(spec.objective).target_kind
    candidates = {
        k: _suited(candidate, family.seen(candidate.view).input_format, kind)
        for k, candidate in enumerate(stored)
        if candidate.view in family.views and _is_within_limits(candidate)
    }
    able = [k for k, candidate in candidates.items() if _fits(candidate, family, spec)]
    if not able:
        return []
    errors = errors[:, able]
    errors = errors[~np.isnan(errors).all(axis=1)]
    chosen = portfolio(errors, min(PORTFOLIO_SIZE, len(able)))
    return [candidates[able[k]] for k in chosen]


def _suited(candidate: Candidate, input_format: InputFormat, target_kind: str) -> Candidate:
    """Returns the candidate without what is for other inputs: further data, operators, noise."""
    data, plan = candidate.data, candidate.plan
    suiting = {
        _operator(choice)
        for arm in generator_arms(input_format)
        for choice in operators_of(parse_recipe(arm))
    }
    if data.families or not {_operator(choice) for choice in operators_of(data)} <= suiting:
        data = DataRecipe()
    names = {
        value
        for dimension in space_of(candidate, input_format, target_kind)
        if (dimension.place, dimension.name) == ("plan", "augmentation")
        and isinstance(dimension.values, Among)
        for value in dimension.values.values
    }
    if plan.augmentation.name not in names:
        plan = replace(plan, augmentation=default_augmentation(input_format))
    return replace(candidate, data=data, plan=plan)


def _operator(choice: Choice) -> tuple[str, str | None]:
    """Returns what decides which inputs an operator takes: its name, and of a prior its kind."""
    kind = choice.options.get("kind")
    return choice.name, kind if isinstance(kind, str) else None


def _is_within_limits(candidate: Candidate) -> bool:
    """Whether a candidate is one that this metaloop could have made; an archive may hold others."""
    try:
        check_candidate(candidate)
        learner_entry(candidate.learner.name)
    except MetaloopError:
        return False
    return True


def _fits(candidate: Candidate, family: TaskFamily, spec: TaskSpec) -> bool:
    """Whether a candidate of other data can learn this: its net takes such inputs and targets."""
    try:
        build_learner(candidate, family.seen(candidate.view).input_format, spec.objective)
    except MetaloopError:
        return False
    return True


def _programs(
    trained: Candidate, family: TaskFamily, spec: TaskSpec, module: nn.Module | None
) -> Sequence[Candidate]:
    """Returns programs of the catalogue as further heads, where the net embeds on its own."""
    if objective(spec.objective).target_kind != "classes":
        return ()
    seen = family.seen(trained.view)
    learner = build_learner(trained, seen.input_format, spec.objective, module)
    if not isinstance(learner, NetLearner):
        return ()
    return [on_trunk(trained, PROGRAMS[name].source) for name in _CATALOGUE_PROGRAMS]
