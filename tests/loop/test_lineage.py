"""Who came from whom, as a whole run writes it down: what reports draw and explain is true."""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metaloop.archive import Archive
from metaloop.catalogue.candidates import make_candidate
from metaloop.catalogue.programs import PROGRAMS, on_trunk, program_name
from metaloop.core.packing import scores_to_json
from metaloop.core.records import Choice, Plan, Protocol, Result
from metaloop.core.statistics import EpisodeScores, mean_with_interval
from metaloop.executors.base import Job, Outcome
from metaloop.jobs.inventing import InventResult
from metaloop.jobs.joining import JoinResult
from metaloop.jobs.measured import Figures, Found, TaskFigures
from metaloop.jobs.table import NodeResult
from metaloop.jobs.training import TrainResult
from metaloop.loop.choosing import GIVEN, PROVEN, choose_field
from metaloop.loop.population import Head, Node, Population
from metaloop.loop.proposal import CATALOGUE, Proposal
from metaloop.loop.recording import begin, end, is_generated
from metaloop.loop.run import Run
from metaloop.loop.variation import crossover
from metaloop.models.model import load_model
from metaloop.models.showing import shown_of
from metaloop.report.crediting import comparisons, credits_of
from metaloop.report.differences import is_generated as is_reported_generated
from metaloop.report.differences import oldest_program
from metaloop.report.reading import Records, read_run
from metaloop.report.standing import operator_kind

RunMaker = Callable[..., Run]


@pytest.fixture(scope="module")
def records(finished: Any) -> Records:
    """What the archive of the finished run says."""
    return read_run(finished[0])


def measured_in(records: Records, work: str) -> list[Any]:
    """Returns the candidates whose trials belong to jobs of that kind."""
    jobs = {job.id for job in records.jobs if job.work == work}
    names = {t.trial.candidate for t in records.trials if t.job in jobs}
    return [records.candidates[name] for name in names]


def test_every_candidate_without_parents_says_where_it_is_from(records: Records) -> None:
    for stored in records.candidates.values():
        assert all(parent in records.candidates for parent in stored.parents)
        if not stored.parents:
            assert operator_kind(stored) == CATALOGUE


def test_an_invention_comes_from_its_net_and_from_an_older_program(records: Records) -> None:
    invented = [c for c in measured_in(records, "invent") if is_generated(c.candidate)]
    assert invented
    for stored in invented:
        assert operator_kind(stored) == "program"
        assert is_reported_generated(records, stored.identity)
        net, *older = (records.candidates[parent] for parent in stored.parents)
        assert net.candidate.program is None and net.candidate.net == stored.candidate.net
        if "grown from the primitives" in stored.operator:
            assert not older and oldest_program(records, stored.identity) is None
            continue
        (ancestor,) = older
        assert program_name(ancestor.candidate.program) is not None
        oldest = oldest_program(records, stored.identity)  # it may be on an older net still
        assert oldest is not None and oldest.candidate.program == ancestor.candidate.program
        assert operator_kind(oldest) == CATALOGUE


def figures(value: float) -> Figures:
    """Returns what a worker says of a head with such scores, with 1 shot and with 5."""
    scores = value + 0.02 * np.random.default_rng(round(1000 * value)).normal(size=50)
    estimate = mean_with_interval(scores)
    packed = scores_to_json(EpisodeScores.independent(scores))
    tasks = []
    for shots in (1, 5):
        how = Protocol("search", 5, shots, 5, "none", f"list of {shots}", "data")
        result = Result("accuracy", estimate.value, estimate.ci95, 50, how)
        tasks.append(TaskFigures(result, packed))
    return Figures("finished", tasks=tuple(tasks))


def live(run: Run, population: Population, node: Node, result: NodeResult) -> None:
    """Records a node, with what its job came back with."""
    job = begin(run, population, node)
    outcome = Outcome(Job(node.number, node.kind, {}), "done", {}, "", 1.0, 2.0)
    end(run, population, node, job, outcome, result)


def test_joined_nets_come_from_all_of_theirs_and_are_credited(make_run: RunMaker) -> None:
    run, population = make_run(), Population()
    first = make_candidate("protonet", run.family.input_format, run.spec)
    second = replace(first, plan=replace(first.plan, warmup=0.21))
    for number, candidate in enumerate((first, second)):
        heads = (figures(0.5 + 0.1 * number),)
        trained = TrainResult("finished", "", 1, 1.0, 1.0, None, None, (), heads)
        live(run, population, Node(number, Proposal("train", (candidate,)), number), trained)
    older, newer = PROGRAMS["ridge"].source, PROGRAMS["ridge"].source.replace("0.01", "0.02")
    found = Found(
        on_trunk(first, newer), figures(0.7), "program: ridge, 0.01 -> 0.02", ancestor=older
    )
    invent = Node(2, Proposal("invent", (first,), "program: invented", parent=0))
    live(run, population, invent, InventResult((found,), 1))
    joined = replace(second, net=Choice("joined"), plan=Plan("none"))
    words = "committee: 2 nets joined"
    heads_found = (
        Found(replace(joined, learner=Choice("program"), program=newer), figures(0.8), words),
        Found(joined, figures(0.6), words),
    )
    join = Node(3, Proposal("join", (second,), "committee: nets joined", parent=1))
    live(run, population, join, JoinResult((1, 0), 2, heads_found))

    records = read_run(run.folder)
    with_program, without = (records.candidates[head.candidate.identity] for head in join.heads)
    nets, invented = (second.identity, first.identity), invent.heads[0].candidate.identity
    assert without.parents == nets and with_program.parents == (*nets, invented)
    assert is_reported_generated(records, with_program.identity)
    assert not is_reported_generated(records, without.identity)
    oldest = oldest_program(records, with_program.identity)
    assert oldest is not None and oldest.candidate.program == older
    gained = {pair.child: (pair.parent, pair.advantage) for pair in comparisons(records)}
    assert gained[with_program.identity] == (second.identity, pytest.approx(0.2, abs=0.02))
    assert gained[invented] == (first.identity, pytest.approx(0.2, abs=0.02))
    kinds = {credit.kind: credit.pairs for credit in credits_of(records)}
    assert kinds["committee"] == kinds["program"] == 1


