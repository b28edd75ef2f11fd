"""What a run may see: no query labels, no sealed part, and chance is called chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metaloop.archive import Archive
from metaloop.catalogue.candidates import catalogue_candidates
from metaloop.catalogue.programs import PROGRAMS, on_trunk
from metaloop.core.learner import Learner, MetaParams
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate
from metaloop.core.spec import TaskSpec
from metaloop.engine.evaluation import score_episodes
from metaloop.generators.generate import generate
from metaloop.generators.recipes import parse_recipe
from metaloop.jobs import inventing
from metaloop.jobs.inventing import InventRequest, invent_programs
from metaloop.jobs.workplace import TrainedNet, prepare
from metaloop.loop import Learned, learn
from metaloop.loop.choosing import choose_field
from metaloop.loop.proposal import Generates
from metaloop.loop.run import Run
from metaloop.models.opening import open_test
from metaloop.tasks.family import ClassFamily, episode_list
from metaloop.tasks.store import Reading, Store

DATA_ALONE = Generates(algorithms=False)  # programs are searched for on `search`, see below


@pytest.fixture(scope="module")
def field(family: ClassFamily) -> tuple[Candidate, ...]:
    """Every candidate that a run on `family` starts with, and every program of the library."""
    found = choose_field(family, family.spec(5, 1, 5))
    heads = [head for contender in found.contenders for head in contender]
    recipe = next(head for head in heads if head.learner.name == "simpleshot")
    known = [on_trunk(recipe, entry.source) for entry in PROGRAMS.values()]
    return tuple({c.identity: c for c in (*found.baselines, *heads, *known)}.values())


def assembled(
    folder: Path, candidate: Candidate, family: ClassFamily
) -> tuple[Learner, MetaParams]:
    """Returns a candidate on a fresh net, as a run's workers assemble it."""
    place = prepare(folder, family, family.spec(5, 1, 5))
    return place.assemble(candidate, TrainedNet({}), 0)


def test_flipped_query_labels_change_no_prediction_of_any_candidate(
    family: ClassFamily, field: tuple[Candidate, ...], tmp_path: Path
) -> None:
    """Whoever could see query labels would follow them: accuracies would not be exchanged."""
    episodes = episode_list(family, "search", family.spec(5, 1, 5), 4)
    turned = replace(
        episodes, query=replace(episodes.query, labels=(episodes.query.labels + 1) % 5)
    )
    for candidate in field:
        learner, params = assembled(tmp_path, candidate, family)
        seen: list[torch.Tensor] = []
        for listed in (episodes, turned):
            batch = listed.gather(family.input_format)
            for task in range(len(listed)):
                support = replace(
                    batch.support,
                    inputs=batch.support.features[task],
                    targets=batch.support.targets[task],
                    mask=batch.support.mask[task],
                )
                state = learner.adapt(params, support, torch_stream(0, "adapt"))
                with torch.no_grad():
                    seen.append(learner.predict(params, state, batch.query.features[task]))
        for first, second in zip(seen[: len(episodes)], seen[len(episodes) :], strict=True):
            assert torch.equal(first, second), candidate.label
        # and the engine's scores follow the labels alone
        scores = [
            score_episodes(learner, params, listed, family.input_format)
            for listed in (episodes, turned)
        ]
        said = torch.stack(seen[: len(episodes)]).argmax(-1).numpy()
        for listed, score in zip((episodes, turned), scores, strict=True):
            np.testing.assert_allclose(
                score.values, (said == listed.query.labels).mean(1), atol=0.05
            )


def sealed_noise(family: ClassFamily, parts: tuple[str, ...]) -> ClassFamily:
    """Returns the family with the inputs of these parts replaced by noise."""
    inputs = family.store.inputs.clone()
    for part in parts:
        rows = np.concatenate([family.store.examples_of[c] for c in family.parts[part]])  # type: ignore[index]
        noise = torch.randint(0, 256, inputs[rows].shape, generator=torch_stream(0, part))
        inputs[rows] = noise.to(torch.uint8)
    store = Store(inputs, family.store.targets, family.store.classes, family.store.polarity)
    return ClassFamily(family.name, store, family.parts)


def searched(folder: Path) -> tuple[list[Any], list[Any]]:
    """Returns what was asked for and found before anything was judged."""
    with Archive.open(folder / "archive.sqlite", read_only=True) as archive:
        asked = [job.asked for job in archive.jobs() if job.work != "judge"]
        values = [r.result.value for r in archive.results(part="search")]
    return asked, values


