"""Constants tuned by meta-gradient: never worse, really better, and put back into the text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from metaloop.core.examples import EpisodeBatch
from metaloop.programs.checking import check
from metaloop.programs.episodes import episode_losses
from metaloop.programs.interpreter import initial_constants
from metaloop.programs.library import LIBRARY, library_program
from metaloop.programs.parsing import parse
from metaloop.programs.tuning import tune, with_constants

Episodes = Callable[..., EpisodeBatch]
CENTER = torch.full((5,), 0.1)


def floats(episodes: EpisodeBatch) -> EpisodeBatch:
    sides = (side.with_inputs(side.features.float()) for side in (episodes.support, episodes.query))
    return EpisodeBatch(*sides)


@pytest.mark.parametrize("name", LIBRARY)
def test_tuning_improves_a_bad_start_and_says_by_how_much(
    name: str, random_episodes: Episodes
) -> None:
    typed = check(library_program(name).source.replace("10.0", "60.0").replace("0.1,", "3.0,"))
    episodes = floats(random_episodes(0, tasks=20, padding=1))
    tuned = tune(typed, episodes, CENTER, num_steps=30)
    assert tuned.loss_after < tuned.loss_before
    measured = episode_losses(typed, tuned.constants, CENTER, episodes)[0].mean()
    assert float(measured) == pytest.approx(tuned.loss_after, rel=1e-5)


def test_tuning_is_never_worse_than_its_start(random_episodes: Episodes) -> None:
    """Even with steps so large that all later values are bad."""
    typed = check(library_program("centred").source)
    episodes = floats(random_episodes(1))
    tuned = tune(typed, episodes, CENTER, num_steps=5, learning_rate=1e4)
    assert tuned.loss_after <= tuned.loss_before
    kept = tune(typed, episodes, CENTER, num_steps=0)
    assert kept.loss_after == kept.loss_before
    assert kept.constants == initial_constants(typed, 5)


def test_what_is_not_finite_is_returned_as_it_was(random_episodes: Episodes) -> None:
    text = library_program("prototypes").source.replace("multiply(0.1", "multiply(1e30")
    typed = check(text.replace("multiply(2.0", "multiply(1e30"))
    episodes = floats(random_episodes(1))
    tuned = tune(typed, episodes, CENTER)
    assert not torch.tensor(tuned.loss_before).isfinite()
    assert tuned.constants == initial_constants(typed, 5)


def test_a_program_without_constants_has_nothing_to_tune(random_episodes: Episodes) -> None:
    typed = check(
        "def adapt(x, y):\n    return matmul(transpose(y), x)\n"
        "def predict(x, w):\n    return matmul(x, transpose(w))\n"
    )
    tuned = tune(typed, floats(random_episodes(1)), CENTER)
    assert tuned.constants == {}
    assert tuned.loss_after == tuned.loss_before


def test_vectors_are_tuned_entry_by_entry(random_episodes: Episodes) -> None:
    typed = check(library_program("meta_sgd").source)
    episodes = floats(random_episodes(2, tasks=10, shots=3))
    tuned = tune(typed, episodes, CENTER, num_steps=20)
    vectors = [t for t in tuned.constants.values() if t.dim() == 1]
    assert len(vectors) == 2
    assert all(len(set(v.tolist())) == 5 for v in vectors)


def test_tuning_goes_on_from_constants_that_are_given(random_episodes: Episodes) -> None:
    typed = check(library_program("prototypes").source)
    episodes = floats(random_episodes(3, tasks=10))
    first = tune(typed, episodes, CENTER, num_steps=15)
    second = tune(typed, episodes, CENTER, num_steps=15, start=first.constants)
    assert second.loss_before == pytest.approx(first.loss_after, rel=1e-5)


def test_constants_are_put_back_with_4_digits() -> None:
    program = parse(library_program("meta_sgd").source)
    constants = {
        "program.adapt.0": torch.tensor(12.345678),
        "program.adapt.2": torch.tensor([1.0, 2.0, 4.5]),
        "program.nowhere.0": 3.0,
    }
    changed = with_constants(program, constants)
    assert changed.function("adapt").literals[:3] == (12.35, -5.0, 2.5)  # type: ignore[union-attr]
    assert changed.function("predict") == program.function("predict")
    assert parse(str(changed)) == changed
