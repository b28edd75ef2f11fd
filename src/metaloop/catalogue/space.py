"""The search space: all that may vary about a plan and a net, between which values, and when.

`PLAN_SPACE`, `AUGMENTATION_SPACE` and `NET_SPACE` are all of it, for random search and for local
variation alike. What is missing there stays as the recipe has it: the learner and its options
(generated programs vary those), the data recipe (generators do), the schedule (the loop trains in
segments of its own), clipping, the number format.
The ranges lie around the recipes' values and are chosen by experience, not tuned.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from metaloop.catalogue.candidates import make_candidate
from metaloop.catalogue.domains import domain_of
from metaloop.catalogue.learners import PROGRAM, learner_entry
from metaloop.catalogue.nets import NETS, USUAL_VIEW, VIEW
from metaloop.catalogue.ranges import Among, Between, Range, Widths
from metaloop.core.errors import MetaloopError
from metaloop.core.inputs import InputFormat
from metaloop.core.objective import objective
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.core.spec import TaskSpec
from metaloop.engine.augmentation import AUGMENTATIONS
from metaloop.nets.blocks import ACTIVATIONS, NORMALISATIONS, POOLINGS

TargetKind = str  # `classes` or `real`, as an objective has it
Place = Literal["plan", "augmentation", "net"]


@dataclass(frozen=True)
class Setting:
    """What decides whether a choice matters: the learner's trunk, the plan so far, the data."""

    trunk: str
    plan: Plan
    input_format: InputFormat
    target_kind: TargetKind


@dataclass(frozen=True)
class Dimension:
    """One choice: a field of the plan, an option of its augmentation or of the net, or a name."""

    place: Place
    name: str
    values: Range


def _always(setting: Setting) -> bool:
    return True


def _either_style(setting: Setting) -> bool:
    return setting.trunk in ("protonet", "ridge") and setting.target_kind == "classes"


def _by_muon(setting: Setting) -> bool:
    return setting.plan.optimiser == "muon"


def _labelled(setting: Setting) -> bool:
    return setting.plan.style in ("classes", "both")


def _joint(setting: Setting) -> bool:
    return setting.plan.style == "both"


def _episodic(setting: Setting) -> bool:
    return setting.plan.style in ("episodes", "both") and setting.target_kind == "classes"


def _by_inner_loop(setting: Setting) -> bool:
    return setting.trunk in ("maml", "fomaml", "anil", "evolved_gradient")


# (field of the plan, values, when it matters). Earlier fields decide whether later ones matter.
PLAN_SPACE: tuple[tuple[str, Range, Callable[[Setting], bool]], ...] = (
    ("style", Among(("episodes", "classes", "both")), _either_style),
    ("optimiser", Among(("adam", "adamw", "muon", "sgd")), _always),
    ("learning_rate", Between(3e-4, 3e-2), _always),
    ("matrix_rate", Between(3e-3, 0.1), _by_muon),
    ("weight_decay", Between(1e-5, 0.1, zero=0.2), _always),
    ("warmup", Between(0.01, 0.3, "linear", zero=0.1), _always),
    ("averaging", Between(0.05, 0.5, "linear", zero=0.4), _always),
    ("batch_size", Between(32, 512, multiple=1), _labelled),
    ("class_loss_weight", Between(0.1, 10.0), _joint),
    ("label_smoothing", Between(0.02, 0.3, zero=0.4), _labelled),
    ("ways", Between(5, 60, multiple=1), _episodic),
    ("shots", Between(1, 5, multiple=1), _episodic),
    ("queries", Between(1, 15, multiple=1), _episodic),
    ("num_tasks", Between(1, 25, multiple=1), _by_inner_loop),
)

# Choices that decide which others there are.
DECIDING: frozenset[tuple[Place, str]] = frozenset(
    {("plan", "style"), ("plan", "optimiser"), ("plan", "augmentation"), ("net", "name")}
)

