"""ROUGE on numbers is what rouge-score says of words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloop.core.rouge import common, rouge_l, rouge_n

TEXTS = st.lists(
    st.sampled_from(["the", "cats", "sat", "sitting", "mat", "12", "running", "runs"]),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_it_agrees_with_rouge_score_with_its_stemmer(one: list[str], other: list[str]) -> None:
    pytest.importorskip("rouge_score", reason="needs metaloop[summaries]: rouge-score")
    from rouge_score.rouge_scorer import RougeScorer

    from metaloop.domains.summaries.stems import stems

    summary, reference = " ".join(one), " ".join(other)
    judge = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    told = judge.score(reference, summary)
    words, wanted = stems(summary), stems(reference)
    assert told["rouge1"].fmeasure == pytest.approx(rouge_n(words, wanted, 1))
    assert told["rouge2"].fmeasure == pytest.approx(rouge_n(words, wanted, 2))
    assert told["rougeL"].fmeasure == pytest.approx(rouge_l(words, wanted))


def test_a_subsequence_need_not_be_a_run() -> None:
    assert common([1, 2, 3, 4, 5], [1, 9, 3, 5, 2]) == 3
    assert common([], [1]) == 0
