"""What pairs say against what was learned before, and extracts that fill what is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.examples import Examples
from metaloop.core.extraction import absent
from metaloop.core.extracts import NEVER, Length
from metaloop.core.learner import MetaParams
from metaloop.core.randomness import torch_stream
from metaloop.domains.summaries.features import COLUMNS, PLAIN
from metaloop.nets.sentences import feature_of
from metaloop.tasks.groups import GroupFamily

BY_LEAD, BY_LENGTH = (feature_of(COLUMNS.index(name)) for name in (PLAIN[0], PLAIN[1]))


def mixture(family: GroupFamily) -> tuple[Any, MetaParams]:
    spec = family.spec(0, 5, 5)
    candidate = make_candidate("sentence_mixture", family.input_format, spec)
    learner: Any = build_learner(candidate, family.input_format, spec.objective)
    return learner, learner.init(spec, torch_stream(0, "test"))


def support(family: GroupFamily, column: str, number: int = 5) -> Examples:
    """Documents whose sentences are worth what a column says, from 0 to 1."""
    inputs = family.input_format.to_float(family.store.taken(np.arange(number)))
    told, there = inputs[:, COLUMNS.index(column)], inputs[:, 0] > 0.5
    low, high = told.amin(1, keepdim=True), told.amax(1, keepdim=True)
    targets = torch.where(there, (told - low) / (high - low), absent(9.0))
    return Examples(inputs, targets, torch.ones(number, dtype=torch.bool))


def test_pairs_keep_what_was_learned_where_it_foretells_them_and_leave_it_where_not(
    documents: GroupFamily,
) -> None:
    learner, params = mixture(documents)
    params["head.prior"][BY_LEAD] = 6.0  # worth rises by 0.3 where `lead` stands one higher
    likes, other = (
        learner.adapt(params, support(documents, column)) for column in ("by_lead", "by_length")
    )
    assert float(likes["trust"]) < 0.3 < 0.9 < float(other["trust"])
    assert other["alone"][BY_LENGTH] > 0.1 and abs(other["alone"][BY_LEAD]) < 0.1
    one = learner.adapt(params, support(documents, "by_lead", 1))
    assert float(one["trust"]) < 0.1  # a single pair says nothing without itself


@pytest.mark.parametrize("length", [Length("words", 25), Length("ratio", 0.4)])
def test_extracts_are_within_the_length_and_all_that_is_chosen_is_taken(
    length: Length, documents_file: Path
) -> None:
    family: Any = open_data(documents_file, DataOptions(length=length)).family
    learner, params = mixture(family)
    rows = np.arange(40)
    inputs = family.input_format.to_float(family.store.taken(rows))
    pairs = Examples(inputs[:5], family.store.values[:5].float(), torch.ones(5, dtype=torch.bool))
    scores = learner.predict(params, learner.adapt(params, pairs), inputs).double().numpy()
    for row in rows.tolist():
        document = family.judged.document(row)
        chosen = np.flatnonzero(scores[row, : len(document.words)] > NEVER).tolist()
        words = sum(document.words[place] for place in chosen)
        assert chosen and words <= length.most_words(document.total)
        assert family.judged.extract(row, scores[row]) == chosen
