"""Laws of the language, which hold for every program with types, looked for by hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.randomness import torch_stream
from metaloop.core.task_map import loop_over_tasks, vmap_over_tasks
from metaloop.programs.episodes import fit, logits_of, without_absent
from metaloop.programs.inference import TypedProgram, infer_types
from metaloop.programs.interpreter import initial_constants
from metaloop.programs.library import LIBRARY
from metaloop.programs.parsing import parse
from metaloop.programs.syntax import Program

Programs = Callable[[int], Program]
Episodes = Callable[..., EpisodeBatch]
Run = Callable[..., Tensor]
SEEDS = st.integers(0, 10**6)
CLOSE = {"atol": 1e-7, "rtol": 1e-7, "equal_nan": True}


ATTENTION = """
def adapt(x, y):
    closeness = softmax(matmul(x, transpose(x)), axis=0)
    return x, solve(add_diagonal(exp(closeness), 1.0), y), norm(x, axis=1)

def predict(x, w, v, u):
    shares = softmax(divide(matmul(x, transpose(w)), u), axis=1)
    return add(matmul(shares, v), mean(v, axis=0))
"""
SOURCES = {"attention": ATTENTION} | {name: entry.source for name, entry in LIBRARY.items()}


def stable(run: Run, typed: TypedProgram, episodes: EpisodeBatch) -> bool:
    """Whether noise in the last digits leaves the outputs alone (`sign` of a rounding error)."""
    shaken = []
    for side in (episodes.support, episodes.query):
        noise = torch.randn(side.features.shape, generator=torch_stream(0, "noise"))
        shaken.append(side.with_inputs(side.features * (1 + 1e-13 * noise.double())))
    before, after = run(typed, episodes), run(typed, EpisodeBatch(*shaken))
    return bool(before.isfinite().all()) and torch.allclose(before, after, atol=1e-9, rtol=1e-9)


@given(seed=SEEDS)
@settings(max_examples=12)
def test_padding_changes_nothing(
    random_program: Programs, random_episodes: Episodes, run: Run, seed: int
) -> None:
    typed, episodes = infer_types(random_program(seed)), random_episodes(seed)
    assume(stable(run, typed, episodes))
    check_padding(run, typed, episodes)


@pytest.mark.parametrize("name", SOURCES)
def test_padding_changes_nothing_for_known_programs(
    random_episodes: Episodes, run: Run, name: str
) -> None:
    check_padding(run, infer_types(parse(SOURCES[name])), random_episodes(0))


def check_padding(run: Run, typed: TypedProgram, episodes: EpisodeBatch) -> None:
    support = episodes.support
    garbage = 50 * torch.randn(3, 4, 5, generator=torch_stream(0, "garbage")).double()
    padded = Examples(
        torch.cat([garbage, support.features], 1),
        torch.cat([torch.ones(3, 4, dtype=torch.int64), support.targets], 1),
        torch.cat([torch.zeros(3, 4, dtype=torch.bool), support.mask], 1),
        support.num_classes,
        padded=True,
    )
    again = run(typed, EpisodeBatch(padded, episodes.query))
    torch.testing.assert_close(again, run(typed, episodes), **CLOSE)


@given(seed=SEEDS)
@settings(max_examples=12)
def test_a_class_without_support_changes_nothing_for_the_others(
    random_program: Programs, random_episodes: Episodes, run: Run, seed: int
) -> None:
    typed, episodes = infer_types(random_program(seed)), random_episodes(seed)
    assume(stable(run, typed, episodes))
    more = replace(episodes.support, num_classes=episodes.support.num_classes + 2)
    again = run(typed, EpisodeBatch(more, episodes.query))
    torch.testing.assert_close(again[..., :-2], run(typed, episodes), **CLOSE)
    assert (again[..., -2:] == -torch.inf).all()


@given(seed=SEEDS)
@settings(max_examples=12)
def test_permuting_classes_permutes_predictions(
    random_program: Programs, random_episodes: Episodes, run: Run, seed: int
) -> None:
    typed, episodes = infer_types(random_program(seed)), random_episodes(seed)
    assume(stable(run, typed, episodes))
    order = torch.tensor([2, 0, 1])  # class k becomes order[k]
    renamed = replace(episodes.support, targets=order[episodes.support.targets])
    again = run(typed, EpisodeBatch(renamed, episodes.query))[..., order]
    torch.testing.assert_close(again, run(typed, episodes), **CLOSE)


@given(seed=SEEDS)
@settings(max_examples=12)
def test_permuting_support_examples_changes_nothing(
    random_program: Programs, random_episodes: Episodes, run: Run, seed: int
) -> None:
    typed, episodes = infer_types(random_program(seed)), random_episodes(seed)
    assume(stable(run, typed, episodes))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    support = episodes.support
    shuffled = replace(
        support, inputs=support.features[:, order], targets=support.targets[:, order]
    )
    again = run(typed, EpisodeBatch(shuffled, episodes.query))
    torch.testing.assert_close(again, run(typed, episodes), **CLOSE)


@given(seed=SEEDS)
@settings(max_examples=12)
def test_vmap_over_tasks_equals_a_loop(
    random_program: Programs, random_episodes: Episodes, run: Run, seed: int
) -> None:
    typed, episodes = infer_types(random_program(seed)), random_episodes(seed, padding=2)
    assume(stable(run, typed, episodes))
    support = episodes.support
    constants = {n: t.double() for n, t in initial_constants(typed, 5).items()}
    center = torch.zeros(5, dtype=torch.float64)

    def one_task(features: Tensor, targets: Tensor, mask: Tensor, queries: Tensor) -> Tensor:
        examples = Examples(features, targets, mask, support.num_classes, support.padded)
        state, masks = fit(typed, constants, center, examples)
        return without_absent(logits_of(typed, constants, center, state, masks, queries), masks)

    stacked = (support.features, support.targets, support.mask, episodes.query.features)
    torch.testing.assert_close(
        vmap_over_tasks(one_task, *stacked), loop_over_tasks(one_task, *stacked), **CLOSE
    )
