"""How many sentences are taken: as the pairs of a task say, not the sources trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.examples import Examples
from metaloop.core.extraction import ABSENT, PLACES, absent, told_size
from metaloop.core.extracts import NEVER, Length
from metaloop.core.objective import objective
from metaloop.core.randomness import torch_stream


@settings(max_examples=20)
@given(st.floats(0, 5000), st.integers(0, PLACES - 1))
def test_targets_tell_how_long_summaries_are_and_the_loss_is_the_same(
    size: float, there: int
) -> None:
    targets = torch.full((1, 1, PLACES), absent(size))
    targets[..., :there] = 0.4
    assert float(told_size(targets)) == pytest.approx(size, abs=1e-2)
    plain = targets.clamp(min=ABSENT)
    loss, scores = objective("extraction").loss, torch.linspace(0, 1, PLACES).view(1, 1, -1)
    mask = torch.ones(1, 1, dtype=torch.bool)
    assert torch.equal(loss(scores, targets, mask), loss(scores, plain, mask))


def test_a_document_that_fills_all_places_tells_no_length() -> None:
    assert float(told_size(torch.full((PLACES,), 0.3))) == 0


@pytest.mark.parametrize("length", [Length("words", 30), Length("ratio", 0.5)])
def test_extracts_are_longer_where_the_summaries_of_the_pairs_are(
    length: Length, documents_file: Path
) -> None:
    """Trained or asked lengths are the same: the support alone says when to stop."""
    family: Any = open_data(documents_file, DataOptions(length=length)).family
    spec = family.spec(0, 5, 5)
    candidate = make_candidate("sentence_cover", family.input_format, spec)
    learner: Any = build_learner(candidate, family.input_format, spec.objective)
    params = learner.init(spec, torch_stream(0, "test"))
    inputs = family.input_format.to_float(family.store.taken(np.arange(25)))
    targets, mask = family.store.values[:5].float(), torch.ones(5, dtype=torch.bool)

    def taken(size: float) -> Tensor:
        support = torch.where(targets > ABSENT / 2, 0.5, absent(size))  # all sentences alike
        state = learner.adapt(params, Examples(inputs[:5], support, mask))
        scores = learner.predict(params, state, inputs[5:])
        return (scores > NEVER).sum(-1).double().mean()

    short, usual, long = (taken(size) for size in (6.0, 25.0, 150.0))
    assert 1 <= short < usual < long
