"""`connected`: this process as a part of a Ray cluster, for as long as a run needs it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from metaloop.core.errors import MetaloopError, missing_extra
from metaloop.executors.base import one_line

_REACH_SECONDS = 5.0
_MOST_WORKERS = 512  # docs/scale.md says where more of them are of no use


@contextmanager
def connected(address: str | None = None, workers: int | None = None) -> Iterator[int]:
    """Yields how many workers there shall be: as asked, or one for each CPU of the cluster.

    `address`: HOST:PORT of the head, this machine being one of the cluster (`ray start`); None: as
    `RAY_ADDRESS` says, else the cluster that this machine is in, else one of this machine alone,
    for this run. A program that has called `ray.init` keeps its connection. Raises `MetaloopError`
    without Ray, for an address where no cluster answers, and if it has fewer CPUs than workers.
    """
    try:
        import ray  # optional extra
    except ImportError as error:
        raise missing_extra("the executor 'ray'", "ray") from error
    was_connected = ray.is_initialized()
    address = address or (None if was_connected else os.environ.get("RAY_ADDRESS")) or None
    if address is not None and address not in ("auto", "local"):
        _check_reachable(address)
    if not was_connected:
        _connect(ray, address, workers)
    try:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if (workers or 1) > cpus:
            raise MetaloopError(
                f"the cluster has {cpus} CPUs for {workers or 1} workers; ask for fewer with "
                "--workers, or add machines with `ray start --address=...`"
            )
        yield workers or min(cpus, _MOST_WORKERS)
    finally:
        if not was_connected:
            ray.shutdown()


def _connect(ray: Any, address: str | None, workers: int | None) -> None:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns of the change
    options = {"log_to_driver": False, "logging_level": logging.ERROR}
    with _signals_kept():
        try:
            if address is None and _is_in_cluster():
                with suppress(ConnectionError):
                    ray.init(address="auto", **options)
                    return
            if address in (None, "local"):
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                os.environ.setdefault("RAY_worker_niceness", "0")  # as those of the local pool
                ray.init(address="local", num_cpus=workers, include_dashboard=False, **options)
            else:
                ray.init(address=address, **options)
        except Exception as error:  # whatever Ray raises for what is wrong with a cluster
            ray.shutdown()
            where = "this machine" if address in (None, "local") else f"the cluster at {address!r}"
            raise MetaloopError(
                f"cannot connect to Ray on {where}: {one_line(str(error))}"
            ) from error


def _is_in_cluster() -> bool:
    """Whether the cluster that Ray has noted for this machine answers: one that died left its note.

    Ray itself would wait for it for long.
    """
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    try:
        _check_reachable((Path(folder) / "ray" / "ray_current_cluster").read_text().strip())
    except (OSError, MetaloopError):
        return False
    return True


def _check_reachable(address: str) -> None:
    """Raises `MetaloopError` unless something listens there: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if address.startswith("ray://") or not host or not port.isdecimal():
        raise MetaloopError(
            f"the address of a Ray cluster is HOST:PORT, as `ray start --head` prints it, got "
            f"{address!r}; this machine has to be in the cluster: `ray start --address=HOST:PORT`"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise MetaloopError(
            f"no Ray cluster answers at {address!r}: {getattr(error, 'strerror', None) or error}; "
            "start one with `ray start --head`"
        ) from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Gives the process back its handlers of signals, which Ray replaces."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            if handler is not None:
                signal.signal(number, handler)
