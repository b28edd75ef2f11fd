"""Whole pipelines for one data set: net, training, augmentation and use, as candidates.

`PIPELINES` is the portfolio that `select` starts from. What may vary in one is `KNOBS`, a line for
each: `varied` changes one of them, `crossed` takes the net of one and the training of another.
A pipeline is a `Candidate`: learner `classifier` (label smoothing, shrunk images, mirrored copies),
net `whitened` (`nets/whitened.py`), and a plan. Frozen backbones with a head, and pipelines for
tables, are further rows here with another learner.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from metaloop.core.errors import MetaloopError, ModelFileError, unknown_name
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import seeded_modules
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.engine.classifying import Training
from metaloop.nets.whitened import WhitenedNet

CLASSIFIER, WHITENED = "classifier", "whitened"
_MOST_WIDTH, _MOST_CLASSES, _MOST_PATCHES = 1024, 100_000, 256
_MOST_NUMBERS = 1 << 26  # of a net
_ACTIVATIONS = ("relu", "gelu", "silu")
_RATES = {"muon": 3e-3, "adamw": 3e-3, "sgd": 0.1}  # a rate is one of its optimiser
_TRAINING = ("label_smoothing", "shrunk", "shrunk_side", "most_epochs", "fewest_steps")


def pipeline(widths: Sequence[int], flip: bool = True, **changes: Any) -> Candidate:
    """Returns the usual pipeline with a net of these widths; `changes` are fields of its plan."""
    plan = Plan(
        style="classes",
        batch_size=256,
        optimiser="muon",
        learning_rate=3e-3,
        matrix_rate=0.03,
        weight_decay=5e-4,
        warmup=0.1,
        schedule="linear",
        augmentation=_photo(flip),
        precision="fastest",
    )
    return Candidate(
        Choice(CLASSIFIER, {"copies": 2 if flip else 1, "label_smoothing": 0.1}),
        Choice(WHITENED, {"widths": tuple(widths)}),
        replace(plan, **changes),
    )


def _photo(flip: bool, **options: float) -> Choice:
    still = {"brightness": 0.0, "contrast": 0.0}
    return Choice("photo", {"shift": 0.1, "flip": flip, **still, **options})


# The order is that in which they are tried where nothing else is known.
PIPELINES: Mapping[str, Candidate] = MappingProxyType(
    {
        "medium": pipeline((32, 64, 128)),
        "medium, no mirror images": pipeline((32, 64, 128), flip=False),
        "small": pipeline((16, 32, 64)),
        "large": pipeline((64, 128, 256)),
        "small, no mirror images": pipeline((16, 32, 64), flip=False),
        "medium, by gradient": pipeline((32, 64, 128), optimiser="sgd", learning_rate=0.1),
    }
)


@dataclass(frozen=True)
class Knob:
    """Something of a pipeline that may vary: how it is read, set, and what it may be."""

    read: Callable[[Candidate], Any]
    set: Callable[[Candidate, Any], Candidate]
    values: tuple[Any, ...]


def _plan_knob(name: str, *values: Any) -> Knob:
    return Knob(
        lambda candidate: getattr(candidate.plan, name),
        lambda candidate, value: replace(candidate, plan=replace(candidate.plan, **{name: value})),
        values,
    )


def _learner_knob(name: str, default: Any, *values: Any) -> Knob:
    def changed(candidate: Candidate, value: Any) -> Candidate:
        options = {**candidate.learner.options, name: value}
        return replace(candidate, learner=Choice(candidate.learner.name, options))

    return Knob(lambda candidate: candidate.learner.options.get(name, default), changed, values)


def _photo_knob(name: str, default: Any, *values: Any) -> Knob:
    def changed(candidate: Candidate, value: Any) -> Candidate:
        options = {**candidate.plan.augmentation.options, name: value}
        plan = replace(candidate.plan, augmentation=Choice("photo", options))
        return replace(candidate, plan=plan)

    return Knob(
        lambda candidate: candidate.plan.augmentation.options.get(name, default), changed, values
    )


def _with_width(candidate: Candidate, scale: float) -> Candidate:
    widths = candidate.net.options["widths"]
    scaled = tuple(min(_MOST_WIDTH, max(8, 8 * round(scale * width / 8))) for width in widths)
    return replace(candidate, net=Choice(WHITENED, {**candidate.net.options, "widths": scaled}))


def _with_optimiser(candidate: Candidate, name: str) -> Candidate:
    plan = replace(candidate.plan, optimiser=name, learning_rate=_RATES[name])  # type: ignore[arg-type]
    return replace(candidate, plan=plan)


def _with_mirror(candidate: Candidate, flip: bool) -> Candidate:
    changed = _photo_knob("flip", True).set(candidate, flip)
    return _learner_knob("copies", 1).set(changed, 2 if flip else 1)


KNOBS: Mapping[str, Knob] = MappingProxyType(
    {
        "width": Knob(lambda candidate: 1.0, _with_width, (0.5, 0.75, 1.5, 2.0)),
        "mirror images": Knob(
            lambda candidate: bool(candidate.plan.augmentation.options.get("flip", True)),
            _with_mirror,
            (False, True),
        ),
        "shift": _photo_knob("shift", 0.125, 0.0, 0.06, 0.1, 0.15),
        "cutout": _photo_knob("cutout", 0.0, 0.0, 0.25, 0.4),
        "crop": _photo_knob("crop", 0.0, 0.0, 0.3, 0.6),
        "brightness": _photo_knob("brightness", 0.0, 0.0, 0.2),
        "label smoothing": _learner_knob("label_smoothing", 0.1, 0.0, 0.1, 0.2),
        "shrunk images": _learner_knob("shrunk", 0.0, 0.0, 0.4, 0.7),
        "rate of matrices": _plan_knob("matrix_rate", 0.015, 0.03, 0.06),
        "rate": _plan_knob("learning_rate", 1e-3, 3e-3, 1e-2),
        "weight decay": _plan_knob("weight_decay", 5e-4, 5e-3, 5e-2),
        "batch size": _plan_knob("batch_size", 64, 128, 256, 512),
        "schedule": _plan_knob("schedule", "linear", "cosine"),
        "optimiser": Knob(
            lambda candidate: candidate.plan.optimiser, _with_optimiser, tuple(_RATES)
        ),
        "averaging": _plan_knob("averaging", 0.0, 0.2, 0.4),
        "precision": _plan_knob("precision", "fastest", "float32", "bfloat16"),
    }
)


# What pays late: in a short training less of it is always better.
LATE = frozenset(
    {"shift", "cutout", "crop", "brightness", "label smoothing", "shrunk images", "weight decay"}
)


def varied(
    candidate: Candidate, rng: np.random.Generator, late: bool = True
) -> tuple[Candidate, str]:
    """Returns the pipeline with one knob turned, and which, in words; `late`: also of `LATE`."""
    name = str(rng.choice([name for name in KNOBS if late or name not in LATE]))
    knob = KNOBS[name]
    now = knob.read(candidate)
    value = knob.values[rng.integers(len(knob.values))]
    while value == now:
        value = knob.values[rng.integers(len(knob.values))]
    shown = f"x {value:g}" if name == "width" else f"{value}"
    return knob.set(candidate, value), f"mutate {name}: {shown}"


def crossed(one: Candidate, other: Candidate) -> Candidate:
    """Returns the pipeline with the net of one and the training and use of the other."""
    return replace(other, net=one.net)


def training_of(candidate: Candidate) -> Training:
    """Returns how a pipeline is trained beside its plan."""
    options = candidate.learner.options
    return Training(**{name: options[name] for name in _TRAINING if name in options})


def copies_of(candidate: Candidate) -> int:
    """Returns how many copies of an image are looked at: 2 with its mirror image."""
    return int(candidate.learner.options.get("copies", 1))


def build_classifier(
    candidate: Candidate, input_format: InputFormat, num_classes: int, seed: int = 0
) -> WhitenedNet:
    """Returns the net of a pipeline, untrained; raises `MetaloopError` for what it cannot be."""
    check_pipeline(candidate, input_format, num_classes)
    channels, side, _ = input_format.shape
    with seeded_modules(seed, "classifier"):
        return WhitenedNet(channels, side, num_classes, **candidate.net.options)


def check_pipeline(candidate: Candidate, input_format: InputFormat, num_classes: int) -> None:
    """Raises `MetaloopError` unless it is a pipeline within limits: it may be a stranger's."""
    learner, net = candidate.learner, candidate.net
    if learner.name != CLASSIFIER:
        raise unknown_name("kind of classifier", learner.name, [CLASSIFIER])
    if net.name != WHITENED:
        raise unknown_name("net of a classifier", net.name, [WHITENED])
    _check_options("classifier", learner.options, {
        "label_smoothing": (0.0, 1.0), "shrunk": (0.0, 1.0), "shrunk_side": (0.1, 1.0),
        "most_epochs": (0.0, 1e6), "fewest_steps": (1, 1_000_000), "copies": (1, 2),
    })  # fmt: skip
    options = dict(net.options)
    widths = options.pop("widths", (32, 64, 128))
    fits = isinstance(widths, (tuple, list)) and 1 <= len(widths) <= 6
    if not fits or not all(type(w) is int and 1 <= w <= _MOST_WIDTH for w in widths):
        raise ModelFileError(f"a net's widths are 1 to 6 numbers up to {_MOST_WIDTH}; got {widths}")
    activation = options.pop("activation", "relu")
    if activation not in _ACTIVATIONS:
        raise unknown_name("activation", str(activation), _ACTIVATIONS)
    _check_options("net", options, {"patches": (2, _MOST_PATCHES), "stride": (0, 64)})
    shape = tuple(input_format.shape)
    if len(shape) != 3 or shape[1] != shape[2]:
        raise ModelFileError(f"a classifier of images takes square ones, got shape {shape}")
    ends = [_MOST_PATCHES, *widths]
    numbers = sum(9 * (a * b + b * b) for a, b in zip(ends, widths))  # noqa: B905
    if not 2 <= num_classes <= _MOST_CLASSES or numbers > _MOST_NUMBERS:
        raise ModelFileError(
            f"a net of {numbers:,} weights for {num_classes:,} classes is too large"
        )


def _check_options(
    what: str, options: Mapping[str, Any], limits: Mapping[str, tuple[int | float, int | float]]
) -> None:
    for name, value in options.items():
        if name not in limits:
            raise unknown_name(f"option of a {what}", name, limits)
        low, high = limits[name]
        whole = type(low) is int
        fits = type(value) is int or (type(value) is float and not whole and math.isfinite(value))
        if not fits or not low <= value <= high:
            raise MetaloopError(f"{name} of a {what} is {low} to {high}, got {value!r}")
