"""Fingerprints: copies are near, other content is far, and what cannot be compared is hashed."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from metaloop.core.column_kinds import is_of_vectors
from metaloop.tasks.fingerprints import (
    BYTES,
    Known,
    fingerprints,
    groups_of_equal,
    scale_of,
)
from metaloop.tasks.glyphs_render import glyph_classes, render_glyphs


def photographs(number: int = 200, seed: int = 0) -> np.ndarray:
    """Smooth colourful images with some detail, `[number, 3, 32, 32]`."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(30, 220, (number, 5, 5, 3)).astype(np.uint8)
    smooth = [Image.fromarray(each).resize((32, 32), Image.Resampling.BICUBIC) for each in coarse]
    detail = rng.normal(0, 6, (number, 32, 32, 3))
    pixels = np.clip(np.stack([np.asarray(each) for each in smooth]) + detail, 0, 254)
    return np.ascontiguousarray(pixels.astype(np.uint8).transpose(0, 3, 1, 2))


def glyphs(number: int = 100) -> np.ndarray:
    """Two drawings each of some characters, `[2 * number, 1, 28, 28]`."""
    classes = glyph_classes()
    chosen = [classes[i] for i in range(0, len(classes), len(classes) // number)][:number]
    images = render_glyphs(chosen, 2, np.random.default_rng(0), 28)
    return images.reshape(-1, 1, 28, 28)


def each_as_file(images: np.ndarray, side: int = 0, quality: int = 0) -> np.ndarray:
    """The images after they were shrunk to `side` and back, or kept as JPEG."""
    out = []
    for pixels in images:
        image = Image.fromarray(pixels.transpose(1, 2, 0).squeeze())
        if side:
            size = image.size
            image = image.resize((side, side), Image.Resampling.BOX)
            image = image.resize(size, Image.Resampling.BILINEAR)
        if quality:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality)
            image = Image.open(file)
        out.append(np.asarray(image).reshape(*pixels.shape[1:], -1).transpose(2, 0, 1))
    return np.stack(out)


def found(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Which known image each asked one is a copy of, or -1."""
    prints = fingerprints(torch.from_numpy(known))
    return Known(prints, vectors=False).nearest(fingerprints(torch.from_numpy(asked)))


@pytest.mark.parametrize("drawn", [photographs, glyphs])
def test_copies_are_found_again_and_nothing_else(drawn: Callable[[], np.ndarray]) -> None:
    images = drawn()
    wanted = np.arange(len(images))
    for copies, least in (
        (images, 1.0),
        (np.minimum(images, 254) + 1, 1.0),
        (each_as_file(images, quality=90), 0.98),
    ):
        nearest = found(images, copies.astype(np.uint8))
        assert (nearest == wanted).mean() >= least
        assert set(nearest[nearest != wanted].tolist()) <= {-1}  # rather none than a wrong one
    half, others = images[::2], images[1::2]
    assert (found(half, others) == -1).all()


def test_a_photograph_at_half_the_size_is_a_copy() -> None:
    images = photographs()
    nearest = found(images, each_as_file(images, side=16))
    assert (nearest == np.arange(len(images))).mean() > 0.95


def test_images_without_contrast_are_equal_or_far_apart() -> None:
    grey = np.full((3, 1, 8, 8), 100, np.uint8)
    grey[1:] += 1
    assert found(grey[:1], grey).tolist() == [0, -1, -1]
    assert groups_of_equal(fingerprints(torch.from_numpy(grey))).tolist() in ([0, 1, 1], [1, 0, 0])


@pytest.mark.parametrize("features", [3, 40, 700])
def test_vectors_are_known_up_to_rounding(features: int) -> None:
    rows = 1000 * torch.randn((500, features), generator=torch.Generator().manual_seed(0)) + 7e3
    scale = scale_of(rows)
    known = Known(fingerprints(rows, scale), vectors=True)
    noise = 1e-6 * 1000 * torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))
    assert known.nearest(fingerprints(rows + noise, scale)).tolist() == list(range(500))
    assert (known.nearest(fingerprints(rows[1:] + 0.1 * rows[:-1], scale)) == -1).all()
    assert (known.nearest(fingerprints(rows[:1], scale)) == 0).all()


def test_vectors_of_two_features_are_copies_only_if_equal() -> None:
    rows = torch.rand((50, 2), generator=torch.Generator().manual_seed(0))
    known = Known(fingerprints(rows), is_of_vectors(rows))
    assert known.nearest(fingerprints(rows)).tolist() == list(range(50))
    assert (known.nearest(fingerprints(rows + 1e-6)) == -1).all()


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (0, 1, 8, 8), (0, 5)])
def test_nothing_has_no_fingerprints_and_knows_nothing(shape: tuple[int, ...]) -> None:
    none = torch.zeros(shape, dtype=torch.uint8 if len(shape) == 4 else torch.float32)
    prints = fingerprints(none)
    assert prints.shape == (0, BYTES) and prints.dtype == np.uint8
    some = fingerprints(torch.from_numpy(photographs(3)))
    assert Known(prints, vectors=False).nearest(some).tolist() == [-1, -1, -1]
    assert Known(some, vectors=False).neighbours(prints, 2).shape == (0, 2)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (3, 5, 40), (2, 16, 16), (4, 9, 9)])
def test_all_shapes_of_images_have_40_bytes(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, *shape), dtype=np.uint8)
    prints = fingerprints(torch.from_numpy(pixels))
    assert prints.shape == (7, BYTES)
    assert len(np.unique(groups_of_equal(prints))) == 7


def test_memory_does_not_grow_with_all_images_at_once() -> None:
    pixels: Tensor = torch.from_numpy(photographs(100)).repeat(200, 1, 1, 1)  # 61 MB, 245 as float
    tracemalloc.start()
    fingerprints(pixels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120e6


def test_characters_of_other_classes_are_no_copies(shared_data: Path) -> None:
    with zipfile.ZipFile(shared_data / "omniglot" / "images_evaluation.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".png")][::7][:1500]
        drawn = [Image.open(archive.open(name)).convert("L") for name in names]
    small = [image.resize((28, 28), Image.Resampling.BOX) for image in drawn]
    images = np.stack([np.asarray(image) for image in small])[:, None]
    classes = [name.rpartition("/")[0] for name in names]
    assert_other_classes_are_far(255 - images, np.array(classes))


def test_photographs_of_other_classes_are_no_copies(shared_data: Path) -> None:
    folder = shared_data / "tiny_imagenet_fewshot"
    with np.load(folder / "tiny_imagenet_fewshot.npz") as file:
        data, offsets, labels = file["jpeg"].tobytes(), file["offsets"], file["label"][::16]
    images = [
        Image.open(io.BytesIO(data[offsets[i] : offsets[i + 1]])).convert("RGB").resize((32, 32))
        for i in range(0, len(offsets) - 1, 16)
    ]
    pixels = np.stack([np.asarray(image).transpose(2, 0, 1) for image in images])
    assert_other_classes_are_far(pixels, labels)


def assert_other_classes_are_far(images: np.ndarray, classes: np.ndarray) -> None:
    prints = fingerprints(torch.from_numpy(np.ascontiguousarray(images)))
    near = Known(prints, vectors=False).neighbours(prints, 3)
    copies = (near >= 0) & (classes[near] != classes[:, None])
    equal = groups_of_equal(prints)
    assert not (copies & (equal[near] != equal[:, None])).any()
