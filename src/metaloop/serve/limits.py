"""What a server takes at most, so that no client can use it up: one record, every field a limit."""

from __future__ import annotations

from dataclasses import dataclass

from metaloop.core.errors import MetaloopError

LARGEST_NAME = 200  # characters of the name of a task, and of a label
LARGEST_TEXT = 100_000  # characters of one input


@dataclass(frozen=True)
class Limits:
    """Limits of requests, of what is kept, and of what is kept in memory.

    `body_bytes` of a request, `pixels` of an image, `sound_seconds` of a recording, `cells` of the
    rows that are asked at once, `images` that are drawn at once; `examples` of
    a task; `tasks` in all; `seconds` that a request may take to arrive, and to be answered;
    `connections` at once; `adapted` tasks that are kept ready in memory; `batch`: queries that are
    answered together, `wait_seconds`: how long one waits for others that are on their way.
    """

    body_bytes: int = 10 << 20
    pixels: int = 50_000_000
    sound_seconds: float = 60.0
    cells: int = 100_000
    images: int = 64
    examples: int = 1000
    tasks: int = 1000
    seconds: float = 30.0
    connections: int = 1000
    adapted: int = 64
    batch: int = 64
    wait_seconds: float = 0.004

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0 and name != "wait_seconds":
                raise MetaloopError(f"the limit of {name} must be above 0, got {value}")


class RefusedError(MetaloopError):
    """A request that cannot be honoured, with the HTTP status that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def not_found(what: str) -> RefusedError:
    """Returns the refusal for what does not exist (any more)."""
    return RefusedError(404, f"there is no {what}; GET /tasks lists those that there are")


def too_large(what: str) -> RefusedError:
    """Returns the refusal for what is above a limit."""
    return RefusedError(413, what)
