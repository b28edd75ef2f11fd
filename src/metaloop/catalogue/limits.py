"""What a choice may be at most: every option of every learner, net and plan has its limits.

A candidate may come from a stranger's file, and is looked at before anything is built. The limits
are no search space (`space.py`), but what an honest file never reaches.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal, final, get_args, get_origin, get_type_hints

from metaloop.catalogue.learners import EVOLVED, LEARNERS, OWN, PROGRAM
from metaloop.core.errors import MetaloopError, unknown_name
from metaloop.core.inner_loop import NormPolicy
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.engine.augmentation import AUGMENTATIONS
from metaloop.guests.keras.installed import BACKENDS

MOST_STEPS = 10_000  # of one adaptation
MOST_MEMBERS = 16  # nets joined into one
_OF_A_MEMBER = {"name": "", "candidate": "", "piece": 0, "mirrored": False}  # kinds, and options
MOST_GENERATORS = 16  # operators in a data recipe
_MOST_LAYERS = 128
_WIDEST = 1 << 16  # units or channels of one layer
_MOST_SHOWN = 40  # characters of a value in an error
_LONGEST_DESCRIPTION = 2000  # characters


class Limit(ABC):
    """The values that an option may have; `str` says them in words."""

    @abstractmethod
    def holds(self, value: Any) -> bool:
        """Whether the value is one of these."""


@final
@dataclass(frozen=True)
class Whole(Limit):
    """A whole number from `low` to `high`."""

    low: int
    high: int

    def holds(self, value: Any) -> bool:
        """Whether the value is such a number; True and False are none."""
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@final
@dataclass(frozen=True)
class Real(Limit):
    """A finite number from `low` to `high`."""

    low: float
    high: float

    def holds(self, value: Any) -> bool:
        """Whether the value is such a number; True and False are none."""
        return type(value) in (int, float) and bool(self.low <= value <= self.high)

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"


@final
@dataclass(frozen=True)
class OneOf(Limit):
    """One of a few values."""

    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """Whether the value is one of them, and of the same type."""
        return any(type(value) is type(known) and value == known for known in self.values)

    def __str__(self) -> str:
        return f"one of {', '.join(map(repr, self.values))}"


@final
@dataclass(frozen=True)
class Several(Limit):
    """A list of `fewest` to `most` values that are each within a limit."""

    each: Limit
    fewest: int
    most: int

    def holds(self, value: Any) -> bool:
        """Whether the value is such a list (or tuple)."""
        return (
            isinstance(value, (list, tuple))
            and self.fewest <= len(value) <= self.most
            and all(self.each.holds(item) for item in value)
        )

    def __str__(self) -> str:
        return f"{self.fewest} to {self.most} values, each {self.each}"


@final
@dataclass(frozen=True)
class Name(Limit):
    """A name; which ones there are is known to whoever looks it up."""

    def holds(self, value: Any) -> bool:
        """Whether the value is text of a sensible length."""
        return isinstance(value, str) and len(value) <= _MOST_SHOWN

    def __str__(self) -> str:
        return f"a name of up to {_MOST_SHOWN} characters"


@final
@dataclass(frozen=True)
class Text(Limit):
    """Any text up to a length."""

    longest: int

    def holds(self, value: Any) -> bool:
        """Whether the value is such a text."""
        return isinstance(value, str) and len(value) <= self.longest

    def __str__(self) -> str:
        return f"a text of up to {self.longest} characters"


Limits = Mapping[str, Limit]

_SWITCH = OneOf((False, True))
_STEPS = Whole(1, MOST_STEPS)
_RATE = Real(0.0, 1e3)
_STRENGTH = Real(1e-12, 1e12)
_BY_STEPS: Limits = {
    "inner_steps": _STEPS,
    "inner_rate": _RATE,
    "norm": OneOf(get_args(NormPolicy)),
}
_BY_PRIOR: Limits = {"prior": Whole(-1, _WIDEST), "fewest": Whole(0, 4096)}
_TRANSFORMER: Limits = {"width": Whole(1, 1024), "layers": Whole(1, 32), "heads": Whole(1, 64)}
# plain methods of ratings alone have no net that others could use
_MAY_TRAIN = [name for name, entry in LEARNERS.items() if entry.trunk != "none" or not entry.only]
_TRUNKS = OneOf((*_MAY_TRAIN, *sorted({entry.trunk for entry in LEARNERS.values()} - {*LEARNERS})))

# learner -> option -> what it may be
LEARNER_LIMITS: Mapping[str, Limits] = MappingProxyType(
    {
        "anil": _BY_STEPS,
        "baselinepp": {
            "num_steps": _STEPS,
            "learning_rate": _RATE,
            "momentum": Real(0.0, 1.0),
            "weight_decay": Real(0.0, 1e3),
            "scale": Real(0.0, 1e6),
        },
        "blurred_mixture": {
            "blur": Real(1e-3, 100.0),
            "floor": Real(1e-9, 0.4),
            "spread": Real(1e-4, 10.0),
        },
        "calibrated": {
            "power": Real(1e-3, 10.0),
            "nearest": Whole(1, 1 << 16),
            "weight": Real(0.0, 1e6),
            "spread": Real(0.0, 1e12),
        },
        "centroid": {},
        "deep_kernel": {"width": Whole(1, 4096), **_BY_PRIOR},
        EVOLVED: {
            "inner_steps": _STEPS,
            "initial_rate": _RATE,
            "norm": OneOf(get_args(NormPolicy)),
            "trunk": _TRUNKS,
        },
        "extra_trees": {"num_trees": _STEPS},
        "fold_in": {"strength": _STRENGTH},
        "fomaml": _BY_STEPS,
        "fomaml_pixelcnn": _BY_STEPS,
        "gaussian_naive_bayes": {"smoothing": _STRENGTH},
        "gaussian_process": {
            "length_scale": _STRENGTH,
            "noise": _STRENGTH,
            "offset": Real(0.0, 1e12),
            "slope": Real(0.0, 1e12),
        },
        "in_context": _TRANSFORMER,
        "item_knn": {"damping": _STRENGTH},
        "item_mean": {},
        "keras_cnn": {
            "epochs": Whole(1, 1000),
            "batch_size": Whole(1, 1 << 20),
            "backend": OneOf(BACKENDS),
        },
        "lda": {},
        "lead": {},
        "logistic_regression": {
            "inverse_strength": _STRENGTH,
            "max_iterations": _STEPS,
            "tolerance": Real(1e-15, 1.0),
        },
        "longest": {},
        "maml": _BY_STEPS,
        "mean_of_support": {},
        "nearest_centroid": {},
        "nearest_neighbour": {},
        OWN: {"class": Name(), "described": Text(_LONGEST_DESCRIPTION)},
        "pixelcnn": {},
        PROGRAM: {"trunk": _TRUNKS},
        "protonet": {"all_pairs": _SWITCH},
        "rfs": {"inverse_strength": _STRENGTH, "num_iterations": _STEPS},
        "ridge": {"initial_lambda": _STRENGTH},
        "sentence_cover": {
            "power": Real(0.1, 10.0),
            "cover": Real(0.0, 1.0),
            **dict.fromkeys(("stops", "by_density", "adapts"), _SWITCH),
        },
        "sentence_mixture": {"strength": _STRENGTH, "adapts": _SWITCH},
        "sentence_ridge": {"strength": _STRENGTH, "adapts": _SWITCH},
        "sentence_steps": {"inner_steps": Whole(0, MOST_STEPS)},
        "set_attention": {**_TRANSFORMER, "layers": Whole(0, 32), **_BY_PRIOR},
        "set_pixelcnn": {},
        "set_vae": {},
        "simpleshot": {"scale": Real(0.0, 1e6)},
        "soft_means": {"scale": Real(0.0, 1e6), "steps": _STEPS},
        "spectral": {},
        "svm": {"penalty": _STRENGTH},
        "textrank": {},
        "user_bias": {},
    }
)

_ANY: Limits = {"view": Name()}
_SHARED: Limits = {**_ANY, "normalisation": Name(), "activation": Name()}
_CONVOLUTIONAL: Limits = {**_SHARED, "pooling": Name()}
_CHANNELS = Whole(1, _WIDEST)
_WIDTHS: Limits = {"widths": Several(_CHANNELS, 0, _MOST_LAYERS), **_CONVOLUTIONAL}
_RESIDUAL: Limits = {**_WIDTHS, "depth": Whole(1, _MOST_LAYERS), "shrink": Whole(1, 64)}

# net -> option -> what it may be
NET_LIMITS: Mapping[str, Limits] = MappingProxyType(
    {
        "conv4": {"channels": _CHANNELS, "depth": Whole(1, _MOST_LAYERS), **_CONVOLUTIONAL},
        "lean": {**_WIDTHS, "shrink": Whole(1, 64), "damped": Whole(0, _WIDEST)},
        "lite0_tail": {"rank": Whole(0, _WIDEST), "damped": Whole(0, _WIDEST), **_ANY},
        "minilm_tail": {"rank": Whole(0, _WIDEST), "damped": Whole(0, _WIDEST), **_ANY},
        "mlp": {
            "width": _CHANNELS,
            "depth": Whole(1, _MOST_LAYERS),
            "dropout": Real(0.0, 1.0),
            "residual": _SWITCH,
            "unit_inputs": _SWITCH,
            "damped": Whole(0, _WIDEST),
            **_SHARED,
        },
        "pixelcnn": {
            "channels": Whole(1, 4096),
            "depth": Whole(0, _MOST_LAYERS),
            "heads": Whole(1, 64),
            "head_width": Whole(1, 512),
            "reach": Whole(1, 32),
            "far": Whole(0, 32),
            "tile": Whole(1, 64),
            "margin": Whole(0, 32),
            "levels": Whole(2, 256),
            **_ANY,
        },
        "projection": _ANY,
        "raw": _ANY,
        "resnet10": _RESIDUAL,
        "resnet12": _RESIDUAL,
        "sentences": {"width": Whole(0, _WIDEST), "dropout": Real(0.0, 1.0), **_ANY},
        "set_vae": {
            "channels": Whole(2, 4096),
            "width": Whole(1, 4096),
            "depth_of_map": Whole(1, 1024),
            "levels": Whole(2, 256),
            **_ANY,
        },
        "strided": _WIDTHS,
        "temporal": _WIDTHS,
        "text_cnn": {"width": _CHANNELS, "channels": _CHANNELS, "dropout": Real(0.0, 1.0), **_ANY},
    }
)

_COUNT = Whole(1, 1 << 20)

# field of a plan -> what it may be
PLAN_LIMITS: Limits = MappingProxyType(
    {
        **{
            name: OneOf(get_args(kind))
            for name, kind in get_type_hints(Plan).items()
            if get_origin(kind) is Literal
        },
        "num_tasks": _COUNT,
        "ways": Whole(0, 1 << 20),  # 0 where targets are no classes
        "shots": _COUNT,
        "queries": _COUNT,
        "batch_size": _COUNT,
        "class_loss_weight": Real(0.0, 1e6),
        "learning_rate": _RATE,
        "matrix_rate": _RATE,
        "weight_decay": _RATE,
        "warmup": Real(0.0, 1.0),
        "averaging": Real(0.0, 1.0),
        "gradient_clip": Real(0.0, 1e12),
        "label_smoothing": Real(0.0, 0.9),
        "one_voice": Real(0.0, 1.0),
    }
)
_AUGMENTATION = Real(0.0, 1e4)  # strengths: shares and degrees


def check_candidate(candidate: Candidate) -> None:
    """Raises `MetaloopError` unless every number and name of a candidate is within its limits."""
    if candidate.learner.name in LEARNER_LIMITS:
        limits = LEARNER_LIMITS[candidate.learner.name]
        check_options(f"learner '{candidate.learner.name}'", candidate.learner.options, limits)
    check_net(candidate.net)
    plan = candidate.plan
    values = {field.name: getattr(plan, field.name) for field in fields(plan)}
    check_options("a plan", values, PLAN_LIMITS)
    _check_augmentation(plan.augmentation)
    data = candidate.data
    if len(data.generators) > MOST_GENERATORS or not Real(0.0, 1.0).holds(data.original_share):
        raise MetaloopError(
            f"a data recipe has up to {MOST_GENERATORS} operators and a share from 0 to 1, got "
            f"{len(data.generators)} and {_shown(data.original_share)}"
        )


def check_net(net: Choice) -> None:
    """Raises `MetaloopError` unless the options of a net, or of joined ones, are within limits."""
    if net.name in NET_LIMITS:
        check_options(f"net '{net.name}'", net.options, NET_LIMITS[net.name])
    if net.name == "joined":
        check_options("net 'joined'", net.options, {"centred": _SWITCH})
        for member in _members(net):
            check_net(member)


def check_options(what: str, options: Mapping[str, Any], limits: Limits) -> None:
    """Raises `MetaloopError` for the first option beyond its limit.

    Options that are not in the table are left to the constructor, which refuses what it has not.
    """
    for option, value in options.items():
        if option in limits and not limits[option].holds(value):
            raise MetaloopError(
                f"{what} takes {limits[option]} as {option}, got {_shown(value)}; choose another"
            )


def _members(net: Choice) -> Sequence[Choice]:
    """Returns the nets that a joined one is made of; they are not joined ones themselves."""
    members = net.options.get("members")
    if not isinstance(members, (list, tuple)) or not 1 <= len(members) <= MOST_MEMBERS:
        got = len(members) if isinstance(members, (list, tuple)) else _shown(members)
        raise MetaloopError(f"a joined net has 1 to {MOST_MEMBERS} members, got {got}")
    chosen = []
    for member in members:
        known = isinstance(member, Mapping) and not set(member) - {*_OF_A_MEMBER, "options"}
        known = known and all(type(member.get(n, d)) is type(d) for n, d in _OF_A_MEMBER.items())
        options = member.get("options", {}) if known else None
        if not isinstance(options, Mapping) or "name" not in member:
            raise MetaloopError(f"a member of a joined net has name and options: {_shown(member)}")
        if member["name"] not in NET_LIMITS:
            raise unknown_name("net", member["name"][:_MOST_SHOWN], NET_LIMITS)
        chosen.append(Choice(member["name"], options))
    return chosen


def _check_augmentation(augmentation: Choice) -> None:
    if augmentation.name not in (*AUGMENTATIONS, "none"):
        raise unknown_name("augmentation", augmentation.name[:_MOST_SHOWN], AUGMENTATIONS)
    for option, value in augmentation.options.items():
        if not isinstance(value, bool) and not _AUGMENTATION.holds(value):
            raise MetaloopError(
                f"augmentation '{augmentation.name}' takes {_AUGMENTATION} as {option[:40]}, got "
                f"{_shown(value)}; choose another"
            )


def _shown(value: Any) -> str:
    """Returns a short piece of what came, whatever it is."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**18:
        digits = int(abs(value).bit_length() * math.log10(2)) + 1
        return f"a number of about {digits} digits"
    text = " ".join(repr(value).split())
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
