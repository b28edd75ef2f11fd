"""The race of pipelines for a table: which one is tried next, on which rows, and what came of it.

Up to 8,000 rows one pipeline after the other tells all of them, fold by fold, cheap and good ones
of other kinds first: an average gains from all that have. Of more rows a few are learned from
first, and next is what should make the choice better by most in a second
(`selection/shrinkage.py`). What takes longer than is left is not begun.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from metaloop.domains.tables.pipelines import family_of, table_pipeline
from metaloop.domains.tables.scoring import TABLE_METRICS
from metaloop.jobs.tabular import FoldResult, TableRequest
from metaloop.selecting.tabular.beliefs import Context, Seen, believed, error_of
from metaloop.selection.prior import Prior
from metaloop.selection.shrinkage import Posterior, next_to_try

_FEW_ROWS = 8000  # all of them are learned from at once
_LEVELS = (2000, 16_000, 128_000)
_FOLDS, _FOLDS_OF_MANY, _MANY_ROWS = 5, 3, 50_000
_FEW_BAGGED, _ROUNDS = 500, 3  # up to so many rows: rounds of folds, and they are in the last fit
_CHECKED, _CHECKED_OF_FEW = 20_000, 4000  # rows of a fold that are told
_MOST_SHARES = 4_000_000  # numbers that a fold of many classes tells
_ENOUGH, _LEADERS = 6, 3  # pipelines on few rows, before the first of them see more
_HALVED = 0.04  # of an error, what learning from half of the rows costs
_SHORT = 0.02  # of an error, what fewer rows mislead by, for each level
_LEAST = 0.002
_WORTH = 0.0005  # of an error rate, or of what a constant answer is off by: a try must gain it
_LATE_JOINED, _JOINED = 5, 12  # pipelines that tell all of many rows: late, and in any case
_LEAST_WRONG = 0.05  # in units of errors: who is less wrong is not worth more of the time
_QUICK = 3.0  # times what is cheap: who tells all rows for that need not wait
_SLOWEST = 6.0
_DOUBTED = 3.0  # times too long may the guess be for who was never tried: a job is ended in time
_FIRST_GUESS = 2.0  # how much slower than the table's guess a machine is taken to be


@dataclass(frozen=True)
class Step:
    """A fold at a level: at most so many rows are learned from, 0: all."""

    context: Context
    most: int


@dataclass
class Entry:
    """A pipeline in the race; `row_seconds`: the longest that telling a row should take it."""

    name: str
    found: dict[Context, FoldResult] = field(default_factory=dict)
    jobs: dict[Context, int] = field(default_factory=dict)
    under_way: set[Context] = field(default_factory=set)
    failed: str = ""
    cpu_seconds: float = 0.0
    row_seconds: float = 0.0


@dataclass
class TableRace:
    """What is known of every pipeline; `rows` may be learned from, `features` are columns.

    `blocks`: of how many parts that stay together the rows are; there are no more folds than that.
    `unit`: what errors are measured in (`scoring.unit_of`).
    """

    expected: Prior
    rows: int
    features: int
    classes: int
    metric: str
    seed: int
    folds: int = 0
    repeats: int = 1
    steps: tuple[Step, ...] = ()
    entries: dict[str, Entry] = field(default_factory=dict)
    asked: int = 0
    blocks: int | None = None
    unit: float = 1.0
    _known: Posterior | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.folds = _FOLDS if self.rows <= _MANY_ROWS else _FOLDS_OF_MANY
        if self.blocks is not None:
            self.folds = max(2, min(self.folds, self.blocks))
        self.repeats = _ROUNDS if self.rows <= _FEW_BAGGED else 1
        learned = self.rows * (1 - 1 / self.folds)
        levels = [] if self.rows <= _FEW_ROWS else [m for m in _LEVELS if 1.5 * m < learned]
        steps = [
            Step((level, 0, fold), most)
            for level, most in enumerate(levels)
            for fold in range(2 if level == 0 else 1)
        ]
        last = len(levels)
        steps += [
            Step((last, repeat, fold), 0)
            for repeat in range(self.repeats)
            for fold in range(self.folds)
        ]
        self.steps = tuple(steps)
        self.entries = {name: Entry(name) for name in self.expected.names}

    @property
    def last_level(self) -> int:
        """The level at which all rows are learned from."""
        return self.steps[-1].context[0]

    @property
    def nothing_found(self) -> bool:
        """Whether no fold of any pipeline has ended well yet."""
        return not any(entry.found for entry in self.entries.values())

    def lift(self, name: str) -> int:
        """Returns the place of the lift that is best for a pipeline, by its folds so far."""
        found = self.entries[name].found
        if not found:
            return 0
        last = max(context[0] for context in found)
        values = [r.values for context, r in found.items() if context[0] == last]
        return int(np.mean(values, axis=0).argmax()) if len(values[0]) > 1 else 0

    def beliefs(self) -> Posterior:
        """Returns what is known of the pipelines by now, their errors in units of `unit`."""
        if self._known is None:  # it is asked for several times between two folds
            seen = {name: self._seen(name) for name in self.entries}
            self._known = believed(self.expected, seen)
        return self._known

    def propose(
        self,
        seconds: float | None,
        cheap: float = 0.0,
        late: bool = False,
        left: float = np.inf,
    ) -> TableRequest | None:
        """Returns what is to be done next within so many seconds; None: nothing is worth it.

        What costs less than `cheap` seconds costs nothing worth mentioning. `late`: it is time to
        let the best ones tell all rows, for only these can be joined. `left`: CPU-seconds of the
        race: who cannot tell all rows in them does not go on with that. Without a limit in seconds
        no clock is asked, so that the race can be repeated.
        """
        steps = {name: self._next(entry, seconds) for name, entry in self.entries.items()}
        able = {name: step for name, step in steps.items() if step is not None}
        self.asked += 1
        cost = self._guess if seconds is None else self.predicted
        costs = {name: max(cheap, cost(name, self._rows(name, s))) for name, s in able.items()}
        if able and self.nothing_found and any(one.failed for one in self.entries.values()):
            chosen: str | None = min(costs, key=costs.__getitem__)  # something, before what is good
        elif self.last_level:
            chosen = self._of_many_rows(able, costs, cheap, late)
        else:
            chosen = self._to_go_on(able, seconds is not None, left)
            chosen = chosen or self._worth_most(able, costs)
        if chosen is None:
            return None
        step = able[chosen]
        level, repeat, fold = step.context
        most = _CHECKED if level == self.last_level else _CHECKED_OF_FEW
        checked = max(_CHECKED_OF_FEW // 4, min(most, _MOST_SHARES // max(1, self.classes)))
        return TableRequest(
            0, chosen, self.seed + repeat, repeat, fold, self._most(chosen, step), checked
        )

    def _of_many_rows(
        self, able: Mapping[str, Step], costs: Mapping[str, float], cheap: float, late: bool
    ) -> str | None:
        """Who is next where few rows are learned from first."""
        chosen = self._to_promote(able) if self.asked % 2 else None
        chosen = chosen or self._to_complete(able, _QUICK * cheap)
        if late and len(complete_folds(self, tuple(self.entries))) < _LATE_JOINED:
            chosen = chosen or self._to_complete(able)
        chosen = chosen or self._worth_most(able, costs)
        return chosen or self._to_promote(able) or self._to_complete(able)

    def _worth_most(self, able: Mapping[str, Step], costs: Mapping[str, float]) -> str | None:
        """Whose next fold should make the choice of one better by most in a second."""
        first = {name: costs[name] for name, step in able.items() if step.context[1] == 0}
        return next_to_try(self.beliefs(), first, self._variance, _WORTH)

    def _to_promote(self, able: Mapping[str, Step]) -> str | None:
        """A leader that has learned from few rows only, once enough have been compared so."""
        ranking = self.ranking()
        if not self.last_level or len(ranking) < _ENOUGH:
            return None
        for name in ranking[:_LEADERS]:
            reached = max(context[0] for context in self.entries[name].found)
            if reached < self.last_level and name in able:
                return name
        return None

    def _to_complete(self, able: Mapping[str, Step], most: float | None = None) -> str | None:
        """The best that has not told all rows yet, of those that need `most` seconds for that."""
        if most is not None and len(self.ranking()) < _ENOUGH:
            return None
        errors = self.beliefs().errors
        best = sorted((n for n, e in self.entries.items() if not e.failed), key=errors.__getitem__)
        for name in best[:_JOINED]:
            step = able.get(name)
            if step is None or step.context[1] != 0:
                continue
            if most is None or self._seconds_to_complete(name) <= most:
                return name
        return None

    def _to_go_on(self, able: Mapping[str, Step], timed: bool, left: float) -> str | None:
        """Who tells all rows, or tells them once more, while there is time: round by round.

        First is who takes the least seconds times how wrong it is, times how many of its kind have
        done it: an average gains from who differs. Where no clock is asked, all take one second.
        """
        errors = self.beliefs().errors
        ways: list[tuple[int, float, str]] = []
        for name, step in able.items():
            repeat, kind = step.context[1], family_of(name)
            seconds = self._seconds_to_complete(name, repeat) if timed else 1.0
            wrong = max(0.0, errors[name]) + _LEAST_WRONG
            alike = [other for other in self.entries if family_of(other) == kind]
            told = sum(repeat in complete_rounds(self, other) for other in alike)
            if not timed or seconds < left:
                ways.append((repeat, seconds * wrong * (1 + told), name))
        return min(ways)[2] if ways else None

    def _seconds_to_complete(self, name: str, repeat: int = 0) -> float:
        """What it takes a pipeline to tell all rows in a round."""
        told = self.entries[name].found
        folds = [step for step in self.steps if step.context[1] == repeat]
        return sum(
            self.predicted(name, self._rows(name, step))
            for step in folds
            if step.context not in told
        )

    def begin(self, request: TableRequest, number: int) -> Context:
        """Notes that a proposal is under way as a job; returns its context."""
        entry = self.entries[request.pipeline]
        step = next(
            s
            for s in self.steps
            if s.context[1:] == (request.repeat, request.fold)
            and self._most(request.pipeline, s) == request.most
            and s.context not in entry.found
            and s.context not in entry.under_way
        )
        entry.under_way.add(step.context)
        entry.jobs[step.context] = number
        return step.context

    def take(
        self,
        name: str,
        context: Context,
        result: FoldResult | None,
        message: str,
        cpu_seconds: float,
    ) -> None:
        """Takes in what came of a proposal; who failed takes part no more."""
        entry = self.entries[name]
        self._known = None
        entry.under_way.discard(context)
        entry.cpu_seconds += cpu_seconds
        if result is None:
            entry.failed = message or "failed"
            entry.jobs.pop(context, None)
        else:
            entry.found[context] = result

    def timed(self, name: str, result: FoldResult) -> float:
        """Returns how long telling a row should take what is fitted to all rows, by a fold of it.

        The longest of a pipeline's folds is kept as its `row_seconds`.
        """
        each = result.tell_seconds / max(1, result.checked)
        if table_pipeline(name).by_rows:
            each *= max(1.0, self.most_rows(name) / max(1, result.rows))
        entry = self.entries[name]
        entry.row_seconds = max(entry.row_seconds, each)
        return each

    def ranking(self) -> list[str]:
        """Returns the pipelines that were measured, the best first.

        Who cannot learn from all rows is expected to lose by that.
        """
        measured = [name for name, entry in self.entries.items() if entry.found]
        if not measured:
            return []
        errors = self.beliefs().errors

        def expected(name: str) -> float:
            halvings = float(np.log2(self.rows / max(1, self.most_rows(name))))
            return errors[name] * (1 + _HALVED * max(0.0, halvings))

        return sorted(measured, key=expected)

    def predicted(self, name: str, rows: int) -> float:
        """Returns the seconds that learning from so many rows should take, and telling a fold."""
        pipeline, entry = table_pipeline(name), self.entries[name]
        times = sorted((r.rows, r.fit_seconds + r.tell_seconds) for r in entry.found.values())
        if not times:
            return self._guess(name, rows) * self._slowness()
        most, seconds = times[-1]
        exponent = pipeline.exponent
        fewest, before = times[0]
        if most > 2 * fewest and before > 0.05:
            slope = float(np.log(seconds / before) / np.log(most / fewest))
            exponent = float(np.clip(slope, 0.8, exponent + 0.4))
        return float(0.03 + seconds * max(1.0, rows / most) ** exponent)

    def most_rows(self, name: str) -> int:
        """Returns how many rows a pipeline may learn from."""
        return min(self.rows, table_pipeline(name).most_rows)

    def parts(self, name: str) -> int:
        """Returns how many folds of a pipeline its last fit has beside that of all rows."""
        few = self.rows <= _FEW_BAGGED and table_pipeline(name).bagged
        return self.folds if few and complete_folds(self, [name]) else 0

    def _guess(self, name: str, rows: int) -> float:
        one = table_pipeline(name)
        classes = max(1, self.classes - 1) if one.by_classes else 1
        grown = float(rows / 1000) ** one.exponent
        return float(0.03 + one.seconds * grown * max(0.2, self.features / 20) * classes)

    def _slowness(self) -> float:
        """How much longer pipelines take than the table guesses, on this machine."""
        ratios = [
            np.log((r.fit_seconds + r.tell_seconds + 0.03) / self._guess(name, r.rows))
            for name, entry in self.entries.items()
            for r in entry.found.values()
        ]
        found = float(np.exp(np.median(ratios))) * 1.3 if ratios else _FIRST_GUESS
        return float(np.clip(found, 0.3, _SLOWEST))

    def _most(self, name: str, step: Step) -> int:
        """How many rows a step lets a pipeline learn from, 0: all."""
        most = table_pipeline(name).most_rows
        if step.most:
            return min(step.most, most)
        return most if most < self.rows * (1 - 1 / self.folds) else 0

    def _next(self, entry: Entry, seconds: float | None) -> Step | None:
        """What a pipeline would do next, if it can and there is time."""
        if entry.failed:
            return None
        for step in self.steps:
            if step.context in entry.found or step.context in entry.under_way:
                continue
            if any(c[0] < step.context[0] for c in entry.under_way):
                return None  # what few rows say comes first
            needed = self.predicted(entry.name, self._rows(entry.name, step))
            needed = needed if entry.found else needed / _DOUBTED
            fits = seconds is None or needed < seconds
            return step if fits else None
        return None

    def _rows(self, name: str, step: Step) -> int:
        return self._most(name, step) or round(self.rows * (1 - 1 / self.folds))

    def _variance(self, name: str) -> float:
        """The variance of a further score of a pipeline: that of what was seen so far."""
        deviations = [one.deviation for n in self.entries for one in self._seen(n).values()]
        usual = self.rows / self.folds
        guess = 0.5 / np.sqrt(max(1.0, min(_CHECKED, usual)))
        return float(np.median(deviations) if deviations else guess) ** 2

    def _seen(self, name: str) -> Mapping[Context, Seen]:
        how, lift = TABLE_METRICS[self.metric], self.lift(name)
        seen = {}
        for context, result in self.entries[name].found.items():
            value, noise = result.values[lift], result.deviations[lift]
            error = error_of(how.name, value, self.unit)
            moved = error_of(how.name, value - how.sign * noise, self.unit)
            noise = abs(moved - error) or noise / self.unit
            size = 1.0 if self.expected.scale == "angle" else max(error, 1e-12)
            short = _SHORT * size * (self.last_level - context[0])
            seen[context] = Seen(error, float(np.hypot(max(noise, _LEAST * size), short)))
        return seen


def complete_folds(race: TableRace, names: Sequence[str]) -> list[str]:
    """Returns those of the pipelines that have told all rows once, learned from all others."""
    return [name for name in names if 0 in complete_rounds(race, name)]


def complete_rounds(race: TableRace, name: str) -> list[int]:
    """Returns the rounds of folds in which a pipeline has told all rows."""
    found = race.entries[name].found
    return [
        repeat
        for repeat in range(race.repeats)
        if all((race.last_level, repeat, fold) in found for fold in range(race.folds))
    ]
