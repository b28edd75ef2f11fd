"""New classes from spectrograms: words backwards, words much slower or faster, two words in one.

Spectrograms are `[N, 1, bands, frames]`. What is changed is time alone: a word whose sounds come in
another order, or last much longer, is another word, as a rotated character is another character.
Played backwards, sounds keep their pitch, and so they do when a word is drawn out here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from metaloop.generators.classes import Classes, derived
from metaloop.generators.mixing import combined, paired


def reverse(classes: Classes, rng: np.random.Generator) -> Classes:
    """Returns every class played backwards."""
    return classes.changed("reverse()", lambda maps, _: maps.flip(-1))


def tempo(classes: Classes, rng: np.random.Generator, factor: float) -> Classes:
    """Returns every class `factor` times as fast around its middle; beyond its ends is silence."""
    frames = classes.inputs.shape[-1]
    place = torch.arange(frames, dtype=torch.float32)
    middle = (frames - 1) / 2
    at = middle + (place - middle) * factor
    weights = (1 - (at[:, None] - place).abs()).clamp(min=0).to(classes.inputs.device)
    return classes.changed(f"tempo({factor})", lambda maps, _: maps.float() @ weights.T)


def splice(classes: Classes, rng: np.random.Generator) -> Classes:
    """Returns as many new classes: each begins as one class and ends as another.

    Raises `DataError` if there is no other class.
    """
    partners, partner_examples = paired(classes, rng, "splice")
    half = classes.inputs.shape[-1] // 2

    def spliced(own: Tensor, other: Tensor, _: np.ndarray) -> Tensor:
        return torch.cat([own[..., :half], other[..., half:]], dim=-1)

    inputs = combined(classes, partner_examples, spliced)
    labels = [f"splice({classes.infos[partner].name})" for partner in partners]
    return replace(classes, inputs=inputs, infos=derived(classes.infos, labels))
