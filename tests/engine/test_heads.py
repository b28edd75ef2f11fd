"""Heads on frozen features: what they tell apart, and that nobody judges itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from metaloop.engine.heads import TUNED, cross_validated, fit_head, folds_of, head_logits


def _clouds(each: int = 12, classes: int = 3, apart: float = 2.0) -> tuple[torch.Tensor, ...]:
    rng = torch.Generator().manual_seed(0)
    targets = torch.arange(classes).repeat_interleave(each)
    middles = apart * torch.randn((classes, 40), generator=rng)
    return middles[targets] + torch.randn((len(targets), 40), generator=rng), targets


@pytest.mark.parametrize("kind", TUNED)
def test_a_head_tells_classes_apart_that_are_apart(kind: str) -> None:
    features, targets = _clouds()
    head = fit_head(features[::2], targets[::2], 3, kind, TUNED[kind][1][2])
    assert (head_logits(head, features[1::2]).argmax(1) == targets[1::2]).float().mean() > 0.9


def test_regression_gives_the_shares_of_scikit_learn_on_unit_features() -> None:
    features, targets = _clouds(classes=2, apart=0.3)
    head = fit_head(features, targets, 2, "regression", 10.0)
    centred = (features - features.mean(0)).numpy()
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    reference = LogisticRegression(C=10.0, max_iter=1000).fit(unit, targets.numpy())
    shares = head_logits(head, features).softmax(1).numpy()
    assert np.allclose(shares, reference.predict_proba(unit), atol=0.02)


@pytest.mark.parametrize("kind", TUNED)
def test_a_class_without_examples_is_never_named(kind: str) -> None:
    features, targets = _clouds()
    learned = targets != 1
    head = fit_head(features[learned], targets[learned], 3, kind, TUNED[kind][1][0])
    assert 1 not in head_logits(head, features).argmax(1)


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(2, 9), min_size=2, max_size=5), seed=st.integers(0, 9))
def test_folds_share_out_every_class_evenly(counts: list[int], seed: int) -> None:
    targets = np.repeat(np.arange(len(counts)), counts)
    folds = folds_of(targets, seed)
    for target, count in enumerate(counts):
        of_class = np.bincount(folds[targets == target], minlength=5)
        assert of_class.max() - of_class.min() <= 1 and of_class.sum() == count


def test_labels_without_meaning_are_judged_at_chance_by_cross_validation() -> None:
    features, targets = _clouds(each=40, apart=0.0)
    folds = folds_of(targets.numpy(), 0)
    for judged in cross_validated(features, targets, 3, list(TUNED), folds, 0):
        right = judged.right(targets.numpy()).mean()
        assert abs(right - 1 / 3) < 4 * (2 / 9 / len(targets)) ** 0.5


def test_what_is_only_learned_from_is_not_judged() -> None:
    features, targets = _clouds()
    folds = np.where(np.arange(len(targets)) % 3 == 0, 0, -1)
    judged = cross_validated(features, targets, 3, ["centroid"], folds, 0)[0]
    assert np.allclose(judged.shares[folds < 0], 1 / 3)
    assert judged.right(targets.numpy())[folds == 0].mean() > 0.9
