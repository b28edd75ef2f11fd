"""The table of what workers do: a name in a job, the function that does it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from metaloop.executors.base import Work
from metaloop.executors.local_pool import module_command
from metaloop.jobs.baselines import measure_baselines
from metaloop.jobs.inventing import invent_programs
from metaloop.jobs.joining import join_nets
from metaloop.jobs.judging import judge
from metaloop.jobs.training import train_node

WORK: Mapping[str, Work] = MappingProxyType(
    {
        "baselines": measure_baselines,
        "train": train_node,
        "invent": invent_programs,
        "join": join_nets,
        "judge": judge,
    }
)


def worker_command(folder: Path) -> list[str]:
    """Returns the command that starts a worker of the run whose states are in this folder."""
    return module_command("metaloop.jobs", str(folder))
