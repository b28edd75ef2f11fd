"""A guess that inputs bring along, as the mean that a learner of real targets begins with."""

from __future__ import annotations

import torch
from torch import Tensor

from metaloop.core.errors import MetaloopError


def mean_of_prior(features: int, targets: int, prior: int) -> Tensor:
    """Returns weights `[targets, features]` by which every target is the feature at this place.

    -1 is none: zeros. Raises `MetaloopError` if there are fewer features.
    """
    if prior >= features:
        raise MetaloopError(f"the prior is one of the net's {features} features, got {prior}")
    mean = torch.zeros(targets, features)
    if prior >= 0:
        mean[:, prior] = 1.0
    return mean
