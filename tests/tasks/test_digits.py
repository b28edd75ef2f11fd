"""scikit-learn's digits as a family: shapes, ink, the same examples as the pixel baselines see."""

from __future__ import annotations

import pytest
import torch

from metaloop.tasks.digits import digit_pixels, read_digits


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (8, 1)])
def test_digits_have_the_asked_size_and_channels(size: int, channels: int) -> None:
    store = read_digits(size, channels).store
    assert store.inputs.shape == (1797, channels, size, size)
    assert store.inputs.dtype == torch.uint8
    assert [info.name for info in store.classes] == [f"digit {k}" for k in range(10)]


def test_ink_is_high_on_a_dark_ground() -> None:
    images = read_digits().store.inputs.float() / 255
    assert float(images[..., 0].mean()) < 0.01  # digits are centred: the left edge is empty
    assert float(images.amax((1, 2, 3)).min()) > 0.7


def test_rows_agree_with_the_pixels_of_the_baselines() -> None:
    store, (pixels, labels) = read_digits(8).store, digit_pixels()
    assert torch.equal(store.targets, labels)
    torch.testing.assert_close(store.inputs.flatten(1) / 255, pixels, atol=0.004, rtol=0)
