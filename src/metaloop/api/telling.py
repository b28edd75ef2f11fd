"""Events in words: what `learn` and `train` say while they run."""

from __future__ import annotations

from collections.abc import Sequence

from metaloop.api.progress import Progress
from metaloop.core.records import Result
from metaloop.core.statistics import Estimate
from metaloop.engine.events import Evaluated, Event, Progressed
from metaloop.loop import DataRead, LoopEvent, Noted, Promoted, Tried, Trying
from metaloop.report.figures import figure, gain


class LearnTeller:
    """Turns the loop's events into progress; `best` is the best figure so far, in words."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.best = ""

    def tell(self, event: LoopEvent) -> None:
        """Shows one event."""
        if isinstance(event, DataRead):
            parts = " / ".join(f"{count:,}" for count in event.parts.values())
            units = "groups" if event.kind.endswith(", groups") else "classes"
            classes = f"{parts} {units} to {' / '.join(event.parts)}" if event.parts else ""
            self.progress.line(_joined(f"{event.name}: {event.kind}", classes))
            tell_reading(event, self.progress)
        elif isinstance(event, Trying):
            self.progress.status(
                _joined(
                    f"round {event.round}",
                    event.label,
                    event.stage,
                    f"step {event.step:,}",
                    f"loss {event.loss:.3f}",
                    self.best,
                    _clock(event.seconds_left),
                )
            )
        elif isinstance(event, Tried):
            self._tell_trial(event)
        elif isinstance(event, Promoted):
            self.progress.line(
                _joined(f"promoted {event.label}", figure(event.result), event.reason)
            )
            self.progress.status("opening the test part")
        elif isinstance(event, Noted):
            self.progress.line(event.line)

    def _tell_trial(self, event: Tried) -> None:
        results = event.trial.results
        said = figure(results[0]) if results else f"{event.trial.status}"
        if event.best_result is not None:
            self.best = f"best {event.best} {figure(event.best_result)}"
        gained = "" if event.progress is None else _gained(event.progress, results)
        operator = "" if event.operator == "catalogue" else event.operator
        self.progress.line(
            _joined(f"tried {event.label}", operator, said, gained, event.trial.message)
        )


def tell_reading(event: DataRead, progress: Progress) -> None:
    """Shows how data was understood where it could be meant otherwise, and what was left out."""
    for note in event.notes:
        progress.line(f"read so: {note}")
    progress.left_out(event.left_out)


def tell_training(event: Event, progress: Progress, wall_seconds: float | None) -> Result | None:
    """Shows an event of the engine; returns the early figure, if it is one.

    `wall_seconds` is the budget, None for one in steps.
    """
    if isinstance(event, Progressed):
        left = None if wall_seconds is None else wall_seconds * (1 - event.spent)
        progress.status(
            _joined(
                "training",
                f"{100 * event.spent:.0f} %",
                f"step {event.step:,}",
                f"loss {event.loss:.3f}",
                _clock(left),
            )
        )
    if isinstance(event, Evaluated):
        progress.line(
            _joined(
                f"step {event.point.step:,}",
                f"{figure(event.result)} on {event.result.episodes} search episodes",
            )
        )
        return event.result
    return None


def _gained(progress: Estimate, results: Sequence[Result]) -> str:
    """A paired difference: `+1.2 ± 0.4 points over its parent (1 and 5 shots)`."""
    metric = results[0].metric if results else "accuracy"
    shots = sorted({each.protocol.shots for each in results})
    said = f"{gain(metric, progress.value, progress.ci95)} over its parent"
    return f"{said} ({' and '.join(map(str, shots))} shots)" if len(shots) > 1 else said


def _clock(seconds: float | None) -> str:
    """`2:05 left`, or nothing where the time is unknown."""
    if seconds is None:
        return ""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02d} left"


def _joined(*parts: str) -> str:
    """The parts that are not empty, as one line."""
    return " · ".join(part for part in parts if part)
