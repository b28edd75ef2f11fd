"""How numbers and names are printed: `94.1 ± 0.4 %`, `+2.1 ± 0.3 points`, text without surprises.

An interval is printed to the same place as its value. Names and messages come from data and
programs that may be hostile: what would steer a terminal or turn text around is written as an
escape, `\\x1b`.
"""

from __future__ import annotations

import math
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metaloop.core.records import Choice, Protocol, Result, Verdict
from metaloop.core.scales import SCALES, Scale
from metaloop.core.units import is_of_documents, units_of, why_not_new

_POLICIES = {
    "none": "inductive: no batch norm",
    "running": "inductive: batch norm by running statistics",
    "support": "inductive: batch norm by support statistics",
    "query batch": "transductive: batch norm by the query batch",
    "query means": "transductive: class means moved by the query batch",
}
_LONGEST_POLICY = 60  # characters, of one that is not known here
_STEERING = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))  # categories of Unicode that draw nothing
_JOINERS = "\u200c\u200d"  # they are of that kind too, and needed to write Persian or Hindi


def scale_of(metric: str) -> Scale:
    """Returns the scale of a metric; one that nobody here knows is better the higher it is.

    Objectives that were added to their table have scales of their own. They are known where that
    table is loaded, with torch, which is not loaded for it.
    """
    if metric in SCALES:
        return SCALES[metric]
    loaded = sys.modules.get("metaloop.core.objective")
    objectives = () if loaded is None else loaded.OBJECTIVES.values()
    added: dict[str, Scale] = {each.name: each.scale for one in objectives for each in one.metrics}
    return added.get(metric, Scale(metric, metric, higher_is_better=True, perfect=math.inf))


def better(metric: str, value: float) -> float:
    """Returns the value as a number of which more is better."""
    return value if scale_of(metric).higher_is_better else -value


def figure(result: Result | None) -> str:
    """Returns `94.1 ± 0.4 % (± 1.2 new)`, `0.113 ± 0.004 mse` of functions, `-` for none."""
    if result is None:
        return "-"
    new = result.ci95_new if is_of_fewer_units(result) else None
    return estimate(result.metric, result.value, result.ci95, new)


def measures_text(result: Result) -> str:
    """Returns `log loss 0.310 ± 0.010, calibration error 2.1 ± 0.3 %`: other metrics, "" if none.

    An interval for new classes is shown where the figure has one.
    """
    said = []
    for each in result.metrics:
        new = each.ci95_new if is_of_fewer_units(result) else None
        number, half = _number(each.metric, each.value, each.ci95, new)
        said.append(f"{printable(scale_of(each.metric).words)} {number}{half}")
    return ", ".join(said)


def is_of_fewer_units(result: Result) -> bool:
    """Returns whether a result has an interval for new classes that is another than its first.

    Where each episode is a task of its own, as of functions, both say the same.
    """
    return result.ci95_new is not None and result.units < result.episodes


def estimate(
    metric: str, value: float, ci95: float = math.nan, ci95_new: float | None = None
) -> str:
    """Returns a value with the half-widths of its intervals, where they are finite."""
    if not math.isfinite(value):
        return "not finite"
    unit = "" if metric == "accuracy" else f" {printable(metric)}"
    number, new = _number(metric, value, ci95, ci95_new)
    return number + unit + new


def gain(
    metric: str, difference: float, ci95: float = math.nan, ci95_new: float | None = None
) -> str:
    """Returns `+2.1 ± 0.3 points (± 0.9 new)`: an advantage, more is better whatever the metric."""
    if not math.isfinite(difference):
        return "not finite"
    if scale_of(metric).share:
        said = f"{_with_interval(100 * difference, 100 * ci95, 1, sign='+')} points"
        return said + _new(ci95_new, 100, 1)
    places = _places(difference, ci95)
    text = _with_interval(difference, ci95, places, sign="+")
    return f"{text} {printable(metric)}{_new(ci95_new, 1, places)}"


def verdict_gain(metric: str, verdict: Verdict, sign: int = 1) -> str:
    """Returns what a verdict says of its winner, or with `sign` -1 of its loser."""
    new = None if verdict.low_new is None else verdict.difference - verdict.low_new
    new = new if verdict.units < verdict.episodes else None
    return gain(metric, sign * verdict.difference, verdict.difference - verdict.low, new)


