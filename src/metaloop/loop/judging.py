"""Step 5, judge: who is promoted, on episodes that nothing was chosen on before.

Fitness on `search` is optimistic, for the best of many was chosen by it. A challenger takes the
incumbent's place only if the lower end of the 95 % interval of their paired difference on fresh
`promotion` episodes is above zero; the incumbent is tested again every time. What is compared is
the mean over the task that is asked for and the same with several shots.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metaloop.core.errors import MetaloopError
from metaloop.core.records import Verdict, to_json
from metaloop.loop.population import Head, Measured, Node, Population, difference
from metaloop.loop.recording import measured
from metaloop.loop.run import Run

ROUND_EPISODES = 100
FINAL_EPISODES = 400
CATALOGUE_HEADS = 2  # in the last judgement: what leads on `search` by a hair may not on others

Contestant = tuple[Node, Head]


@dataclass
class Judge:
    """The incumbent, and how many episodes of `promotion` have been used up."""

    incumbent: Contestant | None = None
    used: int = 0
    rounds: int = 0
    reasons: list[str] = field(default_factory=list)

    @property
    def answer(self) -> dict[str, Any]:
        """What is recorded of a judgement: which node and candidate is the incumbent, and why."""
        if self.incumbent is None:
            return {}
        node, head = self.incumbent
        reasons = list(self.reasons)
        return {"node": node.number, "incumbent": head.candidate.identity, "reasons": reasons}

    def arguments(self, contestants: list[Contestant], episodes: int, seed: int) -> dict[str, Any]:
        """Returns a judging job's arguments: all contestants on the same fresh episodes."""
        return {
            "contestants": [
                {
                    "candidate": to_json(head.candidate),
                    "node": None if node.kind == "baselines" else net_node(node),
                }
                for node, head in contestants
            ],
            "first": self.used,
            "episodes": episodes,
            "seed": seed,
        }

    def conclude(
        self, run: Run, contestants: list[Contestant], value: Mapping[str, Any], episodes: int
    ) -> None:
        """Compares challengers with the incumbent, one after the other, and records verdicts.

        The first contestant is the incumbent where there is none yet.
        """
        self.used += episodes
        self.rounds += 1
        able: list[Contestant] = []
        for (node, head), figures in zip(contestants, value["heads"], strict=True):
            head.promotion = measured(figures)
            if head.promotion is not None:
                assert head.trial is not None
                for result, scores in zip(
                    head.promotion.results, head.promotion.scores, strict=True
                ):
                    run.archive.add_result(head.trial, result, scores)
                able.append((node, head))
        if not able:
            return
        if self.incumbent is None or self.incumbent not in able:
            self.incumbent = able[0]
        for challenger in able:
            if challenger[1] is not self.incumbent[1]:
                self._compare(run, challenger)

    def _compare(self, run: Run, challenger: Contestant) -> None:
        assert self.incumbent is not None
        new, old = challenger[1], self.incumbent[1]
        change = difference(new.promotion, old.promotion)
        assert change is not None
        surely = change.low > 0
        winner, loser = (new, old) if surely else (old, new)
        reason = (
            f"paired difference {change.value:+.3f} +/- {change.ci95:.3f} of "
            f"{new.candidate.label} over {old.candidate.label}{_shots(new.promotion)}"
        )
        value, low = change.value, change.low
        if not surely:  # the same interval, seen from the other side
            value, low = -change.value, -(change.value + change.ci95)
        verdict = Verdict(
            winner=winner.candidate.identity,
            loser=loser.candidate.identity,
            part="promotion",
            difference=value,
            low=low,
            episodes=change.episodes,
            reason=reason,
        )
        if verdict.winner != verdict.loser:  # else one candidate, trained more and less
            run.archive.add_verdict(run.id, verdict)
        self.reasons.append(reason)
        if surely:
            self.incumbent = challenger


def _shots(compared: Measured | None) -> str:
    """Returns ` (1 and 5 shots)` where a difference is the mean over several tasks."""
    shots = [result.protocol.shots for result in compared.results] if compared else []
    return f" ({' and '.join(map(str, shots))} shots)" if len(shots) > 1 else ""


def resumed_judge(run: Run, population: Population) -> Judge:
    """Returns the judge as an interrupted try of the run has left it."""
    judge = Judge()
    for job in run.archive.jobs():
        if job.run in run.tries and job.work == "judge":
            judge.used += int(job.asked["episodes"])
            judge.rounds += job.status not in ("running", "interrupted")
            judge.incumbent = _contestant(population, job.answered) or judge.incumbent
            judge.reasons = list(job.answered.get("reasons", judge.reasons))
    return judge


def round_contestants(population: Population, judge: Judge) -> list[Contestant]:
    """Returns the incumbent (at first the best baseline) and the best other on `search`."""
    first = judge.incumbent or _best_baseline(population)
    return _distinct([first, *_leaders(population, ("train", "invent", "join"))])[:2]


def final_contestants(population: Population, judge: Judge) -> list[Contestant]:
    """Returns the incumbent, the best single nets and the best joined ones; simple ones first.

    Of each, the best heads of the catalogue and the best that was generated compete, two and one,
    of single nets beside joined ones one of each: what is simpler stays where the other is not
    surely better.
    """
    # An incumbent has surely beaten the best baseline before: the slow one is not run again.
    found: list[Contestant | None] = [judge.incumbent or _best_baseline(population)]
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


def net_node(node: Node) -> int:
    """Returns the number of the node that holds the net which a node's heads are on."""
    if node.kind == "invent":
        assert node.parent is not None
        return node.parent
    return node.number


def _same(one: Contestant, other: Contestant) -> bool:
    return net_node(one[0]) == net_node(other[0]) and one[1].candidate == other[1].candidate


def _contestant(population: Population, answer: Mapping[str, Any]) -> Contestant | None:
    """Returns what `Judge.answer` names."""
    node = population.nodes.get(answer.get("node", -1))
    heads = [] if node is None else node.heads
    found = [head for head in heads if head.candidate.identity == answer["incumbent"]]
    return (node, found[0]) if node is not None and found else None


def _best_baseline(population: Population) -> Contestant | None:
    return next(iter(_leaders(population, ("baselines",))), None)


def _leaders(
    population: Population, kinds: tuple[str, ...], generated: bool | None = None
) -> list[Contestant]:
    """Returns the measured heads of nodes of these kinds, best first."""
    found = [
        (node, head)
        for node, head in population.heads()
        if head.search is not None
        and node.kind in kinds
        and (generated is None or head.generated == generated)
    ]
    return sorted(found, key=lambda pair: pair[1].merit, reverse=True)


def _distinct(contestants: list[Contestant | None]) -> list[Contestant]:
    chosen: list[Contestant] = []
    for contestant in contestants:
        if contestant is not None and all(not _same(contestant, other) for other in chosen):
            chosen.append(contestant)
    return chosen
