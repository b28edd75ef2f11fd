"""What is proposed: laws that hold over whole searches, played with figures drawn at random."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloop.catalogue.candidates import build_learner, trunk_of
from metaloop.catalogue.generators import generator_arms
from metaloop.catalogue.nets import coarse, companions, finer, on_whole_images
from metaloop.core.records import Candidate, Choice, DataRecipe, Protocol, Result
from metaloop.core.spec import TaskSpec
from metaloop.core.statistics import EpisodeScores, mean_with_interval
from metaloop.generators.generate import generate
from metaloop.generators.recipes import operators_of, parse_recipe, recipe_text
from metaloop.jobs.measured import Measured
from metaloop.loop.arms import (
    ALL_DATA,
    CONTINUE,
    CROSSOVER,
    DATA,
    NET,
    PLAN,
    RESOLUTION,
    SEED,
    arm_of,
    guess,
)
from metaloop.loop.changes import Changes
from metaloop.loop.choosing import Field, choose_field
from metaloop.loop.population import Head, Node, Population
from metaloop.loop.proposal import Generates, Proposal
from metaloop.loop.proposing import (
    AGAIN_FROM,
    FINER_AT,
    INVENT_AT,
    LAST_START,
    LEARNING,
    LONGEST_START,
    Proposer,
)
from metaloop.loop.racing import NUM_ON_ALL_DATA, SURVIVORS, Race
from metaloop.loop.shares import LAST_AT, LAST_SEGMENT, SEGMENT_SHARE, SHORTEST_SHARE
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays

SHAPES = {
    "grey": (8, 8), "odd": (9, 9), "colour": (8, 8, 3), "vectors": (6,),
    "drawings": (28, 28), "photographs": (32, 32, 3),
}  # fmt: skip
WITH_COMPANIONS = ("drawings", "photographs")


def make_family(kind: str) -> ClassFamily:
    """Returns 24 classes of 4 noise examples."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(96, *SHAPES[kind]))
    size = {} if kind == "vectors" else {"image_size": SHAPES[kind][0]}
    if size:
        inputs = (inputs - inputs.min()) / np.ptp(inputs)
    return class_family(read_arrays(inputs, np.repeat(np.arange(24), 4), name=kind, **size))[0]


FAMILIES = {kind: make_family(kind) for kind in SHAPES}
SPEC = TaskSpec(5, 1, 3, (1, 8, 8))
FIELDS = {
    kind: choose_field(family, replace(SPEC, input_shape=family.input_format.shape), shrunk=True)
    for kind, family in FAMILIES.items()
}
kinds = st.sampled_from(sorted(SHAPES))


