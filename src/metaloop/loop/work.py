"""The table of what workers do: a name in a job, the function that does it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from metaloop.loop.baselines_job import measure_baselines
from metaloop.loop.executor import Work
from metaloop.loop.inventing_job import invent_programs
from metaloop.loop.joining_job import join_nets
from metaloop.loop.judging_job import judge
from metaloop.loop.training_job import train_node

WORK: Mapping[str, Work] = MappingProxyType(
    {
        "baselines": measure_baselines,
        "train": train_node,
        "invent": invent_programs,
        "join": join_nets,
        "judge": judge,
    }
)
