"""Where each candidate stands: what it is, its last figures, what it cost, and who it came from."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from metaloop.archive import StoredCandidate
from metaloop.core.records import Candidate, Result
from metaloop.report.figures import better, choice_text, printable, shortened
from metaloop.report.reading import Records

_PROGRAM = "program"  # the name of the learner that runs one
_TAG_DIGITS = 4
_LONGEST_LABEL = 120  # characters
_SHOWN_DIGITS = 8  # of an identity: enough to tell 10,000 candidates apart


@dataclass(frozen=True)
class Standing:
    """A candidate with its last figures.

    `search` and `promotion` are its latest results on those parts of the target data; the latest
    is on the freshest episodes. `cpu_seconds` charges it all of the training it shared. `league`
    names the backbones that it sees through, `none` if it has none.
    """

    stored: StoredCandidate
    status: str
    message: str
    rung: int
    steps: int
    cpu_seconds: float
    league: str
    search: Result | None
    promotion: Result | None

    @property
    def identity(self) -> str:
        """The identity it is stored under."""
        return self.stored.identity

    @property
    def label(self) -> str:
        """Its name in tables."""
        return label(self.stored.candidate)

    @property
    def is_baseline(self) -> bool:
        """Whether it is a plain method that learns nothing from other classes."""
        return is_baseline(self.stored)

    @property
    def value(self) -> float:
        """Its figure on `search` as a number of which more is better."""
        if self.search is None or math.isnan(self.search.value):
            return -math.inf
        return better(self.search.metric, self.search.value)


def standings(records: Records) -> tuple[Standing, ...]:
    """Returns all that took part: promoted ones first, then by how far they went and how well."""
    found = [standing(records, stored) for stored in records.taking_part]
    return tuple(sorted(found, key=_place))


def standing(records: Records, stored: StoredCandidate) -> Standing:
    """Returns where one candidate stands."""
    trials = records.trials_of.get(stored.identity, ())
    search = records.results_of(stored.identity, "search", asked=True)
    promotion = records.results_of(stored.identity, "promotion", asked=True)
    last = trials[-1].trial if trials else None
    return Standing(
        stored=stored,
        status=last.status if last else "not tried",
        message=last.message if last else "",
        rung=max((trial.trial.rung for trial in trials), default=-1),
        steps=last.steps if last else 0,
        cpu_seconds=sum((trial.trial.cpu_seconds for trial in trials), 0.0),
        league=records.league(stored.candidate),
        search=search[-1] if search else None,
        promotion=promotion[-1] if promotion else None,
    )


def is_baseline(stored: StoredCandidate) -> bool:
    """Returns whether a candidate is a plain method: nothing trained, generated or inherited."""
    candidate = stored.candidate
    return candidate.plan.style == "none" and candidate.program is None and not stored.parents


def label(candidate: Candidate) -> str:
    """Returns learner and net, with the learner's options.

    A program has a tag, the beginning of a hash of its source: equal tags are the same program.
    """
    learner = candidate.learner
    name, options = learner.name, choice_text(learner)[len(printable(learner.name)) :]
    if candidate.program is not None:
        digest = hashlib.sha256(candidate.program.strip().encode("utf-8", "backslashreplace"))
        kind = "" if name == _PROGRAM else f" {_PROGRAM}"
        name = f"{name}{kind} {digest.hexdigest()[:_TAG_DIGITS]}{' ' if options else ''}"
    return shortened(f"{name}{options} / {printable(candidate.net_label)}", _LONGEST_LABEL)


def name_of(records: Records, identity: str) -> str:
    """Returns label and short identity of a candidate."""
    stored = records.candidates.get(identity)
    return f"{label(stored.candidate)} ({short(identity)})" if stored else short(identity)


def operator_kind(stored: StoredCandidate) -> str:
    """Returns what kind of change made a candidate: the word before the colon."""
    return printable(stored.operator.partition(":")[0].strip()) or "unknown"


def operator_words(stored: StoredCandidate) -> str:
    """Returns what the change was, in the words of the operator that made it."""
    return printable(stored.operator.partition(":")[2].strip())


def short(identity: str) -> str:
    """Returns the first digits of an identity."""
    return printable(identity[:_SHOWN_DIGITS])


def _place(entry: Standing) -> tuple[bool, float, int, float, float]:
    promotion = entry.promotion
    if promotion is None or math.isnan(promotion.value):
        return True, 0.0, -entry.rung, -entry.value, entry.cpu_seconds
    promoted = -better(promotion.metric, promotion.value)
    return False, promoted, -entry.rung, -entry.value, entry.cpu_seconds