def make_proposer(kind: str = "grey", seed: int = 0, gain: float = 0.8, **options: Any) -> Proposer:
    field: Field = FIELDS[kind]
    spec = replace(SPEC, input_shape=FAMILIES[kind].input_format.shape)
    return Proposer(
        Population(gain), field.contenders, field.baselines, {"": FAMILIES[kind].input_format},
        spec, seed, **options,
    )  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A proposal, what was spent by then, and the lines that were busy."""

    proposal: Proposal
    spent: float
    busy: tuple[int, ...]
    line: int


def accuracy_of(value: float) -> float:
    """Returns the accuracy that a figure stands for: here it is one."""
    return value


def measured(candidate: Candidate, value: float, rng: np.random.Generator) -> Head:
    scores = value + rng.normal(0, 0.05, 50)
    estimate = mean_with_interval(scores)
    how = Protocol("search", 5, 1, 3, "none", "list", "data")
    result = Result("accuracy", estimate.value, estimate.ci95, 50, how)
    search = Measured((result,), (EpisodeScores.independent(scores),))
    return Head(candidate, "finished", search=search, cpu_seconds=1.0, cost=1.0)


def play(
    proposer: Proposer,
    seed: int = 0,
    workers: int = 1,
    failing: float = 0.1,
    worth: Mapping[str, float] | None = None,
) -> list[Step]:
    """Returns the steps of a search to its end; figures drawn at random, some nodes fail.

    `worth`: what a net gains that learns from these families for a segment more.
    """
    rng = np.random.default_rng(seed)
    population, steps, number = proposer.population, [], 0
    while True:
        nodes = [*population.nodes.values(), *population.pending.values()]
        spent = sum((node.proposal.share for node in nodes), 0.0)
        proposal = proposer.propose(number, spent) if spent < 0.999 else None
        if proposal is not None and len(population.pending) < workers:
            busy = tuple(node.line for node in population.pending.values() if node.kind == "train")
            node = begun(population, proposal, number)
            steps.append(Step(proposal, spent, busy, node.line))
            number += 1
        elif population.pending:
            numbers = sorted(population.pending)
            ended = population.pending[numbers[rng.integers(len(numbers))]]
            end_one(proposer, ended, rng, failing, worth or {})
        else:
            return steps


def begun(population: Population, proposal: Proposal, number: int) -> Node:
    parent = population.nodes.get(-1 if proposal.parent is None else proposal.parent)
    node = Node(number, proposal, line=number, trained=proposal.share)
    heads = {h.learner.name: h for h in proposal.heads} if node.kind == "baselines" else None
    kept = proposal.heads if heads is None else heads.values()  # of each plain method the best
    node.heads = [Head(candidate, "running") for candidate in kept]
    if parent is not None and proposal.continues:
        node.line, node.trained = parent.line, parent.trained + proposal.share
    population.begin(node)
    return node


def end_one(
    proposer: Proposer,
    node: Node,
    rng: np.random.Generator,
    failing: float,
    worth: Mapping[str, float],
) -> None:
    fails = rng.random() < failing and node.kind == "train"
    value = rng.uniform(0.2, 0.9)
    parent = proposer.population.nodes.get(-1 if node.parent is None else node.parent)
    if parent is not None and node.continues:
        value = accuracy_of(parent.value) + rng.uniform(-0.03, 0.06)
    value += sum(worth[name] for name in node.candidate.data.families if name in worth)
    node.cost = float(rng.uniform(0.5, 2.0))
    node.heads = [
        Head(head.candidate, "failed", message="no")
        if fails
        else measured(head.candidate, value, rng)
        for head in node.heads
    ]
    proposer.credit(node, proposer.population.end(node))


def kinds_of_operators(kind: str) -> set[str]:
    """Returns the names of all operators for such inputs."""
    return {text.partition("(")[0] for text in generator_arms(FAMILIES[kind].input_format)}


def operators(candidate: Candidate) -> Sequence[Choice]:
    return operators_of(candidate.data)


@pytest.mark.parametrize("scale", [1.0, 64.0], ids=["error rate", "scaled squared error"])
def test_the_same_scores_in_another_metric_lead_to_the_same_decisions(
    scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an error less is better, and it may be a hundred times as large."""

    def in_errors(candidate: Candidate, value: float, rng: np.random.Generator) -> Head:
        found = measured_in_accuracy(candidate, value, rng).search
        assert found is not None
        errors = scale * (1 - found.scores[0].values)
        result = replace(found.result, metric="mse", value=float(errors.mean()))
        search = Measured((result,), (EpisodeScores.independent(errors),))
        return Head(candidate, "finished", search=search, cpu_seconds=1.0, cost=1.0)

    measured_in_accuracy = measured
    expected = [play(make_proposer(seed=seed), seed) for seed in range(3)]
    module = sys.modules[__name__]
    monkeypatch.setattr(module, "measured", in_errors)
    monkeypatch.setattr(module, "accuracy_of", lambda value: 1 + value / scale)
    for seed in range(3):
        assert play(make_proposer(seed=seed, gain=0.8 * scale), seed) == expected[seed]


