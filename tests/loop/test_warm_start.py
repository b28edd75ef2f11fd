"""Runs that learn from further data (`also`) and from the archive of earlier runs (`archive`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaloop.archive import Archive
from metaloop.catalogue.families import open_data
from metaloop.core.records import PARTS, Candidate
from metaloop.generators.operators import OPERATORS
from metaloop.generators.recipes import operators_of
from metaloop.jobs.shipping import load_shipped
from metaloop.jobs.workplace import TrainingData, Workplace, prepare
from metaloop.loop import Learned, Tried, learn
from metaloop.loop.arms import DATA
from metaloop.loop.choosing import choose_field, errors_of, known_programs
from metaloop.loop.proposal import Generates
from metaloop.loop.proposing import Proposer
from metaloop.models import DataRead
from metaloop.models.model import load_model
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read_arrays

OPTIONS: dict[str, Any] = {"budget": "60steps", "queries": 4}


def vectors(path: Path, seed: int, features: int = 10, classes: int = 24) -> Path:
    """Writes classes that are easy to tell apart."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), 8)
    centres = rng.normal(size=(classes, features))
    inputs = centres[labels] + 0.5 * rng.normal(size=(len(labels), features))
    np.savez(path, X=inputs, y=labels)
    return path


def jobs_of(folder: Path) -> Any:
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        return [job for job in archive.jobs() if job.work == "train"]


def test_a_run_learns_from_further_data_where_the_bandit_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: dict[str, Any]
) -> None:
    def chosen(self: Proposer, *arguments: Any) -> list[str]:
        return [f"{DATA}add family {name}" for name in self.families]

    monkeypatch.setattr(Proposer, "_data_arms", chosen)  # no other data arms to draw from
    target, other = vectors(tmp_path / "target.npz", 0), vectors(tmp_path / "other.npz", 1)
    options = {**OPTIONS, **here, "generates": Generates(algorithms=False)}
    *_, last = learn(target, out=tmp_path / "run", also=[other], **options)
    assert isinstance(last, Learned) and last.report["status"] == "finished"
    jobs = jobs_of(tmp_path / "run")
    used = [job for job in jobs if job.asked["operator"] == "data: add family other"]
    assert used and {job.status for job in used} == {"finished"}
    with Archive.open(tmp_path / "run" / "archive.sqlite", read_only=True) as archive:
        assert {data.name for data in archive.data_sets()} == {"target", "other"}
        families = {stored.candidate.data.families for stored in archive.candidates()}
        hashes = {stored.data_hash for stored in archive.trials()}
        (opening,) = archive.openings()
    assert families == {(), ("other",)}
    assert hashes == {opening.protocol.data_hash}  # measured on the target alone
    model = load_model(tmp_path / "run" / "model.metaloop")
    assert sum(map(len, model.parts.values())) == 24  # the target's classes


def test_what_is_learned_from_further_data_are_their_training_classes(tmp_path: Path) -> None:
    families: list[ClassFamily] = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        reading = read_arrays(
            rng.normal(size=(96, 5)), np.repeat(np.arange(24), 4), name=f"d{seed}"
        )
        families.append(class_family(reading)[0])
    target, other = families
    place = prepare(tmp_path, target, target.spec(3, 1, 2), {"d1": other})
    merged = place.training_family(TrainingData(families=("d1",)))
    assert isinstance(merged, ClassFamily)
    assert len(merged.parts["train"]) == len(target.parts["train"]) + len(other.parts["train"])
    assert merged.enlargement is not None and merged.enlargement.original_share >= 0.25
    for part in ("search", "promotion", "test"):
        np.testing.assert_array_equal(merged.parts[part], target.parts[part])  # type: ignore[index]
    own = place.family
    assert isinstance(own, ClassFamily)
    assert merged.enlargement.base.digest == own.digest == target.digest


def test_two_further_data_sets_of_one_name_are_told_apart(
    tmp_path: Path, here: dict[str, Any]
) -> None:
    paths = [tmp_path / name / "same.npz" for name in ("target", "a", "b")]
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        vectors(path, seed)
    events = learn(paths[0], out=tmp_path / "run", also=paths[1:], **OPTIONS, **here)
    while not isinstance(next(events), Tried):
        pass
    events.close()  # type: ignore[attr-defined]
    families = [load_shipped(path) for path in (tmp_path / "run" / "states" / "also").iterdir()]
    assert len({family.name for family in families}) == 2
    assert len({family.digest for family in families}) == 2
    names = tuple(family.name for family in families)
    place = Workplace(tmp_path / "run" / "states")
    merged = place.training_family(TrainingData(families=names))
    assert isinstance(merged, ClassFamily)
    classes = [merged.store.classes[c].name for c in merged.parts["train"]]
    assert len(set(classes)) == len(classes)


