"""The end of a run: the chosen pipeline is trained on all that is known, and tested once."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from metaloop.catalogue.views import view_of_encoder
from metaloop.core.errors import MachineError, MetaloopError
from metaloop.core.fitted_view import FittedView
from metaloop.core.records import Result, Verdict
from metaloop.engine.classifying import measured_accuracy
from metaloop.engine.heads import fit_head
from metaloop.jobs.pipelines import PipelineResult
from metaloop.jobs.workplace import net_path
from metaloop.loop.events import LoopEvent, Promoted
from metaloop.loop.run import Stopped
from metaloop.modelfile import TrainingRecord
from metaloop.models.classifier import Classifier, classifier_with
from metaloop.selecting.baselines import tested_baselines
from metaloop.selecting.guests import answers_of, kept_back, learned_rows
from metaloop.selecting.offer import Guesting, Headed
from metaloop.selecting.racing import Entry, Proposal
from metaloop.selecting.recording import begin, last_result, result_of, take, told
from metaloop.selecting.reporting import figures, summary
from metaloop.selecting.run import Selecting, accuracy, task_of

FINAL_RUNG = 2
Rival = Headed | Guesting  # of the best net
_WORDS = {Headed: "a frozen backbone", Guesting: "a guest"}


@dataclass(frozen=True)
class Chosen:
    """The pipeline that won and why, its weights, what it took, and the view that it sees in."""

    entry: Entry
    reason: str
    weights: Mapping[str, Tensor]
    steps: int
    epochs: float
    cpu_seconds: float
    wall_seconds: float
    frozen: Headed | None = None

    @property
    def view(self) -> FittedView | None:
        """The encoder's, of a frozen pipeline."""
        return None if self.frozen is None else view_of_encoder(self.frozen.features.encoder)


def train_chosen(run: Selecting) -> Generator[LoopEvent, None, Chosen]:
    """Yields the last training; returns who was trained.

    Where a frozen pipeline or a guest is a rival, the best net is trained without `search`,
    which then tells which of the two is better. Where a training diverges the next best is trained
    with what is left. Raises `Stopped` when asked to stop, and `MetaloopError` where none can be
    trained.
    """
    rivals, message = _rivals(run), ""
    for entry in run.race.beliefs():
        reason = _decided(run, entry)
        last = last_result(run, entry)
        if last is not None:
            yield Promoted(entry.candidate.label, last, reason)
        left = _left(run)
        kept = max((kept_back(run, one, left) for one in rivals), default=0.0)
        number, result, message = yield from _trained(
            run, entry, left - kept, measured=bool(rivals)
        )
        if result is None:
            entry.failed = message
            continue
        for rival in rivals:
            entry.right[FINAL_RUNG] = np.array([float(one) for one in result.right])
            is_better, reason = _compared(run, entry, rival)
            chosen = None if is_better else _of_rival(run, rival, reason, kept)
            if chosen is not None:
                return chosen
            reason += _lost(rival)
        return Chosen(
            entry, reason, _weights(run, number), result.steps, result.epochs,
            result.train_cpu_seconds, result.train_wall_seconds,
        )  # fmt: skip
    for rival in rivals:
        found = f"the best of what was measured {_where(rival)}; nothing else took part"
        last = last_result(run, rival.entry)
        if last is not None:
            yield Promoted(rival.entry.candidate.label, last, found)
        chosen = _of_rival(run, rival, found, _left(run))
        if chosen is not None:
            return chosen
        message = _lost(rival)
    raise MetaloopError(f"no pipeline could be trained on {run.labelled.name}; the last: {message}")


def _rivals(run: Selecting) -> list[Rival]:
    """The best frozen pipeline, and the best guest that can be kept; the better of the two first.

    A guest that is behind what the best net has after a short training is no rival.
    """
    offer, guest = run.offer, run.guests.keepable
    rivals: list[Rival] = [] if offer is None else [*offer.measured[:1]]
    if guest is not None:
        raced = [e.right[max(e.right)].mean() for e in run.race.beliefs() if e.right]
        if _right(guest).mean() > max(raced, default=0.0):
            rivals.append(guest)
    return sorted(rivals, key=lambda rival: -float(_right(rival).mean()))


def _of_rival(run: Selecting, rival: Rival, reason: str, kept: float) -> Chosen | None:
    """The rival, trained on what it may learn from; None if it fails, which it then says itself."""
    if isinstance(rival, Headed):
        return _headed(run, rival, reason)
    rows = learned_rows(run, rival, kept)
    allowed = run.settings.patience * max(kept, rival.seconds) + run.settings.grace_seconds
    cpu, wall = run.guest_cpu, time.perf_counter()
    try:
        answered = answers_of(run, rival.guest, rows, rows[:0], allowed)
    except MetaloopError as error:
        rival.entry.failed = f"on {len(rows):,} examples: {error}"
        return None
    rival.unkept = answered.unkept
    if rival.unkept:
        return None
    return Chosen(
        rival.entry, reason, answered.tensors, 0, 0.0, run.guest_cpu - cpu,
        time.perf_counter() - wall,
    )  # fmt: skip


def _lost(rival: Rival) -> str:
    """What became of a guest that was better and could not be kept; else nothing."""
    if isinstance(rival, Headed) or not (rival.entry.failed or rival.unkept):
        return ""
    return f"; it could not be kept: {rival.entry.failed or rival.unkept}"


