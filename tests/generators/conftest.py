"""Small families of images and of vectors, and what can be asked of each operator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from metaloop.generators.operators import OPERATORS
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.store import ClassInfo, Store

PARTS = (12, 6, 6, 8)  # classes of train, search, promotion, test


def make_family(channels: int = 1, side: int = 8, size: int = 7, features: int = 0) -> ClassFamily:
    """Returns 32 classes of noisy patterns: images, or vectors if `features` are asked for."""
    rng = np.random.default_rng(5)
    number = sum(PARTS)
    shape = (features,) if features else (channels, side, side)
    centres = rng.normal(size=(number, 1, *shape))
    values = centres + 0.4 * rng.normal(size=(number, size, *shape))
    inputs = torch.from_numpy(values.reshape(-1, *shape)).float()
    if not features:
        inputs = (inputs * 50 + 110).clamp(0, 255).to(torch.uint8)
    targets = torch.from_numpy(np.repeat(rng.permutation(number), size))  # in no order
    order = torch.from_numpy(rng.permutation(len(targets)))
    classes = tuple(ClassInfo(f"c{k:02d}") for k in range(number))
    cuts = np.split(rng.permutation(number), np.cumsum(PARTS)[:-1])
    parts = dict(zip(("train", "search", "promotion", "test"), map(np.sort, cuts), strict=True))
    store = Store(inputs[order], targets[order], classes)
    return ClassFamily("toy", store, parts)  # type: ignore[arg-type]


def operator_texts(kind: str) -> list[str]:
    """Returns an example of every operator for such inputs; one without an example fails."""
    examples = {
        "affine": "affine(0.6)",
        "cutmix": "cutmix(0.25)",
        "flip": "flip(vertical)",
        "invert": "invert()",
        "mask": "mask(0.3)",
        "mix": "mix(0.3)",
        "permute_channels": "permute_channels()",
        "permute_features": "permute_features(0.4)",
        "prior": "prior(strokes, number=9)" if kind == "image" else "prior(gaussian, number=9)",
        "rotate": "rotate(90)",
        "scramble": "scramble(2)",
        "sign": "sign(0.3)",
    }
    return [examples[name] for name, o in OPERATORS.items() if o.inputs in (kind, "any")]


CASES = [("image", text) for text in operator_texts("image")] + [
    ("vector", text) for text in operator_texts("vector")
]


@pytest.fixture
def new_family() -> Callable[..., ClassFamily]:
    """`make_family`."""
    return make_family


@pytest.fixture(params=CASES, ids=[f"{kind}: {text}" for kind, text in CASES])
def case(request: pytest.FixtureRequest) -> tuple[ClassFamily, str]:
    """A family and the text of an operator that it can be given: each operator once per input."""
    kind, text = request.param
    return (make_family(channels=3) if kind == "image" else make_family(features=10)), text
