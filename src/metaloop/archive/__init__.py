"""The archive: everything that was tried, measured, concluded and opened.

That of a run is one SQLite file, which only the run's coordinator writes; any number of processes
may read meanwhile. One that several runs share is such a file, or a database of PostgreSQL. Reading
needs neither torch nor anything else of metaloop but `core.records`.
"""

from metaloop.archive.address import Place, ServerAddress, place_of
from metaloop.archive.archive import Archive
from metaloop.archive.comparing import content
from metaloop.archive.copying import check_elsewhere, record_elsewhere
from metaloop.archive.environment import describe_environment
from metaloop.archive.lock import file_lock, run_lock
from metaloop.archive.merging import Merged, merge
from metaloop.archive.offering import add_backbones, backbones_in, is_offering
from metaloop.archive.stored import (
    Artefact,
    ArtefactId,
    DataSet,
    JobId,
    Opening,
    OpeningId,
    ResultId,
    Run,
    RunId,
    RunStatus,
    StoredCandidate,
    StoredJob,
    StoredResult,
    StoredTrial,
    StoredVerdict,
    TrialId,
)

__all__ = [
    "Archive",
    "Artefact",
    "ArtefactId",
    "DataSet",
    "JobId",
    "Merged",
    "Opening",
    "OpeningId",
    "Place",
    "ResultId",
    "Run",
    "RunId",
    "RunStatus",
    "ServerAddress",
    "StoredCandidate",
    "StoredJob",
    "StoredResult",
    "StoredTrial",
    "StoredVerdict",
    "TrialId",
    "add_backbones",
    "backbones_in",
    "check_elsewhere",
    "content",
    "describe_environment",
    "file_lock",
    "is_offering",
    "merge",
    "place_of",
    "record_elsewhere",
    "run_lock",
]
