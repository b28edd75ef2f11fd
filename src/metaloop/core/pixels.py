"""Values of pixels: how many there are, and distributions over them.

Two levels: a Bernoulli distribution of each channel. More: a mixture of discretised logistic
distributions (Salimans et al. 2017, arXiv:1701.05517), whose mass of level k is that of the
interval around it, the first and the last to infinity, so that all masses add up to one. Means of
later channels depend on the earlier channels of the pixel.

Shapes: N images, I channels, H, W sides, M components of a mixture.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_COMPONENTS = 5  # of a mixture
_LEAST_LOG_SCALE = -7.0
_LEAST_MASS = 1e-12


def quantised(images: Tensor, levels: int) -> Tensor:
    """Returns float images with every value at one of `levels` levels from 0 to 1."""
    if levels == 2:
        return (images >= 0.5).to(images.dtype)
    return torch.round(images * (levels - 1)) / (levels - 1)


def num_parameters(levels: int, channels: int) -> int:
    """Returns how many numbers say how a pixel of so many channels is distributed."""
    if levels == 2:
        return channels
    return _COMPONENTS * (1 + 2 * channels + channels * (channels - 1) // 2)


def log_number(rows: Tensor) -> Tensor:
    """Returns `[T, 1]`: the logarithm of N of `[T, N]`, in a form that graphs of any N can hold."""
    return torch.logsumexp(torch.zeros_like(rows), 1, keepdim=True)


def pixel_log_prob(parameters: Tensor, images: Tensor, levels: int) -> Tensor:
    """Returns `[N]`: the log probability of quantised images `[N, I, H, W]`.

    `parameters` `[N, H, W, P]` are of all pixels, P as `num_parameters` has it.
    """
    values = images.permute(0, 2, 3, 1)
    if levels == 2:
        return -functional.binary_cross_entropy_with_logits(
            parameters, values, reduction="none"
        ).sum((1, 2, 3))
    weights, means, log_scales = _mixture(parameters, values.shape[-1], 2 * values - 1)
    return _mixture_log_prob(weights, means, log_scales, 2 * values - 1, levels).sum((1, 2))


def pixel_sample(
    parameters: Tensor, levels: int, channels: int, rng: torch.Generator, temperature: float
) -> Tensor:
    """Returns `[N, I]`: values in 0 to 1, drawn for pixels of parameters `[N, P]`.

    Below a temperature of 1 likely values are drawn more often than they are likely.
    """

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng, device=rng.device).to(parameters.device)

    number = parameters.shape[0]
    if levels == 2:
        probabilities = torch.sigmoid(parameters / temperature)
        return (uniform(number, channels) < probabilities).to(parameters.dtype)
    weights = parameters[:, :_COMPONENTS] / temperature
    noise = -torch.log(-torch.log(uniform(number, _COMPONENTS).clamp(1e-7, 1 - 1e-7)))
    chosen = (weights + noise).argmax(-1)
    values = parameters.new_zeros(number, channels)
    draws = uniform(number, channels).clamp(1e-5, 1 - 1e-5)
    for channel in range(channels):
        _, means, log_scales = _mixture(parameters, channels, values)
        of_chosen = (torch.arange(number, device=chosen.device), channel, chosen)
        spread = log_scales[of_chosen].exp() * temperature
        drawn = means[of_chosen] + spread * torch.logit(draws[:, channel])
        values[:, channel] = quantised((drawn.clamp(-1, 1) + 1) / 2, levels) * 2 - 1
    return (values + 1) / 2


def logistic_log_prob(values: Tensor, means: Tensor, scale: float, levels: int) -> Tensor:
    """Returns log masses of quantised values in 0 to 1 around means in 0 to 1, elementwise."""
    half = 0.5 / (levels - 1)
    above, below = (values - means + half) / scale, (values - means - half) / scale
    mass = torch.sigmoid(above) - torch.sigmoid(below)
    inner = mass.clamp(min=_LEAST_MASS).log()
    first, last = -functional.softplus(-above), -functional.softplus(below)
    return torch.where(values < half, first, torch.where(values > 1 - half, last, inner))


def logistic_sample(means: Tensor, scale: float, uniform: Tensor) -> Tensor:
    """Returns values in 0 to 1 around the means, from uniform draws."""
    return (means + scale * torch.logit(uniform.clamp(1e-6, 1 - 1e-6))).clamp(0, 1)


def _mixture(parameters: Tensor, channels: int, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log weights `[..., M]`, means and log scales `[..., I, M]`, given values `[..., I]`."""
    sizes = [_COMPONENTS, channels * _COMPONENTS, channels * _COMPONENTS]
    pairs = channels * (channels - 1) // 2 * _COMPONENTS
    weights, means, log_scales, slopes = torch.split(parameters, [*sizes, pairs], -1)
    means = means.reshape(*means.shape[:-1], channels, _COMPONENTS)
    moved = [means[..., 0, :]]
    slopes = torch.tanh(slopes).reshape(*slopes.shape[:-1], -1, _COMPONENTS) if pairs else slopes
    place = 0
    for channel in range(1, channels):
        mean = means[..., channel, :]
        for earlier in range(channel):
            mean = mean + slopes[..., place, :] * values[..., earlier, None]
            place += 1
        moved.append(mean)
    log_scales = log_scales.reshape(*log_scales.shape[:-1], channels, _COMPONENTS) - 2.0
    return (
        torch.log_softmax(weights, -1),
        torch.stack(moved, -2),
        log_scales.clamp(min=_LEAST_LOG_SCALE),
    )


def _mixture_log_prob(
    weights: Tensor, means: Tensor, log_scales: Tensor, values: Tensor, levels: int
) -> Tensor:
    """Log probability `[...]` of values `[..., I]` between -1 and 1."""
    half = 1.0 / (levels - 1)
    centred = values.unsqueeze(-1) - means
    inverse = torch.exp(-log_scales)
    above, below = inverse * (centred + half), inverse * (centred - half)
    mass = torch.sigmoid(above) - torch.sigmoid(below)
    # Where a scale is so narrow that the difference is lost: the density times the width.
    middle = inverse * centred
    density = middle - log_scales - 2 * functional.softplus(middle) + math.log(2 * half)
    inner = torch.where(mass > 1e-5, mass.clamp(min=_LEAST_MASS).log(), density)
    edge = values.unsqueeze(-1)
    first, last = -functional.softplus(-above), -functional.softplus(below)
    found = torch.where(edge < -1 + half, first, torch.where(edge > 1 - half, last, inner))
    return torch.logsumexp(found.sum(-2) + weights, -1)
