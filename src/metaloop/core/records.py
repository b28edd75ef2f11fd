"""The records of the loop: what was chosen, what happened, what was concluded. No torch here.

All are frozen dataclasses of JSON values, so that an archive can be read anywhere. `to_json` and
`candidate_from_json` are inverse to each other. An identity is the hash of the canonical JSON of
the fields that differ from their defaults: a new field with a default changes no identity, but a
default that changes would give old and new candidates of one identity. Defaults here stay.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from functools import cached_property
from typing import Any, Literal

from metaloop.core.leagues import AND
from metaloop.core.strict_json import checked_json

Part = Literal["train", "search", "promotion", "test"]
PARTS: tuple[Part, ...] = ("train", "search", "promotion", "test")

OWN = "own"  # what a family's own view is called beside others

# Of a field that version 1 of files lacks: it is not written where it has its default.
_LATER = {"later": True}

TrialStatus = Literal["running", "finished", "diverged", "failed", "timed out", "interrupted"]


@dataclass(frozen=True)
class Choice:
    """A name from one of the catalogue's tables with the options that differ from its defaults."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """How a candidate is trained.

    `style`: `episodes`, `classes` (one classifier over all training classes), `both`, or `none`
    for learners without meta-parameters. The shape of *training* episodes is here
    (`num_tasks` of them in one step); a whole-class batch has `batch_size` examples.
    Rates are for the peak; the schedule is a function of the spent fraction of the budget.
    """

    style: Literal["episodes", "classes", "both", "none"]
    num_tasks: int = 1
    ways: int = 5
    shots: int = 1
    queries: int = 15
    batch_size: int = 128
    class_loss_weight: float = 1.0
    optimiser: Literal["adam", "adamw", "sgd", "muon"] = "adamw"
    learning_rate: float = 3e-3
    matrix_rate: float = 0.03  # for the matrices of the net that `muon` moves; AdamW does the rest
    weight_decay: float = 1e-4
    warmup: float = 0.05
    schedule: Literal["cosine", "linear", "constant", "trapezoid"] = "cosine"
    averaging: float = 0.0  # share of the budget, at its end, over which weights are averaged
    gradient_clip: float = 0.0  # largest global norm; 0 = off
    augmentation: Choice = Choice("none")
    precision: Literal["float32", "bfloat16", "fastest"] = "float32"  # of the embedding in training
    # of whole-class batches: how far labels are from certain, and what the classifier begins with
    label_smoothing: float = field(default=0.0, metadata=_LATER)
    classifier: Literal["random", "means"] = field(default="random", metadata=_LATER)
    # share of the episodes with support of one speaker and queries of others, where that can be
    one_voice: float = field(default=0.0, metadata=_LATER)


@dataclass(frozen=True)
class DataRecipe:
    """Which data a candidate learns from: family names, generators with strengths, their share.

    `generators` holds the operators in order; `original_share` of the episodes stay untouched.
    """

    families: tuple[str, ...] = ()
    generators: tuple[Choice, ...] = ()
    original_share: float = 1.0


@dataclass(frozen=True)
class Candidate:
    """A whole learning algorithm: a view of the inputs, learner, net, plan and data recipe.

    `view` is one of those that the family is seen in: "" is its own, others have names, and joined
    nets may see several beside each other.
    """

    learner: Choice
    net: Choice
    plan: Plan
    data: DataRecipe = DataRecipe()
    program: str | None = None  # source of a generated learner, parsed and never executed
    view: str = field(default="", metadata=_LATER)

    @cached_property
    def identity(self) -> str:
        """A hash of everything that defines the candidate, 16 hexadecimal digits."""
        return hashlib.sha256(_canonical(_chosen(self)).encode()).hexdigest()[:16]

    @property
    def views(self) -> tuple[str, ...]:
        """The views that it sees inputs in, by name: "" is the family's own."""
        return tuple("" if name == OWN else name for name in self.view.split(AND))

    @property
    def label(self) -> str:
        """A short name for tables: learner and net."""
        return f"{self.learner.name} / {self.net_label}"

    @property
    def net_label(self) -> str:
        """The net's name, the form and the view of its inputs where they are not the usual ones."""
        form = self.net.options.get("view")
        name = self.net.name
        if form is not None:
            name = str(form) if name == "raw" else f"{name} on {form}"
        return f"{name} of {self.view}" if self.view else name


