"""Small families of images and of vectors, and what can be asked of each operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.drawing import drawing
from metaloop.core.inputs import InputFormat
from metaloop.core.randomness import torch_stream
from metaloop.core.spec import TaskSpec
from metaloop.generators.drawing import Draw
from metaloop.generators.operators import OPERATORS
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.store import ClassInfo, Store

PARTS = (12, 6, 6, 8)  # classes of train, search, promotion, test


def make_family(
    channels: int = 1, side: int = 8, size: int = 7, features: int = 0, frames: int = 0
) -> ClassFamily:
    """Returns 32 classes of noisy patterns: images, or vectors if `features` are asked for.

    With `frames` they are spectrograms, that is not square.
    """
    rng = np.random.default_rng(5)
    number = sum(PARTS)
    shape = (features,) if features else (channels, side, frames or side)
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
    family = ClassFamily("toy", store, parts)  # type: ignore[arg-type]
    if frames:
        spectrograms = replace(family.input_format, kind="spectrogram")
        return replace(family, given_format=spectrograms)
    return family


def operator_texts(kind: str) -> list[str]:
    """Returns an example of every operator for such inputs; one without an example fails."""
    examples = {
        "affine": "affine(0.6)",
        "cutmix": "cutmix(0.25)",
        "flip": "flip(vertical)",
        "generated": "generated(0.5, number=9, shots=3)",
        "invert": "invert()",
        "mask": "mask(0.3)",
        "mix": "mix(0.3)",
        "permute_channels": "permute_channels()",
        "permute_features": "permute_features(0.4)",
        "prior": "prior(gaussian, number=9)" if kind == "vector" else "prior(blobs, number=9)",
        "reverse": "reverse()",
        "rotate": "rotate(90)",
        "scramble": "scramble(2)",
        "sign": "sign(0.3)",
        "splice": "splice()",
        "tempo": "tempo(0.7)",
    }
    return [examples[name] for name, o in OPERATORS.items() if o.inputs in (kind, "any")]


@lru_cache
def draw_for(shape: tuple[int, ...]) -> Draw:
    """Returns what draws images of this shape: the trivial mixture, which needs no training."""
    count = shape[0]
    known = InputFormat("image", shape, (0.5,) * count, (0.5,) * count, levels=256)
    spec = TaskSpec(0, 3, 2, shape, "generation", (256,))
    candidate = make_candidate("blurred_mixture", known, spec)
    learner: Any = build_learner(candidate, known, "generation")
    return drawing(learner, learner.init(spec, torch_stream(0, "init")), known)


KINDS: dict[str, dict[str, int]] = {
    "image": {"channels": 3},
    "spectrogram": {"frames": 11},
    "vector": {"features": 10},
}
CASES = [(kind, text) for kind in KINDS for text in operator_texts(kind)]


@pytest.fixture
def new_family() -> Callable[..., ClassFamily]:
    """`make_family`."""
    return make_family


@pytest.fixture(params=CASES, ids=[f"{kind}: {text}" for kind, text in CASES])
def case(request: pytest.FixtureRequest) -> tuple[ClassFamily, str]:
    """A family and the text of an operator that it can be given: each operator once per input."""
    kind, text = request.param
    return make_family(**KINDS[kind]), text
