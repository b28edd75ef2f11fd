"""Opening the sealed part: the look is in the archive before anything is seen."""

from __future__ import annotations

from typing import Any

from metaloop.archive import Archive, RunId
from metaloop.core.learner import Learner, MetaParams
from metaloop.core.records import Result
from metaloop.core.spec import TaskSpec
from metaloop.engine.evaluation import evaluate, protocol
from metaloop.tasks.family import TaskFamily, episode_list


def open_test(
    archive: Archive,
    subject: str,
    purpose: str,
    learner: Learner,
    meta_params: MetaParams,
    family: TaskFamily,
    spec: TaskSpec,
    num_episodes: int,
    run: RunId | None = None,
) -> Result:
    """Returns the result on `test`; an evaluation that is broken off has left its trace.

    `subject` is a candidate's identity or a model file's hash, `purpose` says why.
    """
    episodes = episode_list(family, "test", spec, num_episodes)
    measured_by = protocol(learner, family, "test", spec, episodes)
    opening = archive.record_opening(subject, purpose, measured_by, run=run)
    result, _ = evaluate(learner, meta_params, family, "test", spec, num_episodes)
    archive.finish_opening(opening, result)
    return result


def protocol_json(result: Result) -> dict[str, Any]:
    """Returns the protocol of a result as a dictionary for `--json`."""
    how = result.protocol
    return {
        "part": how.part,
        "queries": how.queries,
        "norm_policy": how.norm_policy,
        "list_hash": how.list_hash,
        "data_hash": how.data_hash,
    }