# augmentation -> option -> values
AUGMENTATION_SPACE: Mapping[str, Mapping[str, Range]] = MappingProxyType(
    {
        "affine": {
            "rotation": Between(3.0, 90.0, zero=0.1),  # degrees
            "scale": Between(0.03, 0.5, zero=0.1),
            "shear": Between(0.03, 0.5, zero=0.1),
            "shift": Between(0.02, 0.3, zero=0.1),
            "elastic": Between(0.005, 0.08, zero=0.3),
        },
        "photo": {
            "shift": Between(0.03, 0.3, zero=0.1),
            "flip": Among((False, True)),
            "brightness": Between(0.05, 0.6, zero=0.1),
            "contrast": Between(0.05, 0.8, zero=0.1),
            "crop": Between(0.1, 0.8, "linear", zero=0.4),
            "saturation": Between(0.1, 1.0, zero=0.4),
            "greyscale": Between(0.05, 0.5, zero=0.5),
            "cutout": Between(0.1, 0.6, "linear", zero=0.4),
        },
        "jitter": {"strength": Between(0.02, 1.0)},
        "sound": {
            "shift": Between(0.02, 0.25, zero=0.1),
            "speed": Between(0.03, 0.4, zero=0.1),
            "voice": Between(0.02, 0.25, zero=0.1),
            "colour": Between(0.03, 0.3, zero=0.1),
            "noise": Between(0.1, 0.8, "linear", zero=0.3),
            "bands": Between(0.05, 0.4, zero=0.1),
            "frames": Between(0.05, 0.4, zero=0.1),
            "room": Between(0.1, 1.0, "linear", zero=0.6),
        },
        "words": {
            "drop": Between(0.03, 0.5, zero=0.2),
            "swap": Between(0.03, 0.5, zero=0.3),
        },
    }
)

_SHARED: Mapping[str, Range] = {
    "normalisation": Among(tuple(NORMALISATIONS)),
    "activation": Among(tuple(ACTIVATIONS)),
}
_OF_IMAGES = tuple(name for name in POOLINGS if name != "times")  # columns that are places
_CONVOLUTIONAL: Mapping[str, Range] = {**_SHARED, "pooling": Among(_OF_IMAGES)}
_RESIZABLE: Mapping[str, Range] = {**_CONVOLUTIONAL, "shrink": Among((1, 2))}

# net -> option -> values. Images of `smallest_side` pixels or more take the nets that have one.
NET_SPACE: Mapping[str, Mapping[str, Range]] = MappingProxyType(
    {
        "conv4": {
            "channels": Between(16, 128, multiple=8),
            "depth": Between(3, 6, "linear", multiple=1),
            **_CONVOLUTIONAL,
        },
        "lean": {"widths": Widths(16, 512, 3, 6), "damped": Among((0, 64)), **_RESIZABLE},
        "strided": {"widths": Widths(16, 512, 3, 8), **_CONVOLUTIONAL},
        "temporal": {
            "widths": Widths(32, 512, 3, 8),
            **_SHARED,
            "pooling": Among(tuple(POOLINGS)),
        },
        "text_cnn": {
            "width": Between(64, 512, multiple=8),
            "channels": Between(16, 256, multiple=8),
            "dropout": Between(0.05, 0.6, "linear", zero=0.2),
        },
        "resnet10": {
            "widths": Widths(16, 512, 2, 5),
            "depth": Between(1, 3, "linear", multiple=1),
            **_RESIZABLE,
        },
        "resnet12": {
            "widths": Widths(16, 640, 2, 5),
            "depth": Between(2, 4, "linear", multiple=1),
            **_RESIZABLE,
        },
        "lite0_tail": {"rank": Among((0, 8, 32)), "damped": Among((0, 64))},
        "minilm_tail": {"rank": Among((0, 8, 32)), "damped": Among((0, 64))},
        "mlp": {
            "width": Between(16, 1024, multiple=8),
            "depth": Between(1, 5, "linear", multiple=1),
            "dropout": Between(0.05, 0.6, "linear", zero=0.4),
            "residual": Among((False, True)),
            "unit_inputs": Among((False, True)),
            "damped": Among((0, 64)),
            VIEW: Among((USUAL_VIEW, "unit")),
            **_SHARED,
        },
    }
)


def space_of(
    candidate: Candidate, input_format: InputFormat, target_kind: TargetKind = "classes"
) -> tuple[Dimension, ...]:
    """Returns everything about the candidate that may vary and matters on such data.

    Nothing of a plain baseline; no net that is the user's own module.
    """
    plan = candidate.plan
    if plan.style == "none":
        return ()
    setting = Setting(trained_as(candidate), plan, input_format, target_kind)
    domain = domain_of(input_format)
    found = [Dimension("plan", name, values) for name, values, when in PLAN_SPACE if when(setting)]
    if target_kind == "classes":
        found.append(Dimension("plan", "augmentation", Among(domain.augmentations)))
    for name, values in AUGMENTATION_SPACE.get(plan.augmentation.name, {}).items():
        if name not in domain.without_meaning(input_format):
            found.append(Dimension("augmentation", name, values))
    if candidate.net.name in NET_SPACE:
        fitting = nets_for(input_format)
        if len(fitting) > 1:
            found.append(Dimension("net", "name", Among(fitting)))
        for name, values in NET_SPACE[candidate.net.name].items():
            if not (name == "dropout" and _by_inner_loop(setting)):  # it does nothing there
                found.append(Dimension("net", name, values))
    return tuple(found)