@given(kinds, st.integers(0, 10**6), st.integers(1, 3))
@settings(max_examples=6)
def test_a_search_begins_with_baselines_and_every_contender_in_order(
    kind: str, seed: int, workers: int
) -> None:
    steps = play(make_proposer(kind, seed), seed, workers)
    field = FIELDS[kind]
    assert steps[0].proposal.kind == "baselines"
    assert steps[0].proposal.heads == field.baselines
    race = steps[1 : 1 + len(field.contenders)]
    assert [step.proposal.heads for step in race] == list(field.contenders)
    assert all(step.proposal.operator == "catalogue" for step in race)
    later = steps[1 + len(field.contenders) :]
    assert later and all(step.proposal.operator != "catalogue" or step.proposal.continues
                         for step in later)  # fmt: skip


@given(kinds, st.integers(0, 10**6), st.integers(1, 3))
@settings(max_examples=6)
def test_what_is_proposed_can_be_built_and_shares_one_training(
    kind: str, seed: int, workers: int
) -> None:
    input_format = FAMILIES[kind].input_format
    for step in play(make_proposer(kind, seed), seed, workers):
        proposal = step.proposal
        build_learner(proposal.candidate, input_format, "classification")
        assert len({head.identity for head in proposal.heads}) == len(proposal.heads)
        if proposal.kind == "train":
            assert len({trunk_of(head) for head in proposal.heads}) == 1
            longest = LAST_SEGMENT * SEGMENT_SHARE if proposal.continues else LONGEST_START
            assert 0 < proposal.share <= longest
            most = 3 if kind in WITH_COMPANIONS else 3 + len(kinds_of_operators(kind))
            assert len(operators(proposal.candidate)) <= most
            names = [choice.name for choice in operators(proposal.candidate)]
            assert len(set(names)) == len(names)
            assert proposal.candidate.data.original_share >= 0.25


@given(st.integers(0, 10**6), st.integers(1, 3))
@settings(max_examples=3)
def test_a_search_is_a_function_of_its_seed_and_results(seed: int, workers: int) -> None:
    first, second = (play(make_proposer(seed=seed), 7, workers) for _ in range(2))
    assert first == second


def test_another_seed_searches_elsewhere() -> None:
    assert play(make_proposer(seed=0)) != play(make_proposer(seed=1))


@given(kinds, st.integers(0, 10**6), st.integers(1, 4))
@settings(max_examples=6)
def test_no_line_begins_late_and_none_is_continued_twice_at_once(
    kind: str, seed: int, workers: int
) -> None:
    steps = play(make_proposer(kind, seed), seed, workers)
    for step in steps:
        if step.proposal.kind == "train" and step.proposal.continues:
            assert step.line not in step.busy
        elif step.proposal.kind == "train":
            assert step.spent < LAST_START


@given(kinds, st.integers(0, 10**6), st.integers(1, 3))
@settings(max_examples=6)
def test_programs_are_invented_once_on_the_best_net_after_half_the_budget(
    kind: str, seed: int, workers: int
) -> None:
    proposer = make_proposer(kind, seed)
    steps = play(proposer, seed, workers, failing=0.0)  # else there may be no net to do it on
    invented = [step for step in steps if step.proposal.kind == "invent"]
    assert len(invented) == 1
    assert invented[0].spent >= INVENT_AT[0] and invented[0].proposal.parent is not None


@pytest.mark.parametrize("seed", range(4))
def test_in_long_runs_programs_are_invented_again_once_there_is_another_net(seed: int) -> None:
    proposer = make_proposer("drawings", seed, segment_seconds=AGAIN_FROM)
    steps = play(proposer, seed, workers=2, failing=0.0)
    invented = [step for step in steps if step.proposal.kind == "invent"]
    assert 1 <= len(invented) <= 2
    assert all(step.spent >= at for step, at in zip(invented, INVENT_AT, strict=False))
    nets = [step.proposal.parent for step in invented]
    assert len(set(nets)) == len(nets)
    last = proposer.population.tips[0].number
    again = [n for n, step in enumerate(steps) if step.proposal.kind == "invent"]
    assert len(invented) == 2 or last in nets or last > again[0]


