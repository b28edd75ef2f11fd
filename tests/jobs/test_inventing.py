"""The search for programs, and the job of a worker that searches on the features of a net."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.catalogue.candidates import make_candidate
from metaloop.catalogue.programs import PROGRAMS, on_trunk
from metaloop.core.budget import Budget
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.learner import EmbeddingLearner
from metaloop.core.randomness import numpy_stream, torch_stream
from metaloop.core.records import Candidate, Choice
from metaloop.jobs.inventing import NUM_INVENTED, InventRequest, InventResult, invent_programs
from metaloop.jobs.scoring import score_heads
from metaloop.jobs.workplace import Workplace, prepare
from metaloop.programs.blank import blank_program, random_program
from metaloop.programs.canonical import canonical
from metaloop.programs.checking import check
from metaloop.programs.evolution import (
    Invented,
    Measured,
    Settings,
    Start,
    calibrated,
    invent,
    size_of,
)
from metaloop.programs.fitness import Features, fingerprint, fitness
from metaloop.programs.library import LIBRARY
from metaloop.programs.parsing import parse
from metaloop.programs.syntax import Program
from metaloop.tasks.family import ClassFamily, class_family, episode_list
from metaloop.tasks.readers import read_arrays

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "rediscovery.py"
SETTINGS = Settings(population=16, full=60, tuned=2, tuning_steps=3, tuning_episodes=20)
WAYS, SHOTS, QUERIES, WIDTH = 5, 5, 8, 16


def make_features(num_episodes: int, seed: int, lengths: float = 0.7) -> Features:
    """Tasks in which lengths mislead, unless they are 0, and few directions tell classes apart."""
    rng = torch_stream(seed, "features")
    centres = torch.randn(num_episodes, WAYS, WIDTH, generator=rng)
    scales = torch.linspace(0.2, 2.5, WIDTH)

    def side(each: int) -> Examples:
        targets = torch.arange(WAYS).repeat_interleave(each).expand(num_episodes, -1).contiguous()
        noise = torch.randn(num_episodes, WAYS * each, WIDTH, generator=rng) * scales
        length = torch.exp(lengths * torch.randn(num_episodes, WAYS * each, 1, generator=rng))
        places = targets.unsqueeze(-1).expand(-1, -1, WIDTH)
        mask = torch.ones_like(targets, dtype=torch.bool)
        inputs = length * (centres.gather(1, places) + noise)
        return Examples(inputs, targets, mask, WAYS, False)

    return Features(EpisodeBatch(side(SHOTS), side(QUERIES)), torch.zeros(WIDTH))


@pytest.fixture(scope="module")
def features() -> Features:
    return make_features(80, 0)


def blank_start(seed: int, number: int = 12) -> list[Start]:
    rng = numpy_stream(seed, "start")
    return [
        Start("blank", blank_program()),
        *(Start("random", random_program(rng)) for _ in range(number)),
    ]


def library_start() -> list[Start]:
    return [Start(name, canonical(parse(entry.source))) for name, entry in LIBRARY.items()]


def run(
    features: Features, start: list[Start], evaluations: int, settings: Settings = SETTINGS
) -> tuple[list[Measured], Invented]:
    *measured, end = invent(features, start, Budget(steps=evaluations), 0, settings)
    assert isinstance(end, Invented)
    return [event for event in measured if isinstance(event, Measured)], end


def agreement(first: Program, second: Program, features: Features) -> float:
    figures = [fitness(check(program), features) for program in (first, second)]
    assert figures[0] is not None and figures[1] is not None
    return float((figures[0].predictions == figures[1].predictions).float().mean())


def test_a_budget_in_evaluations_makes_the_search_repeatable(features: Features) -> None:
    first, second = (run(features, blank_start(0), 30) for _ in range(2))
    assert [str(m.member.program) for m in first[0]] == [str(m.member.program) for m in second[0]]
    assert [str(m.program) for m in first[1].members] == [str(m.program) for m in second[1].members]
    assert first[1].evaluations == second[1].evaluations == 30
    assert first[1].tried >= 30


def test_evolution_from_blank_programs_is_better_than_its_start(features: Features) -> None:
    start = blank_start(1)
    measured, end = run(features, start, 120)
    first = [m.member.merit for m in measured if m.member.words == "start"]
    assert end.members[0].accuracy > 1 / WAYS + 0.1
    assert max(m.member.merit for m in measured) > max(first) + 0.01


def test_no_behaviour_is_measured_twice(features: Features) -> None:
    twice = [*library_start(), *library_start()]
    spelled = parse(LIBRARY["ridge"].source.replace("weights", "solution"))
    measured, end = run(features, [*twice, Start("again", spelled)], len(LIBRARY))
    behaviours = [event.member.fingerprint for event in measured]
    assert len(set(behaviours)) == len(behaviours) <= end.evaluations


def test_the_best_come_first_and_are_measured_on_all_episodes(features: Features) -> None:
    _, end = run(features, library_start(), 40)
    merits = [member.merit for member in end.members]
    assert merits == sorted(merits, reverse=True)
    assert all(len(member.fitness.accuracy) == len(features) for member in end.members)
    best = end.members[0]
    figures = fitness(check(best.program), features)
    assert figures is not None
    assert float(figures.accuracy.mean()) == pytest.approx(best.accuracy)
    assert best.ancestor in LIBRARY


def test_wall_seconds_end_the_search(features: Features) -> None:
    began = time.perf_counter()
    events = list(invent(features, library_start(), Budget(wall_seconds=1.0), 0, SETTINGS))
    assert isinstance(events[-1], Invented)
    assert time.perf_counter() - began < 30  # a hang, not a timing


def test_one_blank_program_is_start_enough(features: Features) -> None:
    measured, end = run(features, [Start("blank", blank_program())], 100)
    assert {event.member.ancestor for event in measured} == {"blank"}
    assert end.members[0].accuracy > 1 / WAYS + 0.1


def test_a_search_without_a_program_that_has_types_ends_at_once(features: Features) -> None:
    untyped = parse("def adapt(x, y):\n    return add(x, y)\n")
    measured, end = run(features, [Start("untyped", untyped)], 20)
    assert (measured, end.members, end.evaluations) == ([], (), 0)


def test_a_calibrated_program_says_the_same_with_other_confidence(features: Features) -> None:
    for name in ("cosine", "ridge", "gradient_step"):
        program = canonical(parse(LIBRARY[name].source))
        scaled = calibrated(program, 0.5)  # with a gradient it is left alone
        assert agreement(program, scaled, features) == 1.0
        assert size_of(scaled) <= size_of(program) + 2
        again = calibrated(scaled, 3.0)
        assert size_of(again) == size_of(scaled)


@pytest.mark.long
def test_a_black_box_is_copied_from_blank_programs() -> None:
    task, fresh = make_features(120, 1), make_features(300, 2)
    teacher = canonical(parse(LIBRARY["cosine"].source))
    known = fitness(check(teacher), task)
    assert known is not None
    settings = Settings(price=0.002, islands=4, population=32, tournament=5, full=120, tuned=0)
    for seed in range(3):
        budget, start = Budget(steps=4000), blank_start(seed, 30)
        for event in invent(task.labelled_by(known.predictions), start, budget, seed, settings):
            promising = isinstance(event, Measured) and event.member.accuracy > 0.995
            if promising and agreement(event.member.program, teacher, fresh) >= 0.99:
                return
    raise AssertionError("cosine similarity was not found")


@pytest.mark.long
def test_accuracy_alone_leads_from_blank_programs_to_known_rules() -> None:
    """The benchmark, which needs no data but fonts: ridge and normalised prototypes."""
    command = [sys.executable, str(SCRIPT), "--only", "accuracy", "--seconds", "420", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = json.loads(done.stdout)
    assert {line["rule"].split(" (")[0] for line in lines} == {"ridge", "normalised prototypes"}
    for line in lines:
        assert line["found"], line
        assert line["agreement"] >= 0.99


@pytest.fixture(scope="module")
def family() -> ClassFamily:
    """Vectors of 24 classes."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 12)
    vectors = rng.normal(size=(24, 20))[labels] + 0.9 * rng.normal(size=(len(labels), 20))
    return class_family(read_arrays(vectors, labels, name="vectors"))[0]