@pytest.mark.long
def test_a_search_is_the_same_whatever_the_sealed_parts_hold(
    family: ClassFamily, reading: Reading, tmp_path: Path, here: dict[str, Any]
) -> None:
    found = []
    noisy = sealed_noise(family, ("promotion", "test")).store
    for name, store in (("a", reading.store), ("b", noisy)):
        options = {"budget": "20steps", "queries": 5, "generates": DATA_ALONE, **here}
        *_, last = learn(replace(reading, store=store), out=tmp_path / name, **options)
        assert isinstance(last, Learned)
        found.append(searched(tmp_path / name))
    assert found[0] == found[1]


def test_generated_classes_come_from_the_training_part_alone(family: ClassFamily) -> None:
    others = sealed_noise(family, ("search", "promotion", "test"))
    recipe = parse_recipe("rotate(90) . mix(0.4) . cutmix(0.3) . affine(0.5)")
    made = [generate(one, recipe, 0) for one in (family, others)]
    first = len(family.store.inputs)
    assert len(made[0].store.inputs) > first
    assert torch.equal(*(each.store.taken(np.arange(first, len(each.store))) for each in made))
    new = np.arange(len(family.store.classes), len(made[0].store.classes))
    assert set(new) <= set(made[0].parts["train"])
    for part in ("search", "promotion", "test"):
        np.testing.assert_array_equal(made[0].parts[part], family.parts[part])


def test_inventions_are_measured_on_other_episodes_than_they_were_searched_on(
    family: ClassFamily, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec: TaskSpec = family.spec(5, 1, 5)
    place = prepare(tmp_path, family, spec)
    candidates = catalogue_candidates(family.input_format, spec)
    candidate = next(c for c in candidates if c.learner.name == "simpleshot")
    learner = place.learner(candidate, family)
    place.save_net(1, learner.init(spec, torch_stream(0, "init")))
    stacked: list[str] = []
    kept = inventing._Net._stacked

    def noting(self: Any, episodes: Any) -> Any:
        stacked.extend(row.tobytes().hex() for row in np.sort(episodes.query.examples, axis=1))
        return kept(self, episodes)

    monkeypatch.setattr(inventing._Net, "_stacked", noting)
    request = InventRequest(
        node=2, on=1, candidate=candidate, measured=(), programs=(), wall_seconds=None,
        evaluations=5, seed=0, episodes=50,
    )  # fmt: skip
    said = invent_programs(place, request, lambda content: None)
    measured = [
        episode_list(family, "search", family.spec(spec.ways, shots, spec.queries), 50)
        for shots in (spec.shots, 5)
    ]
    rows = [row for listed in measured for row in np.sort(listed.query.examples, axis=1)]
    assert stacked and not {row.tobytes().hex() for row in rows} & set(stacked)
    tasks = [task.result.protocol for found in said.found for task in found.figures.tasks]
    assert {how.list_hash for how in tasks} == {listed.list_hash for listed in measured}


def test_a_look_at_test_is_on_record_before_it_is_taken(
    make_run: Callable[..., Run], family: ClassFamily, field: tuple[Candidate, ...]
) -> None:
    run = make_run()
    learner, params = assembled(run.states, field[0], family)
    broken = ClassFamily(
        family.name,
        Store(family.store.inputs, family.store.targets, family.store.classes),
        family.parts,
    )

    class Breaks(type(learner)):  # type: ignore[misc]
        def adapt(self, *arguments: Any, **options: Any) -> Any:
            raise KeyboardInterrupt

    interrupted = object.__new__(Breaks)
    interrupted.__dict__.update(learner.__dict__)
    spec = family.spec(5, 1, 5)
    with pytest.raises(KeyboardInterrupt):
        open_test(run.archive, "abc", "to see", interrupted, params, broken, spec, 5, run.id)
    (opening,) = run.archive.openings()
    assert (opening.subject, opening.result) == ("abc", None)


@pytest.mark.long
def test_where_labels_mean_nothing_the_report_says_no_better_than_chance(
    tools: Any, tmp_path: Path, here: dict[str, Any]
) -> None:
    shuffled = tools.make_reading(shuffled=True)
    options = {"budget": "60steps", "queries": 5, "generates": DATA_ALONE, **here}
    _, report = tools.run_to_end(learn(shuffled, out=tmp_path / "run", **options))
    assert report["test"]["better_than_chance"] is False
    assert report["test"]["value"] == pytest.approx(0.2, abs=0.03)
    assert report["test"]["chance"] == 0.2