@pytest.mark.parametrize(("name", "kept"), [("good", True), ("bad", False)])
def test_data_that_helps_is_kept_and_data_that_hurts_is_not(name: str, kept: bool) -> None:
    found = []
    for seed in range(4):
        proposer = make_proposer("vectors", seed, families=(name,))
        play(proposer, seed, failing=0.0, worth={"good": 0.06, "bad": -0.06})
        found.append(name in proposer.population.peaks[0].candidate.data.families)
    assert sum(found) >= 3 if kept else sum(found) == 0


@given(kinds, st.integers(0, 10**6))
@settings(max_examples=6)
def test_without_generated_data_nothing_is_learned_from_but_the_original(
    kind: str, seed: int
) -> None:
    proposer = make_proposer(kind, seed, generates=Generates(data=False), families=("other",))
    for step in play(proposer, seed):
        assert step.proposal.candidate.data == DataRecipe()
        assert not step.proposal.arm.startswith(DATA)


@given(kinds, st.integers(0, 10**6))
@settings(max_examples=6)
def test_without_generated_algorithms_only_data_and_seeds_change(kind: str, seed: int) -> None:
    known = {
        replace(candidate, data=DataRecipe()).identity
        for heads in (FIELDS[kind].baselines, *FIELDS[kind].contenders)
        for candidate in heads
    }
    for step in play(make_proposer(kind, seed, generates=Generates(algorithms=False)), seed):
        assert step.proposal.kind != "invent"
        for head in step.proposal.heads:
            assert replace(head, data=DataRecipe()).identity in known


def test_a_search_changes_data_and_plans_and_breeds_nets_and_crossovers() -> None:
    proposer = make_proposer()
    data = {arm for arm in proposer.going_on.arms if arm.startswith(DATA)}
    assert {CONTINUE, PLAN, *data} <= set(proposer.going_on.arms)
    assert {SEED, PLAN, NET, CROSSOVER, *data} <= set(proposer.breeding.arms)
    played = [step for seed in range(4) for step in play(make_proposer(seed=seed), seed)]
    arms = {step.proposal.arm for step in played}
    assert CONTINUE in arms and len(arms & data) > 3


def test_an_operator_in_words_belongs_to_the_arm_that_made_it() -> None:
    for seed in range(3):
        for step in play(make_proposer(seed=seed), seed):
            if step.proposal.arm and step.proposal.operator != "catalogue":
                assert arm_of(step.proposal.operator) == step.proposal.arm


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_where_there_are_no_companions_the_best_contenders_begin_again_on_all_data(
    kind: str,
) -> None:
    proposer = make_proposer(kind)
    steps = play(proposer, failing=0.0)
    again = [step for step in steps if step.proposal.arm == ALL_DATA and step.spent < 0.2]
    if kind in WITH_COMPANIONS:
        assert not again and ALL_DATA not in proposer.breeding.arms
        return
    number = min(NUM_ON_ALL_DATA, len(FIELDS[kind].contenders))
    assert steps[1 + len(FIELDS[kind].contenders) :][:number] == again
    first = [proposer.population.nodes[step.proposal.parent or 0] for step in again]
    values = [node.value for node in first]
    assert values == sorted(values, reverse=True) and all(node.proposal.rung == 0 for node in first)
    for step, parent in zip(again, first, strict=True):
        assert {choice.name for choice in operators(step.proposal.candidate)} == (
            kinds_of_operators(kind)
        )
        assert replace(step.proposal.candidate, data=parent.candidate.data) == parent.candidate
        assert step.proposal.share == parent.proposal.share and not step.proposal.continues
    without = play(make_proposer(kind, generates=Generates(data=False)), failing=0.0)
    assert not [step for step in without if step.proposal.arm == ALL_DATA]


def test_a_contender_that_has_all_data_already_does_not_begin_again() -> None:
    proposer = make_proposer("vectors")
    rich = proposer.changes.with_data(ALL_DATA, FIELDS["vectors"].contenders[0][0]).candidate
    node = Node(0, Proposal("train", (rich,), share=0.01))
    node.heads = [measured(rich, 0.9, np.random.default_rng(0))]
    proposer.population.end(node)
    assert proposer.race._next_on_all_data([node]) is None


