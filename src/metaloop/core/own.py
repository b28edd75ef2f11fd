"""`Own`: what a model file names and does not hold, because it is a user's own code or weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.encoder import Encoder


@dataclass(frozen=True)
class Own:
    """A net, a learner and an encoder of the user's own, where a model has such; else None."""

    net: nn.Module | None = None
    learner: BlackBoxLearner | None = None
    backbone: Encoder | None = None


NOTHING_OWN = Own()
