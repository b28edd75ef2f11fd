"""`Figures`: what was measured of a learner, with all that a number needs to mean something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from metaloop.api.tables import html_table
from metaloop.core.leagues import (
    Backbone,
    EncoderCard,
    backbones_sentence,
    card_from_json,
    card_json,
    league_of,
)
from metaloop.core.pretraining import SeenBefore, seen_before
from metaloop.core.records import Measure, Protocol, Result, measures_json
from metaloop.core.strict_json import json_values
from metaloop.core.units import why_not_new
from metaloop.report.claim import chance
from metaloop.report.figures import (
    figure,
    intervals_text,
    measures_text,
    printable,
    protocol_text,
)


@dataclass(frozen=True)
class OpenTask:
    """What tasks were asked about besides: `others` classes each, at a `rate` of false alarms.

    `outside` is empty, or what of the task lies outside of what thresholds were measured on.
    """

    others: int
    rate: float
    outside: str = ""


@dataclass(frozen=True)
class Figures:
    """The mean of a metric over episodes; accuracies are fractions, not percent.

    `ci95` is the half-width of its 95 % interval on the classes at hand, as the literature reports
    it, of summaries over documents; `ci95_new` that for new classes of the family, None where it
    cannot be told. `units`: how many classes (or functions) were seen. `protocol` says how it was
    measured. `recognised` counts the classes that a model has seen, by part, and those `unknown` to
    it: of `evaluate` only. `metrics` are what other metrics say of the same episodes, each with
    `value` and both intervals: `figures.metrics["log_loss"].value`. `backbones` are the encoders
    that the model sees through, which are its `league`, `pretraining` which of the classes they
    have seen before. `open` says what else was asked about, where it was. `apart`: `speaker` if
    queries of a task are of other speakers than its support. `label_names`: if the name of each
    class was one more example of it.

    Printed they are one line: `94.1 ± 0.4 % (± 1.2 new) (1,000 episodes, 5-way 1-shot, part test,
    inductive: no batch norm)`.
    """

    metric: str
    value: float
    ci95: float
    ci95_new: float | None
    episodes: int
    units: int
    protocol: Protocol
    recognised: Mapping[str, int] | None = None
    metrics: Mapping[str, Measure] = field(default_factory=dict)
    backbones: tuple[EncoderCard, ...] = ()
    open: OpenTask | None = None
    apart: str | None = None
    label_names: bool = False
    pretraining: tuple[SeenBefore, ...] = ()

    @classmethod
    def of(
        cls,
        result: Result,
        recognised: Mapping[str, int] | None = None,
        backbones: tuple[EncoderCard, ...] = (),
        open: OpenTask | None = None,
        apart: str | None = None,
        label_names: bool = False,
        classes: Sequence[str] = (),
    ) -> Figures:
        """Returns the figures of a recorded result; `classes` are the names of what was tested."""
        return cls(
            result.metric, result.value, result.ci95, result.ci95_new, result.episodes,
            result.units, result.protocol, recognised,
            {each.metric: each for each in result.metrics}, backbones, open, apart,
            label_names, tuple(seen_before(card, classes) for card in backbones if classes),
        )  # fmt: skip

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Figures:
        """Returns the figures that `to_json` wrote."""
        how = content["protocol"]
        protocol = Protocol(
            how["part"], content["ways"], content["shots"], how["queries"], how["norm_policy"],
            how["list_hash"], how["data_hash"],
        )  # fmt: skip
        names = ("metric", "value", "ci95", "ci95_new", "episodes", "units")
        values: dict[str, Any] = {name: content[name] for name in names}
        metrics = {name: Measure(name, **one) for name, one in content.get("metrics", {}).items()}
        recognised = content.get("recognised")
        backbones = tuple(card_from_json(one) for one in content.get("backbones", ()))
        asked = content.get("open")
        return cls(
            **values, protocol=protocol, recognised=recognised, metrics=metrics,
            backbones=backbones, open=None if asked is None else OpenTask(**asked),
            apart=content.get("apart"), label_names=content.get("label_names", False),
            pretraining=tuple(SeenBefore(**one) for one in content.get("pretraining", ())),
        )  # fmt: skip

    @property
    def ways(self) -> int:
        """Classes of a task, 0 where targets are not classes."""
        return self.protocol.ways

    @property
    def shots(self) -> int:
        """Examples to learn a task from: of each class, where there are classes."""
        return self.protocol.shots

    @property
    def league(self) -> str:
        """The names of the backbones, `none` without pretraining."""
        return league_of([""], [Backbone("", card) for card in self.backbones])

    @property
    def result(self) -> Result:
        """The same as archives and model files hold it."""
        return Result(
            self.metric, self.value, self.ci95, self.episodes, self.protocol, self.ci95_new,
            self.units, tuple(self.metrics.values()),
        )  # fmt: skip

    @property
    def chance(self) -> float | None:
        """What guessing would give; None where it is not known."""
        return chance(self.result)

    @property
    def better_than_chance(self) -> bool | None:
        """Whether the interval `ci95` is above chance; None where chance is not known."""
        return None if self.chance is None else self.value - self.ci95 > self.chance

    def to_json(self) -> dict[str, Any]:
        """Returns what `metaloop evaluate --json` prints: see docs/json.md."""
        how = self.protocol
        values: dict[str, Any] = json_values(
            {
                "metric": self.metric,
                "value": self.value,
                "ci95": self.ci95,
                "ci95_new": self.ci95_new,
                "ci95_new_reason": why_not_new(self.result),
                "episodes": self.episodes,
                "units": self.units,
                "metrics": measures_json(self.result),
                "ways": self.ways,
                "shots": self.shots,
                "chance": self.chance,
                "better_than_chance": self.better_than_chance,
                "protocol": {
                    "part": how.part,
                    "queries": how.queries,
                    "norm_policy": how.norm_policy,
                    "list_hash": how.list_hash,
                    "data_hash": how.data_hash,
                },
                "recognised": None if self.recognised is None else dict(self.recognised),
                "apart": self.apart,
                "label_names": self.label_names,
                "league": self.league,
                "pretraining": [asdict(each) for each in self.pretraining],
                "backbones": [card_json(card) for card in self.backbones],
            }
        )
        if self.open is not None:
            values["open"] = asdict(self.open)
        return values

    def __str__(self) -> str:
        voices = ", queries of other speakers" if self.apart else ""
        names = ", names of classes shown" if self.label_names else ""
        return f"{figure(self.result)} ({protocol_text(self.result)}{voices}{names})"

    def __repr__(self) -> str:
        return f"<Figures {self.metric} {self}>"

    def _repr_html_(self) -> str:
        """The figures as a small table."""
        names = (self.metric, "episodes", "task", "part")
        task = f"{self.ways}-way {self.shots}-shot" if self.ways else f"{self.shots}-shot"
        row = (figure(self.result), f"{self.episodes:,}", task, self.protocol.part)
        below = [*filter(None, [measures_text(self.result)]), intervals_text(self.result)]
        below += [printable(backbones_sentence(self.backbones))] if self.backbones else []
        return html_table(names, [row], below=". ".join(below))
