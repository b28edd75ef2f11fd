"""What an archive holds, run by run: for `metaloop archive list` and `show`, without torch."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metaloop.archive.archive import Archive
from metaloop.archive.digests import digest_of, extras_of, rows_of, run_rows
from metaloop.archive.offering import backbones_in
from metaloop.archive.stored import Run, RunId
from metaloop.core.conforming import conforming
from metaloop.core.errors import ArchiveError, UnknownNameError
from metaloop.core.leagues import league_of
from metaloop.core.records import Candidate, Result, candidate_from_json
from metaloop.core.scales import SCALES

_MEASURED = ("promotion", "search")  # where a run stands that has not come to its test


@dataclass(frozen=True)
class Best:
    """The figure that a run stands by: that of its last look at `test`, else its best so far.

    `league` is that of the candidate. Of a figure on other parts only the value is told.
    """

    part: str
    metric: str
    value: float
    ci95: float | None
    ci95_new: float | None
    candidate: str
    learner: str
    league: str | None

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return dict(vars(self))


@dataclass(frozen=True)
class RunOverview:
    """A run in one line: `data` is what it learned for most, None where it came to nothing."""

    run: Run
    data: str | None
    data_hash: str | None
    jobs: int
    trials: int
    best: Best | None

    def to_json(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        run = self.run
        return {
            "run": run.id, "uid": run.uid, "verb": run.command, "status": run.status,
            "started": run.started, "ended": run.ended, "data": self.data,
            "data_hash": self.data_hash, "budget": run.budget, "seed": run.seed,
            "jobs": self.jobs, "trials": self.trials,
            "best": None if self.best is None else self.best.to_json(),
        }  # fmt: skip


def list_runs(archive: Archive) -> tuple[RunOverview, ...]:
    """Returns all runs, oldest first; `ArchiveError` for an archive that is damaged."""
    with archive.snapshot():
        runs = archive.runs()
        jobs = _counted(archive, "SELECT run, count(*) AS number FROM jobs GROUP BY run")
        trials = _counted(archive, "SELECT run, count(*) AS number FROM trials GROUP BY run")
        targets = _targets(archive)
        bests = _bests(archive, runs, targets)
        names = {data_set.hash: data_set.name for data_set in archive.data_sets()}
    return tuple(
        RunOverview(
            run, names.get(targets.get(run.id, "")), targets.get(run.id), jobs.get(run.id, 0),
            trials.get(run.id, 0), bests.get(run.id),
        )
        for run in runs
    )  # fmt: skip


def find_run(archive: Archive, name: str) -> RunOverview:
    """Returns the run of this number or of the name that begins so.

    `UnknownNameError` if there is none, `ArchiveError` if several names begin so.
    """
    found = list_runs(archive)
    by_number = [one for one in found if str(one.run.id) == name]
    by_name = [one for one in found if len(name) >= 4 and one.run.uid.startswith(name)]
    matching = by_number or by_name
    if not matching:
        known = f"the last one is {found[-1].run.id}" if found else "it has none"
        raise UnknownNameError(
            f"archive '{archive.place}' has no run {name!r}; {known}: see 'metaloop archive list'"
        )
    if len(matching) > 1:
        raise ArchiveError(f"several runs have names that begin with {name!r}; give more of it")
    return matching[0]


def run_json(archive: Archive, overview: RunOverview) -> dict[str, Any]:
    """Returns all that `metaloop archive show --json` prints of a run."""
    run = overview.run
    (row,) = [row for row in run_rows(archive) if row["id"] == run.id]
    rows = rows_of(archive, row)
    offered = backbones_in(archive.artefacts(run.id))
    openings, jobs = archive.openings(run.id), archive.jobs(run.id)
    trials = [stored.trial for stored in archive.trials(run.id)]
    return {
        **overview.to_json(),
        "arguments": dict(run.arguments),
        "environment": dict(run.environment),
        "work": dict(Counter(job.work for job in jobs)),
        "trial_statuses": dict(Counter(trial.status for trial in trials)),
        "candidates": len({trial.candidate for trial in trials}),
        "results": len(rows.results),
        "verdicts": len(rows.verdicts),
        "backbones": [each.card.name for each in offered],
        "looks": [
            {"opened": o.opened, "subject": o.subject, "purpose": o.purpose, "seen": bool(o.result)}
            for o in openings
        ],
        "cpu_seconds": float(sum(job.cpu_seconds for job in jobs)),
        "extras": extras_of(archive, RunId(run.id)),
        "digest": digest_of(rows),
    }


def _counted(archive: Archive, select: str) -> dict[int, int]:
    return {row["run"]: int(row["number"]) for row in archive.query(select)}


def _targets(archive: Archive) -> dict[int, str]:
    """The data that each run looked at last in `test`, else that it tried most on."""
    found: dict[int, str] = {}
    tried = "SELECT run, data_hash, count(*) AS number FROM trials GROUP BY run, data_hash"
    for row in archive.query(f"{tried} ORDER BY number, data_hash DESC"):
        found[row["run"]] = row["data_hash"]
    for opening in archive.openings():
        if opening.run is not None:
            found[opening.run] = opening.protocol.data_hash
    return found


def _bests(archive: Archive, runs: Sequence[Run], targets: Mapping[int, str]) -> dict[int, Best]:
    chosen: dict[int, tuple[str, Result]] = {}
    for opening in archive.openings():
        if opening.run is not None and opening.result is not None:
            chosen[opening.run] = opening.subject, opening.result
    measured = _measured(archive, {run.id for run in runs} - chosen.keys(), targets)
    named = {who for who, _ in chosen.values()} | {who for who, *_ in measured.values()}
    known = _candidates(archive, named)
    leagues = _Leagues(archive)
    bests: dict[int, Best] = {}
    for run, (who, result) in chosen.items():
        candidate = known.get(who)
        bests[run] = Best(
            "test", result.metric, result.value, result.ci95, result.ci95_new, who,
            _label(candidate), leagues.of(run, candidate),
        )  # fmt: skip
    for run, (who, part, metric, value) in measured.items():
        candidate = known.get(who)
        bests[run] = Best(
            part, metric, value, None, None, who, _label(candidate), leagues.of(run, candidate)
        )
    return bests


def _measured(
    archive: Archive, runs: Iterable[int], targets: Mapping[int, str]
) -> dict[int, tuple[str, str, str, float]]:
    """Of runs without a look at `test`: who was best on which part, in which metric."""
    found: dict[int, tuple[str, str, str, float]] = {}
    wanted = set(runs)
    if not wanted:
        return found
    for part in _MEASURED:
        rows = archive.query(
            "SELECT trials.run AS run, trials.candidate AS candidate, results.data_hash AS data, "
            "metric, value FROM results JOIN trials ON trials.id = results.trial "
            "WHERE part = ? AND value IS NOT NULL AND trials.run NOT IN "
            "(SELECT run FROM openings WHERE run IS NOT NULL AND metric IS NOT NULL) "
            "ORDER BY results.id",
            (part,),
        )
        better: dict[int, tuple[str, str, str, float]] = {}
        for row in rows:
            run, value, scale = row["run"], row["value"], SCALES.get(row["metric"])
            if run in found or run not in wanted or row["data"] != targets.get(run):
                continue
            if scale is None or not isinstance(value, float) or not math.isfinite(value):
                continue
            old, sign = better.get(run), 1 if scale.higher_is_better else -1
            if old is None or (old[2] == scale.name and sign * value > sign * old[3]):
                better[run] = row["candidate"], part, scale.name, value
        found |= better
    return found


def _candidates(archive: Archive, names: set[str]) -> dict[str, Candidate]:
    found: dict[str, Candidate] = {}
    for name in names:
        for row in archive.query("SELECT json FROM candidates WHERE identity = ?", (name,)):
            try:
                found[name] = conforming(candidate_from_json(row["json"]))
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                reason = " ".join(str(error).split())[:200]
                raise ArchiveError(f"archive '{archive.place}' is damaged: {reason}") from error
    return found


def _label(candidate: Candidate | None) -> str:
    return "" if candidate is None else candidate.label


class _Leagues:
    """What runs were offered, read once, and the leagues of their candidates."""

    def __init__(self, archive: Archive) -> None:
        self._offers: dict[int, list[Any]] = defaultdict(list)
        for row in archive.query("SELECT run FROM artefacts WHERE name = 'backbones' GROUP BY run"):
            self._offers[row["run"]] += archive.artefacts(row["run"])

    def of(self, run: int, candidate: Candidate | None) -> str | None:
        """Returns the league of a candidate in a run."""
        if candidate is None:
            return None
        return league_of(candidate.views, backbones_in(self._offers.get(run, ())))