def test_further_families_are_arms_that_a_recipe_takes_up_once() -> None:
    proposer = make_proposer(families=("one", "two"))
    for bandit in (proposer.going_on, proposer.breeding):
        assert {f"{DATA}add family one", f"{DATA}add family two"} <= set(bandit.arms)
    taken = set()
    for seed in range(15):
        for step in play(make_proposer(seed=seed, families=("one", "two")), seed):
            families = step.proposal.candidate.data.families
            assert len(set(families)) == len(families) and set(families) <= {"one", "two"}
            taken |= set(families)
    assert taken == {"one", "two"}


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_every_data_arm_works_on_such_inputs(kind: str) -> None:
    arms = [arm for arm in make_proposer(kind).going_on.arms if arm.startswith(DATA)]
    assert len(arms) >= 4
    for arm in arms:
        recipe = parse_recipe(arm.removeprefix(f"{DATA}add "))
        generated = generate(FAMILIES[kind], recipe, 0)
        assert len(generated.parts["train"]) > len(FAMILIES[kind].parts["train"]), arm
        assert parse_recipe(recipe_text(recipe)) == recipe


def test_a_line_that_brought_nothing_twice_rests_while_others_are_idle() -> None:
    proposer = make_proposer(generates=Generates(data=False))
    population, rng = proposer.population, np.random.default_rng(0)
    contenders = FIELDS["grey"].contenders
    for number, heads in enumerate(contenders):
        node = Node(number, Proposal("train", heads, share=0.01), number, trained=0.01)
        node.heads = [measured(heads[0], 0.9 - 0.03 * number, rng)]
        population.end(node)
    population.nodes[100] = Node(100, Proposal("baselines", FIELDS["grey"].baselines))
    late = 0.95  # no line begins any more, and programs are invented already
    population.nodes[101] = Node(101, Proposal("invent", FIELDS["grey"].contenders[0]))
    assert going_on_with(proposer, late) in (0, 1)
    population.stalls[0] = 2
    assert going_on_with(proposer, late) == 1
    population.stalls[1] = 1
    assert going_on_with(proposer, late) == 1
    population.stalls |= dict.fromkeys(range(len(contenders)), 2)  # somebody has to go on
    assert going_on_with(proposer, late) in range(len(contenders))


def going_on_with(proposer: Proposer, spent: float) -> int | None:
    proposal = proposer.propose(200, spent)
    assert proposal is not None and proposal.continues
    return proposal.parent


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", WITH_COMPANIONS)
def test_the_first_line_that_is_bred_has_another_net(kind: str, seed: int) -> None:
    steps = play(make_proposer(kind, seed), seed, workers=2, failing=0.0)
    bred = [step.proposal for step in steps if step.proposal.parent is not None]
    first = next(p for p in bred if p.kind == "train" and not p.continues)
    images = FAMILIES[kind].input_format
    begun = [coarse(net, images) for net in companions(images)]
    assert first.candidate.net in begun
    survivor = next(p for p in bred if p.continues).candidate.net
    assert first.arm == NET and on_whole_images(first.candidate.net) != on_whole_images(survivor)


@pytest.mark.parametrize(("behind", "is_second"), [(0.02, True), (0.04, False)])
def test_the_first_companion_is_trained_by_who_came_second_if_that_was_near(
    behind: float, is_second: bool
) -> None:
    proposer = make_proposer("photographs")
    population, quiet = proposer.population, np.random.default_rng(0)
    contenders = {heads[0].learner.name: heads for heads in FIELDS["photographs"].contenders}
    values = {"simpleshot": 0.6, "protonet": 0.6 - behind}
    numbers = {}
    for number, (name, heads) in enumerate(contenders.items()):
        node = Node(number, Proposal("train", heads, share=0.01), number, trained=0.01)
        node.heads = [measured(heads[0], values.get(name, 0.3), quiet)]
        node.heads[0].search = exactly(node.heads[0].search, values.get(name, 0.3))
        population.end(node)
        numbers[name] = number
    population.nodes[100] = Node(100, Proposal("baselines", FIELDS["photographs"].baselines))
    proposal = proposer.propose(200, 0.1)
    assert proposal is not None and proposal.arm == NET and not proposal.continues
    method = "protonet" if is_second else "simpleshot"
    assert proposal.candidate.learner.name == method and proposal.parent == numbers[method]
    assert proposal.candidate.net != population.nodes[numbers[method]].candidate.net
    assert proposal.candidate.plan == contenders[method][0].plan


