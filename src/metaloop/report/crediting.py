"""Operator credits: what each kind of change was worth, from paired comparisons with the parents.

A child and a parent count once: their latest verdict on `search`. The mean is over such pairs,
with a Student interval over pairs; a single pair shows the interval over its own episodes. "Better"
means that the interval of the pair lies above zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metaloop.core.records import Verdict
from metaloop.core.statistics import Estimate, mean_with_interval
from metaloop.report.reading import Records
from metaloop.report.standing import operator_kind


@dataclass(frozen=True)
class Credit:
    """What one kind of operator brought.

    `made` candidates came from it, `tried` of them were trained or measured, `failed` without any
    figure; `pairs` were compared with a parent, `better` of them surely. `gain` is the mean
    advantage of child over parent, more is better; None without pairs.
    """

    kind: str
    made: int
    tried: int
    failed: int
    pairs: int
    better: int
    gain: Estimate | None
    cpu_seconds: float


@dataclass(frozen=True)
class Comparison:
    """A child against one of its parents: its advantage (more is better) and the half-width."""

    child: str
    parent: str
    advantage: float
    ci95: float
    episodes: int

    @property
    def is_better(self) -> bool:
        """Whether the child is surely better than this parent."""
        return self.advantage - self.ci95 > 0


def credits_of(records: Records) -> tuple[Credit, ...]:
    """Returns a credit for each kind of operator, the one with the largest gain first."""
    kinds: dict[str, list[str]] = {}
    for stored in records.taking_part:
        kinds.setdefault(operator_kind(stored), []).append(stored.identity)
    compared = comparisons(records)
    found = [_credit(kind, members, compared, records) for kind, members in kinds.items()]
    return tuple(sorted(found, key=lambda c: (c.gain is None, -(c.gain.value if c.gain else 0))))


def comparisons(records: Records) -> tuple[Comparison, ...]:
    """Returns the latest comparison on `search` of every child with where it came from.

    That is a parent, or a candidate that shared the parent's net: the verdict's reason is then the
    operator that made the child.
    """
    latest: dict[tuple[str, str], Comparison] = {}
    for stored in records.verdicts:
        verdict = stored.verdict
        if verdict.part != "search" or not np.isfinite(verdict.difference):
            continue
        pair = _child_and_parent(records, verdict)
        if pair is not None:
            latest[pair] = _compared(verdict, *pair)
    return tuple(latest.values())


def _child_and_parent(records: Records, verdict: Verdict) -> tuple[str, str] | None:
    pairs = ((verdict.winner, verdict.loser), (verdict.loser, verdict.winner))
    known = [
        (records.candidates[child], parent)
        for child, parent in pairs
        if child in records.candidates
    ]
    for child, parent in known:
        if parent in child.parents:
            return child.identity, parent
    for child, parent in known:
        if child.parents and child.operator == verdict.reason:
            return child.identity, parent
    return None


def _compared(verdict: Verdict, child: str, parent: str) -> Comparison:
    half = verdict.difference - verdict.low
    advantage = verdict.difference if child == verdict.winner else -verdict.difference
    return Comparison(child, parent, advantage, half, verdict.episodes)


def _credit(
    kind: str, members: list[str], compared: tuple[Comparison, ...], records: Records
) -> Credit:
    pairs = [pair for pair in compared if pair.child in set(members)]
    trials = {member: records.trials_of.get(member, ()) for member in members}
    return Credit(
        kind=kind,
        made=len(members),
        tried=sum(bool(found) for found in trials.values()),
        failed=sum(
            bool(found) and all(t.trial.status in _FAILURES for t in found)
            for found in trials.values()
        ),
        pairs=len(pairs),
        better=sum(pair.is_better for pair in pairs),
        gain=_gain(pairs),
        cpu_seconds=sum((t.trial.cpu_seconds for found in trials.values() for t in found), 0.0),
    )


def _gain(pairs: list[Comparison]) -> Estimate | None:
    if not pairs:
        return None
    if len(pairs) == 1:
        return Estimate(pairs[0].advantage, pairs[0].ci95, 1)
    return mean_with_interval(np.array([pair.advantage for pair in pairs]))


_FAILURES = frozenset(("failed", "timed out", "diverged"))
