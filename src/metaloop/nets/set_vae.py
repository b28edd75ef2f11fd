"""A hierarchical variational autoencoder of images, conditioned on a set of other images.

    c = mean over images s of S of f(s),  m = the same of feature maps;  both are functions of S
    p(x | S) = int p(x | z, w, c, m) p(w | z, c, m) p(z | c) dz dw
    log p(x | S) >= log mean over k of  p(x | ...) p(w_k | ...) p(z_k | c) / q(z_k, w_k | x, c, m)

z is a vector (what is drawn and how), w a map of vectors (where its strokes run). q looks at x. One
draw of z and w is used in training, `DRAWS` to evaluate, with noise of a fixed seed: what is told
is a bound, the same each time for the same images in the same order. The noise of an image is that
of its place among them, so that errors of many images are independent.

Edwards & Storkey 2017, arXiv:1606.02185; Giannone & Winther 2022, arXiv:2205.06025; the bound of
several draws: Burda et al. 2016, arXiv:1509.00519. Differs from them: the context is a function of
the set, no latent variable, for the set is given.

Shapes: T tasks, S support images, Q images, I channels, H, W sides, C hidden channels, K draws.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from metaloop.core.pixels import log_number, num_parameters, pixel_log_prob, pixel_sample
from metaloop.core.randomness import torch_stream

DRAWS = 10
_LEAST, _MOST = -6.0, 3.0  # logarithms of deviations


class SetVae(nn.Module):
    """Bounds of logarithms of probabilities of images, and images drawn, given a support.

    `width` is that of z and of the context, `depth_of_map` that of each vector of w.
    """

    vmappable = False

    def __init__(
        self,
        input_shape: tuple[int, ...],
        levels: int = 2,
        channels: int = 48,
        width: int = 32,
        depth_of_map: int = 4,
    ) -> None:
        super().__init__()
        self.shape, self.levels = tuple(input_shape), levels
        images, height, width_of_image = input_shape
        self.sides = (math.ceil(height / 4), math.ceil(width_of_image / 4))
        places = self.sides[0] * self.sides[1]
        self.see = nn.Sequential(
            nn.Conv2d(images, channels // 2, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
        )
        self.context = nn.Linear(channels * places + 1, width)
        self.prior = nn.Linear(width, 2 * width)
        self.posterior = nn.Sequential(
            nn.Linear(channels * places + width, 4 * width),
            nn.SiLU(),
            nn.Linear(4 * width, 2 * width),
        )
        self.spread = nn.Linear(2 * width, channels * places)
        known = 2 * channels
        self.map_prior = _Maps(known, channels, 2 * depth_of_map)
        self.map_posterior = _Maps(known + channels, channels, 2 * depth_of_map)
        self.decode = nn.Sequential(
            nn.Conv2d(known + depth_of_map, channels, 3, padding=1),
            nn.SiLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(channels, channels // 2, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels // 2, num_parameters(levels, images), 3, padding=1),
        )

    @property
    def own_cost(self) -> tuple[int, int, int]:
        """Numbers in the largest layer, multiply-adds of an image with one of support, features."""
        places = self.sides[0] * self.sides[1]
        finer = {self.see[0]: 4, self.decode[3]: 4, self.decode[6]: 16, self.decode[8]: 16}
        seen = [part for part in self.see if isinstance(part, nn.Conv2d)]
        once = [*seen, *seen, self.context, *self.posterior]  # of the image, and of the support
        often = [part for part in self.modules() if part not in once]
        largest, operations = 0, 0
        for times, parts in ((1, once), (DRAWS, often)):
            for part in parts:
                if isinstance(part, nn.Conv2d):
                    at = places * finer.get(part, 1)
                    operations += times * at * part.weight.numel()
                    largest = max(largest, at * part.out_channels)
                elif isinstance(part, nn.Linear):
                    operations += times * part.weight.numel()
                    largest = max(largest, part.out_features)
        return largest, operations, 1

    def forward(self, *inputs: Any, call: str = "log_prob") -> Any:
        """Returns what the method of that name does; of images alone, bounds without a support."""
        if call == "log_prob" and len(inputs) == 1:
            known = self.encode(inputs[0].new_zeros(1, 1, *self.shape))
            return self.log_prob(known, inputs[0].unsqueeze(0))[0].unsqueeze(-1)
        return getattr(self, call)(*inputs)

    def encode(self, support: Tensor) -> dict[str, Tensor]:
        """Returns the context `[T, width]` and the map `[T, C, h, w]` of each task's support."""
        tasks, number = support.shape[:2]
        seen = self.see(self._centred(support.flatten(0, 1)))
        of_tasks = seen.view(tasks, number, *seen.shape[1:])
        mean, count = of_tasks.mean(1), log_number(of_tasks[:, :, 0, 0, 0])
        return {"context": self.context(torch.cat([mean.flatten(1), count], -1)), "map": mean}

    def log_prob(self, state: dict[str, Tensor], inputs: Tensor) -> Tensor:
        """Returns `[T, Q]`: a lower bound of the log probability of images `[T, Q, I, H, W]`."""
        noise = torch_stream(0, "set_vae", device=inputs.device)
        seen = self.see(self._centred(inputs.flatten(0, 1)))
        bounds = torch.stack([self._bound(state, inputs, seen, noise) for _ in range(DRAWS)])
        return torch.logsumexp(bounds, 0) - math.log(DRAWS)

    def loss(self, state: dict[str, Tensor], inputs: Tensor) -> Tensor:
        """Returns `[T, Q]`: minus the bound of a single draw."""
        return -self._bound(state, inputs, self.see(self._centred(inputs.flatten(0, 1))), None)

    def draw(
        self, state: dict[str, Tensor], count: int, rng: torch.Generator, temperature: float
    ) -> Tensor:
        """Returns `[count, I, H, W]` images of one task; a temperature is that of z, w and x."""
        context = state["context"].expand(count, -1)
        known = state["map"].expand(count, -1, -1, -1)
        z = self._drawn(self.prior(context), rng, temperature)[0]
        known = self._known(z, context, known)
        w = self._drawn(self.map_prior(known), rng, temperature)[0]
        said = self._decoded(known, w)
        pixels = pixel_sample(said.flatten(0, 2), self.levels, self.shape[0], rng, temperature)
        return pixels.view(count, *self.shape[1:], self.shape[0]).permute(0, 3, 1, 2)

    def _bound(
        self, state: dict[str, Tensor], inputs: Tensor, seen: Tensor, rng: torch.Generator | None
    ) -> Tensor:
        tasks, number = inputs.shape[:2]
        images = inputs.flatten(0, 1)
        context = state["context"].repeat_interleave(number, 0)
        z, log_q = self._drawn(self.posterior(torch.cat([seen.flatten(1), context], -1)), rng)
        log_p = _normal(z, self.prior(context))
        known = self._known(z, context, state["map"].repeat_interleave(number, 0))
        w, log_q_map = self._drawn(self.map_posterior(torch.cat([known, seen], 1)), rng)
        log_p_map = _normal(w, self.map_prior(known))
        found = pixel_log_prob(self._decoded(known, w), images, self.levels)
        return (found + log_p + log_p_map - log_q - log_q_map).view(tasks, number)

    def _known(self, z: Tensor, context: Tensor, known: Tensor) -> Tensor:
        """What is known before w: of z and context at every place, and the map of the support."""
        spread = self.spread(torch.cat([z, context], -1))
        return torch.cat([spread.unflatten(1, (-1, *self.sides)), known], 1)

    def _decoded(self, known: Tensor, w: Tensor) -> Tensor:
        """What is said of each pixel, `[N, H, W, P]`."""
        said: Tensor = self.decode(torch.cat([known, w], 1))
        return said[..., : self.shape[1], : self.shape[2]].permute(0, 2, 3, 1)

    def _drawn(
        self, parameters: Tensor, rng: torch.Generator | None, temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """A draw from Gaussians of these parameters, and its log density; None: torch's own rng."""
        mean, log_deviation = _of(parameters)
        noise = torch.empty_like(mean).normal_(generator=rng)
        drawn = mean + temperature * log_deviation.exp() * noise
        return drawn, _normal(drawn, parameters)

    def _centred(self, images: Tensor) -> Tensor:
        return images if self.levels == 2 else 2 * images - 1


class _Maps(nn.Module):
    """Parameters of Gaussians at every place of a map."""

    def __init__(self, inputs: int, channels: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, outputs, 3, padding=1)

    def forward(self, known: Tensor) -> Tensor:
        """Returns `[N, outputs, h, w]`."""
        return self.second(functional.silu(self.first(known)))  # type: ignore[no-any-return]


def _of(parameters: Tensor) -> tuple[Tensor, Tensor]:
    mean, log_deviation = parameters.chunk(2, 1)
    return mean, log_deviation.clamp(_LEAST, _MOST)


def _normal(values: Tensor, parameters: Tensor) -> Tensor:
    """Returns `[N]`: the log density of values under Gaussians."""
    mean, log_deviation = _of(parameters)
    apart = (values - mean) * torch.exp(-log_deviation)
    density = -0.5 * apart.square() - log_deviation - 0.5 * math.log(2 * math.pi)
    return density.flatten(1).sum(1)


def set_vae(
    input_shape: tuple[int, ...],
    levels: int = 2,
    channels: int = 48,
    width: int = 32,
    depth_of_map: int = 4,
) -> nn.Module:
    """Returns a `SetVae` for images of this shape."""
    return SetVae(input_shape, levels, channels, width, depth_of_map)