def exactly(search: Measured | None, value: float) -> Measured:
    assert search is not None
    return Measured((replace(search.results[0], value=value),), search.scores)


@pytest.mark.parametrize(("classes", "more"), [(20, True), (100, False)])
def test_a_companion_learns_from_more_classes_where_there_are_few(classes: int, more: bool) -> None:
    rotated = 0
    for seed in range(8):
        proposer = make_proposer("photographs", seed, num_classes=classes)
        steps = play(proposer, seed, workers=2, failing=0.0)
        first = next(step.proposal for step in steps if step.proposal.arm == NET)
        has_more = bool(operators(first.candidate))
        assert (", data: add " in first.operator) == has_more
        assert first.filtered_by == (first.parent if has_more else None)
        rotated += "rotate" in {choice.name for choice in operators(first.candidate)}
    assert rotated >= 4 if more else rotated == 0


@pytest.mark.parametrize("seed", range(4))
def test_images_grow_once_their_time_has_come_and_before_all_else(seed: int) -> None:
    steps = play(make_proposer("photographs", seed), seed, workers=2, failing=0.0)
    recipes = {number: step.proposal.candidate for number, step in enumerate(steps)}
    grown = set()
    for step in steps:
        proposal = step.proposal
        if not proposal.continues or proposal.parent is None:
            continue
        before = recipes[proposal.parent]
        if proposal.arm == RESOLUTION:
            assert step.spent >= FINER_AT
            assert proposal.candidate == replace(before, net=finer(before.net) or before.net)
            assert proposal.operator == "resolution: shrink 2 -> 1"
            grown.add(proposal.parent)
        elif step.spent >= FINER_AT:  # whole by now, or larger images have been tried from there
            assert finer(before.net) is None or proposal.parent in grown
    assert grown


def test_continuations_are_shorter_where_long_ones_made_lines_worse() -> None:
    for change, shortest in ((-0.1, SHORTEST_SHARE), (0.05, SEGMENT_SHARE)):
        proposer, number, rng = make_proposer("vectors"), 0, np.random.default_rng(0)
        shares = []
        while proposal := proposer.propose(number, number / 121) if number < 60 else None:
            node = begun(proposer.population, proposal, number)
            parent = proposer.population.nodes.get(-1 if node.parent is None else node.parent)
            value = parent.value + change if parent and node.continues else 0.6
            node.heads = [measured(head.candidate, value, rng) for head in node.heads]
            proposer.credit(node, proposer.population.end(node))
            shares += [proposal.share] if node.continues else []
            number += 1
        assert shares[0] == SEGMENT_SHARE and min(shares) == shortest
        assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("kind", ["photographs", "drawings"])
def test_the_last_continuation_of_a_line_takes_what_is_left(kind: str) -> None:
    longer = []
    for seed in range(4):
        for step in play(make_proposer(kind, seed), seed, workers=1, failing=0.0):
            if step.proposal.continues and step.proposal.share > SEGMENT_SHARE:
                assert step.spent >= LAST_AT
                assert step.proposal.share <= 1 - step.spent + 1e-9
                longer.append(step.proposal.share)
    assert longer and max(longer) > 1.5 * SEGMENT_SHARE