def trained_as(candidate: Candidate) -> str:
    """Returns the trunk that the candidate's net is trained for; a program may use another's."""
    learner = candidate.learner
    name = learner.options.get("trunk", learner.name) if learner.name == PROGRAM else learner.name
    return learner_entry(name).trunk


def nets_for(input_format: InputFormat) -> tuple[str, ...]:
    """Returns the nets of the space that suit such inputs: the convolutional ones if any fits."""
    known = {name: NETS[name].smallest_side for name in NET_SPACE}
    return domain_of(input_format).nets(input_format, known)


def value_of(candidate: Candidate, dimension: Dimension) -> Any:
    """Returns what the candidate has there, its default if nothing was chosen."""
    plan, net = candidate.plan, candidate.net
    if dimension.place == "plan":
        value = getattr(plan, dimension.name)
        return value.name if isinstance(value, Choice) else value
    if dimension.place == "net" and dimension.name == "name":
        return net.name
    choice = net if dimension.place == "net" else plan.augmentation
    return choice.options.get(dimension.name, _defaults(dimension.place, choice)[dimension.name])


def with_value(candidate: Candidate, dimension: Dimension, value: Any) -> Candidate:
    """Returns the candidate with another value there; another name begins with default options."""
    plan, net = candidate.plan, candidate.net
    if dimension.place == "plan":
        field: dict[str, Any] = {dimension.name: value}
        if dimension.name == "augmentation":
            field = {"augmentation": Choice(value)}
        return replace(candidate, plan=replace(plan, **field))
    if dimension.place == "net" and dimension.name == "name":
        return replace(candidate, net=Choice(value))
    choice = net if dimension.place == "net" else plan.augmentation
    options = {**choice.options, dimension.name: value}
    if value == _defaults(dimension.place, choice)[dimension.name]:
        del options[dimension.name]
    changed = Choice(choice.name, options)
    if dimension.place == "net":
        return replace(candidate, net=changed)
    return replace(candidate, plan=replace(plan, augmentation=changed))


def random_candidate(
    learner: str,
    input_format: InputFormat,
    spec: TaskSpec,
    rng: np.random.Generator,
    style: Literal["episodes", "classes", "both"] | None = None,
) -> Candidate:
    """Returns a candidate of this learner with all that may vary drawn at random.

    `style` is kept where it is given. Raises `UnknownNameError` for an unknown learner and
    `MetaloopError` if the learner cannot be trained in that style or on such targets.
    """
    kind = objective(spec.objective).target_kind
    candidate = make_candidate(learner, input_format, spec)
    drawn: set[tuple[Place, str]] = set()
    if style is not None:
        candidate = _with_style(candidate, style, input_format, kind)
        drawn.add(("plan", "style"))
    while left := [
        dimension
        for dimension in space_of(candidate, input_format, kind)
        if (dimension.place, dimension.name) not in drawn
    ]:
        first = left[0]  # what it is decides which others matter
        candidate = with_value(candidate, first, first.values.draw(rng))
        drawn.add((first.place, first.name))
    return candidate


def _with_style(
    candidate: Candidate,
    style: Literal["episodes", "classes", "both"],
    input_format: InputFormat,
    target_kind: TargetKind,
) -> Candidate:
    known = {candidate.plan.style: None}
    for dimension in space_of(candidate, input_format, target_kind):
        if dimension.name == "style" and isinstance(dimension.values, Among):
            known |= dict.fromkeys(dimension.values.values)
    if style not in known:
        raise MetaloopError(
            f"learner '{candidate.learner.name}' is trained by {' or '.join(known)}, "
            f"not by {style}; choose one of them"
        )
    return replace(candidate, plan=replace(candidate.plan, style=style))


def _defaults(place: Place, choice: Choice) -> dict[str, Any]:
    """Returns the default of every option of a net or an augmentation, as JSON has it."""
    function = NETS[choice.name].constructor if place == "net" else AUGMENTATIONS[choice.name]
    of_any = {VIEW: USUAL_VIEW} if place == "net" else {}
    return of_any | {
        name: list(known.default) if isinstance(known.default, tuple) else known.default
        for name, known in inspect.signature(function).parameters.items()
        if known.default is not inspect.Parameter.empty
    }