def test_what_is_sealed_in_the_target_trains_in_no_further_data_and_that_is_told(
    tmp_path: Path, here: dict[str, Any]
) -> None:
    """The same rows but for rounding, under other names and with further classes."""
    with np.load(vectors(tmp_path / "target.npz", 0)) as file:
        inputs, labels = file["X"], file["y"]
    with np.load(vectors(tmp_path / "more.npz", 1)) as file:
        inputs = np.concatenate([inputs * (1 + 1e-7), file["X"]])
        labels = np.concatenate([1000 + labels, 2000 + file["y"]])
    np.savez(tmp_path / "other.npz", X=inputs, y=labels)
    options = {**OPTIONS, **here, "also": [tmp_path / "other.npz"]}
    events = learn(tmp_path / "target.npz", out=tmp_path / "run", **options)
    read = next(event for event in events if isinstance(event, DataRead))
    while not isinstance(next(events), Tried):
        pass
    events.close()  # type: ignore[attr-defined]
    (folder,) = (tmp_path / "run" / "states" / "also").iterdir()
    other, whole = load_shipped(folder), open_data(tmp_path / "other.npz").family
    target = open_data(tmp_path / "target.npz").family
    assert isinstance(other, ClassFamily) and isinstance(whole, ClassFamily)
    assert isinstance(target, ClassFamily)
    dealt = [int(whole.store.classes[c].name) for c in whole.parts["train"]]
    sealed = {int(target.store.classes[c].name) for part in PARTS[1:] for c in target.parts[part]}
    lent = {int(other.store.classes[c].name) for c in other.parts["train"]}
    assert lent == {name for name in dealt if name >= 2000} != set(dealt)
    told = {item.reason.partition(",")[0]: item.count for item in read.left_out}
    stolen = len({name - 1000 for name in dealt} & sealed)
    assert told["the same as classes that are sealed in target or other data"] == stolen > 0
    assert told["also in the data to be learned for"] == 8 * (len(dealt) - len(lent) - stolen) > 0
    with Archive.open(tmp_path / "run" / "archive.sqlite", read_only=True) as archive:
        kept = {data.name: data.left_out for data in archive.data_sets()}
    assert sum(kept["other"].values()) == sum(item.count for item in read.left_out)


def best_of(folder: Path) -> Candidate:
    """Returns the trained candidate with the least error on `search`."""
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        errors, candidates = errors_of(archive)
    return candidates[int(np.nanargmin(errors[0]))]


@pytest.mark.long
def test_an_archive_brings_its_best_candidate_into_the_race_first(
    finished: Any, tmp_path: Path, make: Any, here: dict[str, Any]
) -> None:
    folder = finished[0]
    best = best_of(folder)
    generates = Generates(algorithms=False)
    events = learn(
        make(seed=5), out=tmp_path / "run", archive=folder / "archive.sqlite", generates=generates,
        **{**OPTIONS, **here, "queries": 5},
    )  # fmt: skip
    *_, last = events
    assert isinstance(last, Learned) and last.report["status"] == "finished"
    first = jobs_of(tmp_path / "run")[0]
    with Archive.open(tmp_path / "run" / "archive.sqlite", read_only=True) as archive:
        heads = {t.trial.candidate for t in archive.trials() if t.job == first.id}
        assert {trial.trial.status for trial in archive.trials()} <= {"finished"}
    assert best.identity in heads


def test_an_archive_of_other_inputs_does_no_harm(finished: Any, family: Any) -> None:
    """Candidates for images are left aside for vectors where they cannot be built; none breaks."""
    rng = np.random.default_rng(0)
    reading = read_arrays(rng.normal(size=(96, 5)), np.repeat(np.arange(24), 4), name="vectors")
    target = class_family(reading)[0]
    spec = target.spec(3, 1, 2)
    with Archive.open(finished[0] / "archive.sqlite", read_only=True) as archive:
        warm, cold = choose_field(target, spec, archive=archive), choose_field(target, spec)
        assert known_programs(archive)  # of use on any features
    assert warm.baselines == cold.baselines
    new = [heads for heads in warm.contenders if heads not in cold.contenders]
    for heads in new:
        for head in heads:
            suited = {OPERATORS[c.name].inputs for c in operators_of(head.data)}
            assert "image" not in suited, "operators on images cannot be applied to vectors"
            assert head.plan.augmentation.name == "none"


@pytest.mark.long
def test_a_run_on_vectors_with_an_archive_of_images_finishes_without_failures(
    finished: Any, tmp_path: Path, here: dict[str, Any]
) -> None:
    target = vectors(tmp_path / "target.npz", 0)
    *_, last = learn(
        target, out=tmp_path / "run", archive=finished[0] / "archive.sqlite",
        generates=Generates(algorithms=False), **OPTIONS, **here,
    )  # fmt: skip
    assert isinstance(last, Learned) and last.report["status"] == "finished"
    with Archive.open(tmp_path / "run" / "archive.sqlite", read_only=True) as archive:
        assert {t.trial.status for t in archive.trials()} == {"finished"}