def test_what_is_left_is_shared_by_lines_that_will_go_on_alone() -> None:
    proposer = make_proposer(generates=Generates(data=False))
    population, rng = proposer.population, np.random.default_rng(0)
    for number, heads in enumerate(FIELDS["grey"].contenders[:2]):
        node = Node(number, Proposal("train", heads, share=0.1), number, trained=0.1)
        node.heads = [measured(heads[0], 0.8, rng)]
        population.end(node)
    line, other = population.nodes[0], population.nodes[1]
    assert proposer._last_share(line, 0.7) == pytest.approx(0.15)
    population.stalls[1] = 2  # it rests
    assert proposer._last_share(line, 0.8) == pytest.approx(0.2)
    population.stalls[1] = 0
    continued = replace(other.proposal, parent=1, continues=True, share=0.2)
    ended = replace(other, number=2, proposal=continued)
    ended.heads = [measured(other.candidate, 0.3, rng)]  # its last one, and surely worse
    population.end(ended)
    assert population.current[1] == 1
    assert proposer._last_share(line, 0.8) == pytest.approx(0.2)


def test_without_new_algorithms_images_do_not_grow() -> None:
    steps = play(make_proposer("photographs", generates=Generates(algorithms=False)), failing=0.0)
    assert RESOLUTION not in {step.proposal.arm for step in steps}


def test_only_the_best_contender_goes_on_where_it_can_have_a_companion() -> None:
    for kind, most in (("drawings", 1), ("photographs", 1), ("grey", SURVIVORS)):
        for seed in range(5):
            steps = play(make_proposer(kind, seed), seed, failing=0.0)
            first = [step.proposal for step in steps if step.proposal.rung == 1]
            number = len(FIELDS[kind].contenders)
            assert len({p.parent for p in first if p.parent <= number}) <= most


def test_more_classes_are_guessed_to_help_where_there_are_few() -> None:
    arm = f"{DATA}add rotate(90)"
    few, some, many = (guess(arm, number) for number in (5, 55, 1000))
    assert few > guess(CONTINUE, 5) > some > many and many < 0
    assert guess(f"{DATA}add family other", 1000) > 0 > guess(f"{DATA}add flip", 5)


def test_without_a_single_measured_candidate_nothing_is_proposed() -> None:
    steps = play(make_proposer(), failing=1.0)
    assert len(steps) == 1 + len(FIELDS["grey"].contenders)


def test_random_search_trains_whole_candidates_of_the_same_space() -> None:
    steps = play(make_proposer(generates=Generates(chance=True)), 3)
    trained = [step.proposal for step in steps if step.proposal.kind == "train"]
    assert len(trained) == 10 and not any(proposal.continues for proposal in trained)
    assert len({proposal.candidate.identity for proposal in trained}) == 10
    assert {proposal.parent for proposal in trained} == {None}


def test_nets_that_see_for_themselves_have_a_continuation_to_come_near_in() -> None:
    """Features of others start high: a net of another view is not given up after seconds."""
    population, rng = Population(0.8), np.random.default_rng(0)
    vectors, pictures = FAMILIES["vectors"].input_format, FAMILIES["photographs"].input_format
    formats = {"": vectors, "pictures": pictures, "others": vectors}
    race = Race((), Changes(population, formats, SPEC), {}, joins=True, on_all_data=False)
    of_vectors, of_pictures = (FIELDS[k].contenders[0][0] for k in ("vectors", "photographs"))

    def add(number: int, candidate: Candidate, value: float, continued: Node | None = None) -> Node:
        parent = None if continued is None else continued.number
        further: dict[str, Any] = {"parent": parent, "continues": True, "rung": 1}
        further = further if continued else {}
        line = number if continued is None else continued.line
        node = Node(number, Proposal("train", (candidate,), **further), line=line)
        node.heads = [measured(candidate, value, rng)]
        population.end(node)
        return node

    add(0, of_vectors, 0.9)
    fresh = add(1, replace(of_pictures, view="pictures"), 0.75)
    add(2, replace(of_vectors, view="others"), 0.75)
    assert {tip.number for tip in race.survivors(population.tips)} == {0, 1}
    still_far = add(3, fresh.candidate, 0.8, continued=fresh)
    assert still_far.line == 1
    assert {tip.number for tip in race.survivors(population.tips)} == {0}


