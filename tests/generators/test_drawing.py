"""How training draws from enlarged families, and that it draws as before from all others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.core.budget import Budget
from metaloop.core.errors import EpisodeError
from metaloop.core.examples import Examples
from metaloop.core.randomness import numpy_stream
from metaloop.core.records import Plan
from metaloop.engine.batches import BatchSource
from metaloop.engine.training import train
from metaloop.generators.generate import generate
from metaloop.generators.recipes import parse_recipe
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.sampling import draw_distinct

New = Callable[..., ClassFamily]


def all_original(family: ClassFamily, examples: np.ndarray) -> np.ndarray:
    """Whether each row of examples is of original classes alone."""
    own: np.ndarray = (examples < len(family.original.store.inputs)).all(-1)
    return own


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_the_share_of_episodes_is_of_original_classes_alone(share: float, new_family: New) -> None:
    family = generate(new_family(), parse_recipe(f"rotate(90) . original={share}"), 0)
    spec = family.spec(5, 1, 3, part="train")
    rng = np.random.default_rng(0)
    stacks = [family.sample("train", spec, 6, rng) for _ in range(400)]
    original = [int(all_original(family, s.support.examples).sum()) for s in stacks]
    # A mixed episode is original by chance with 12/48 * 11/47 * ... < 0.1 %.
    assert np.mean(original) == pytest.approx(6 * share, abs=0.1)
    assert min(original) >= int(6 * share)  # in every stack, up to one
    seen = np.concatenate([s.support.examples[6 - 1] for s in stacks])
    assert set(family.store.targets[seen].tolist()) >= set(family.parts["train"][12:].tolist())


def test_single_episodes_keep_the_share_too(new_family: New) -> None:
    family = generate(new_family(), parse_recipe("rotate(90) . original=0.25"), 0)
    spec = family.spec(5, 1, 3, part="train")
    rng = np.random.default_rng(0)
    stacks = [family.sample("train", spec, 1, rng) for _ in range(2000)]
    share = np.mean([all_original(family, s.support.examples) for s in stacks])
    assert share == pytest.approx(0.25, abs=0.03)


def test_query_and_support_of_an_episode_share_their_classes(new_family: New) -> None:
    family = generate(new_family(), parse_recipe("rotate(90)"), 0)
    episodes = family.sample("train", family.spec(5, 2, 3), 40, np.random.default_rng(0))
    for side in (episodes.support, episodes.query):
        classes = family.store.targets[torch.from_numpy(side.examples)].numpy()
        for task in range(40):
            by_label = {(int(k), int(c)) for k, c in zip(side.labels[task], classes[task])}  # noqa: B905
            assert len(by_label) == 5


def test_the_share_of_a_whole_class_batch_is_of_original_examples(new_family: New) -> None:
    family = generate(new_family(), parse_recipe("rotate(90) . original=0.3"), 0)
    rng = np.random.default_rng(0)
    batches = [family.draw_labelled(50, rng) for _ in range(300)]
    labels = torch.stack([batch.targets for batch in batches]).numpy()
    assert (labels[:, :15] < 12).all()  # 15 of 50, the others of all 48 classes
    assert (labels[:, 15:] < 12).mean() == pytest.approx(0.25, abs=0.02)
    assert set(labels.ravel()) == set(range(48))
    assert batches[0].num_classes == 48
    examples, known = family.labelled("train")
    for batch in batches[:3]:
        index = int(batch.targets[-1])
        members = family.labelled_batch(examples[known == index], known[known == index], 48)
        assert bool((members.features == batch.features[-1]).flatten(1).all(1).any())


def test_families_without_generators_draw_as_they_always_did(new_family: New) -> None:
    family = new_family()
    plan = Plan("both", num_tasks=3, ways=5, shots=1, queries=2, batch_size=20)
    source = BatchSource(family, plan, seed=4)
    (_, episodes), (_, labelled) = source.batches(7)
    rng = numpy_stream(4, "batch", 7)
    expected = family.sample("train", family.spec(5, 1, 2), 3, rng).gather(family.input_format)
    examples, labels = family.labelled("train")
    chosen = rng.integers(0, len(examples), 20)
    batch = family.labelled_batch(examples[chosen], labels[chosen], 12)
    torch.testing.assert_close(episodes.support.features, expected.support.features)  # type: ignore[union-attr]
    assert isinstance(labelled, Examples)
    torch.testing.assert_close(labelled.features, batch.features)
    torch.testing.assert_close(labelled.targets, batch.targets)
    # The draws of the first version, number by number: frozen lists depend on them.
    rng = np.random.default_rng(11)
    classes = family.parts["train"][draw_distinct(np.full(4, 12), 5, rng)]
    drawn = family.sample("train", family.spec(5, 1, 2), 4, np.random.default_rng(11))
    found = family.store.targets[torch.from_numpy(drawn.support.examples)].numpy()
    np.testing.assert_array_equal(found, classes)


def test_more_ways_than_there_are_original_classes_are_refused(new_family: New) -> None:
    family = generate(new_family(), parse_recipe("rotate(90)"), 0)
    assert family.largest_ways("train", 1) == 12
    with pytest.raises(EpisodeError, match="largest possible --ways is 12"):
        family.spec(13, 1, 3, part="train")
    source = BatchSource(family, Plan("episodes", ways=30, shots=1, queries=2), seed=0)
    assert source.episode_spec.ways == 12


def test_moving_a_family_moves_what_it_was_made_from(new_family: New) -> None:
    family = generate(new_family(), parse_recipe("invert()"), 0)
    moved = family.to("cpu")
    assert moved.digest == family.digest
    assert moved.original.digest == family.original.digest
    drawn = [
        f.sample("train", f.spec(5, 1, 3), 4, np.random.default_rng(0)) for f in (family, moved)
    ]
    assert drawn[0].list_hash == drawn[1].list_hash


@pytest.mark.parametrize("name", ["protonet", "rfs"])
def test_a_net_learns_from_an_enlarged_family(name: str, new_family: New) -> None:
    base = new_family(features=10)
    family = generate(base, parse_recipe("mix(0.4) . sign(0.3)"), 0)
    spec = base.spec(5, 1, 3)
    candidate = make_candidate(name, base.input_format, spec)
    learner = build_learner(candidate, base.input_format, "classification")
    ended = list(
        train(learner, family, candidate.plan, Budget(steps=12), spec, evaluation_episodes=10)
    )[-1]
    assert ended.status == "finished"
    value = ended.state.curve[-1].value
    assert value is not None and value > 0.3  # chance is 0.2
