"""Blurred mixture: the trivial generative model. Nothing is meta-learned.

    p(x | S) = mean over images s of S, shifts d and blurs b of  prod_i p(x_i | blur_b(s)[i + d])

A new image is one of the support, blurred, shifted by a few pixels and drawn pixel by pixel. Two
levels: the blurred value is the probability of ink, kept from 0 and 1 by `floor`. More: values lie
around the blurred one, by a discretised logistic distribution of scale `spread`. Small shifts are
more likely than large ones. It is a kernel density estimate of images, and what a generative model
of few examples has to beat. Parzen 1962, Annals of Mathematical Statistics 33(3).

Shapes: N images, I channels, S support, B blurs, K shifts, D values of an image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from metaloop.core.examples import Batch, Examples
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import MetaLoss, MetaParams
from metaloop.core.pixels import log_number, logistic_log_prob, logistic_sample
from metaloop.core.sampler import GenerativeLearner
from metaloop.core.spec import TaskSpec
from metaloop.core.task_map import TaskMap

_BLURS = (1.0, 1.7, 2.9)  # of the narrowest: one alone loses 0.01 bits (LOG.md)
_SHIFTED = 2.5 / 28  # of the side: standard deviation of a shift
_MOST_SHIFTED = 4 / 28
_NUMBERS_AT_ONCE = 1 << 22


@final
@dataclass(frozen=True)
class BlurredMixture(GenerativeLearner):
    """Blurred and shifted support images; `blur` in 28ths of the side, the narrowest of three."""

    input_format: InputFormat
    blur: float = 0.7
    floor: float = 0.004
    spread: float = 0.08

    citation: ClassVar[str] = """@article{parzen1962estimation,
  title = {On Estimation of a Probability Density Function and Mode},
  author = {Parzen, Emanuel},
  journal = {The Annals of Mathematical Statistics},
  volume = {33},
  year = {1962},
}"""

    @property
    def seen_format(self) -> InputFormat:
        """The format that it was given."""
        return self.input_format

    def init(self, spec: TaskSpec, rng: torch.Generator) -> MetaParams:
        """Returns nothing: there is nothing to train."""
        return {}

    def adapt(
        self, meta_params: MetaParams, support: Examples, rng: torch.Generator | None = None
    ) -> MetaParams:
        """Returns `values [S, B, I, H, W]`, the support blurred, as probabilities or means."""
        images = self.input_format.quantise(support.present)
        side = min(images.shape[-2:])
        widths = [self.blur * share * side / 28 for share in _BLURS]
        blurred = torch.stack([_blurred(images, width) for width in widths], 1)
        if self.input_format.levels == 2:
            blurred = self.floor + (1 - self.floor - 0.02) * blurred
        return {"values": blurred}

    def log_prob(self, meta_params: MetaParams, task_state: MetaParams, inputs: Tensor) -> Tensor:
        """Returns `[N]` nats."""
        images = self.input_format.quantise(inputs)
        values = task_state["values"].flatten(0, 1)  # [SB, I, H, W]
        shifts, log_weights = self._shifts(images)
        found = []
        for (down, right), log_weight in zip(shifts, log_weights, strict=True):
            of_pairs = self._of_pairs(images, _moved(values, down, right))
            found.append(torch.logsumexp(of_pairs, 1) + log_weight)
        number = log_number(values[None, :, 0, 0, 0])[0]
        return torch.logsumexp(torch.stack(found), 0) - number

    def sample(
        self,
        meta_params: MetaParams,
        task_state: MetaParams,
        count: int,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Tensor:
        """Returns `[count, I, H, W]`: support images, blurred, shifted, and drawn by pixel."""
        values = task_state["values"].flatten(0, 1)
        shifts, log_weights = self._shifts(values)
        which = torch.randint(values.shape[0], (count,), generator=rng)
        weights = torch.tensor(log_weights).exp()
        moves = torch.multinomial(weights, count, replacement=True, generator=rng)
        down, right = torch.tensor(shifts)[moves].unbind(1)
        means = _each_moved(values[which.to(values.device)], down, right)
        uniform = torch.rand(means.shape, generator=rng).to(means.device)
        if self.input_format.levels == 2:
            return (uniform < torch.sigmoid(torch.logit(means) / temperature)).to(means.dtype)
        drawn = logistic_sample(means, self.spread * temperature, uniform)
        return self.input_format.quantise(drawn)

    def meta_loss(
        self,
        meta_params: MetaParams,
        batch: Batch,
        rng: torch.Generator | None,
        over_tasks: TaskMap,
    ) -> MetaLoss:
        """Raises `TypeError`: there is nothing to train."""
        raise TypeError("blurred_mixture has nothing to train")

    def _of_pairs(self, images: Tensor, values: Tensor) -> Tensor:
        """Returns `[N, SB]`: the log probability of each image around each of the values."""
        if self.input_format.levels == 2:
            log_odds, absent = torch.logit(values).flatten(1), torch.log1p(-values).flatten(1)
            return images.flatten(1) @ log_odds.mT + absent.sum(1)
        return torch.cat(
            [
                logistic_log_prob(
                    images.unsqueeze(1), some, self.spread, self.input_format.levels
                ).sum((2, 3, 4))
                for some in _pieces(values, images)
            ],
            1,
        )

    def _shifts(self, images: Tensor) -> tuple[list[tuple[int, int]], list[float]]:
        """Whole shifts, down and to the right, with the logarithms of their weights."""
        side = min(images.shape[-2:])
        most, deviation = round(_MOST_SHIFTED * side), _SHIFTED * side
        if self.input_format.levels > 2:  # every shift costs, and photographs gain little by it
            most = min(most, 1)
        along = range(-most, most + 1)
        shifts = [(down, right) for down in along for right in along]
        logits = [-(down**2 + right**2) / (2 * deviation**2) for down, right in shifts]
        return shifts, torch.log_softmax(torch.tensor(logits, dtype=torch.float64), 0).tolist()


def _blurred(images: Tensor, width: float) -> Tensor:
    """Returns images smoothed by a Gaussian of that standard deviation in pixels; edges repeat."""
    reach = min(math.ceil(3 * width), *(side - 1 for side in images.shape[-2:]))
    if reach < 1:
        return images
    along = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.softmax(-along.square() / (2 * width**2), 0)
    flat = images.flatten(0, 1).unsqueeze(1)
    flat = functional.pad(flat, (reach,) * 4, mode="replicate")
    flat = functional.conv2d(flat, kernel.view(1, 1, 1, -1))
    return functional.conv2d(flat, kernel.view(1, 1, -1, 1)).view_as(images)


def _pieces(values: Tensor, images: Tensor) -> Sequence[Tensor]:
    """Values in pieces that are small enough to be compared with all images at once."""
    if torch.compiler.is_exporting():  # a graph of any number of images has no such pieces
        return [values]
    return torch.split(values, max(1, _NUMBERS_AT_ONCE // max(1, images.numel())))


def _moved(values: Tensor, down: int, right: int) -> Tensor:
    """Returns images moved by whole pixels, their edges repeated."""
    height, width = values.shape[-2:]
    rows = (torch.arange(height, device=values.device) - down).clamp(0, height - 1)
    columns = (torch.arange(width, device=values.device) - right).clamp(0, width - 1)
    return values[..., rows[:, None], columns]


def _each_moved(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Returns images `[N, I, H, W]`, each moved by whole pixels of its own `[N]`."""
    height, width = images.shape[-2:]
    rows = (torch.arange(height) - down[:, None]).clamp(0, height - 1).to(images.device)
    columns = (torch.arange(width) - right[:, None]).clamp(0, width - 1).to(images.device)
    moved = images.gather(2, rows[:, None, :, None].expand_as(images))
    return moved.gather(3, columns[:, None, None, :].expand_as(images))
