"""Where the figures come from: openings of the test part, data, environment, commands."""

from __future__ import annotations

from metaloop.core.records import PARTS
from metaloop.report.backbones import LEAGUES, backbone_facts, what_they_know
from metaloop.report.figures import count, printable, shortened, value_text, when
from metaloop.report.openings import looks_of
from metaloop.report.page.markup import Html, element, join
from metaloop.report.page.tables import Column, Line, folded, moment, pairs, table
from metaloop.report.reading import Records
from metaloop.report.reproducing import commands

_MOST_LINES = 60
_MOST_CLASSES = 60
_LONGEST_TEXT = 400
_NAMES = {"running": "has not ended"}


def opening_table(records: Records) -> Html:
    """Returns every look at a sealed part, broken-off ones too."""
    looks = looks_of(records)
    if not looks:
        return element("p", "Nobody has opened the test part.")
    columns = (
        Column("who", "long"),
        Column("result", "number"),
        Column("protocol", "long"),
        Column("when", "time"),
        Column("why", "long"),
    )
    lines = [
        Line((look.who, look.seen, look.protocol, moment(look.opened), look.why))
        for look in looks[-_MOST_LINES:]
    ]
    more = len(looks) - len(lines)
    note = element("p", f"{more:,} earlier ones are not shown.", class_="quiet")
    return join(table("Openings of sealed parts", columns, lines), note if more else None)


def backbone_table(records: Records) -> Html | None:
    """Returns what the run was offered to see inputs through, and what that has seen; or None."""
    if not records.backbones:
        return None
    facts = [backbone_facts(each) for each in records.backbones]
    columns = [Column(name, "number" if name == "features" else "text") for name in facts[0]]
    lines = [Line(tuple(each.values())) for each in facts]
    return join(
        element("p", LEAGUES, class_="quiet"),
        *(element("p", said) for said in what_they_know(records)),
        table("Backbones", columns, lines),
    )


def data_list(records: Records) -> Html:
    """Returns each data set with its hash, its parts, and what was left out of it."""
    parts = []
    for data in records.data_sets:
        known = [part for part in PARTS if part in data.parts]
        ordered = {part: data.parts[part] for part in dict.fromkeys([*known, *data.parts])}
        sizes = ", ".join(f"{printable(part)} {len(names):,}" for part, names in ordered.items())
        out = ", ".join(f"{number:,} x {printable(why)}" for why, number in data.left_out.items())
        one, several = ("group", "groups") if _has_groups(data.kind) else ("class", "classes")
        entries = [
            ("kind", shortened(data.kind, _LONGEST_TEXT)),
            ("hash", element("code", data.hash)),
            ("size", f"{count(data.classes, one, several)}, {data.examples:,} examples"),
            (f"{several} in parts", sizes or "tasks are not made of classes"),
            ("left out", shortened(out, _LONGEST_TEXT) or "nothing"),
        ]
        mark = " (the target)" if data.hash == records.target else ""
        named = [(part, _some(names)) for part, names in ordered.items()]
        parts += [
            element("h3", f"{shortened(data.name, 120)}{mark}"),
            pairs(entries),
            folded(f"{one} names", pairs(named)) if named else None,
        ]
    return join(*parts) if parts else element("p", "No data was read.", class_="quiet")


def _has_groups(kind: str) -> bool:
    """Whether data of this kind consist of groups with real targets; see `tasks.readers`."""
    return kind.endswith(", groups")


def run_list(records: Records) -> Html:
    """Returns how and where the run was called, each try of it, and what else the archive has."""
    if not records.tries:
        return element("p", "No run is recorded in this archive.", class_="quiet")
    last = records.tries[-1]
    tries = [
        (
            f"try {index}" if len(records.tries) > 1 else "run",
            f"{when(run.started)} to {when(run.ended) if run.ended else 'unknown'}, "
            f"{_NAMES.get(run.status, printable(run.status))}",
        )
        for index, run in enumerate(records.tries, start=1)
    ]
    asked = [
        (printable(str(k)), shortened(value_text(v), _LONGEST_TEXT))
        for k, v in last.arguments.items()
    ]
    around = [
        (printable(str(k)), shortened(value_text(v), _LONGEST_TEXT))
        for k, v in last.environment.items()
    ]
    code = "\n".join(commands(records))
    earlier = (
        f"The archive holds {count(records.other_runs, 'other run')} with other arguments; the "
        "figures above leave them out."
    )
    return join(
        element("h3", "To do it again"),
        element("pre", element("code", code), tabindex=0),
        element("h3", "The run"),
        pairs([*tries, *asked]),
        element("p", earlier, class_="quiet") if records.other_runs else None,
        element("h3", "Where it ran"),
        pairs(around),
    )


def _some(names: tuple[str, ...]) -> str:
    said = ", ".join(shortened(name, 60) for name in names[:_MOST_CLASSES])
    more = len(names) - _MOST_CLASSES
    return f"{said} and {more:,} more" if more > 0 else said
