"""Step 5, judge: who is promoted, on classes that nothing was chosen on before.

Fitness on `search` is optimistic, for the best of many was chosen by it. So challengers are
compared with a *reference* on `promotion`: with the simplest contestant, the best plain baseline
where there is one, which was fixed before anything was seen there. A challenger is certainly better
if the interval of their paired difference *for new classes of the family* is above zero: episodes
can be had without end, classes cannot, and it is they that the claim rests on. What is compared is
the mean over the task that is asked for and the same with several shots.

Several comparisons are made, in rounds and at the end, so one error of 2.5 % is shared by all
(Holm 1979): by everyone that was ever scored on `promotion` in this run, dropped ones too. All are
scored on one frozen list from its beginning, whatever round they come in, so each pair is compared
on all the episodes that both have had, and a later round adds to them instead of testing afresh.
Rounds claim nothing: they say whom to go on with, and only what holds at the last judgement is said
to be certain. That keeps the error: who is not certainly better may be dropped after a round, which
can only take false claims away, and who goes on is tested once, as if there had been no rounds.

Of those certainly better the one with the best figure wins. If nobody is, the run says so. It then
keeps the best of those that are certainly better *on these classes* and were tested as much as the
reference (with few classes that is the best guess, and it is called one); if there is no such one
either, the best tested: with most episodes of `promotion`, of equally tested ones the simplest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from metaloop.core.errors import MetaloopError
from metaloop.core.packing import scores_to_json
from metaloop.core.records import Verdict
from metaloop.core.statistics import Estimate, surely_better
from metaloop.jobs.judging import Entrant, JudgeRequest
from metaloop.jobs.measured import Figures, Measured, difference, measured
from metaloop.loop.heads import is_slow
from metaloop.loop.population import Head, Node, Population, net_node
from metaloop.loop.run import Run

CATALOGUE_HEADS = 2  # in the last judgement: what leads on `search` by a hair may not on others

Contestant = tuple[Node, Head]


@dataclass
class Judge:
    """The reference, the incumbent, and everyone that was scored on `promotion`.

    `certain`: whether the incumbent is better than the reference for new classes, by the last
    judgement. `reasons`: what was found of each comparison, the one that decided last.
    """

    incumbent: Contestant | None = None
    reference: Contestant | None = None
    tested: list[Contestant] = field(default_factory=list)
    rounds: int = 0
    certain: bool = False
    reasons: list[str] = field(default_factory=list)

    @property
    def answer(self) -> dict[str, Any]:
        """What is recorded of a judgement: which nodes and candidates are who, and why."""
        if self.incumbent is None or self.reference is None:
            return {}
        node, head = self.incumbent
        first, plain = self.reference
        return {
            "node": node.number,
            "incumbent": head.candidate.identity,
            "reference": [first.number, plain.candidate.identity],
            "certain": self.certain,
            "reasons": list(self.reasons),
        }

    @property
    def certainty(self) -> str:
        """What is certain, in a sentence."""
        if self.incumbent is None or self.reference is None:
            return "Nothing was judged."
        name = self.reference[1].candidate.label
        if self.certain:
            return f"It is certainly better than {name}, for new classes of the family too."
        if len(self._challengers()) == 0:
            return "It had no rival."
        return f"No candidate is certainly better than {name} for new classes of the family: " + (
            "it is kept." if self.incumbent[1] is self.reference[1] else self._best_guess
        )

    @property
    def _best_guess(self) -> str:
        assert self.incumbent is not None
        label = self.incumbent[1].candidate.label
        return f"{label} is the best guess, for it leads on the classes that were judged on."

    def conclude(
        self, run: Run, contestants: Sequence[Contestant], figures: Sequence[Figures]
    ) -> None:
        """Takes in what was scored, compares everyone with the reference, and records verdicts.

        The first contestant that was scored is the reference where there is none yet.
        """
        self.rounds += 1
        able: list[Contestant] = []
        for (node, head), scored in zip(contestants, figures, strict=True):
            before, head.promotion = head.promotion, measured(scored)
            if head.promotion is None:
                continue
            able.append((node, head))
            if all(known is not head for _, known in self.tested):
                self.tested.append((node, head))
            if before is None or len(before.goodness) < len(head.promotion.goodness):
                assert head.trial is not None
                for result, scores in zip(
                    head.promotion.results, head.promotion.scores, strict=True
                ):
                    run.archive.add_result(head.trial, result, scores)
        if not able:
            return
        if self.reference is None or self.reference[1].promotion is None:
            self.reference = able[0]
        self._decide(run, able)

    def _decide(self, run: Run, able: list[Contestant]) -> None:
        """Makes one of `able` the incumbent: the best of those certainly better, if there are."""
        assert self.reference is not None
        plain = self.reference[1]
        changes: dict[int, Estimate] = {}
        for _, head in self._challengers():
            change = difference(head.promotion, plain.promotion)
            assert change is not None
            changes[id(head)] = change
        estimates = list(changes.values())
        verdicts = dict(zip(changes, surely_better(estimates), strict=True))
        leading = dict(zip(changes, surely_better(estimates, here=True), strict=True))
        surely = [one for one in able if verdicts.get(id(one[1]), False)]
        guesses = [
            one
            for one in able
            if leading.get(id(one[1]), False) and tested_on(one[1]) >= tested_on(plain)
        ]
        self.certain = bool(surely)
        if surely or guesses:
            self.incumbent = max(surely or guesses, key=lambda one: changes[id(one[1])].value)
        else:
            self.incumbent = max(able, key=lambda one: tested_on(one[1]))
        compared = [one for one in able if one[1] is not plain]
        best = self.incumbent[1]
        for _, head in sorted(compared, key=lambda c: (c[1] is best, changes[id(c[1])].value)):
            self._record(run, head, plain, changes[id(head)], verdicts[id(head)])

    def _challengers(self) -> list[Contestant]:
        """Returns all that were ever compared with the reference."""
        plain = None if self.reference is None else self.reference[1]
        return [one for one in self.tested if one[1] is not plain and one[1].promotion is not None]

    def _record(self, run: Run, new: Head, old: Head, change: Estimate, surely: bool) -> None:
        among = len(self._challengers())
        reason = (
            f"paired difference {_with_intervals(change)} of {new.candidate.label} over "
            f"{old.candidate.label}{_shots(new.promotion)}: "
            f"{'' if surely else 'not '}certain for new classes, {among} compared"
        )
        self.reasons.append(reason)
        winner, loser, sign = (new, old, 1) if surely else (old, new, -1)
        if winner.candidate.identity == loser.candidate.identity:
            return  # one candidate, trained more and less
        value = sign * change.value  # the same intervals, seen from the winner's side
        verdict = Verdict(
            winner=winner.candidate.identity,
            loser=loser.candidate.identity,
            part="promotion",
            difference=value,
            low=value - change.ci95,
            episodes=change.episodes,
            reason=reason,
            low_new=None if change.ci95_new is None else value - change.ci95_new,
            units=change.units,
            certain=surely,
        )
        run.archive.add_verdict(run.id, verdict)


def judge_request(contestants: Sequence[Contestant], episodes: int, seed: int) -> JudgeRequest:
    """Returns what a judging job is asked: all on the same episodes, with what is known by now.

    The reference stands first.
    """
    entrants = [
        Entrant(
            head.candidate,
            net_node(node, head),
            _known(head.promotion),
        )
        for node, head in contestants
    ]
    return JudgeRequest(tuple(entrants), episodes, seed)


def _known(promotion: Measured | None) -> tuple[dict[str, Any], ...]:
    """Returns the scores that a contestant has by now; older versions did not record classes."""
    if promotion is None or not promotion.goodness.units.size:
        return ()
    return tuple(scores_to_json(scores) for scores in promotion.scores)


def tested_on(head: Head) -> int:
    """Returns on how many episodes of `promotion` a head was scored by now."""
    return 0 if head.promotion is None else len(head.promotion.goodness)


def _with_intervals(change: Estimate) -> str:
    new = "" if change.ci95_new is None else f" (+/- {change.ci95_new:.3f} for new classes)"
    return f"{change.value:+.3f} +/- {change.ci95:.3f}{new}"


def _shots(compared: Measured | None) -> str:
    """Returns ` (1 and 5 shots)` where a difference is the mean over several tasks."""
    shots = [result.protocol.shots for result in compared.results] if compared else []
    return f" ({' and '.join(map(str, shots))} shots)" if len(shots) > 1 else ""


def resumed_judge(run: Run, population: Population) -> Judge:
    """Returns the judge as an interrupted try of the run has left it."""
    judge = Judge()
    judge.tested = [(node, head) for node, head in population.heads() if _known(head.promotion)]
    for job in run.archive.jobs():
        if job.run in run.tries and job.work == "judge":
            judge.rounds += job.status not in ("running", "interrupted")
            answer = job.answered
            if "incumbent" in answer:
                found = _contestant(population, answer["node"], answer["incumbent"])
                judge.incumbent = found or judge.incumbent
            if "reference" in answer:  # an older version had none
                judge.reference = _contestant(population, *answer["reference"]) or judge.reference
            judge.certain = bool(answer.get("certain", judge.certain))
            judge.reasons = list(answer.get("reasons", judge.reasons))
    return judge


def round_contestants(population: Population, judge: Judge) -> list[Contestant]:
    """Returns the reference (at first the best baseline), the incumbent, the best other."""
    first = judge.reference or _best_baseline(population)
    leaders = _leaders(population, ("train", "invent", "join"))
    known = len(_distinct([first, judge.incumbent]))
    return _distinct([first, judge.incumbent, *leaders])[: max(2, known + 1)]


def final_contestants(population: Population, judge: Judge) -> list[Contestant]:
    """Returns reference and incumbent, the best single nets and joined ones; simple ones first.

    Of each, the best heads of the catalogue and the best that was generated compete, two and one,
    of single nets beside joined ones one of each.
    """
    found: list[Contestant | None] = [
        judge.reference or _best_baseline(population),
        judge.incumbent,
    ]
    for kinds in (("train", "invent"), ("join",)):
        for generated in (False, True):
            beside = kinds != ("join",) and bool(_leaders(population, ("join",)))
            number = 1 if generated or beside else CATALOGUE_HEADS
            found += _leaders(population, kinds, generated)[:number]
    chosen = _distinct(found)
    if not chosen:
        raise MetaloopError(_why_nothing(population))
    return chosen


def _why_nothing(population: Population) -> str:
    """Returns why no candidate could be measured."""
    failed = [head for _, head in population.heads() if head.message]
    if failed:
        said = failed[0].message.rstrip(".")
        return f"every candidate failed, {failed[0].candidate.label} because of {said}"
    return "no candidate was measured before the budget was spent; give a larger --budget"


def _same(one: Contestant, other: Contestant) -> bool:
    return net_node(*one) == net_node(*other) and one[1].candidate == other[1].candidate


def _contestant(population: Population, number: int, identity: str) -> Contestant | None:
    """Returns what `Judge.answer` names."""
    node = population.nodes.get(number)
    heads = [] if node is None else node.heads
    found = [head for head in heads if head.candidate.identity == identity]
    return (node, found[0]) if node is not None and found else None


def _best_baseline(population: Population) -> Contestant | None:
    return next(iter(_leaders(population, ("baselines",))), None)


def _leaders(
    population: Population, kinds: tuple[str, ...], generated: bool | None = None
) -> list[Contestant]:
    """Returns the measured heads of nodes of these kinds, best first.

    Without those that are fitted by many steps and not certainly better, on these tasks, than the
    best that is quick: whoever uses the model pays for them with every task.
    """
    found = [
        (node, head)
        for node, head in population.heads()
        if head.search is not None
        and node.kind in kinds
        and (generated is None or head.generated == generated)
    ]
    found.sort(key=lambda pair: pair[1].merit, reverse=True)
    quick = next((head for _, head in found if not is_slow(head.candidate)), None)
    return [one for one in found if not is_slow(one[1].candidate) or _pays(one[1], quick)]


def _pays(slow: Head, quick: Head | None) -> bool:
    gain = None if quick is None else difference(slow.search, quick.search)
    return gain is None or gain.value > gain.ci95


def _distinct(contestants: list[Contestant | None]) -> list[Contestant]:
    chosen: list[Contestant] = []
    for contestant in contestants:
        if contestant is not None and all(not _same(contestant, other) for other in chosen):
            chosen.append(contestant)
    return chosen
