"""What training tells the world: events, read by progress bars and archives alike."""

from __future__ import annotations

from dataclasses import dataclass

from metaloop.core.learner import MetaParams
from metaloop.core.records import CurvePoint, Result, TrialStatus
from metaloop.engine.state import TrainState


@dataclass(frozen=True)
class Progressed:
    """Training goes on: emitted about twice a second."""

    step: int
    spent: float  # fraction of the budget, 0 to 1
    wall_seconds: float
    loss: float
    rate_factor: float  # share of the peak learning rate


@dataclass(frozen=True)
class Evaluated:
    """An early figure, measured on `search`."""

    point: CurvePoint
    result: Result


@dataclass(frozen=True)
class Checkpointed:
    """The state is safe on disk."""

    step: int
    path: str


@dataclass(frozen=True)
class Finished:
    """Training ended: by its budget, by divergence, or because it was asked to stop.

    `meta_params` are those to use (averaged and finished where the plan and the learner say so);
    `state` is what training would go on from.
    """

    status: TrialStatus
    meta_params: MetaParams
    state: TrainState
    message: str = ""


Event = Progressed | Evaluated | Checkpointed | Finished
