"""Figures of programs on cached embeddings; fingerprints leave out what does not matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from metaloop.core.examples import EpisodeBatch
from metaloop.programs.fitness import Features, Fitness, fingerprint, fitness
from metaloop.programs.inference import TypedProgram, infer_types
from metaloop.programs.library import LIBRARY
from metaloop.programs.parsing import parse

PREDICT = "def predict(x, w):\n    return {}\n"
SUMS = "def adapt(x, y):\n    return matmul(transpose(x), y)\n"


@pytest.fixture(scope="module")
def features(random_episodes: Callable[..., EpisodeBatch]) -> Features:
    """Thirty easy tasks of three classes, float32."""
    batch = random_episodes(3, tasks=30, width=8)
    sides = [side.with_inputs(side.features.float()) for side in (batch.support, batch.query)]
    return Features(EpisodeBatch(*sides), torch.full((8,), 0.1))


def program(text: str) -> TypedProgram:
    return infer_types(parse(SUMS + PREDICT.format(text)))


def library(name: str) -> TypedProgram:
    return infer_types(parse(LIBRARY[name].source))


def measured(typed: TypedProgram, features: Features) -> Fitness:
    figures = fitness(typed, features)
    assert figures is not None
    return figures


def test_accuracy_is_the_share_of_right_predictions_and_good_on_easy_tasks(
    features: Features,
) -> None:
    figures = measured(library("prototypes"), features)
    assert figures.accuracy.shape == (30,)
    assert figures.accuracy.mean() > 0.9
    right = figures.predictions == features.episodes.query.targets
    torch.testing.assert_close(figures.accuracy, right.float().mean(-1))


def test_the_scale_of_logits_changes_neither_cross_entropy_nor_fingerprint(
    features: Features,
) -> None:
    small, large = program("multiply(0.001, matmul(x, w))"), program("multiply(70.0, matmul(x, w))")
    losses = [measured(typed, features).cross_entropy for typed in (small, large)]
    torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-4)
    assert fingerprint(small, features) == fingerprint(large, features)


def test_what_is_added_to_all_classes_alike_changes_no_fingerprint(features: Features) -> None:
    plain = program("matmul(x, w)")
    shifted = program("add(matmul(x, w), norm(x, axis=1), axis=0)")
    assert fingerprint(plain, features) == fingerprint(shifted, features)


def test_rules_of_the_library_have_fingerprints_of_their_own(features: Features) -> None:
    # meta_sgd starts as gradient_step: its rates differ only when they are learned
    names = [name for name in LIBRARY if name != "meta_sgd"]
    prints = {fingerprint(library(name), features) for name in names}
    assert len(prints) == len(names)
    assert fingerprint(library("meta_sgd"), features) in prints


def test_a_program_that_says_nothing_has_no_figures(features: Features) -> None:
    for nothing in ("multiply(0.0, matmul(x, w))", "matmul(x, log(multiply(0.0, w)))"):
        assert fitness(program(nothing), features) is None
        assert fingerprint(program(nothing), features) is None


def test_a_program_whose_numbers_overflow_has_no_figures(features: Features) -> None:
    huge = program("power(multiply(10000.0, exp(multiply(50.0, matmul(x, w)))), 30.0)")
    assert fitness(huge, features) is None
    assert fingerprint(huge, features) is None


def test_part_and_rest_have_the_figures_of_the_whole(features: Features) -> None:
    typed = library("cosine")
    whole = measured(typed, features)
    part = measured(typed, features[:10])
    rest = fitness(typed, features[10:], scale=part.scale)
    assert rest is not None
    both = part.followed_by(rest)
    assert torch.equal(both.predictions, whole.predictions)
    torch.testing.assert_close(both.accuracy, whole.accuracy)


def test_every_second_query_is_half_of_the_queries(features: Features) -> None:
    thin = features.every(2)
    assert thin.sizes["Q"] * 2 == features.sizes["Q"]
    figures, whole = measured(library("cosine"), thin), measured(library("cosine"), features)
    assert torch.equal(figures.predictions, whole.predictions[:, ::2])


def test_a_teacher_agrees_with_itself(features: Features) -> None:
    typed = library("ridge")
    taught = features.labelled_by(measured(typed, features).predictions)
    assert measured(typed, taught).accuracy.min() == 1.0


def test_masked_queries_do_not_count(features: Features) -> None:
    query = features.episodes.query
    mask = query.mask.clone()
    mask[:, -3:] = False
    wrong = torch.where(mask, query.targets, (query.targets + 1) % 3)
    padded = replace(query, mask=mask, targets=wrong, padded=True)
    batch = EpisodeBatch(features.episodes.support, padded)
    figures = measured(library("cosine"), replace(features, episodes=batch))
    expected = features.every(1)
    kept = measured(library("cosine"), expected).predictions[:, :-3] == query.targets[:, :-3]
    torch.testing.assert_close(figures.accuracy, kept.float().mean(-1))
