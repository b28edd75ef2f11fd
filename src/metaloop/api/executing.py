"""Where the jobs of a run go, by name: processes of this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from metaloop.core.errors import MetaloopError, unknown_name
from metaloop.executors.base import Executor
from metaloop.executors.ray_cluster import connected
from metaloop.executors.ray_pool import RayPool
from metaloop.jobs.carrying import luggage_of
from metaloop.jobs.shipping import can_be_shipped
from metaloop.jobs.workplace import Workplace
from metaloop.loop.learning import StartExecutor
from metaloop.tasks.family import TaskFamily

LOCAL, RAY = "local", "ray"
_NAMES = (LOCAL, RAY)
AskedExecutor = str | StartExecutor  # one of these names, or what starts one of your own


@contextmanager
def executing(
    executor: AskedExecutor,
    ray_address: str | None,
    workers: int | None,
    net: nn.Module | None,
    data: Any,
) -> Iterator[tuple[StartExecutor | None, int | None]]:
    """Yields what starts the executor (None: the usual one) and how many workers it shall have.

    A connection to Ray lasts as long as this does. Raises `MetaloopError` for an unknown name, a
    cluster that cannot be reached, and for what exists in this process only.
    """
    if isinstance(executor, str) and executor not in _NAMES:
        raise unknown_name("executor", executor, _NAMES)
    if executor != RAY:
        if ray_address is not None:
            raise MetaloopError("--ray-address is for --executor ray; give both or neither")
        yield (None if isinstance(executor, str) else executor), workers
        return
    if net is not None or (isinstance(data, TaskFamily) and not can_be_shipped(data)):
        what = "a net" if net is not None else "a family"
        raise MetaloopError(
            f"{what} of your own is in this process only; leave the executor 'ray' out"
        )
    with connected(ray_address, workers) as number:
        yield _on_ray, number


def _on_ray(workplace: Workplace, workers: int) -> Executor:
    return RayPool(luggage_of(workplace.folder), workers)