def intervals_text(result: Result) -> str:
    """Returns in words what the intervals of a figure mean, and why there is none for new units."""
    one, several = units_of(result)
    of_documents = is_of_documents(result)
    if of_documents:
        here = "± is over documents, however often episodes ask about them"
    elif result.units == 1:
        here = f"± is on this {one}"
    else:
        here = f"± is on these {count(result.units, one, several) if result.units else several}"
    if is_of_fewer_units(result):
        sampled = f"these {result.units:,}" if of_documents else "these"
        literature = "" if of_documents else ", as the literature reports it"
        return (
            f"{here}{literature}; (± new) is for new {several} of the family, of which {sampled} "
            "are a sample."
        )
    if result.ci95_new is not None:
        return "Each episode is a new task of the family, so ± is for new tasks."
    return f"{here}; {why_not_new(result)}."


def seconds(value: float) -> str:
    """Returns seconds to a sensible place: `0.31`, `4.2`, `1,234`."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def measured_on(result: Result) -> str:
    """Returns `1,000 episodes`, or `10,000 examples` where there is one task without a support."""
    return count(result.episodes, "episode" if result.protocol.shots else "example")


def task_name(protocol: Protocol) -> str:
    """Returns `5-way 1-shot`; `1-shot` where targets are not classes; `9 classes` without shots."""
    if not protocol.shots:
        return f"{protocol.ways} classes" if protocol.ways else "a number"
    return (
        f"{protocol.ways}-way {protocol.shots}-shot"
        if protocol.ways
        else (f"{protocol.shots}-shot")
    )


def policy_name(protocol: Protocol) -> str:
    """Returns whether queries were judged one by one, and by whose statistics."""
    known = _POLICIES.get(protocol.norm_policy)
    return shortened(protocol.norm_policy, _LONGEST_POLICY) if known is None else known


def protocol_text(result: Result) -> str:
    """Returns what a figure needs to mean something: episodes, task, part, batch norm."""
    how = result.protocol
    return f"{measured_on(result)}, {task_name(how)}, part {how.part}, {policy_name(how)}"


def choice_text(choice: Choice) -> str:
    """Returns `ridge(strength=0.1)`: a name with the options that differ from its defaults."""
    options = ", ".join(f"{name}={value_text(value)}" for name, value in choice.options.items())
    return printable(f"{choice.name}({options})" if options else choice.name)


def value_text(value: Any) -> str:
    """Returns a value of JSON as a person would write it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        if set(value) == {"name", "options"} and isinstance(value["options"], Mapping):
            return choice_text(Choice(str(value["name"]), value["options"]))
        return ", ".join(f"{printable(str(k))}={value_text(v)}" for k, v in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(value_text, value)) or "none"
    return printable(str(value))


def when(time: str) -> str:
    """Returns `2024-05-01 12:03:55 UTC` of a time in ISO form."""
    return printable(f"{time[:10]} {time[11:19]} UTC")


def count(number: int, one: str, many: str = "") -> str:
    """Returns `1 trial`, `1,200 trials`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def printable(text: str, keep: str = "") -> str:
    """Returns the text with all that is unseen (but may steer) as escapes, save those in `keep`."""
    keep += _JOINERS
    return "".join(
        character
        if character in keep or unicodedata.category(character) not in _STEERING
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def shortened(text: str, length: int) -> str:
    """Returns the printable text in at most `length` characters, on one line."""
    line = printable(" ".join(text.split())[: length + 1])
    return line if len(line) <= length else f"{line[: length - 1].rstrip()}…"


def _number(metric: str, value: float, ci95: float, new: float | None) -> tuple[str, str]:
    """Returns a value with its interval, in percent where it is a share, and the one for new."""
    if scale_of(metric).share:
        return f"{_with_interval(100 * value, 100 * ci95, 1)} %", _new(new, 100, 1)
    places = _places(value, ci95)
    return _with_interval(value, ci95, places), _new(new, 1, places)


def _with_interval(value: float, ci95: float, places: int, sign: str = "") -> str:
    text = f"{value:{sign}.{places}f}".replace("-", "−")
    return f"{text} ± {ci95:.{places}f}" if math.isfinite(ci95) else text


def table_note(results: Iterable[Result | None]) -> str:
    """Returns what the intervals of a table's figures mean, empty where there is one kind only."""
    shown = [each for each in results if each is not None and is_of_fewer_units(each)]
    if not shown:
        return ""
    several = units_of(shown[0])[1]
    here = "over the documents" if is_of_documents(shown[0]) else f"on the {several}"
    return f"± is {here} of that part, (± new) for new {several} of the family."


def _new(ci95_new: float | None, scale: int, places: int) -> str:
    known = ci95_new is not None and math.isfinite(ci95_new)
    return f" (± {scale * ci95_new:.{places}f} new)" if known and ci95_new is not None else ""


def _places(value: float, ci95: float) -> int:
    """Returns how many decimals show two digits of the interval, or else three of the value."""
    known = ci95 if math.isfinite(ci95) and ci95 > 0 else abs(value) / 10
    return 3 if known == 0 else min(8, max(0, 1 - math.floor(math.log10(known))))
