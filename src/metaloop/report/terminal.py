"""The report in a terminal: the claim, then tables and a tree, and the story of one candidate.

Everything is built from text that cannot steer a terminal (`figures.printable`); markup is never
parsed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from metaloop.archive import StoredCandidate
from metaloop.core.leagues import league_words
from metaloop.core.records import Result
from metaloop.report.backbones import backbone_facts
from metaloop.report.claim import Claim, claim_of
from metaloop.report.crediting import credits_of
from metaloop.report.differences import (
    ancestry,
    best_generated,
    oldest_program,
    program_diff,
    recipe,
)
from metaloop.report.failures import failures_of
from metaloop.report.figures import (
    count,
    figure,
    gain,
    printable,
    protocol_text,
    seconds,
    shortened,
    table_note,
    verdict_gain,
    when,
)
from metaloop.report.lineage import Lineage, Row, edge_words, lineage_of, origin
from metaloop.report.openings import looks_of
from metaloop.report.progress import progress_of
from metaloop.report.reading import Records
from metaloop.report.reproducing import commands
from metaloop.report.standing import Standing, label, name_of, short, standing, standings
from metaloop.report.story import children_of, verdicts_about

_MOST_LINES = 25  # of a table: the page and `export` have all
_LONGEST_WORDS = 60  # characters of what an operator did
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def run_report(records: Records) -> Iterator[RenderableType]:
    """Yields the parts of a run's report, to be printed one below the other."""
    claim = claim_of(records)
    yield _claim(claim)
    entries = standings(records)
    if entries:
        yield _part("leaderboard", _leaderboard(entries, claim))
        labels = {name: label(stored.candidate) for name, stored in records.candidates.items()}
        lineage = lineage_of(records, claim.best.identity if claim.best else None)
        yield _part("lineage", _tree(lineage, labels))
        yield _part("operator credits", _credits(records))
        yield _part("the best so far by CPU-seconds", _progress(records))
        generated = best_generated(records)
        if generated is not None:
            name = f"the best generated program: {generated.label} ({short(generated.identity)})"
            yield _part(name, _program(records, generated.stored))
    failures = failures_of(records)
    if records.backbones:
        yield _part("backbones", _backbones(records))
    if failures:
        rows = [(f.status, f"{f.times:,}", shortened(f.message, 200) or "-") for f in failures]
        yield _part("failures", _table(("how", "times", "message"), rows, {"times"}))
    looks = [(k.who, k.seen, k.protocol, when(k.opened), k.why) for k in looks_of(records)]
    names = ("who", "result", "protocol", "when", "why")
    opened: RenderableType = _table(names, looks[-_MOST_LINES:], {"result"})
    yield _part("openings of test", opened if looks else Text("Nobody has opened the test part."))
    yield _part("to do it again", Text("\n".join(commands(records))))


def candidate_story(records: Records, stored: StoredCandidate) -> Iterator[RenderableType]:
    """Yields the story of one candidate."""
    entry = standing(records, stored)
    yield Text.assemble((entry.label, "bold"), f"  {printable(stored.identity)}")
    facts = {
        "status": printable(entry.status),
        "search": _measured(entry.search),
        "promotion": _measured(entry.promotion),
        "CPU-seconds": seconds(entry.cpu_seconds),
        "made by": origin(entry),
        "league": league_words(entry.league),
        "parents": ", ".join(name_of(records, p) for p in stored.parents) or "none",
        "children": _listed(
            [name_of(records, c.identity) for c in children_of(records, stored.identity)]
        ),
        **recipe(stored.candidate),
    }
    yield _table(("", ""), [(name, printable(value)) for name, value in facts.items()], set())
    if stored.candidate.program:
        yield _part("program", _program(records, stored))
    steps = ancestry(records, stored.identity)
    if steps:
        yield _part(
            "how it came about, the latest step first",
            Group(
                *(
                    Group(
                        Text(
                            f"{name_of(records, step.child.identity)}: "
                            f"{origin(standing(records, step.child))}",
                            style="bold",
                        ),
                        Text("; ".join(step.changes)),
                        _diff(step.diff),
                    )
                    for step in steps[:_MOST_LINES]
                )
            ),
        )
    trials = [
        (
            str(t.trial.rung + 1),
            printable(t.trial.status),
            f"{t.trial.steps:,}",
            seconds(t.trial.cpu_seconds),
            "; ".join(map(_measured, t.trial.results)) or "-",
            shortened(t.trial.message, 200),
        )
        for t in records.trials_of.get(stored.identity, ())
    ]
    names = ("rung", "status", "steps", "CPU s", "results", "message")
    yield _part("trials", _table(names, trials, {"rung", "steps", "CPU s"}))
    verdicts = _verdicts(records, stored.identity)
    if verdicts:
        columns = ("part", "against", "difference", "episodes", "reason")
        yield _part("comparisons", _table(columns, verdicts, {"difference", "episodes"}))


