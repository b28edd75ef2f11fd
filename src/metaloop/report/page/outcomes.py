"""What came of it, in tables: credits of operators, promotions, failures."""

from __future__ import annotations

from metaloop.core.records import Verdict
from metaloop.core.statistics import Estimate
from metaloop.report.crediting import credits_of
from metaloop.report.failures import failures_of
from metaloop.report.figures import gain, seconds, shortened, verdict_gain
from metaloop.report.page.markup import Html, element, join
from metaloop.report.page.strip import extent_of, strip
from metaloop.report.page.tables import NOTHING, Column, Line, folded, moment, table
from metaloop.report.reading import Records
from metaloop.report.standing import name_of

_MOST_LINES = 60
_SHOWN_PROMOTIONS = 8
_LONGEST_TEXT = 400


def credit_table(records: Records) -> Html:
    """Returns what each kind of operator brought."""
    credits = credits_of(records)
    if not credits:
        return element("p", "No candidate was made.", class_="quiet")
    metric = records.metric
    gains = [credit.gain for credit in credits if credit.gain is not None]
    extent = extent_of(((found.value, found.ci95) for found in gains), [0.0])
    columns = (
        Column("operator"),
        Column("gain over the parent", "number"),
        Column("compared", "number"),
        Column("surely better", "number"),
        Column("made", "number"),
        Column("tried", "number"),
        Column("failed", "number"),
        Column("CPU-seconds", "number"),
    )
    lines = [
        Line(
            (
                shortened(credit.kind, 60),
                _gain(metric, credit.gain, extent),
                f"{credit.pairs:,}",
                f"{credit.better:,}",
                f"{credit.made:,}",
                f"{credit.tried:,}",
                f"{credit.failed:,}",
                seconds(credit.cpu_seconds),
            )
        )
        for credit in credits[:_MOST_LINES]
    ]
    return table("Operator credits", columns, lines)


def _gain(metric: str, found: Estimate | None, extent: tuple[float, float]) -> str:
    if found is None:
        return NOTHING
    picture = strip(found.value, found.ci95, extent, 0.0)
    return join(gain(metric, found.value, found.ci95), picture)


def promotion_table(records: Records) -> Html | None:
    """Returns every verdict on promotion, None where there is none."""
    columns = (
        Column("winner"),
        Column("over"),
        Column("difference", "number"),
        Column("sure for new classes"),
        Column("episodes", "number"),
        Column("when", "time"),
        Column("reason", "long"),
    )
    metric = records.metric
    lines = []
    for stored in records.verdicts:
        verdict = stored.verdict
        if verdict.part == "promotion":
            cells = (
                name_of(records, verdict.winner),
                name_of(records, verdict.loser),
                verdict_gain(metric, verdict),
                _certainty(verdict),
                f"{verdict.episodes:,}",
                moment(stored.decided),
                shortened(verdict.reason, _LONGEST_TEXT),
            )
            lines.append(Line(cells))
    if not lines:
        return None
    lines = lines[::-1][:_MOST_LINES]  # the latest first
    latest, earlier = lines[:_SHOWN_PROMOTIONS], lines[_SHOWN_PROMOTIONS:]
    rest = folded(f"{len(earlier)} earlier", table("Earlier promotions", columns, earlier))
    return join(table("Promotions", columns, latest), rest if earlier else None)


def _certainty(verdict: Verdict) -> str:
    return {True: "yes", False: "no", None: NOTHING}[verdict.certain]


def failure_table(records: Records) -> Html:
    """Returns how trials failed, alike ones together."""
    failures = failures_of(records)
    if not failures:
        return element("p", "No trial failed.")
    columns = (
        Column("how"),
        Column("times", "number"),
        Column("CPU-seconds", "number"),
        Column("candidates", "long"),
        Column("message", "long"),
    )
    lines = [
        Line(
            (
                failure.status,
                f"{failure.times:,}",
                seconds(failure.cpu_seconds),
                shortened(", ".join(name_of(records, c) for c in failure.candidates[:4]), 200)
                + (f" and {len(failure.candidates) - 4:,} more" if failure.candidates[4:] else ""),
                shortened(failure.message, _LONGEST_TEXT) or "-",
            )
        )
        for failure in failures[:_MOST_LINES]
    ]
    more = len(failures) - len(lines)
    note = element("p", f"{more:,} rarer kinds of failure are not shown.", class_="quiet")
    return join(table("Failures", columns, lines), note if more else None)
