"""Candidates made from the tables: what a name means, and which ones the loop starts with."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import nn

from metaloop.catalogue.committees import members_of
from metaloop.catalogue.learners import (
    BY_PRIOR,
    COMMITTEE,
    EVOLVED,
    OWN,
    PROGRAM,
    Baseline,
    learner_entry,
    learners_for,
)
from metaloop.catalogue.limits import check_candidate
from metaloop.catalogue.nets import (
    CUSTOM,
    RAW,
    VIEW,
    build_net,
    coarse,
    default_net,
    tail_of,
    view_of,
)
from metaloop.catalogue.plans import usual_plan
from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.errors import MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import Learner
from metaloop.core.objective import objective
from metaloop.core.ranking import OF_ITEMS
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.core.sampler import GenerativeLearner
from metaloop.core.spec import TaskSpec
from metaloop.core.views import View
from metaloop.learners.committee import Committee
from metaloop.nets.embedding import NetLearner

# The inner loop of the MAML paper's regression (section A.1) and of classification here.
_GRADIENT_LEARNERS = ("maml", "fomaml", "anil")
_REGRESSION_OPTIONS = {"inner_steps": 1, "inner_rate": 0.01}
_EVOLVED_REGRESSION_OPTIONS = {"inner_steps": 1, "initial_rate": 0.01}
_GENTLE = (64, 2048)  # features: of fewer there is little to choose, of more a map is large
_GENTLE_RATE = 1e-4  # of such a map: at 2e-3 it loses within seconds (LOG.md)
# Of a map of an encoder's features, each step: no entry comes beyond 1 / decay, so that it stays
# near the identity however long it is trained. Without, long training loses again (LOG.md).
_GENTLE_DECAY = 50.0
_TASKS = {"classes": "classification", "real": "regression", "inputs": "generation"}


def make_candidate(
    name: str,
    input_format: InputFormat,
    spec: TaskSpec,
    net: str | None = None,
    *,
    shrunk: bool = False,
) -> Candidate:
    """Returns the candidate that a learner's name stands for on such data.

    `shrunk`: its net is to begin on shrunk images, where none is named and it can.
    Raises `UnknownNameError` for unknown names and `MetaloopError` where the method cannot learn
    this kind of target.
    """
    entry = learner_entry(name)
    kind = objective(spec.objective).target_kind
    _check_targets(name, kind)
    if entry.inputs and entry.inputs != input_format.kind:
        raise MetaloopError(
            f"learner '{name}' takes {entry.inputs}s, the data are {input_format.kind}s of shape "
            f"{tuple(input_format.shape)}"
        )
    if net is None:
        usual = (
            Choice(entry.net)
            if entry.net
            else default_net(input_format, kind, quick=entry.starts_slowly)
        )
        chosen = Choice(RAW) if entry.trunk == "none" else usual
        chosen = coarse(chosen, input_format) if shrunk else chosen
    elif entry.trunk == "none" and net != RAW:
        raise MetaloopError(
            f"learner '{name}' is a plain baseline on raw inputs and has no net; leave --net away"
        )
    elif entry.net and net != entry.net:
        raise MetaloopError(
            f"learner '{name}' has a net of its own, '{entry.net}'; leave --net away"
        )
    else:
        chosen = Choice(net)
    options: dict[str, Any] = {}
    if kind == "real" and name in _GRADIENT_LEARNERS:
        options = dict(_REGRESSION_OPTIONS)
    if kind == "real" and name == EVOLVED:
        options = dict(_EVOLVED_REGRESSION_OPTIONS)
    if name in BY_PRIOR and spec.objective in OF_ITEMS:
        options = {"prior": 0}  # the item's mean: domains/ratings/items.py
    return Candidate(Choice(name, options), chosen, usual_plan(name, input_format, spec))


def catalogue_candidates(
    input_format: InputFormat, spec: TaskSpec, *, shrunk: bool = False
) -> list[Candidate]:
    """Returns every candidate of the catalogue that can learn such tasks, baselines first.

    `shrunk`: with nets that begin on shrunk images, where they can.
    """
    kind = objective(spec.objective).target_kind
    fitting = learners_for(kind, offered=True, objective=spec.objective)
    trained = [name for name in fitting if learner_entry(name).trunk != "none"]
    candidates = [make_candidate(name, input_format, spec, shrunk=shrunk) for name in trained]
    gentle = [gentle_candidate(input_format, spec)] if _has_gentle(input_format, kind) else []
    return [*plain_candidates(spec), *gentle, *candidates]


def gentle_candidate(input_format: InputFormat, spec: TaskSpec) -> Candidate:
    """Returns prototypes behind a linear map that begins as none and is learned in small steps.

    On frozen features of texts every larger net unlearns more than it learns, and a map of tf-idf
    learns which terms count (LOG.md).
    """
    plan = usual_plan("protonet", input_format, spec)
    if input_format.encoder:
        plan = replace(plan, learning_rate=_GENTLE_RATE, weight_decay=_GENTLE_DECAY)
    else:
        plan = replace(plan, learning_rate=2 * _GENTLE_RATE)
    return Candidate(Choice("protonet"), Choice("projection", {VIEW: "unit"}), plan)


def _has_gentle(input_format: InputFormat, kind: str) -> bool:
    many = len(input_format.shape) == 1 and not input_format.pieces
    if tail_of(input_format):  # maps of a net's front are no features yet
        return False
    return kind == "classes" and many and _GENTLE[0] <= math.prod(input_format.shape) <= _GENTLE[1]


def in_usual_form(candidate: Candidate) -> Candidate:
    """Returns a plain baseline with its inputs in the form that suits most features, others as is.

    Features of encoders and of terms differ in length, and raw a nearest mean goes by that: 29 %
    instead of 63 on intents by tf-idf, 5-way 1-shot.
    """
    baseline = learner_entry(candidate.learner.name).baseline
    if baseline is None or candidate.net != Choice(RAW):
        return candidate
    return replace(candidate, net=Choice(RAW, {VIEW: baseline.forms[0]}))


def plain_candidates(spec: TaskSpec) -> list[Candidate]:
    """Returns all that plain baselines are tuned over, views and strengths, best guesses first.

    They learn nothing from other classes but where these lie: methods without training, and ridge
    regression as it begins, on the inputs themselves. A view is named even where it is usual: which
    one that is depends on the learner.
    """
    kind = objective(spec.objective).target_kind
    names = learners_for(kind, offered=True, objective=spec.objective)
    baselines = {name: learner_entry(name).baseline for name in names}
    grid = [
        (guess, place, _plain(name, view, options))
        for name, baseline in baselines.items()
        if baseline is not None
        for place, view in enumerate(baseline.forms)
        for guess, options in enumerate(_guesses(baseline))
    ]
    grid.sort(key=lambda each: each[:2])
    return [candidate for _, _, candidate in grid]


def _guesses(baseline: Baseline) -> list[dict[str, float]]:
    return [{baseline.option: value} for value in baseline.values] or [{}]


def _plain(name: str, view: View, options: dict[str, float]) -> Candidate:
    return Candidate(Choice(name, options), Choice(RAW, {VIEW: view}), Plan("none"))


def build_learner(
    candidate: Candidate,
    input_format: InputFormat,
    objective_name: str,
    module: nn.Module | None = None,
    own: BlackBoxLearner | None = None,
) -> Learner:
    """Returns the candidate's learner for these inputs.

    `module` is the user's own net and `own` the user's own learner, where the candidate has such.
    Raises `MetaloopError` for a candidate beyond the limits of `limits.py`, before it is built.
    """
    check_candidate(candidate)
    if candidate.learner.name == OWN:
        return _own(candidate, input_format, objective_name, own)
    if candidate.learner.name == COMMITTEE:
        return _committee(candidate, input_format, objective_name)
    constructor = learner_class(candidate.learner.name)
    _check_targets(candidate.learner.name, objective(objective_name).target_kind)
    options = dict(candidate.learner.options)
    if candidate.learner.name in (PROGRAM, EVOLVED):
        options.pop("trunk", None)  # who trains its net
        options["source"] = candidate.program or ""
    if issubclass(constructor, BlackBoxLearner):
        usual = learner_entry(candidate.learner.name).view
        options |= {"view": view_of(candidate.net, usual), "input_format": input_format}
    elif issubclass(constructor, GenerativeLearner) and candidate.net.name == RAW:
        options["input_format"] = input_format
    else:
        own_net = learner_entry(candidate.learner.name).net
        if own_net and candidate.net.name != own_net:
            raise MetaloopError(f"learner '{candidate.learner.name}' needs the net '{own_net}'")
        options["net"] = build_net(candidate.net, input_format, module)
        if "real" in constructor.target_kinds:
            options["objective"] = objective(objective_name)
    try:
        return constructor(**options)
    except TypeError as error:
        raise MetaloopError(
            f"learner '{candidate.learner.name}' does not take these options: {error}"
        ) from error


def _committee(candidate: Candidate, input_format: InputFormat, objective_name: str) -> Committee:
    _check_targets(COMMITTEE, objective(objective_name).target_kind)
    members, weights = [], []
    for member, weight in members_of(candidate):
        learner = build_learner(member, input_format, objective_name)
        assert isinstance(learner, NetLearner)
        members.append(learner)
        weights.append(weight)
    net = build_net(candidate.net, input_format)
    return Committee(net, tuple(members), tuple(weights), objective(objective_name))


def learner_class(name: str) -> type[Learner]:
    """Returns the class behind a learner's name."""
    constructor = learner_entry(name).constructor
    assert isinstance(constructor, type)
    return constructor