@pytest.fixture(scope="module")
def candidate(family: ClassFamily) -> Candidate:
    made = make_candidate("protonet", family.input_format, family.spec(5, 1, 5))
    return Candidate(made.learner, Choice("mlp", {"width": 12, "depth": 1}), made.plan)


@pytest.fixture(scope="module")
def place(
    family: ClassFamily, candidate: Candidate, tmp_path_factory: pytest.TempPathFactory
) -> Workplace:
    """The workplace of a run with one net, node 3, of the candidate."""
    spec = family.spec(5, 1, 5)
    place = prepare(tmp_path_factory.mktemp("inventing"), family, spec)
    learner = place.learner(candidate, family)
    place.save_net(3, learner.init(spec, torch_stream(0, "init")))
    return place


def asked(candidate: Candidate, **others: Any) -> InventRequest:
    usual: dict[str, Any] = {
        "node": 4, "on": 3, "measured": (), "programs": (), "wall_seconds": None,
        "evaluations": 60, "seed": 0, "episodes": 40,
    }  # fmt: skip
    return InventRequest(candidate=candidate, **(usual | others))


@pytest.fixture(scope="module")
def said(place: Workplace, candidate: Candidate) -> InventResult:
    return invent_programs(place, asked(candidate), lambda content: None)


def test_inventions_and_the_library_come_back_with_figures_best_first(
    said: InventResult,
) -> None:
    assert said.steps == 60
    operators = [found.operator for found in said.found]
    assert operators.count("catalogue") == len(PROGRAMS)
    assert 1 <= len(operators) - len(PROGRAMS) <= NUM_INVENTED
    assert all(text == "catalogue" or text.startswith("program: ") for text in operators)
    values = [sum(task.result.value for task in found.figures.tasks) for found in said.found]
    assert values == sorted(values, reverse=True)


