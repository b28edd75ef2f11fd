"""A worker process whose works fail, hang, crash and shout: `worker_with_odd_works.py FOLDER`.

Nothing that it imports loads torch: a worker is there in a moment.
"""

# ruff: noqa: T201  (printing is what some works are about)

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from metaloop.executors.worker import serve

Arguments = Mapping[str, Any]


def echo(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    threads = os.environ.get("OMP_NUM_THREADS")
    return {
        "pid": os.getpid(),
        "folder": str(folder),
        "threads": threads,
        "arguments": dict(arguments),
    }


def count(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    for number in range(arguments["up_to"]):
        report({"number": number})
    return {}


def meet(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    (folder / arguments["me"]).touch()
    while not (folder / arguments["other"]).exists():
        time.sleep(0.01)
    return {}


def wait_for(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    report({"pid": os.getpid()})
    while not (folder / arguments["file"]).exists():
        time.sleep(0.01)
    return {"pid": os.getpid()}


def fail(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    raise ValueError(arguments["text"])


def leave(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    sys.exit("no way")


def wrong(folder: Path, arguments: Arguments, report: Any) -> Any:
    return {"value": object()} if arguments else ["no mapping"]


def burn(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    start = time.process_time()
    while time.process_time() - start < arguments["cpu_seconds"]:
        pass
    if arguments.get("die"):
        os._exit(1)
    if arguments.get("hang"):
        report({"burnt": arguments["cpu_seconds"]})
        time.sleep(1000)
    return {}


def hang(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    if arguments.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "1000"])
    report({"pids": [os.getpid(), child.pid]})
    time.sleep(1000)
    return {}


def stick(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    report({"pid": os.getpid()})
    ctypes.PyDLL(None).sleep(1000)  # keeps the interpreter's lock: no thread of Python runs
    return {}


def die(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    print("these are my last words")
    if "code" in arguments:
        os._exit(arguments["code"])
    os.kill(os.getpid(), arguments["signal"])
    time.sleep(1000)
    return {}


def kill_parent(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1000)
    return {}


def abandon(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    report({"pid": subprocess.Popen(["sleep", "1000"]).pid})
    os._exit(1)


def noise(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    print('{"said": "ended"}\n' * 1000)
    print("on stderr", file=sys.stderr)
    os.write(1, b'{"said": "ready"}\n')
    ctypes.CDLL(None).puts(b'{"said": "began"}')
    subprocess.run(["echo", '{"said": "ended"}'], check=True)
    return {"read": sys.stdin.read()}


def keep(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    (folder / arguments["name"]).write_text(arguments["text"])
    return {"folder": str(folder)}


def look(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    found = {name: (folder / name).read_text() for name in arguments["names"]}
    return {"folder": str(folder), "found": found, "given": (folder / "given/data").read_text()}


def big(folder: Path, arguments: Arguments, report: Any) -> dict[str, Any]:
    report({"text": arguments["text"]})
    return {"text": arguments["text"] * 2}


WORK: dict[str, Any] = {
    work.__name__: work
    for work in (
        *(echo, count, meet, wait_for, fail, leave),
        *(wrong, burn, hang, stick, die, kill_parent, abandon, noise, big, keep, look),
    )
}


def works_in(folder: Path) -> dict[str, Any]:
    return {name: partial(work, folder) for name, work in WORK.items()}


def main() -> None:
    print("printed before the worker has its streams", end="", flush=True)
    serve(lambda: works_in(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