def test_a_crossover_and_its_heads_name_both_parents(make_run: RunMaker) -> None:
    run = make_run()
    first, second = (make_candidate(n, run.family.input_format, run.spec) for n in PARENTS)
    second = replace(second, plan=replace(second.plan, learning_rate=0.011))
    varied = crossover(first, second, np.random.default_rng(0))
    assert varied is not None and varied.further_parents == (second.identity,)
    population = Population()
    node = Node(0, Proposal("train", (first,)), heads=[Head(first, "finished")])
    population.nodes[0] = node
    for candidate in (first, second):
        run.archive.add_candidate(candidate)
    proposal = Proposal(
        "train", (varied.candidate,), varied.operator, parent=0,
        further_parents=varied.further_parents,
    )  # fmt: skip
    begin(run, population, Node(1, proposal))
    stored = run.archive.candidate(varied.candidate.identity)
    assert stored.parents == (first.identity, second.identity)
    assert stored.operator == varied.operator


PARENTS = ("protonet", "ridge")


def test_a_head_comes_from_the_same_head_on_its_parents_net(make_run: RunMaker) -> None:
    run = make_run()
    recipe = make_candidate("protonet", run.family.input_format, run.spec)
    ridge = on_trunk(recipe, PROGRAMS["ridge"].source)
    population = Population()
    known = [Head(recipe, "finished"), Head(ridge, "finished")]
    population.nodes[0] = Node(0, Proposal("train", (recipe,)), heads=known)
    for candidate in (recipe, ridge):
        run.archive.add_candidate(candidate)
    plan = replace(recipe.plan, warmup=0.21)
    heads = tuple(replace(head, plan=plan) for head in (recipe, ridge))
    operator = "plan: warmup 0.05 -> 0.21"
    begin(run, population, Node(1, Proposal("train", heads, operator, parent=0)))
    found = [run.archive.candidate(head.identity) for head in heads]
    assert [stored.parents for stored in found] == [(recipe.identity,), (ridge.identity,)]
    assert {stored.operator for stored in found} == {operator}


def test_what_is_not_of_the_catalogue_is_not_said_to_be(finished: Any, family: Any) -> None:
    spec = family.spec(5, 1, 5)
    own = make_candidate("protonet", family.input_format, spec)
    own = replace(own, plan=replace(own.plan, warmup=0.17))
    assert choose_field(family, spec, own=[own]).origins == {own.identity: GIVEN}
    assert choose_field(family, spec).origins == {}
    with Archive.open(finished[0] / "archive.sqlite", read_only=True) as archive:
        warm = choose_field(family, spec, archive=archive)
    first = [heads[0] for heads in warm.contenders]
    known = {heads[0].identity for heads in choose_field(family, spec).contenders}
    assert {c.identity for c in first} - known == set(warm.origins)
    assert set(warm.origins.values()) <= {PROVEN}


def test_the_program_of_a_run_is_a_module_that_runs_and_says_what_it_gained(
    finished: Any, records: Records
) -> None:
    folder, _, report = finished
    path = Path(report["program"])
    assert path == folder / "program.py"
    specification = importlib.util.spec_from_file_location("invented", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    documented = module.__doc__ or ""
    # What it gained is said where a known program was measured on the same features.
    assert re.search(r"accuracy [\d.]+ \+/- [\d.]+ \(\d+ episodes of `search`", documented)
    invented = [c.candidate for c in records.candidates.values() if is_generated(c.candidate)]
    assert invented
    support, labels = torch.randn(10, 6), torch.eye(5).repeat(2, 1)
    queries, center = torch.randn(7, 6), torch.zeros(6)
    embed = getattr(module, "embed_map", lambda x, center: x)
    state = module.adapt(embed(support, center), labels)
    logits = module.predict(
        embed(queries, center), *(state if isinstance(state, tuple) else (state,))
    )
    assert logits.shape == (7, 5) and bool(torch.isfinite(logits).all())


def test_pictures_show_support_and_queries_and_who_was_right(
    finished: Any, make_run: RunMaker
) -> None:
    run, model = make_run(), load_model(finished[0] / "model.metaloop")
    pictures = list(shown_of(model, run.family, run.spec))
    assert [item.name for item in pictures] == ["episode 1", "episode 2"]
    for item in pictures:
        image = Image.open(io.BytesIO(item.content)).convert("RGB")
        assert image.height > 5 * 44 and image.width > (1 + 5) * 44
        colours = {colour for _, colour in image.getcolors(1 << 20)}
        assert (46, 125, 50) in colours  # the frame of a query that it got right
        share = int(item.caption.split("(")[1].split("%")[0])
        assert share > 20
        assert ((198, 40, 40) in colours) <= (share < 100)
