"""Set PixelCNN: an autoregressive model of images that attends to the support.

    log p(x | S) = sum over pixels i of log p(x_i | x_<i, S)

One net draws images of any class, pixel by pixel: at each it compares what it has drawn so far with
the images of the support near that place. Training cuts supports to a random number of images, so
that one model serves one example and ten, and in a tenth of the steps to none: drawing at a lower
temperature then sharpens what the support says, as Ho & Salimans 2022, arXiv:2207.12598, do for
classes of a diffusion model. Nothing is fitted to a task.
Reed et al. 2018, arXiv:1710.10304 (attention over the support); van den Oord et al. 2016,
arXiv:1606.05328. What differs from them is told by the net, `nets/pixelcnn.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from metaloop.core.learner import MetaParams
from metaloop.nets.functional import FunctionalNet
from metaloop.nets.generative import PixelNetLearner

_OF_DRAWINGS = 0.5


@final
@dataclass(frozen=True)
class SetPixelCnn(PixelNetLearner):
    """Pixel by pixel, with attention to the support."""

    net: FunctionalNet

    unshown: ClassVar[float] = 0.1

    @property
    def usual_temperature(self) -> float:
        """Of drawings, where half are taken for another class else (docs/results.md), below 1."""
        return _OF_DRAWINGS if self.seen_format.levels == 2 else 1.0

    citation: ClassVar[str] = """@inproceedings{reed2018few,
  title = {Few-shot Autoregressive Density Estimation: Towards Learning to Learn Distributions},
  author = {Reed, Scott and Chen, Yutian and Paine, Thomas and van den Oord, A{\\"a}ron and
            Eslami, S. M. Ali and Rezende, Danilo and Vinyals, Oriol and de Freitas, Nando},
  booktitle = {International Conference on Learning Representations},
  year = {2018},
  eprint = {1710.10304},
}"""

    @torch.no_grad()
    def sample_each(
        self,
        meta_params: MetaParams,
        supports: Tensor,
        count: int,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Tensor:
        """Returns `[T, count, *input]`: of each support `[T, S, *input]`, drawn side by side."""
        known = self.known_of(meta_params, supports)
        drawn = self.sample(meta_params, known, len(supports) * count, rng, temperature)
        return drawn.view(len(supports), count, *drawn.shape[1:])