def _verdicts(records: Records, identity: str) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for found in verdicts_about(records, identity):
        verdict = found.verdict
        won = verdict.winner == identity
        lines.append(
            (
                verdict.part,
                name_of(records, verdict.loser if won else verdict.winner),
                verdict_gain(records.metric, verdict, 1 if won else -1),
                f"{verdict.episodes:,}",
                shortened(verdict.reason, 200),
            )
        )
    return lines


def _claim(claim: Claim) -> RenderableType:
    text = Text(claim.headline, style="bold")
    for sentence in claim.sentences:
        alarming = sentence.startswith("This is no better than chance")
        text.append("\n" + sentence, style="bold red" if alarming else "not bold")
    return text


def _leaderboard(entries: Sequence[Standing], claim: Claim) -> RenderableType:
    best = claim.best.identity if claim.best else None
    ordered = sorted(entries, key=lambda entry: entry.identity != best)
    rows = [
        (
            short(entry.identity),
            entry.label,
            shortened(league_words(entry.league), _LONGEST_WORDS),
            figure(entry.search),
            figure(entry.promotion),
            printable(entry.status),
            seconds(entry.cpu_seconds),
            shortened(origin(entry), _LONGEST_WORDS),
        )
        for entry in ordered[:_MOST_LINES]
    ]
    names = ("", "candidate", "league", "search", "promotion", "status", "CPU s", "what made it")
    shown = _table(names, rows, {"search", "promotion", "CPU s"})
    more = len(ordered) - len(rows)
    notes = [f"and {count(more, 'more candidate')}"] if more else []
    notes.append(table_note(each for entry in entries for each in (entry.search, entry.promotion)))
    return Group(shown, *(Text(note) for note in notes if note))


def _backbones(records: Records) -> RenderableType:
    """What the run was offered, and what each of them has seen."""
    rows = [tuple(backbone_facts(each).values()) for each in records.backbones]
    return _table(tuple(backbone_facts(records.backbones[0])), rows, {"features"})


def _tree(lineage: Lineage, labels: dict[str, str]) -> RenderableType:
    root = Tree(Text(count(lineage.candidates, "candidate")), guide_style="dim")
    nodes: list[Tree] = []
    for row in lineage.rows:
        above = root if row.parent is None else nodes[row.parent]
        nodes.append(above.add(_node(row, labels)))
    return root


def _node(row: Row, labels: dict[str, str]) -> Text:
    if row.entry is None:
        best = f", best {figure(row.best_hidden.search)}" if row.best_hidden else ""
        return Text(f"+ {count(row.collapsed, 'more candidate')}, not shown{best}", style="dim")
    entry = row.entry
    shown = figure(entry.search) if entry.search else printable(entry.status)
    return Text.assemble(
        (f"{shortened(edge_words(row, labels), _LONGEST_WORDS)}: ", "italic dim"),
        (f"{entry.label} {short(entry.identity)} ", "bold green" if row.on_path else ""),
        shown,
    )


def _credits(records: Records) -> RenderableType:
    rows = [
        (
            credit.kind,
            gain(records.metric, credit.gain.value, credit.gain.ci95) if credit.gain else "-",
            f"{credit.better:,} of {credit.pairs:,}",
            f"{credit.made:,}",
            f"{credit.failed:,}",
            seconds(credit.cpu_seconds),
        )
        for credit in credits_of(records)
    ]
    names = ("operator", "gain over parent", "surely better", "made", "failed", "CPU s")
    return _table(names, rows, set(names[1:]))


def _progress(records: Records) -> RenderableType:
    found = progress_of(records)
    rows = [
        (seconds(dot.cpu_seconds), figure(dot.result), f"{dot.label} ({short(dot.candidate)})")
        for dot in found.leaders[-_MOST_LINES:]
    ]
    rows += [
        ("baseline", figure(dot.result), f"{dot.label} ({short(dot.candidate)})")
        for dot in found.baselines
    ]
    return _table(("CPU s", "search", "candidate"), rows, {"CPU s", "search"})


def _program(records: Records, stored: StoredCandidate) -> RenderableType:
    """A program's text, and how it differs from the program that it came from at first."""
    text = Text(printable(stored.candidate.program or "", keep="\n\t").strip("\n"))
    oldest = oldest_program(records, stored.identity)
    lines = program_diff(oldest, stored) if oldest is not None else ()
    if oldest is None or not lines:
        return text
    name = f"{label(oldest.candidate)} ({short(oldest.identity)})"
    return Group(text, Text(f"\nThe difference from its oldest ancestor, {name}:"), _diff(lines))


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], numbers: set[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.show_header = any(names)
    for name in names:
        right = name in numbers
        table.add_column(name, justify="right" if right else "left", no_wrap=right)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _part(name: str, content: RenderableType) -> RenderableType:
    return Padding(Group(Text(name, style="bold underline"), content), (1, 0, 0, 0))


def _diff(lines: Sequence[str]) -> Text:
    text = Text()
    for line in lines:
        text.append(printable(line) + "\n", style=_DIFF_STYLES.get(line[:1], ""))
    return text


def _measured(result: Result | None) -> str:
    return "-" if result is None else f"{figure(result)} ({protocol_text(result)})"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - 5
    return (", ".join(names[:5]) + (f" and {more:,} more" if more > 0 else "")) or "none"