def trunk_of(candidate: Candidate) -> str:
    """Returns the identity of the training that a candidate needs; equal ones share a net."""
    learner, program = candidate.learner, candidate.program
    if learner.name == PROGRAM and "trunk" in learner.options:
        learner, program = Choice(learner.options["trunk"]), None
    trunk = learner_entry(learner.name).trunk
    shared = Choice(trunk, {} if trunk == "classifier" else learner.options)
    return replace(candidate, learner=shared, program=program).identity


def own_candidate(learner: BlackBoxLearner) -> Candidate:
    """Returns the candidate that stands for a learner of the user's own."""
    options = {"class": type(learner).__name__[:40], "described": repr(learner)[:2000]}
    return Candidate(Choice(OWN, options), Choice(RAW, {VIEW: learner.view}), Plan("none"))


def _own(
    candidate: Candidate,
    input_format: InputFormat,
    objective_name: str,
    own: BlackBoxLearner | None,
) -> Learner:
    described = candidate.learner.options.get("described", "a learner")
    if own is None:
        raise MetaloopError(
            f"this model's learner is of your own ({_short(described)}); load it from Python with "
            "learner=<that learner>"
        )
    given = own_candidate(own)
    if (given.learner, given.net) != (candidate.learner, candidate.net):
        raise MetaloopError(
            f"this model's learner is {_short(described)}, but learner= is {_short(repr(own))}"
        )
    kind = objective(objective_name).target_kind
    if kind not in own.target_kinds:
        raise MetaloopError(f"{_short(repr(own))} cannot learn {_TASKS[kind]} tasks")
    return replace(own, input_format=input_format)


def _short(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= 120 else f"{line[:120]}..."


def with_module(candidate: Candidate, module: nn.Module) -> Candidate:
    """Returns the candidate with a net that is the user's own module."""
    net = Choice(CUSTOM, {"class": type(module).__qualname__})
    return replace(candidate, net=net)


def _check_targets(name: str, kind: str) -> None:
    kinds = learner_class(name).target_kinds
    if kind not in kinds:
        fitting = ", ".join(learners_for(kind))
        raise MetaloopError(
            f"learner '{name}' cannot learn {_TASKS[kind]} tasks; those that can: {fitting}"
        )
