"""Sinusoid regression: the family on which MAML was introduced.

A task is y = amplitude * sin(x - phase) with amplitude uniform in [0.1, 5], phase uniform in
[0, pi] and x uniform in [-5, 5]. The four parts are random streams of their own: as the functions
are continuous, no task of one part occurs in another.
Finn et al. 2017, arXiv:1703.03400, section 5.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from metaloop.core.inputs import InputFormat
from metaloop.core.records import PARTS, Part
from metaloop.core.spec import TaskSpec
from metaloop.tasks.episodes import Episodes, Indices
from metaloop.tasks.family import TaskFamily
from metaloop.tasks.store import Store

_X_DEVIATION = 10 / math.sqrt(12)  # of a uniform distribution over [-5, 5]


@dataclass(frozen=True)
class SinusoidFamily(TaskFamily):
    """Regression tasks with `shots` support and `queries` query points of one sinusoid each."""

    name: str = "sinusoid"
    place: str = "cpu"  # the device on which points are drawn

    @property
    def digest(self) -> str:
        """Identity of the distribution."""
        return "sinusoid-1703.03400"

    @property
    def input_format(self) -> InputFormat:
        """One feature, standardised by the moments of its distribution."""
        return InputFormat("vector", (1,), (0.0,), (_X_DEVIATION,))

    @property
    def device(self) -> torch.device:
        """Where points are drawn."""
        return torch.device(self.place)

    def to(self, device: torch.device | str) -> SinusoidFamily:
        """Returns the family drawing its points on `device`."""
        return SinusoidFamily(self.name, str(device))

    def spec(self, ways: int, shots: int, queries: int = 15, part: Part | None = None) -> TaskSpec:
        """Returns the regression spec; `ways` has no meaning here and becomes 0."""
        return TaskSpec(0, shots, queries, (1,), "regression", (1,))

    def sample(
        self, part: Part, spec: TaskSpec, num_tasks: int, rng: np.random.Generator
    ) -> Episodes:
        """Returns episodes over a store of freshly drawn points."""
        own = np.random.default_rng([PARTS.index(part), *rng.integers(0, 2**32, 4)])
        num_points = spec.shots + spec.queries
        amplitude = own.uniform(0.1, 5.0, (num_tasks, 1))
        phase = own.uniform(0.0, math.pi, (num_tasks, 1))
        x = own.uniform(-5.0, 5.0, (num_tasks, num_points))
        y = amplitude * np.sin(x - phase)
        store = Store(_column(x, self.place), _column(y, self.place), ())
        index = np.arange(num_tasks * num_points).reshape(num_tasks, num_points)

        def side(columns: slice) -> Indices:
            chosen = index[:, columns]
            return Indices(chosen, np.zeros_like(chosen), np.ones(chosen.shape, dtype=bool))

        return Episodes(store, side(slice(spec.shots)), side(slice(spec.shots, None)), 0)


def _column(values: np.ndarray, device: str) -> torch.Tensor:
    return torch.from_numpy(values.reshape(-1, 1).astype(np.float32)).to(device)
