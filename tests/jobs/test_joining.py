"""Joining nets: which are chosen, what is measured, and that the whole can be saved and used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from metaloop import FewShotClassifier
from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.programs import PROGRAMS, on_trunk
from metaloop.core.learner import CENTER, EmbeddingLearner, MetaParams
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice
from metaloop.engine.beginning import mean_feature
from metaloop.engine.evaluation import evaluate
from metaloop.jobs import joining
from metaloop.jobs.joining import (
    Joinable,
    JoinRequest,
    JoinResult,
    join_nets,
    on_net,
    plain_members,
    select,
)
from metaloop.jobs.workplace import Workplace, prepare
from metaloop.modelfile import TrainingRecord
from metaloop.models.model import Model, load_model
from metaloop.tasks.episodes import Episodes, Indices
from metaloop.tasks.family import ClassFamily, class_family, episode_list
from metaloop.tasks.kept import class_parts
from metaloop.tasks.readers import read_arrays
from metaloop.tasks.store import ClassInfo, Store

EPISODES = 60
ROWS = np.arange(36)  # of the made-up store
NODES = {3: 5, 5: 6, 8: 7}  # node -> width of its net: so few features that others can add


@pytest.fixture(scope="module")
def family() -> ClassFamily:
    """Vectors of 24 classes that every few directions tell a little of."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 12)
    vectors = rng.normal(size=(24, 20))[labels] + 0.7 * rng.normal(size=(len(labels), 20))
    return class_family(read_arrays(vectors, labels, name="vectors"))[0]


def candidate_of(node: int, family: ClassFamily) -> Candidate:
    spec = family.spec(5, 1, 5)
    made = make_candidate("protonet", family.input_format, spec)
    net = Choice("mlp", {"width": NODES[node], "depth": 1})
    return Candidate(made.learner, net, made.plan)


Joined = tuple[Workplace, JoinResult]


def place_with_nets(folder: Path, family: ClassFamily) -> Workplace:
    """Returns a workplace with a net of each of `NODES`."""
    spec = family.spec(5, 1, 5)
    place = prepare(folder, family, spec)
    for node in NODES:
        learner = build_learner(candidate_of(node, family), family.input_format, "classification")
        place.save_net(node, learner.init(spec, torch_stream(node, "init")))
    return place


def join_request(family: ClassFamily, heads: Sequence[Candidate]) -> JoinRequest:
    nets = tuple(Joinable(node, candidate_of(node, family)) for node in NODES)
    return JoinRequest(9, nets, tuple(heads), seed=0, episodes=EPISODES)


@pytest.fixture(scope="module")
def joined(family: ClassFamily, tmp_path_factory: pytest.TempPathFactory) -> Joined:
    """A workplace with three nets, and what came of joining them as node 9."""
    place = place_with_nets(tmp_path_factory.mktemp("joined"), family)
    first = candidate_of(3, family)
    heads = [first, on_trunk(first, PROGRAMS["ridge"].source)]
    return place, join_nets(place, join_request(family, heads), lambda content: None)


