"""Candidates made from the tables: what a name means, and which ones the loop starts with."""

from __future__ import annotations

from typing import Any

from torch import nn

from metaloop.catalogue.learners import EVOLVED, LEARNERS, PROGRAM, learner_entry
from metaloop.catalogue.limits import check_candidate
from metaloop.catalogue.nets import CUSTOM, build_net, coarse, default_net
from metaloop.catalogue.recipes import recipe
from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.errors import MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import Learner
from metaloop.core.objective import objective
from metaloop.core.records import Candidate, Choice
from metaloop.core.spec import TaskSpec

# The inner loop of the MAML paper's regression (section A.1) and of classification here.
_GRADIENT_LEARNERS = ("maml", "fomaml", "anil")
_REGRESSION_OPTIONS = {"inner_steps": 1, "inner_rate": 0.01}
_EVOLVED_REGRESSION_OPTIONS = {"inner_steps": 1, "initial_rate": 0.01}
_LOGISTIC_STRENGTHS = (0.01, 1.0, 100.0)  # the plain baseline is tuned, too


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
    if net is None:
        usual = default_net(input_format, kind, quick=entry.starts_slowly)
        chosen = Choice("raw") if entry.trunk == "none" else usual
        chosen = coarse(chosen, input_format) if shrunk else chosen
    elif entry.trunk == "none" and net != "raw":
        raise MetaloopError(
            f"learner '{name}' is a plain baseline on raw inputs and has no net; leave --net away"
        )
    else:
        chosen = Choice(net)
    options: dict[str, Any] = {}
    if kind == "real" and name in _GRADIENT_LEARNERS:
        options = dict(_REGRESSION_OPTIONS)
    if kind == "real" and name == EVOLVED:
        options = dict(_EVOLVED_REGRESSION_OPTIONS)
    return Candidate(Choice(name, options), chosen, recipe(name, input_format, spec))


def catalogue_candidates(
    input_format: InputFormat, spec: TaskSpec, *, shrunk: bool = False
) -> list[Candidate]:
    """Returns every candidate of the catalogue that can learn such tasks, baselines first.

    `shrunk`: with nets that begin on shrunk images, where they can.
    """
    kind = objective(spec.objective).target_kind
    fitting = [name for name in LEARNERS if kind in learner_class(name).target_kinds]
    fitting.sort(key=lambda name: (learner_entry(name).trunk != "none", name))
    candidates = [make_candidate(name, input_format, spec, shrunk=shrunk) for name in fitting]
    tuned = [
        Candidate(
            Choice("logistic_regression", {"inverse_strength": strength}), c.net, c.plan, c.data
        )
        for c in candidates
        if c.learner.name == "logistic_regression"
        for strength in _LOGISTIC_STRENGTHS
        if strength != 1.0
    ]
    return tuned + candidates


def build_learner(
    candidate: Candidate,
    input_format: InputFormat,
    objective_name: str,
    module: nn.Module | None = None,
) -> Learner:
    """Returns the candidate's learner for these inputs; `module` is the user's own net, if any.

    Raises `MetaloopError` for a candidate beyond the limits of `limits.py`, before it is built.
    """
    check_candidate(candidate)
    constructor = learner_class(candidate.learner.name)
    _check_targets(candidate.learner.name, objective(objective_name).target_kind)
    options = dict(candidate.learner.options)
    if candidate.learner.name in (PROGRAM, EVOLVED):
        options.pop("trunk", None)  # who trains its net
        options["source"] = candidate.program or ""
    if not issubclass(constructor, BlackBoxLearner):
        options["net"] = build_net(candidate.net, input_format, module)
    if "real" in constructor.target_kinds:
        options["objective"] = objective(objective_name)
    try:
        return constructor(**options)
    except TypeError as error:
        raise MetaloopError(
            f"learner '{candidate.learner.name}' does not take these options: {error}"
        ) from error


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
    return Candidate(shared, candidate.net, candidate.plan, candidate.data, program).identity


def with_module(candidate: Candidate, module: nn.Module) -> Candidate:
    """Returns the candidate with a net that is the user's own module."""
    net = Choice(CUSTOM, {"class": type(module).__qualname__})
    return Candidate(candidate.learner, net, candidate.plan, candidate.data, candidate.program)


def _check_targets(name: str, kind: str) -> None:
    kinds = learner_class(name).target_kinds
    if kind not in kinds:
        wanted = {"classes": "classification", "real": "regression"}[kind]
        fitting = sorted(n for n in LEARNERS if kind in learner_class(n).target_kinds)
        raise MetaloopError(
            f"learner '{name}' cannot learn {wanted} tasks; those that can: {', '.join(fitting)}"
        )
