"""What an archive gives back: frozen records, each with its place in the archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NewType

from metaloop.core.records import Candidate, Part, Protocol, Result, Trial, Verdict

RunId = NewType("RunId", int)
TrialId = NewType("TrialId", int)
ResultId = NewType("ResultId", int)
OpeningId = NewType("OpeningId", int)
ArtefactId = NewType("ArtefactId", int)
JobId = NewType("JobId", int)

RunStatus = Literal["running", "finished", "failed", "interrupted"]


@dataclass(frozen=True)
class Run:
    """One call of a command that writes. Times are UTC in ISO form; `ended` None: never said so.

    `id` counts the runs of this archive, `uid` names the run in whichever archive it is.
    """

    id: RunId
    started: str
    ended: str | None
    command: str
    arguments: Mapping[str, Any]
    seed: int
    budget: str
    status: RunStatus
    environment: Mapping[str, Any]
    uid: str


@dataclass(frozen=True)
class DataSet:
    """A data set as it was read. `hash` covers content *and* parts, for both decide what leaks.

    `classes` and `examples` are counts; `parts` maps each part to its class names; `left_out`
    maps a reason to how many things were left out for it.
    """

    hash: str
    name: str
    kind: str
    classes: int
    examples: int
    parts: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class StoredCandidate:
    """A candidate, who it came from by which operator, and the run that first made it.

    `identity` is the one it was stored under: it stays when a newer version adds fields.
    """

    identity: str
    candidate: Candidate
    operator: str
    parents: tuple[str, ...]
    run: RunId | None
    behaviour: str | None


@dataclass(frozen=True)
class StoredJob:
    """One piece of work of a run: what was asked for, and what came of it.

    `number` counts them within the run. `asked` and `answered` are JSON values, the figures of its
    trials apart. `status` is `running`, `finished`, `failed`, `timed out`, `crashed` or
    `interrupted`.
    """

    id: JobId
    run: RunId
    number: int
    work: str
    status: str
    asked: Mapping[str, Any]
    answered: Mapping[str, Any]
    message: str
    cpu_seconds: float
    wall_seconds: float
    started: str
    ended: str | None


@dataclass(frozen=True)
class StoredTrial:
    """A trial with the run and data it belongs to; `continues` is the trial it went on from.

    `job` is the piece of work that it was part of: heads on one net share it.
    """

    id: TrialId
    run: RunId
    job: JobId | None
    data_hash: str
    continues: TrialId | None
    started: str
    ended: str | None
    trial: Trial


@dataclass(frozen=True)
class StoredResult:
    """A result and the trial and candidate it belongs to; `has_scores`: per-episode ones too."""

    id: ResultId
    trial: TrialId
    candidate: str
    has_scores: bool
    result: Result


@dataclass(frozen=True)
class StoredVerdict:
    """A verdict, the run that reached it, and when."""

    id: int
    run: RunId
    decided: str
    verdict: Verdict


@dataclass(frozen=True)
class Opening:
    """One look at a sealed part: who looked, why, under which protocol, and what was seen.

    `subject` is a candidate's identity or a model file's hash. `result` is None where the
    evaluation never ended: an opening that was broken off is an opening still.
    """

    id: OpeningId
    run: RunId | None
    opened: str
    subject: str
    purpose: str
    protocol: Protocol
    result: Result | None

    @property
    def part(self) -> Part:
        """The part that was opened."""
        return self.protocol.part


@dataclass(frozen=True)
class Artefact:
    """Something to look at that a run made, such as a picture of example episodes.

    `content` is what a file of this `media_type` would hold; `caption` says what it shows.
    """

    id: ArtefactId
    run: RunId
    name: str
    media_type: str
    caption: str
    content: bytes
