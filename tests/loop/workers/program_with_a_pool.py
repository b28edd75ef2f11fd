"""A program with a pool of two: `program_with_a_pool.py FOLDER WORKER WORK main|thread|exit`.

It gives WORK to both workers, prints their process ids, waits for the outcomes and prints their
states and how often it was interrupted. `thread`: a thread makes the pool, and ends while it
works; `exit`: the program ends while it works.
"""

# ruff: noqa: T201  (it talks to its test through stdout)

from __future__ import annotations

import json
import signal
import sys
import threading
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

pools: list[Any] = []  # left to the interpreter to close
interrupts: list[int] = []


def main(folder: str, worker: str, work: str, how: str) -> None:
    signal.signal(signal.SIGINT, lambda *_: interrupts.append(1))
    spec = find_spec("metaloop.loop")
    assert spec is not None
    sys.modules["metaloop.loop"] = module_from_spec(spec)  # not run: it loads torch
    job = import_module("metaloop.loop.executor").Job
    pool_type = import_module("metaloop.loop.local_pool").LocalPool

    pids: set[int] = set()

    def begin() -> None:
        pool = pool_type(Path(folder), 2, command=[sys.executable, worker, folder])
        pools.append(pool)
        for number in range(2):
            pool.submit(job(number, work, {"file": "go"}))
        while len(pids) < 2:
            pool.wait(0.05)
            pids.update(event.content["pid"] for event in pool.events())

    if how == "thread":
        thread = threading.Thread(target=begin)
        thread.start()
        thread.join()
    else:
        begin()
    print(json.dumps(sorted(pids)), flush=True)
    states: list[str] = []
    while how != "exit" and len(states) < 2:
        states += [outcome.status for outcome in pools[0].wait(0.05)]
    if states:
        print(json.dumps([*states, len(interrupts)]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