def test_inventions_are_candidates_whose_figures_score_heads_repeats(
    said: InventResult, place: Workplace
) -> None:
    heads = [found.candidate for found in said.found]
    assert all(head.learner == Choice("program", {"trunk": "protonet"}) for head in heads)
    repeated = score_heads(place, heads, place.net(3).meta_params, 0, 40)
    for found, theirs in zip(said.found, repeated, strict=True):
        assert found.figures.tasks == theirs.tasks


def test_inventions_differ_in_behaviour_from_the_library(said: InventResult) -> None:
    hashes: dict[bool, list[str | None]] = {True: [], False: []}
    for found in said.found:
        hashes[found.operator == "catalogue"].append(found.behaviour)
    assert not set(hashes[True]) & set(hashes[False])
    assert len(set(hashes[False])) == len(hashes[False])


def test_the_search_never_sees_the_episodes_that_decide(
    place: Workplace,
    candidate: Candidate,
    family: ClassFamily,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Features] = []

    def spy(features: Features, *others: Any) -> Any:
        seen.append(features)
        return invent(features, *others)

    monkeypatch.setattr("metaloop.jobs.inventing.invent", spy)
    invent_programs(place, asked(candidate, evaluations=20), lambda content: None)
    listed = episode_list(family, "search", family.spec(5, 1, 5), 80)[40:]
    learner = place.learner(candidate, family)
    assert isinstance(learner, EmbeddingLearner)
    inputs = family.input_format.to_float(family.store.inputs[listed.query.examples[0]])
    with torch.no_grad():
        expected = learner.embed(place.net(3).meta_params, inputs)
    torch.testing.assert_close(seen[0].episodes.query.features[0], expected)


def test_the_search_sees_tasks_of_one_and_of_several_shots_in_turn(
    place: Workplace, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else class sums would pass for class means: at one shot they are the same."""
    seen: list[Features] = []

    def spy(features: Features, *others: Any) -> Any:
        seen.append(features)
        return invent(features, *others)

    monkeypatch.setattr("metaloop.jobs.inventing.invent", spy)
    invent_programs(place, asked(candidate, evaluations=20), lambda content: None)
    support = seen[0].episodes.support
    assert support.mask.sum(1)[:4].tolist() == [5, 25, 5, 25]
    means = LIBRARY["prototypes"].source
    sums = means.replace("divide(sums, counts, axis=0)", "sums")
    assert sums != means
    programs = [check(source) for source in (means, sums)]
    assert len({fingerprint(program, seen[0]) for program in programs}) == 2
    better, worse = (fitness(program, seen[0]) for program in programs)
    assert better is not None and worse is not None
    torch.testing.assert_close(better.accuracy[::2], worse.accuracy[::2])
    assert better.accuracy[1::2].mean() > worse.accuracy[1::2].mean()


def test_what_is_measured_already_is_left_out(place: Workplace, candidate: Candidate) -> None:
    measured = tuple(on_trunk(candidate, PROGRAMS[name].source) for name in ("ridge", "cosine"))
    request = asked(candidate, measured=measured, evaluations=20)
    again = invent_programs(place, request, lambda content: None)
    returned = {found.candidate.identity for found in again.found}
    assert not {one.identity for one in measured} & returned
    assert sum(found.operator == "catalogue" for found in again.found) == len(PROGRAMS) - 2


def test_known_programs_join_the_start_and_damaged_ones_are_passed_over(
    place: Workplace, candidate: Candidate
) -> None:
    known = str(canonical(parse(LIBRARY["ridge"].source))).replace("0.01", "0.5")
    request = asked(candidate, programs=("def adapt(", known), evaluations=20)
    said = invent_programs(place, request, lambda content: None)
    ancestors = {found.ancestor for found in said.found} - {None}
    assert ancestors and ancestors <= {known, *(entry.source for entry in PROGRAMS.values())}
