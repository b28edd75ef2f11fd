"""Class means and distances."""

from __future__ import annotations

import torch

from metaloop.core.examples import Examples
from metaloop.nets.prototypes import class_means, squared_distances


def test_means_are_over_real_examples_of_the_class() -> None:
    features = Examples(
        torch.tensor([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0], [5.0, 5.0]]),
        torch.tensor([2, 2, 2, 0]),
        torch.tensor([True, True, False, True]),
        4,
        padded=True,
    )
    means, present = class_means(features)
    assert means.tolist() == [[5.0, 5.0], [0.0, 0.0], [2.0, 3.0], [0.0, 0.0]]
    assert present.tolist() == [True, False, True, False]


def test_distances_equal_those_of_torch_and_are_never_negative() -> None:
    rng = torch.Generator().manual_seed(0)
    points, centres = torch.randn(2, 7, 5, generator=rng), torch.randn(2, 3, 5, generator=rng)
    expected = torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist") ** 2
    torch.testing.assert_close(squared_distances(points, centres), expected, atol=1e-5, rtol=1e-4)
    far = torch.full((1, 4), 1000.0) + torch.rand(1, 4, generator=rng)
    assert float(squared_distances(far, far)) >= 0