@dataclass(frozen=True)
class Protocol:
    """How a result was measured: without it a number means nothing."""

    part: Part
    ways: int
    shots: int
    queries: int
    norm_policy: str
    list_hash: str
    data_hash: str


@dataclass(frozen=True)
class Measure:
    """What another metric says of the episodes of a `Result`: its mean, with the half-widths."""

    metric: str
    value: float
    ci95: float
    ci95_new: float | None = None


@dataclass(frozen=True)
class Result:
    """A measured value: mean over episodes, half-widths of its 95 % intervals, protocol.

    `ci95` is for the classes at hand, as the literature reports it; of extracts it is over
    documents. `ci95_new` is for new classes of the family: the `units` (classes, or functions) are
    a sample, too. None: it cannot be told.
    `metrics` are what other metrics say of the same episodes, where they were computed.
    """

    metric: str
    value: float
    ci95: float
    episodes: int
    protocol: Protocol
    ci95_new: float | None = field(default=None, metadata=_LATER)
    units: int = field(default=0, metadata=_LATER)
    metrics: tuple[Measure, ...] = field(default=(), metadata=_LATER)


@dataclass(frozen=True)
class CurvePoint:
    """One early figure of a trial: the metric on `search` after so many steps and seconds."""

    step: int
    wall_seconds: float
    loss: float
    value: float | None = None


@dataclass(frozen=True)
class Trial:
    """What happened when a candidate was trained. A failed trial is a record, not an exception."""

    candidate: str
    status: TrialStatus
    seed: int
    steps: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    flops: float | None = None
    rung: int = 0
    curve: tuple[CurvePoint, ...] = ()
    results: tuple[Result, ...] = ()
    message: str = ""


@dataclass(frozen=True)
class Verdict:
    """What was concluded from a paired comparison on the same fresh episodes.

    `difference` is the mean of winner minus loser, in units of the metric; `low` the lower end of
    its 95 % interval on these classes, `low_new` of that for new ones of the family (None: it
    cannot be told). `certain`: whether the winner is better for new classes, surely enough for the
    number of comparisons in the run; None where no such thing was claimed.
    """

    winner: str
    loser: str
    part: Part
    difference: float
    low: float
    episodes: int
    reason: str
    low_new: float | None = None
    units: int = 0
    certain: bool | None = None


def to_json(record: Any) -> str:
    """Returns canonical JSON (sorted keys, no spaces) of a record; raises on values JSON lacks."""
    return _canonical(asdict(record))


def measures_json(result: Result) -> dict[str, dict[str, float | None]]:
    """Returns what other metrics say, by their names: `value`, `ci95` and `ci95_new` of each."""
    return {
        each.metric: {"value": each.value, "ci95": each.ci95, "ci95_new": each.ci95_new}
        for each in result.metrics
    }


def candidate_from_json(text: str) -> Candidate:
    """Returns the candidate that `to_json` wrote; raises `ValueError` or `TypeError` if damaged."""
    read = checked_json(text)
    plan = dict(read["plan"])
    plan["augmentation"] = Choice(**plan["augmentation"])
    data = read["data"]
    return Candidate(
        learner=Choice(**read["learner"]),
        net=Choice(**read["net"]),
        plan=Plan(**plan),
        data=DataRecipe(
            families=tuple(data["families"]),
            generators=tuple(Choice(**choice) for choice in data["generators"]),
            original_share=data["original_share"],
        ),
        program=read["program"],
        view=read.get("view", ""),  # older archives know of one view only
    )


def _canonical(values: Any) -> str:
    return json.dumps(
        values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _chosen(record: Any) -> dict[str, Any]:
    """Returns the fields of a record, and of records in it, that are not at their defaults."""
    chosen: dict[str, Any] = {}
    for known in fields(record):
        value = getattr(record, known.name)
        default = known.default
        if known.default_factory is not MISSING:
            default = known.default_factory()
        if default is MISSING or value != default:
            chosen[known.name] = _plain(value)
    return chosen


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _chosen(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
