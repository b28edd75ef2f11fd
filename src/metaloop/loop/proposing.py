"""Steps 1, 2 and 4 of the loop: which learning algorithm, which learning data, what new ones.

Whenever a worker is free, `Proposer.propose` says what it should do, from what is known by then:

    choose an algorithm   contenders start (`racing.py`); the best of them become lines; the line
                          that was trained least goes on, one that has stalled rests
    choose data           a line goes on as it is, or with an operator on its data or a change of
                          its plan: the bandit decides, by what each brought per cost before
    generate              new lines are bred from the best one (data, plan, net, crossover), and
                          programs are invented on the features of the best net

A line keeps what it had where a continuation brings nothing, so a bad idea costs its segment only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from metaloop.catalogue.candidates import trunk_of
from metaloop.catalogue.generators import generator_arms
from metaloop.catalogue.learners import embeds
from metaloop.catalogue.nets import companions
from metaloop.catalogue.space import random_candidate
from metaloop.core.inputs import InputFormat
from metaloop.core.objective import objective
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Candidate
from metaloop.core.spec import TaskSpec
from metaloop.core.statistics import Estimate
from metaloop.loop.arms import (
    ALL_DATA,
    CONTINUE,
    CROSSOVER,
    DATA,
    END_TO_END,
    EPISODES,
    INNER_LOSS,
    LEAST_COST,
    NET,
    PLAN,
    RESOLUTION,
    SEED,
    SEED_WORDS,
    SEGMENT_COST,
    STANDARD_ERRORS_OF_INTERVAL,
    VOICES,
    adds_operator,
    guessing_bandit,
)
from metaloop.loop.changes import MOST_OPERATORS, Changes
from metaloop.loop.heads import as_head, heads_for
from metaloop.loop.hopeful import in_hopeful_views
from metaloop.loop.population import Node, Population
from metaloop.loop.proposal import CATALOGUE, EVERYTHING, Generates, Proposal
from metaloop.loop.racing import Race
from metaloop.loop.shares import SEGMENT_SHARE, last_share, segment_share
from metaloop.loop.variation import Variation
from metaloop.selection.bandit import Bandit, Use

LONGEST_START = 0.15  # of the budget: the first segment of a bred line
LAST_START = 0.75  # spent share of the budget after which no line is begun any more
FINER_AT = 0.2  # spent share of the budget after which lines go on with larger images
INVENT_AT = (0.5, 0.8)  # spent shares of the budget at which programs are invented on the best net
AGAIN_FROM = 30.0  # CPU-seconds of a usual segment: a second invention has as long as is worth it
INVENT_SHARE = 0.03
NUM_LINES = 4  # at least; as many as there are workers, if these are more
FEWEST_LINES = 2  # as many nets, of different kinds, there should be to join at the end
LEARNING = 0.0125  # of what can be gained, in one continuation: about what joining a net brings
RANDOM_SHARE = 0.1  # of the budget, for each candidate of a random search
_REST_AFTER = 2  # continuations in a row that brought nothing


@dataclass
class Proposer:
    """Proposes from a population; `seed` and the number of the proposal decide all chance."""

    population: Population
    contenders: Sequence[tuple[Candidate, ...]]  # heads on one training each, best guess first
    baselines: tuple[Candidate, ...]
    formats: Mapping[str, InputFormat]  # of inputs, by view
    spec: TaskSpec
    seed: int
    generates: Generates = EVERYTHING
    origins: Mapping[str, str] = field(default_factory=dict)  # of contenders, by identity
    families: tuple[str, ...] = ()  # further data to learn from
    earlier: Sequence[Use] = ()  # of operators, in the runs of an archive
    segment_seconds: float | None = None  # CPU-seconds of a usual one; None: a budget in steps
    num_classes: int = 0  # to learn from, where targets are classes
    has_voices: bool = False  # whether speakers are known
    workers: int = 1
    draws: bool = False  # whether there is a model that draws classes
    learners: Collection[str] | None = None  # to choose among; None: all
    changes: Changes = field(init=False)
    race: Race = field(init=False)
    going_on: Bandit = field(init=False)  # what a line goes on with
    breeding: Bandit = field(init=False)  # what a new line differs by

    def __post_init__(self) -> None:
        self.changes = Changes(self.population, self.formats, self.spec, self.learners)
        data = self._data_arms()
        algorithms = [PLAN] if self.generates.algorithms else []
        nets = [NET, CROSSOVER] if self.generates.algorithms else []
        others = [RESOLUTION, EPISODES, INNER_LOSS, END_TO_END] if self.generates.algorithms else []
        others += [VOICES] if others and self.has_voices else []
        continuing = [CONTINUE, *data, *algorithms, *others]
        self.going_on = guessing_bandit(continuing, self.earlier, self.num_classes)
        lonely = any(not companions(input_format) for input_format in self.formats.values())
        self.race = Race(
            self.contenders,
            self.changes,
            self.origins,
            joins=self.generates.algorithms,
            on_all_data=bool(data) and lonely,
        )
        data += [ALL_DATA] if self.race.on_all_data else []
        breeding = [SEED, *data, *algorithms, *nets]
        self.breeding = guessing_bandit(breeding, self.earlier, self.num_classes)

    @property
    def num_lines(self) -> int:
        """How many lines go on at the same time."""
        return max(NUM_LINES, self.workers)

    @property
    def target_kind(self) -> str:
        """Kind of targets of the task: `classes` or `real`."""
        return objective(self.spec.objective).target_kind

    def credit(self, node: Node, progress: Estimate | None) -> None:
        """Lets the bandits learn from what a node was against its parent."""
        arm, share = node.proposal.arm, node.proposal.share
        if not arm or node.kind != "train":
            return
        bandit = self.going_on if node.continues else self.breeding
        if progress is None or not np.isfinite(progress.ci95):
            bandit.passed()
            return
        gain = self.population.gain
        error = progress.ci95 / STANDARD_ERRORS_OF_INTERVAL / gain
        usual = self.segment_seconds
        segments = node.cost / usual if usual is not None else share / SEGMENT_SHARE
        cost = max(SEGMENT_COST * segments, LEAST_COST)
        bandit.credit(arm, progress.value / gain, error, cost)

    def _data_arms(self) -> list[str]:
        if not self.generates.data or self.target_kind != "classes":
            return []
        suiting = dict.fromkeys(
            arm
            for input_format in self.formats.values()
            for arm in generator_arms(input_format, self.draws)
        )
        names = [f"family {name}" for name in self.families]
        return [f"{DATA}add {what}" for what in (*suiting, *names)]

    def propose(self, number: int, spent: float) -> Proposal | None:
        """Returns what to do next; None if there is nothing worth doing before something ends.

        `spent`: the share of the budget that is used or given away.
        """
        rng = numpy_stream(self.seed, "proposal", number)
        known = self.population.known
        if self.baselines and not any(node.kind == "baselines" for node in known):
            return Proposal("baselines", self.baselines, CATALOGUE)
        if self.generates.chance:
            return self._drawn(rng)
        first = self.race.next(known)
        if first is not None:
            return first
        if self._is_time_to_invent(known, spent):
            return self._invention()
        return self._continue_or_breed(rng, spent)

    def _drawn(self, rng: np.random.Generator) -> Proposal:
        """Returns a candidate of which everything is random: method, net, plan and data."""
        model = self.contenders[int(rng.integers(len(self.contenders)))]
        name, view = model[0].learner.name, model[0].view
        drawn = random_candidate(name, self.formats[view], self.spec, rng)
        candidate = replace(drawn, view=view)
        arms = self._data_arms()
        number = int(rng.integers(0, 1 + min(MOST_OPERATORS - 1, len(arms))))
        for arm in rng.permutation(arms)[:number]:
            changed = self.changes.with_data(str(arm), candidate)
            fits = self.changes.applies(str(arm), candidate)
            candidate = changed.candidate if fits else candidate
        heads = [candidate, *(as_head(head, candidate) for head in model[1:])]
        same = {h.identity: h for h in heads if trunk_of(h) == trunk_of(candidate)}
        words = "random: drawn from the whole space"
        return Proposal("train", tuple(same.values()), words, share=RANDOM_SHARE)

    def _continue_or_breed(self, rng: np.random.Generator, spent: float) -> Proposal | None:
        """Steps 1, 2 and 4: the line that is behind goes on, or a new one begins.

        A line that still learns is worth more than a new one; new ones begin when there are too few
        to join, when all are slow, or when workers would have nothing to do.
        """
        population = self.population
        busy = {node.line for node in population.pending.values() if node.kind == "train"}
        begun = sum(
            node.kind == "train" and not node.continues and node.parent is not None
            for node in population.pending.values()
        )
        survivors = in_hopeful_views(population, self.race.survivors(population.tips))
        awake = self._awake(survivors)[: self.num_lines]
        idle = [tip for tip in awake if tip.line not in busy]
        room = spent < LAST_START and bool(survivors) and len(awake) + begun < self.num_lines
        too_few = len(awake) + begun < FEWEST_LINES
        if room and (too_few or not idle or not any(self._still_learns(tip) for tip in awake)):
            return self._breed(survivors, rng)
        if not idle:
            idle = [tip for tip in survivors if tip.line not in busy]
        for tip in sorted(idle, key=lambda tip: tip.trained):
            continuation = self._continuation(tip, rng, spent)
            if continuation is not None:
                return continuation
        return self._breed(survivors, rng) if survivors and room else None

    def _awake(self, tips: list[Node]) -> list[Node]:
        """Returns those whose lines do not rest because continuations brought nothing."""
        return [tip for tip in tips if self.population.stalls.get(tip.line, 0) < _REST_AFTER]

    def _still_learns(self, tip: Node) -> bool:
        """Whether a line's last continuation paid, or it has had none, or none on larger images.

        A line stays where it was when a continuation made it worse: what brought it there paid once
        and says nothing of what is still to be had.
        """
        if self._may_see_more(tip):
            return True
        if self.population.stalls.get(tip.line, 0):
            return False
        if tip.proposal.rung == 0:
            return tip.line in self.population.stalls and not self.population.stalls[tip.line]
        progress = self.population.progress(tip)
        return progress is not None and progress.value >= LEARNING * self.population.gain

    def _may_see_more(self, tip: Node) -> bool:
        """Whether its images are shrunk yet, and larger ones have not been tried."""
        tried = {node.proposal.arm for node in self.population.known if node.parent == tip.number}
        return RESOLUTION not in tried and self.changes.applies(RESOLUTION, tip.candidate)

    def _continuation(self, tip: Node, rng: np.random.Generator, spent: float) -> Proposal | None:
        """Step 2: the line goes on as it is, or with other data, or by another plan.

        Nothing is tried twice from the same place; None if nothing is left to try. Larger images
        come when their time has come: their steps take longer, and pay late.
        """
        known = self.population.known
        tried = {
            node.proposal.arm for node in known if node.parent == tip.number and node.continues
        }
        tried.discard(PLAN)  # never the same again
        possible = [
            arm
            for arm in self.going_on.arms
            if arm not in tried and self.changes.applies(arm, tip.candidate)
        ]
        if not possible:
            return None
        due = spent >= FINER_AT
        possible = [arm for arm in possible if due or arm != RESOLUTION]
        arm = RESOLUTION if RESOLUTION in possible else self.going_on.choose(rng, possible)
        if arm is None:
            arm = CONTINUE if CONTINUE in possible else possible[0]
        variation = self.changes.varied(arm, tip, rng, self.race.survivors(self.population.tips))
        if variation is None:
            if CONTINUE in tried:
                return None
            arm, variation = CONTINUE, Variation(tip.candidate, CONTINUE)
        return Proposal(
            "train",
            heads_for(variation.candidate, tip),
            variation.operator,
            arm=arm,
            parent=tip.number,
            continues=True,
            rung=tip.proposal.rung + 1,
            share=self._last_share(tip, spent) or segment_share(self.population),
            filtered_by=tip.number if adds_operator(arm) else tip.proposal.filtered_by,
            further_parents=variation.further_parents,
        )

    def _breed(self, tips: list[Node], rng: np.random.Generator) -> Proposal:
        """Step 4: a new line from the best one, as long as its parent was trained by then.

        The first companion is one of whoever came second by another method, where that was near: of
        two methods a race of seconds says little, and nets that learned by each err apart.
        """
        lonely = len(tips) < FEWEST_LINES
        second = self.race.second(tips[0]) if lonely else None
        parent = self._ancestor(second or tips[0])
        varied = parent.candidate
        possible = [arm for arm in self.breeding.arms if self.changes.applies(arm, varied)]
        companion = self.changes.companion(varied, tips)
        if lonely and NET in possible and companion:
            possible = [NET]
        arm = self.breeding.choose(rng, possible) or (NET if possible == [NET] else SEED)
        variation = self.changes.varied(arm, parent, rng, tips)
        if variation is None:
            arm, variation = SEED, Variation(varied, SEED_WORDS)
        generates = adds_operator(arm)
        if possible == [NET]:
            variation, generates = self._with_promising_data(variation, rng)
        return Proposal(
            "train",
            heads_for(variation.candidate, parent),
            variation.operator,
            arm=arm,
            parent=parent.number,
            share=float(np.clip(parent.trained, segment_share(self.population), LONGEST_START)),
            filtered_by=parent.number if generates else parent.proposal.filtered_by,
            further_parents=variation.further_parents,
        )

    def _with_promising_data(
        self, variation: Variation, rng: np.random.Generator
    ) -> tuple[Variation, bool]:
        """Returns a companion; with generated classes, and True, where these promise more.

        It has few segments in which to find out, and a net that was trained on too little is of no
        use beside another.
        """
        possible = [
            arm
            for arm in self.going_on.arms
            if adds_operator(arm) and self.changes.applies(arm, variation.candidate)
        ]
        arm = self.going_on.choose(rng, [CONTINUE, *possible])
        if arm is None or arm == CONTINUE:
            return variation, False
        candidate = self.changes.with_data(arm, variation.candidate).candidate
        return Variation(candidate, f"{variation.operator}, {arm}"), True

    def _last_share(self, tip: Node, spent: float) -> float | None:
        """Returns the share of a line's last continuation; None if there will be others."""
        going_on = {each.line for each in self._awake(self.race.survivors(self.population.tips))}
        workers = None if self.segment_seconds is None else self.workers
        return last_share(self.population, tip, going_on, spent, workers)

    def _ancestor(self, tip: Node) -> Node:
        """Returns the node of a line that had been trained as long as a new line will be."""
        nodes, found = self.population.nodes, tip
        while found.continues and found.trained > LONGEST_START and found.parent in nodes:
            found = nodes[found.parent]
        return found

    def _is_time_to_invent(self, known: list[Node], spent: float) -> bool:
        if not self.generates.algorithms or self.target_kind != "classes":
            return False
        inventions = [node for node in known if node.kind == "invent"]
        times = INVENT_AT if (self.segment_seconds or 0) >= AGAIN_FROM else INVENT_AT[:1]
        if len(inventions) >= len(times) or spent < times[len(inventions)]:
            return False
        tip = self._best_embedding()
        return tip is not None and all(node.parent != tip.number for node in inventions)

    def _best_embedding(self) -> Node | None:
        """Returns the best tip whose net embeds: programs work on its features.

        Or the plain baselines, where what they see untrained is better than all that was trained.
        """
        tips = self.population.tips
        trained = next((tip for tip in tips if embeds(tip.candidate.learner.name)), None)
        plain = next(self.population.of_kind("baselines"), None)
        if trained is None or plain is None or plain.value <= trained.value:
            return trained
        return plain

    def _invention(self) -> Proposal:
        tip = self._best_embedding()
        assert tip is not None
        if tip.kind == "baselines":
            assert tip.best is not None
            heads: tuple[Candidate, ...] = (tip.best.candidate,)
        else:
            heads = tuple(head.candidate for head in tip.heads if head.search is not None)
        return Proposal("invent", heads, "program: invented", parent=tip.number, share=INVENT_SHARE)