def _right(rival: Rival) -> np.ndarray:
    return rival.entry.right[max(rival.entry.right)]


def _where(rival: Rival) -> str:
    return "on a frozen backbone" if isinstance(rival, Headed) else "of guests"


def finish(run: Selecting, chosen: Chosen) -> dict[str, Any]:
    """Opens `test`, for the baselines first, writes the model, and returns the report."""
    cpu, wall = run.cpu_seconds, run.wall_seconds
    start = time.perf_counter()
    baselines = tested_baselines(run)
    model = _model(run, chosen, wall)
    test, more = _tested(run, model)
    model = model.with_results(test)
    model.save(run.model_path, overwrite=True)
    report = summary(run, "finished", chosen.entry, chosen.reason, baselines, test)
    report |= {"cpu_seconds": cpu, "wall_seconds": wall}
    how = test.protocol
    report["test"] = {
        **figures(test),
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
        "steps": chosen.steps,
        "epochs": chosen.epochs,
        "cpu_seconds": chosen.cpu_seconds,
        "wall_seconds": chosen.wall_seconds,
    }
    report["test_seconds"] = time.perf_counter() - start
    return report


def _trained(
    run: Selecting, entry: Entry, amount: float, measured: bool
) -> Generator[LoopEvent, None, tuple[int, PipelineResult | None, str]]:
    """The job that trained an entry with what is left, what it came back with, or why it failed."""
    proposal = Proposal(entry, FINAL_RUNG, amount)
    number, begun = begin(
        run, proposal, kept=True, measured=measured, threads=run.executor.num_workers
    )
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
        return number, result, ""
    return number, None, outcomes[0].message if result is None else result.message


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
        _verdict(run, entry, other, entry.right[rung] - other.right[rung], reason)
    return reason


def _compared(run: Selecting, entry: Entry, rival: Rival) -> tuple[bool, str]:
    """Whether a trained net is better than its rival, by more than noise, and why.

    Both were measured on `search` without having learned from it; the rival learns from it yet, the
    net does not.
    """
    mine = entry.right[FINAL_RUNG]
    if isinstance(rival, Headed):
        mine = mine[np.isin(np.sort(run.labelled.rows["search"]), rival.learned)]
    difference = mine - _right(rival)
    mean = float(difference.mean())
    noise = float(difference.std()) / len(difference) ** 0.5
    is_better = mean > noise
    winner, loser = (entry, rival.entry) if is_better else (rival.entry, entry)
    sign = 1 if is_better else -1
    words = "a net of its own" if is_better else _WORDS[type(rival)]
    reason = (
        f"{words}: {100 * sign * mean:+.1f} points on {len(difference):,} examples of 'search' "
        f"beside the best of the others"
    )
    _verdict(run, winner, loser, sign * difference, reason)
    return is_better, reason


def _verdict(
    run: Selecting, winner: Entry, loser: Entry, difference: np.ndarray, reason: str
) -> None:
    half = 1.96 * float(difference.std()) / len(difference) ** 0.5
    mean = float(difference.mean())
    run.archive.add_verdict(
        run.id,
        Verdict(
            winner.identity, loser.identity, "search", mean, mean - half, len(difference), reason
        ),
    )


def _headed(run: Selecting, frozen: Headed, reason: str) -> Chosen:
    """The head of a frozen pipeline, learned from all that may be learned from and was encoded."""
    cpu, wall = time.process_time(), time.perf_counter()
    labelled, rows = run.labelled, frozen.learned
    features = frozen.features.of(rows)
    assert features is not None
    targets = labelled.store.targets[torch.from_numpy(rows)]
    head = frozen.head
    weights = fit_head(features, targets, len(labelled.class_names), head.kind, head.value)
    return Chosen(
        frozen.entry, reason, weights, 0, 0.0, time.process_time() - cpu,
        time.perf_counter() - wall, frozen,
    )  # fmt: skip


def _weights(run: Selecting, number: int) -> Mapping[str, Tensor]:
    try:
        return load_file(net_path(run.states, number))
    except (OSError, safetensors.SafetensorError) as error:
        raise MachineError(f"what was trained cannot be read: {error}") from error


def _model(run: Selecting, chosen: Chosen, wall_seconds: float) -> Classifier:
    labelled = run.labelled
    training = TrainingRecord(
        seed=run.seed,
        budget=str(run.budget),
        steps=chosen.steps,
        wall_seconds=wall_seconds,
        cpu_seconds=chosen.cpu_seconds,
        data_hash=labelled.digest,
        data_name=labelled.name,
    )
    input_format = labelled.input_format
    if chosen.frozen is not None and run.offer is not None:
        input_format = run.offer.image_format
    return classifier_with(
        chosen.entry.candidate, chosen.weights, task_of(labelled, input_format), input_format,
        labelled.class_names, training, view=chosen.view,
    )  # fmt: skip


def _tested(run: Selecting, model: Classifier) -> tuple[Result, dict[str, float]]:
    """The result on `test`, and what belongs beside it; the look is recorded before it is taken."""
    protocol = run.protocol("test")
    subject = model.candidate.identity
    opening = run.archive.record_opening(subject, "the end of a select run", protocol, run=run.id)
    rows = torch.from_numpy(run.labelled.rows["test"])
    inputs, targets = run.labelled.part("test")
    if model.view is not None and run.offer is not None:
        inputs = run.offer.images[rows]
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
