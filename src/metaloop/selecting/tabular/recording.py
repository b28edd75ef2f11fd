"""The archive's side of a table's race: a trial for each fold, and one with the figure of all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metaloop.archive import Archive, RunId
from metaloop.core.records import Result, Trial, TrialStatus, Verdict
from metaloop.domains.tables.scoring import TABLE_METRICS
from metaloop.jobs.tabular import FOLD
from metaloop.loop.events import LoopEvent, Tried, Trying
from metaloop.models.tabular import candidate_of
from metaloop.selecting.tabular.finishing import ChosenPipelines
from metaloop.selecting.tabular.judging import cross_validated, protocol
from metaloop.selecting.tabular.running import FoldEnded, TableRun

_ENDED: Mapping[str, TrialStatus] = {"timed out": "timed out"}


@dataclass
class Recording:
    """The archive's side of a race: a trial for each fold, and one with the figure of them all."""

    archive: Archive
    number: RunId
    run: TableRun

    def note(self, ended: FoldEnded) -> Iterator[LoopEvent]:
        """Records a fold; yields what is told of it."""
        run, request = self.run, ended.request
        candidate = candidate_of({request.pipeline: 1.0})
        outcome, level = ended.outcome, ended.context[0]
        result = self._result(ended)
        status: TrialStatus = "finished" if result else _ENDED.get(outcome.status, "failed")
        trial = Trial(
            candidate.identity, status, run.seed, 0, outcome.cpu_seconds, outcome.wall_seconds,
            None, level, (), (result,) if result else (), ended.message,
        )  # fmt: skip
        asked = {
            "pipeline": request.pipeline, "level": level, "repeat": request.repeat,
            "fold": request.fold, "most": request.most, "table": run.task.content,
        }  # fmt: skip
        archive = self.archive
        with archive.transaction():
            archive.add_candidate(candidate, (), "portfolio", run=self.number)
            job = archive.begin_job(self.number, ended.number, FOLD, asked)
            begun = archive.begin_trial(
                self.number, candidate.identity, run.task.digest, seed=run.seed, rung=level, job=job
            )
            archive.end_trial(begun, trial)
            archive.end_job(
                job, "finished" if result else outcome.status, {}, ended.message,
                cpu_seconds=outcome.cpu_seconds, wall_seconds=outcome.wall_seconds,
            )  # fmt: skip
        entry = run.race.entries[request.pipeline]
        spent = run.budget.spent(time.perf_counter() - run.begun, run.steps_taken)
        if len(entry.found) > 1 and result is not None:
            yield Trying(
                request.pipeline, f"fold {len(entry.found)}", spent, run.left, run.steps_taken, 0.0
            )
            return
        ranking = run.race.ranking()
        best = cross_validated(run.task, run.race, ranking[0]) if ranking else None
        yield Tried(request.pipeline, trial, ranking[0] if ranking else "", best, "catalogue")

    def _result(self, ended: FoldEnded) -> Result | None:
        if ended.result is None:
            return None
        level, repeat, fold = ended.context
        lift = self.run.race.lift(ended.request.pipeline)
        return Result(
            self.run.metric, ended.result.values[lift], 1.96 * ended.result.deviations[lift],
            ended.result.checked,
            protocol(self.run.task, "search", f"{level}-{repeat}-{fold}"),
        )  # fmt: skip

    def conclude(self, chosen: ChosenPipelines, figure: Result | None) -> None:
        """Records the figure over all folds of every pipeline, of what was chosen, and why."""
        run, archive = self.run, self.archive
        winner = candidate_of(chosen.weights)
        found = {n: cross_validated(run.task, run.race, n) for n in run.race.ranking()}
        with archive.transaction():
            for name, result in found.items():
                if result is not None and name not in chosen.weights:
                    self._add(candidate_of({name: 1.0}), (), "portfolio", result)
            for name in chosen.weights:
                result = found.get(name)
                if result is not None and len(chosen.weights) > 1:
                    self._add(candidate_of({name: 1.0}), (), "portfolio", result)
            parents = [candidate_of({name: 1.0}).identity for name in chosen.weights]
            several = len(chosen.weights) > 1
            how = "ensemble: greedy" if several else "portfolio"
            if figure is not None:
                self._add(winner, parents if several else (), how, figure)
            others = [name for name in found if name not in chosen.weights]
            if others and figure is not None and found[others[0]] is not None:
                other = found[others[0]]
                assert other is not None
                sign = TABLE_METRICS[run.metric].sign
                difference = sign * (figure.value - other.value)
                half = figure.ci95_new or figure.ci95
                archive.add_verdict(
                    self.number,
                    Verdict(
                        winner.identity, candidate_of({others[0]: 1.0}).identity, "search",
                        difference, difference - half, figure.episodes, chosen.reason,
                    ),
                )  # fmt: skip

    def _add(self, candidate: Any, parents: Any, operator: str, result: Result) -> None:
        run, archive = self.run, self.archive
        archive.add_candidate(candidate, parents, operator, run=self.number)
        entry = run.race.entries.get(candidate.learner.name)
        rung = run.race.last_level + 1
        begun = archive.begin_trial(
            self.number, candidate.identity, run.task.digest, seed=run.seed, rung=rung
        )
        trial = Trial(
            candidate.identity, "finished", run.seed, rung=rung, results=(result,),
            message="" if entry is None else entry.failed,
        )  # fmt: skip
        archive.end_trial(begun, trial)