def test_no_more_contenders_start_in_a_view_that_is_out_of_reach() -> None:
    population, rng = Population(0.8), np.random.default_rng(0)
    vectors, pictures = FAMILIES["vectors"].input_format, FAMILIES["photographs"].input_format
    formats = {"": vectors, "far": vectors, "pictures": pictures}
    of_vectors = [heads[0] for heads in FIELDS["vectors"].contenders[:4]]
    of_pictures = [heads[0] for heads in FIELDS["photographs"].contenders[:4]]
    in_turns = [
        replace(candidate, view=view)
        for row in zip(of_vectors, of_vectors, of_pictures, strict=True)
        for view, candidate in zip(formats, row, strict=True)
    ]
    changes = Changes(population, formats, SPEC)
    contenders = [(candidate,) for candidate in in_turns]
    race = Race(contenders, changes, {}, joins=True, on_all_data=False)
    values = {"": 0.9, "far": 0.84, "pictures": 0.5}  # of 0.8 to gain 0.05 are in reach
    begun = []
    while proposal := race.next(population.known):
        begun.append(proposal.candidate.view)
        node = Node(len(begun), proposal, line=len(begun))
        node.heads = [measured(proposal.candidate, values[begun[-1]], rng)]
        population.end(node)
        if len(begun) == 2 * len(formats):
            assert begun == [*formats, *formats]  # what a view is worth is told by two
    assert begun[2 * len(formats) :] == ["", "pictures"] * 2


def test_where_a_likelihood_falls_for_long_first_segments_are_longer() -> None:
    images = FAMILIES["photographs"].input_format
    shares = {}
    for name in ("classification", "generation"):
        changes = Changes(Population(0.8), {"": images}, replace(SPEC, objective=name))
        race = Race(FIELDS["photographs"].contenders, changes, {}, joins=True, on_all_data=False)
        first = race.next([])
        assert first is not None
        shares[name] = first.share
    assert shares["generation"] == pytest.approx(4 * shares["classification"])


@pytest.mark.parametrize("is_shrunk", [True, False])
def test_slow_lines_go_on_before_new_ones_begin_if_their_images_may_grow(is_shrunk: bool) -> None:
    proposer = make_proposer("photographs", generates=Generates(data=False, algorithms=False))
    population, quiet = proposer.population, np.random.default_rng(0)
    contenders = FIELDS["photographs"].contenders
    for number, heads in enumerate(contenders):
        node = Node(number, Proposal("train", heads, share=0.01), number, trained=0.01)
        node.heads = [measured(heads[0], 0.8 if number == 0 else 0.3, quiet)]
        population.end(node)
    population.nodes[100] = Node(100, Proposal("baselines", FIELDS["photographs"].baselines))
    first = contenders[0][0]
    other = replace(
        first,
        net=coarse(
            companions(FAMILIES["photographs"].input_format)[1],
            FAMILIES["photographs"].input_format,
        ),
    )
    for line, candidate in ((0, first), (50, other)):
        if not is_shrunk:
            candidate = replace(candidate, net=on_whole_images(candidate.net))
        parent = population.nodes.get(line)
        if parent is None:
            parent = Node(line, Proposal("train", (candidate,), parent=0, share=0.1), line)
            parent.heads = [measured(candidate, 0.8, quiet)]
            population.end(parent)
        slowly = slow_continuation(parent, candidate, 0.1 * LEARNING)
        population.end(slowly)
        population.stalls[line] = 0
    proposal = proposer.propose(200, 0.5 * FINER_AT)
    assert proposal is not None and proposal.continues == is_shrunk


def slow_continuation(parent: Node, candidate: Candidate, more: float) -> Node:
    """Returns a continuation whose every score is the parent's and a little more."""
    asked = Proposal("train", (candidate,), parent=parent.number, continues=True, rung=1, share=0.1)
    node = Node(parent.number + 300, asked, parent.line, trained=0.2)
    assert parent.best is not None and parent.best.search is not None
    scores = EpisodeScores.independent(parent.best.search.scores[0].values + more)
    result = replace(parent.best.search.result, value=float(scores.values.mean()))
    node.heads = [
        Head(
            candidate, "finished", search=Measured((result,), (scores,)), cpu_seconds=1.0, cost=1.0
        )
    ]
    return node
