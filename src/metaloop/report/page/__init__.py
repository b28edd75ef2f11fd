"""The report as one page of HTML: no network, no script, no time of its own making.

The same records give the same bytes. A content security policy forbids everything but the page's
own style sheet (by its hash) and pictures that are part of it.
"""

from __future__ import annotations

import base64
import hashlib

from metaloop import __version__
from metaloop.report.claim import Claim, claim_of
from metaloop.report.figures import (
    figure,
    measured_on,
    printable,
    shortened,
    task_name,
    when,
)
from metaloop.report.lineage import lineage_of
from metaloop.report.page.best import best_algorithm
from metaloop.report.page.leaderboard import leaderboard
from metaloop.report.page.lineage_figure import lineage_figure
from metaloop.report.page.markup import Html, element, join
from metaloop.report.page.outcomes import credit_table, failure_table, promotion_table
from metaloop.report.page.pictures import pictures
from metaloop.report.page.progress_figure import progress_figure
from metaloop.report.page.provenance import backbone_table, data_list, opening_table, run_list
from metaloop.report.page.style import STYLE
from metaloop.report.progress import progress_of
from metaloop.report.reading import Records
from metaloop.report.standing import label, standings

GENERATOR = f"metaloop {__version__}"
_STATES = {"running": "has not ended", "empty": "no run"}


def page_of(records: Records) -> str:
    """Returns the whole page."""
    claim = claim_of(records)
    title = f"{claim.headline} · {_subject(records, claim)}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy()),
        element("meta", name="generator", content=GENERATOR),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    sections = _sections(records, claim)
    links = [element("li", element("a", name, href=f"#{key}")) for key, name, _ in sections]
    body = element(
        "body",
        element("header", _claim(records, claim)),
        element("nav", element("ul", *links), aria_label="Parts of this report"),
        element("main", *(_section(*section) for section in sections)),
        _footer(records),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _sections(records: Records, claim: Claim) -> list[tuple[str, str, Html]]:
    best = claim.best.identity if claim.best else None
    labels = {name: label(stored.candidate) for name, stored in records.candidates.items()}
    progress = progress_figure(progress_of(records), claim.test, claim.chance)
    board = leaderboard(standings(records), claim)
    found = [
        ("leaderboard", "Leaderboard", board),
        ("progress", "What the time bought", progress),
        ("lineage", "Who came from whom", lineage_figure(lineage_of(records, best), labels)),
        ("best", "The best algorithm", best_algorithm(records, claim)),
        ("credits", "What each kind of change was worth", _credits(records)),
        ("promotions", "Promotions", promotion_table(records)),
        ("examples", _examples(records), pictures(records.artefacts)),
        ("failures", "Failures", failure_table(records)),
        ("openings", "Every opening of the test part", opening_table(records)),
        ("data", "Data", data_list(records)),
        ("backbones", "Backbones", backbone_table(records)),
        ("run", "The run, and how to repeat it", run_list(records)),
    ]
    return [(key, name, content) for key, name, content in found if content is not None]


def _examples(records: Records) -> str:
    """What pictures are of: episodes, or what the chosen one of a single task goes by."""
    return "Example episodes" if records.shots != 0 else "What it goes by, and how sure it is"


def _claim(records: Records, claim: Claim) -> Html:
    sentences = list(claim.sentences)
    first = [
        "alarm" if _is_alarming(sentence, claim, records) else "lead" for sentence in sentences
    ]
    return join(
        element("p", f"metaloop · {_subject(records, claim)}", class_="eyebrow"),
        element("h1", claim.headline, _unit(claim)),
        *(
            element("p", _unbroken(said), class_=class_)
            for said, class_ in zip(sentences, first, strict=True)
        ),
    )


def _unit(claim: Claim) -> Html | None:
    """What the figure of the headline is a figure of."""
    shown = claim.test or (claim.best and (claim.best.promotion or claim.best.search)) or None
    if shown is None:
        return None
    how = shown.protocol
    said = f"{printable(shown.metric)}, {task_name(how)}, {measured_on(shown)} of {how.part}"
    if claim.no_better_than_chance:
        said = f"{figure(shown)} {said}"
    return element("span", said, class_="unit")


def _unbroken(sentence: str) -> str:
    """Keeps a figure with its interval on one line."""
    return sentence.replace(" ± ", "\u00a0±\u00a0").replace(" %", "\u00a0%")


def _is_alarming(sentence: str, claim: Claim, records: Records) -> bool:
    if sentence.startswith("This is no better than chance"):
        return True
    return records.status != "finished" and sentence == claim.sentences[0]


def _subject(records: Records, claim: Claim) -> str:
    """What the page is about in a few words: data, task, state."""
    data = records.target_data
    shown = claim.test or (claim.best and claim.best.search) or None
    words = [shortened(data.name, 80)] if data else []
    words += [task_name(shown.protocol)] if shown else []
    words += [shortened(records.name, 80)]
    words += [_STATES.get(records.status, printable(records.status))]
    return " · ".join(words)


def _credits(records: Records) -> Html:
    said = (
        "Child against parent, on the same episodes of search: the mean over all pairs with its "
        "95 % interval (one pair: over its episodes). Each candidate is charged all of the "
        "training that it shared."
    )
    return join(element("p", said, class_="quiet"), credit_table(records))


def _section(key: str, name: str, content: Html) -> Html:
    return element(
        "section",
        element("h2", name, id=f"{key}-title"),
        content,
        id=key,
        aria_labelledby=f"{key}-title",
    )


def _footer(records: Records) -> Html:
    last = records.last_record
    known = f"Records up to {when(last)}. " if last else ""
    return element(
        "footer",
        f"{known}Made by {GENERATOR} from the run's archive alone: no network, no script.",
    )


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
