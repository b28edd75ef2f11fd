"""The final choice, on episodes that nothing was chosen on before."""

from __future__ import annotations

from dataclasses import dataclass

from metaloop.core.errors import MetaloopError
from metaloop.core.objective import objective
from metaloop.core.records import Verdict
from metaloop.core.statistics import paired_difference
from metaloop.loop.choosing import Contender, Head
from metaloop.loop.recording import measure
from metaloop.loop.run import Run

PROMOTION_EPISODES = 400


@dataclass(frozen=True)
class Choice:
    """The head that was promoted, against which, and the verdict (None without a rival)."""

    winner: Head
    verdict: Verdict | None
    reason: str


def promote(run: Run, contenders: list[Contender]) -> Choice:
    """Returns the best trained head if it is surely better than the best baseline, else that.

    "Surely" is the lower end of the 95 % interval of the paired difference on `promotion`.
    """
    baseline = _best([c for c in contenders if not c.trains])
    rung = max((h.rung for c in contenders if c.trains for h in c.heads), default=-1)
    finalists = [c for c in contenders if c.trains and c.heads[0].rung == rung]
    challenger = _best(finalists)
    for head in (baseline, challenger):
        if head is not None:
            measure(run, head, "promotion", PROMOTION_EPISODES)
    if challenger is None or challenger.promotion is None:
        if baseline is None:
            raise MetaloopError("every candidate diverged; see the trials in the archive")
        return Choice(baseline, None, "no trained candidate reached the end")
    if baseline is None or baseline.promotion is None:
        return Choice(challenger, None, "there is no baseline for such tasks")
    return _compare(run, challenger, baseline)


def _compare(run: Run, challenger: Head, baseline: Head) -> Choice:
    assert challenger.promotion_scores is not None and baseline.promotion_scores is not None
    sign = 1 if objective(run.spec.objective).higher_is_better else -1
    difference = paired_difference(
        sign * challenger.promotion_scores, sign * baseline.promotion_scores
    )
    surely = difference.low > 0
    winner, loser = (challenger, baseline) if surely else (baseline, challenger)
    reason = (
        f"paired difference {difference.value:+.3f} +/- {difference.ci95:.3f} of "
        f"{challenger.candidate.label} over {baseline.candidate.label}"
    )
    value, low = difference.value, difference.low
    if not surely:  # the same interval, seen from the other side
        value, low = -difference.value, -(difference.value + difference.ci95)
    verdict = Verdict(
        winner=winner.candidate.identity,
        loser=loser.candidate.identity,
        part="promotion",
        difference=value,
        low=low,
        episodes=difference.episodes,
        reason=reason,
    )
    run.archive.add_verdict(run.id, verdict)
    return Choice(winner, verdict, reason)


def _best(contenders: list[Contender]) -> Head | None:
    heads = [h for c in contenders for h in c.heads if h.result is not None]
    return max(heads, key=lambda head: head.merit, default=None)