def member_features(
    place: Workplace, node: int, family: ClassFamily, inputs: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns features of the inputs under a member's net, and the mean of the training part."""
    learner, params = place.assemble(candidate_of(node, family), place.net(node), 0)
    assert isinstance(learner, EmbeddingLearner)
    with torch.no_grad():
        center = mean_feature(learner, params, family)
        return learner.embed(params, inputs), center


def test_features_of_the_joined_net_are_those_of_its_members(
    joined: Joined, family: ClassFamily
) -> None:
    place, said = joined
    assert len(said.members) >= 2
    learner, params = place.assemble(said.found[0].candidate, place.net(9), 0)
    assert isinstance(learner, EmbeddingLearner)
    inputs = family.input_format.to_float(family.store.inputs[:20])
    pieces = []
    for node in said.members:
        features, center = member_features(place, node, family, inputs)
        pieces.append(functional.normalize(features - center, dim=-1))
    expected = torch.cat(pieces, -1) / math.sqrt(len(pieces))
    with torch.no_grad():
        torch.testing.assert_close(learner.embed(params, inputs), expected)


def test_figures_are_those_of_the_heads_on_the_joined_net_on_search(
    joined: Joined, family: ClassFamily
) -> None:
    place, said = joined
    assert [found.candidate.learner.name for found in said.found] == ["protonet", "program"]
    for found in said.found:
        assert found.candidate.net.name == "joined" and found.candidate.plan.style == "none"
        assert found.operator == f"committee: {said.num_nets} nets joined"
        learner, params = place.assemble(found.candidate, place.net(9), 0)
        for shots, task in zip((1, 5), found.figures.tasks, strict=True):
            assert task.result.protocol.part == "search"
            spec = family.spec(5, shots, 5)
            result, _ = evaluate(learner, params, family, "search", spec, EPISODES)
            assert result.value == pytest.approx(task.result.value, abs=1e-6)


def test_what_a_plain_learner_sees_can_be_a_member(
    family: ClassFamily, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, candidate = place_with_nets(tmp_path, family), candidate_of(3, family)
    plain = plain_members(family.input_format)
    assert [member.net.options["view"] for member in plain] == ["unit", "standardised"]
    nets = (Joinable(3, candidate), *(Joinable(None, member) for member in plain))
    request = JoinRequest(9, nets, (candidate,), seed=0, episodes=EPISODES)
    alone = join_nets(place, request, lambda content: None)
    assert (alone.members, alone.num_nets) == ((), 1)  # five features of twenty add nothing
    monkeypatch.setattr(joining, "select", lambda *asked: [1, 0])
    said = join_nets(place, request, lambda content: None)
    assert (said.members, said.num_nets) == ((3,), 2)
    found = said.found[0]
    assert [m["name"] for m in found.candidate.net.options["members"]] == ["raw", "mlp"]
    whole, params = place.assemble(found.candidate, place.net(9), 0)
    assert isinstance(whole, EmbeddingLearner)
    inputs = family.input_format.to_float(family.store.inputs[:20])
    assert whole.embed(params, inputs).shape == (20, 20 + NODES[3])
    value = evaluate(whole, params, family, "search", family.spec(5, 1, 5), EPISODES)[0].value
    assert value == pytest.approx(found.figures.tasks[0].result.value, abs=1e-6)


def colour_images(turned: bool) -> ClassFamily:
    """Colour images of 24 patterns; `turned`: each as it is or mirrored, by chance.

    Else classes come in pairs of a pattern and its mirror image.
    """
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 12)
    patterns = rng.normal(size=(24, 3, 8, 8))
    patterns = patterns if turned else np.stack([patterns[:12], patterns[:12, ..., ::-1]], 1)
    patterns = patterns.reshape(24, 3, 8, 8).repeat(2, -1).repeat(2, -2)[labels]
    flips = turned & (rng.random(len(labels)) < 0.5)
    patterns[flips] = patterns[flips][..., ::-1]
    pixels = 128 + 30 * (patterns + 0.3 * rng.normal(size=patterns.shape))
    pixels = pixels.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    made = read_arrays(pixels, labels, name="patterns", image_size=16, polarity="as_is")
    return class_family(made)[0]


@pytest.mark.parametrize("turned", [True, False])
def test_mirror_images_are_looked_at_where_that_helps(turned: bool, tmp_path: Path) -> None:
    family = colour_images(turned)
    place = place_with_nets(tmp_path, family)
    head = candidate_of(3, family)
    said = join_nets(place, join_request(family, [head]), lambda content: None)
    assert said.mirrored is turned
    if not turned and not said.found:
        return
    found = said.found[0]
    assert ("mirror images" in found.operator) is turned
    members = found.candidate.net.options["members"]
    assert [member.get("mirrored", False) for member in members] == [turned] * said.num_nets
    whole, params = place.assemble(found.candidate, place.net(9), 0)
    assert isinstance(whole, EmbeddingLearner)
    inputs = family.input_format.to_float(family.store.inputs[:20])
    own, other = whole.embed(params, inputs), whole.embed(params, inputs.flip(-1))
    assert torch.allclose(own, other, atol=1e-6) is turned
    value = evaluate(whole, params, family, "search", family.spec(5, 1, 5), EPISODES)[0].value
    assert value == pytest.approx(found.figures.tasks[0].result.value, abs=1e-6)


def test_joining_never_reads_a_sealed_part(
    joined: Joined, family: ClassFamily, tmp_path: Path
) -> None:
    """With `promotion` and `test` replaced by noise, everything comes out the same."""
    said = joined[1]
    inputs = family.store.inputs.clone()
    for part in ("promotion", "test"):
        rows = np.concatenate([family.store.examples_of[c] for c in family.parts[part]])  # type: ignore[index]
        noise = torch.randn(inputs[rows].shape, generator=torch_stream(0, part))
        inputs[rows] = noise
    store = Store(inputs, family.store.targets, family.store.classes, family.store.polarity)
    other = ClassFamily(family.name, store, family.parts)
    place = place_with_nets(tmp_path, other)
    request = join_request(other, [candidate_of(3, other)])
    again = join_nets(place, request, lambda content: None)
    assert again.members == said.members
    pairs = zip(again.found[0].figures.tasks, said.found[0].figures.tasks, strict=True)
    for mine, theirs in pairs:
        assert mine.scores == theirs.scores


@pytest.mark.parametrize("head", [0, 1], ids=["prototypes", "program"])
def test_a_saved_joined_model_predicts_the_same_and_serves_the_estimator(
    joined: Joined, family: ClassFamily, tmp_path: Path, head: int
) -> None:
    place, said = joined
    candidate = said.found[head].candidate
    learner, params = place.assemble(candidate, place.net(9), 0)
    record = TrainingRecord(
        seed=0, budget="60steps", steps=0, wall_seconds=1.0, cpu_seconds=1.0,
        data_hash=family.digest, data_name=family.name,
    )  # fmt: skip
    model = Model(
        learner, params, candidate, family.spec(5, 1, 5), family.input_format, class_parts(family),
        record,
    )  # fmt: skip
    path = tmp_path / "model.metaloop"
    model.save(path)
    support, labels = family.store.inputs[: 5 * 12 : 12], torch.arange(5)
    queries = family.store.inputs[:60]
    loaded = load_model(path)
    expected = model.predict(model.adapt(support, labels, 5), queries)
    torch.testing.assert_close(
        loaded.predict(loaded.adapt(support, labels, 5), queries), expected, rtol=0, atol=0
    )
    classifier = FewShotClassifier.load(path).fit(support.numpy(), labels.numpy())
    np.testing.assert_array_equal(classifier.predict(queries.numpy()), expected.argmax(-1).numpy())


def test_a_head_on_a_joined_net_forgets_who_trained_it(family: ClassFamily) -> None:
    trained = on_trunk(candidate_of(3, family), PROGRAMS["ridge"].source)
    assert trained.learner.options == {"trunk": "protonet"}
    moved = on_net(trained, Choice("joined", {"members": []}))
    assert moved.learner == Choice("program") and moved.program == trained.program
    assert moved.plan.style == "none" and moved.data.families == ()


def made_up(classes: int = 4, per_class: int = 9) -> tuple[Store, Episodes]:
    """Returns a store of so many classes, and episodes of one support example each."""
    rng = np.random.default_rng(0)
    number = classes * per_class
    infos = tuple(ClassInfo(str(index)) for index in range(classes))
    labels = torch.arange(classes).repeat_interleave(per_class)
    store = Store(torch.zeros(number, 1), labels, infos)
    support = np.stack([rng.integers(0, per_class - 3, classes) for _ in range(40)])
    support = support + np.arange(classes) * per_class
    query = support + 1 + rng.integers(0, 2, support.shape)
    sides = [
        Indices(rows, np.tile(np.arange(classes), (40, 1)), np.ones(rows.shape, dtype=bool))
        for rows in (support, query)
    ]
    return store, Episodes(store, sides[0], sides[1], classes)


def nets(tell_apart: Sequence[Sequence[int]], noise: Sequence[float]) -> list[Tensor]:
    """Returns unit features of made-up nets: each tells some classes from all others."""
    made = []
    for index, (known, amount) in enumerate(zip(tell_apart, noise, strict=True)):
        rows = torch.zeros(36, 6)
        for label in range(4):
            rows[9 * label : 9 * label + 9, label if label in known else 5] = 1.0
        rows += amount * torch.randn(rows.shape, generator=torch_stream(index, "noise"))
        made.append(functional.normalize(rows, dim=-1))
    return made


def test_selection_begins_with_the_best_and_adds_what_it_lacks() -> None:
    _, episodes = made_up()
    features = nets([[0], [0, 1, 2], [3, 2], [0]], [0.05, 0.05, 0.05, 0.05])
    chosen = select(features, ROWS, [episodes])
    assert chosen[0] == 1 and len(set(chosen)) == len(chosen)
    known = [[0], [0, 1, 2], [3, 2], [0]]
    assert len(set().union(*(known[index] for index in chosen))) >= 3


def test_selection_stops_where_nothing_is_gained() -> None:
    _, episodes = made_up()
    perfect = nets([[0, 1, 2, 3]] * 3, [0.0] * 3)
    assert select(perfect, ROWS, [episodes]) == [0]


def test_selection_looks_at_every_list_of_episodes() -> None:
    """Of two nets each is the better one for the classes that one list asks about."""
    _, episodes = made_up()
    asked = [np.isin(episodes.query.labels, classes) for classes in ((0, 1), (2, 3))]
    lists = [replace(episodes, query=replace(episodes.query, mask=mask)) for mask in asked]
    features = nets([[0, 1], [2, 3]], [0.05, 0.05])
    assert [select(features, ROWS, [listed], most=1) for listed in lists] == [[0], [1]]
    assert select(features, ROWS, [lists[0], lists[1], lists[1]], most=1) == [1]
    assert select(features, ROWS, [lists[0], lists[0], lists[1]], most=1) == [0]


def test_a_net_that_may_be_far_behind_has_to_bring_more_than_chance_does() -> None:
    _, episodes = made_up()
    alone = nets([[0, 1, 2]], [0.4])[0]
    noise = [0.1 * torch.randn(alone.shape, generator=torch_stream(n, "noise")) for n in range(20)]

    def taken(further: Tensor, doubtful: bool) -> bool:
        features = [alone, functional.normalize(further, dim=-1)]
        return 1 in select(features, ROWS, [episodes], doubtful=[1] if doubtful else [])

    by_chance = [taken(alone + each, False) for each in noise]
    doubted = [taken(alone + each, True) for each in noise]
    assert sum(doubted) < sum(by_chance) and all(np.array(by_chance) >= np.array(doubted))
    assert taken(nets([[3]], [0.05])[0], True)  # what the first lacks is no chance


def test_selection_takes_no_more_than_it_may() -> None:
    _, episodes = made_up()
    features = nets([[0, 1, 2, 3]] * 5, [0.6] * 5)
    assert len(select(features, ROWS, [episodes], most=2)) <= 2
    assert len(select(features, ROWS, [episodes])) <= 4


def test_selection_ignores_rows_that_episodes_do_not_use() -> None:
    _, episodes = made_up()
    features = nets([[0, 1], [2, 3], [1, 2]], [0.3] * 3)
    used = np.union1d(episodes.support.examples, episodes.query.examples)
    unused = np.setdiff1d(np.arange(len(features[0])), used)
    assert len(unused)
    changed = [piece.clone() for piece in features]
    for piece in changed:
        piece[unused] = 0.0
    assert select(changed, ROWS, [episodes]) == select(features, ROWS, [episodes])


def test_the_episodes_of_selection_are_those_that_heads_are_measured_on(
    joined: Joined, family: ClassFamily
) -> None:
    for shots, task in zip((1, 5), joined[1].found[0].figures.tasks, strict=True):
        listed = episode_list(family, "search", family.spec(5, shots, 5), EPISODES)
        assert task.result.protocol.list_hash == listed.list_hash


def test_tensors_of_heads_do_not_travel_into_the_joined_net(
    joined: Joined,
) -> None:
    tensors: MetaParams = dict(joined[0].net(9).meta_params)
    assert len(tensors.pop(CENTER)) == sum(NODES[node] for node in joined[1].members)
    assert all(name.startswith(("net.", "buffers.net.")) for name in tensors)


class _Largest(TorchDispatchMode):
    """Notes how many numbers the largest tensor of floats has that anything returns."""

    numbers = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        made = function(*arguments, **(options or {}))
        if isinstance(made, Tensor) and made.is_floating_point() and made.dim() > 2:
            self.numbers = max(self.numbers, made.numel())
        return made


def test_cosines_of_wide_features_take_little_memory_and_are_the_same() -> None:
    """Features of all episodes together are far more than those of the store."""
    _, episodes = made_up()
    features = torch.randn(36, 2000, generator=torch_stream(0, "wide"))
    together = joining._cosines(features, ROWS, episodes)
    with _Largest() as largest:
        apart = joining._cosines(features, ROWS, episodes, at_once=50_000)
    torch.testing.assert_close(apart, together)
    assert 0 < largest.numbers <= 50_000 < 40 * 4 * 2000


def test_no_more_than_a_caches_worth_of_features_is_gathered_at_once() -> None:
    """20 ways, 5 shots and 15 queries at 6,400 features: 3 GB for 300 tasks."""
    rng = np.random.default_rng(0)

    def side(each: int) -> Indices:
        labels = np.tile(np.repeat(np.arange(20), each), (30, 1))
        return Indices(rng.integers(0, 36, labels.shape), labels, np.ones(labels.shape, dtype=bool))

    store, _ = made_up()
    wide = torch.randn(36, 6400, generator=torch_stream(0, "wide"))
    with _Largest() as largest:
        joining._cosines(wide, ROWS, Episodes(store, side(5), side(15), 20))
    assert largest.numbers <= 1 << 23
