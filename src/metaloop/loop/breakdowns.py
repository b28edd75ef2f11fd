"""When the machine fails and not a learner: the run stops, with `test` shut, and can go on later.

A full disk or a lost folder would fail every job, and the plain baseline would win by default.
Memory is another matter: one candidate may need more than there is while others need less.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from metaloop.archive import Archive, JobId
from metaloop.core.errors import MachineError
from metaloop.executors.base import Outcome

_OUT_OF_MEMORY = 3  # jobs in a row that had too little: the next one would, too


@dataclass
class Breakdowns:
    """Counts what ran out of memory since a net was last trained, and stops what is of no use."""

    out_of_memory: list[str] = field(default_factory=list)

    def note(self, archive: Archive, job: JobId, outcome: Outcome) -> None:
        """Raises `MachineError` if the machine failed in a job, which is then to be done again."""
        if outcome.status == "machine failed":
            archive.end_job(
                job, "interrupted", {}, outcome.message,
                cpu_seconds=outcome.cpu_seconds, wall_seconds=outcome.wall_seconds,
            )  # fmt: skip
            raise MachineError(
                f"{outcome.message}; the run stops here and nothing of it is lost: mend this, then "
                "go on with --resume"
            )
        if outcome.status == "no memory":
            self.out_of_memory.append(outcome.message)
        elif outcome.job.work == "train" and outcome.status == "done":
            self.out_of_memory.clear()

    def check(self, most: int = _OUT_OF_MEMORY) -> None:
        """Raises `MachineError` if so many jobs in a row had too little memory."""
        if len(self.out_of_memory) >= most:
            raise MachineError(
                f"{len(self.out_of_memory)} jobs in a row ran out of memory, the last: "
                f"{self.out_of_memory[-1]}; nothing is lost: go on with --resume and fewer "
                "--workers, or start anew with a smaller --image-size"
            )
