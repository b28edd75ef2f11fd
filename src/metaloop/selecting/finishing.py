"""The end of a run: the chosen pipeline is trained on all that is known, and tested once."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
from safetensors.torch import load_file

from metaloop.core.errors import MachineError, MetaloopError
from metaloop.core.records import Result, Verdict
from metaloop.engine.classifying import measured_accuracy
from metaloop.jobs.pipelines import PipelineResult
from metaloop.jobs.workplace import net_path
from metaloop.loop.events import LoopEvent, Promoted
from metaloop.loop.run import Stopped
from metaloop.modelfile import TrainingRecord
from metaloop.models.classifier import Classifier, classifier_with
from metaloop.selecting.racing import Entry, Proposal
from metaloop.selecting.recording import begin, last_result, result_of, take, told
from metaloop.selecting.reporting import summary
from metaloop.selecting.run import Selecting, accuracy, task_of

FINAL_RUNG = 2


@dataclass(frozen=True)
class Chosen:
    """The pipeline that won, the job that trained it to the end, and how that went."""

    entry: Entry
    job: int
    result: PipelineResult
    reason: str


def train_chosen(run: Selecting) -> Generator[LoopEvent, None, Chosen]:
    """Yields the last training; returns who was trained.

    Where it diverges the next best is trained with what is left. Raises `Stopped` when asked to
    stop, and `MetaloopError` where none can be trained.
    """
    message = ""
    for entry in run.race.beliefs():
        reason = _decided(run, entry)
        last = last_result(run, entry)
        if last is not None:
            yield Promoted(entry.candidate.label, last, reason)
        proposal = Proposal(entry, FINAL_RUNG, _left(run))
        number, begun = begin(run, proposal, kept=True, threads=run.executor.num_workers)
        while True:
            outcomes = run.executor.wait(run.settings.wait_seconds)
            run.worker_cpu = run.executor.cpu_seconds
            yield from told(run, {number: begun})
            if outcomes:
                break
            if run.stop():
                raise Stopped
        yield take(run, begun, outcomes[0])
        result = result_of(outcomes[0])
        if outcomes[0].status == "machine failed":
            raise MachineError(
                f"{outcomes[0].message}; nothing is lost: mend this, then go on with --resume"
            )
        if result is not None and result.status == "finished":
            return Chosen(entry, number, result, reason)
        message = outcomes[0].message if result is None else result.message
        entry.failed = message
    raise MetaloopError(f"no pipeline could be trained on {run.labelled.name}; the last: {message}")


def finish(run: Selecting, chosen: Chosen) -> dict[str, Any]:
    """Opens `test`, writes the model, and returns the report."""
    cpu, wall = run.cpu_seconds, run.wall_seconds
    start = time.perf_counter()
    model = _model(run, chosen, wall)
    test, more = _tested(run, model)
    model = model.with_results(test)
    model.save(run.model_path, overwrite=True)
    report = summary(run, "finished", chosen.entry, chosen.reason)
    report |= {"cpu_seconds": cpu, "wall_seconds": wall}
    how = test.protocol
    report["test"] = {
        "metric": test.metric,
        "value": test.value,
        "ci95": test.ci95,
        "examples": test.episodes,
        **more,
        "better_than_chance": test.value - test.ci95 > more["chance"],
        "protocol": {
            "part": how.part,
            "classes": how.ways,
            "norm_policy": how.norm_policy,
            "list_hash": how.list_hash,
            "data_hash": how.data_hash,
        },
    }
    report["training"] = {
        "steps": chosen.result.steps,
        "epochs": chosen.result.epochs,
        "cpu_seconds": chosen.result.train_cpu_seconds,
        "wall_seconds": chosen.result.train_wall_seconds,
    }
    report["test_seconds"] = time.perf_counter() - start
    return report


def _left(run: Selecting) -> float:
    """What is left of the budget for the last training."""
    if run.budget.steps is not None:
        return max(1.0, float(run.budget.steps - run.steps_before))
    assert run.budget.wall_seconds is not None
    kept = (1 - run.settings.kept_back) * run.budget.wall_seconds
    return max(0.5, kept - run.wall_seconds)


def _decided(run: Selecting, entry: Entry) -> str:
    """Records who is chosen over whom, and says why in words."""
    value = run.race.values()
    others = [e for e in run.race.beliefs() if e is not entry and e.right]
    if not entry.right or not others:
        return "what is expected of it at this budget; nothing was raced"
    other = others[0]
    rung = max(set(entry.right) & set(other.right), default=None)
    ahead = 100 * run.race.gain * (value[entry.identity] - value[other.identity])
    reason = f"believed to be {ahead:.1f} points ahead of the next, after the race on proxies"
    if rung is not None:
        difference = entry.right[rung] - other.right[rung]
        half = 1.96 * float(difference.std()) / len(difference) ** 0.5
        mean = float(difference.mean())
        run.archive.add_verdict(
            run.id,
            Verdict(
                entry.identity, other.identity, "search", mean, mean - half, len(difference),
                reason,
            ),
        )  # fmt: skip
    return reason


def _model(run: Selecting, chosen: Chosen, wall_seconds: float) -> Classifier:
    path, labelled = net_path(run.states, chosen.job), run.labelled
    try:
        weights = load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise MachineError(f"what was trained cannot be read: {error}") from error
    training = TrainingRecord(
        seed=run.seed,
        budget=str(run.budget),
        steps=chosen.result.steps,
        wall_seconds=wall_seconds,
        cpu_seconds=chosen.result.train_cpu_seconds,
        data_hash=labelled.digest,
        data_name=labelled.name,
    )
    return classifier_with(
        chosen.entry.candidate, weights, task_of(labelled), labelled.input_format,
        labelled.class_names, training,
    )  # fmt: skip


def _tested(run: Selecting, model: Classifier) -> tuple[Result, dict[str, float]]:
    """The result on `test`, and what belongs beside it; the look is recorded before it is taken."""
    protocol = run.protocol("test")
    subject = model.candidate.identity
    opening = run.archive.record_opening(subject, "the end of a select run", protocol, run=run.id)
    inputs, targets = run.labelled.part("test")
    logits = model.log_probabilities(inputs)
    right, likelihood = measured_accuracy(logits, targets)
    result = accuracy(float(right.mean()), len(right), protocol)
    run.archive.finish_opening(opening, result)
    asked = targets.numpy()
    shares = [float(right[asked == target].mean()) for target in np.unique(asked)]
    learned = run.labelled.store.targets.numpy()[run.labelled.known]
    commonest = int(np.bincount(learned, minlength=len(model.classes)).argmax())
    more = {
        "balanced_accuracy": float(np.mean(shares)),
        "log_likelihood": likelihood,
        "chance": float((asked == commonest).mean()),
    }
    return result, more
