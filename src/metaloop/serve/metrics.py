"""Figures of a server in Prometheus' text format: counted here, read at `/metrics`."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)


@dataclass(eq=False)
class _Histogram:
    bounds: tuple[float, ...]
    counts: Counter[float] = field(default_factory=Counter)
    total: float = 0.0
    number: int = 0

    def see(self, value: float) -> None:
        self.counts[next((b for b in self.bounds if value <= b), float("inf"))] += 1
        self.total += value
        self.number += 1

    def lines(self, name: str, labels: Mapping[str, str]) -> Iterable[str]:
        below = 0
        for bound in self.bounds:
            below += self.counts[bound]
            yield f"{name}_bucket{_labels({**labels, 'le': f'{bound:g}'})} {below}"
        yield f"{name}_bucket{_labels({**labels, 'le': '+Inf'})} {self.number}"
        yield f"{name}_sum{_labels(labels)} {self.total:.6g}"
        yield f"{name}_count{_labels(labels)} {self.number}"


class Metrics:
    """Counts of requests by route and status, their times, and sizes of batches by model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: dict[str, _Histogram] = defaultdict(lambda: _Histogram(_SECONDS))
        self._batches: dict[str, _Histogram] = defaultdict(lambda: _Histogram(_SIZES))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts a request that was answered."""
        with self._lock:
            self._requests[method, route, status] += 1
            self._seconds[route].see(seconds)

    def batch(self, model: str, size: int) -> None:
        """Counts queries that were answered together."""
        with self._lock:
            self._batches[model].see(float(size))

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Returns all of it, with further gauges: `name -> (what it is, value)`."""
        lines: list[str] = []
        for name, (what, value) in {**gauges, **_process()}.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP {name} {what}", f"# TYPE {name} {kind}", f"{name} {value:.10g}"]
        with self._lock:
            name = "metaloop_requests_total"
            lines += [f"# HELP {name} Requests that were answered.", f"# TYPE {name} counter"]
            for (method, route, status), count in sorted(self._requests.items()):
                labels = {"method": method, "route": route, "status": str(status)}
                lines.append(f"{name}{_labels(labels)} {count}")
            lines += _of(
                "metaloop_request_seconds", "From the head of a request to its answer.", "route",
                self._seconds,
            )  # fmt: skip
            lines += _of(
                "metaloop_batch_size", "Queries answered together.", "model", self._batches
            )
        return "\n".join(lines) + "\n"


def _of(name: str, what: str, label: str, found: Mapping[str, _Histogram]) -> list[str]:
    lines = [f"# HELP {name} {what}", f"# TYPE {name} histogram"]
    for each, histogram in sorted(found.items()):
        lines += histogram.lines(name, {label: each})
    return lines


def _labels(labels: Mapping[str, str]) -> str:
    def quoted(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    inside = ",".join(f'{name}="{quoted(value)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _process() -> dict[str, tuple[str, float]]:
    """Memory of this process, where the system tells it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return {}
    return {"process_resident_memory_bytes": ("Memory in use.", 4096.0 * pages)}
