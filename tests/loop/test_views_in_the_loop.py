"""The loop with an encoder: views are raced, joined beside each other, shipped, saved and used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import metaloop as ml
from metaloop.archive import Archive
from metaloop.catalogue import offered
from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.sights import in_view, with_sights
from metaloop.catalogue.views import view_of_encoder
from metaloop.core.encoder import Encoder
from metaloop.core.errors import MetaloopError, ModelFileError
from metaloop.core.own import Own
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice
from metaloop.jobs import joining
from metaloop.jobs.joining import Joinable, JoinRequest, join_nets, plain_members
from metaloop.jobs.shipping import load_shipped, ship_family
from metaloop.jobs.workplace import Workplace, prepare
from metaloop.loop.settings import USUAL
from metaloop.modelfile import TrainingRecord
from metaloop.models.model import Model, load_model
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.kept import class_parts
from metaloop.tasks.readers import read_arrays

_QUICK = replace(USUAL, learners=("protonet", "simpleshot", "nearest_centroid"), test_episodes=100)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What encoders make is kept nowhere else."""
    monkeypatch.setenv("METALOOP_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def colours() -> tuple[np.ndarray, np.ndarray]:
    """Images `[N, 16, 16, 3]` of 24 classes: four colours each, and noise."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 12)
    means = np.kron(rng.integers(0, 256, (24, 2, 2, 3)), np.ones((1, 8, 8, 1)))
    images = means[labels] + rng.normal(0, 90, (len(labels), 16, 16, 3))
    return np.clip(images, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def family(colours: tuple[np.ndarray, np.ndarray], blocks: Encoder) -> ClassFamily:
    plain = class_family(read_arrays(*colours, name="colours", image_size=16))[0]
    return with_sights(plain, [view_of_encoder(blocks)])


def test_learn_races_the_views_and_its_model_is_used_with_the_encoder(
    colours: tuple[np.ndarray, np.ndarray],
    blocks: Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(offered, "installed", lambda takes: ("blocks",) * (takes == "images"))
    monkeypatch.setattr(offered, "open_backbone", lambda name, **asked: blocks)
    np.savez(tmp_path / "colours.npz", X=colours[0], y=colours[1])
    run = ml.learn(
        tmp_path / "colours.npz", budget="120steps", workers=2, queries=5, image_size=16,
        out=tmp_path / "run", settings=_QUICK,
    )  # fmt: skip
    with Archive.open(run.archive, read_only=True) as archive:
        stored = {s.identity: s.candidate for s in archive.candidates()}
        trained = {stored[t.trial.candidate].view for t in archive.trials()}
        answers = [job.answered for job in archive.jobs() if job.work == "judge"]
    references = [stored[answer["reference"][1]] for answer in answers if "reference" in answer]
    assert references and all(each.plan.style == "none" for each in references)
    assert {"", "blocks"} <= trained
    nets = {row[1] for row in run.leaderboard.table}
    assert any(net.endswith("of blocks") for net in nets)
    assert any("of" not in net for net in nets)
    model = load_model(run.path, Own(backbone=blocks))
    images, labels = colours
    fitted = ml.load(run.path, backbone=blocks).fit(images[::12], labels[::12])
    right = np.mean(fitted.predict(images) == labels)
    assert right > 0.5, model.candidate
    assert run.test is not None
    again = ml.evaluate(run.path, tmp_path / "colours.npz", episodes=100, backbone=blocks)
    assert again.value == pytest.approx(run.test.value)
    if model.view is not None:
        with pytest.raises(MetaloopError, match="no backbone is called 'blocks'"):
            ml.load(run.path).fit(images[::12], labels[::12])


def candidate_in(family: ClassFamily, view: str, width: int) -> Candidate:
    seen = family.seen(view)
    made = make_candidate("protonet", seen.input_format, family.spec(5, 1, 5))
    net = Choice("mlp", {"width": width, "depth": 1})
    return Candidate(made.learner, net, made.plan, view=view)


@pytest.fixture
def place(family: ClassFamily, tmp_path: Path) -> Workplace:
    """A workplace with a net on pixels (node 3) and one on the encoder's features (node 5)."""
    spec = family.spec(5, 1, 5)
    place = prepare(tmp_path / "states", family, spec)
    for node, view in ((3, ""), (5, "blocks")):
        candidate = candidate_in(family, view, node + 2)
        seen = family.seen(view)
        learner = build_learner(candidate, seen.input_format, "classification")
        place.save_net(node, learner.init(spec, torch_stream(node, "init")))
    return place


def test_nets_of_several_views_are_joined_and_the_file_holds_all_it_needs(
    family: ClassFamily,
    place: Workplace,
    blocks: Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joining, "select", lambda *chosen_from: [0, 1, 2])  # tested elsewhere
    on_pixels, on_blocks = candidate_in(family, "", 5), candidate_in(family, "blocks", 7)
    nets = [Joinable(3, on_pixels), Joinable(5, on_blocks)]
    nets += [Joinable(None, c) for c in plain_members(family.seen("blocks").input_format, "blocks")]
    request = JoinRequest(9, tuple(nets), (on_blocks, on_pixels), seed=0, episodes=60)
    result = join_nets(place, request, lambda content: None)
    head = result.found[0].candidate
    assert result.found[0].figures.status == "finished", result.found[0].figures.message
    assert head.view == "own + blocks"
    assert [member["piece"] for member in head.net.options["members"]] == [0, 1, 1]
    learner, meta_params = place.assemble(head, place.net(9), 0)
    seen = family.seen(head.view)
    spec = replace(family.spec(5, 1, 5), input_shape=seen.input_format.shape)
    record = TrainingRecord(0, "1s", 1, 1.0, 1.0, family.digest, family.name)
    model = Model(
        learner, meta_params, head, spec, seen.input_format, class_parts(family), record,
        view=seen.view,
    )  # fmt: skip
    model.save(tmp_path / "joined.metaloop")
    loaded = load_model(tmp_path / "joined.metaloop", Own(backbone=blocks))
    assert loaded.candidate == head and loaded.takes == "images"
    rows = np.arange(10)
    inputs = seen.store.taken(rows)
    targets = torch.arange(10) % 5
    expected = model.predict(model.adapt(inputs, targets, 5), inputs)
    assert torch.equal(loaded.predict(loaded.adapt(inputs, targets, 5), inputs), expected)
    images = family.store.taken(rows).numpy().transpose(0, 2, 3, 1)
    classifier = ml.FewShotClassifier(loaded).fit(images, np.arange(10) % 5)
    assert np.allclose(classifier.task_.outputs(classifier._read(images, loaded, classifier.task_)),
                       expected, atol=1e-5)  # fmt: skip
    classifier.save(tmp_path / "fitted.metaloop")
    again = ml.FewShotClassifier.load(tmp_path / "fitted.metaloop", backbone=blocks)
    assert np.array_equal(again.predict(images), classifier.predict(images))


def test_workers_are_given_all_views(family: ClassFamily, tmp_path: Path) -> None:
    shipped = load_shipped(ship_family(family, tmp_path / "data"))
    assert shipped.views == family.views
    assert torch.equal(shipped.seen("blocks").store.inputs, family.sights["blocks"].inputs)
    assert shipped.seen("blocks").input_format == family.seen("blocks").input_format
    assert shipped.digest == family.digest


def test_workers_are_given_what_an_encoder_has_made_of_a_family(
    colours: tuple[np.ndarray, np.ndarray], blocks: Encoder, tmp_path: Path
) -> None:
    plain = class_family(read_arrays(*colours, name="colours", image_size=16))[0]
    encoded = in_view(plain, view_of_encoder(blocks))
    shipped = load_shipped(ship_family(encoded, tmp_path / "data"))
    assert shipped.digest == encoded.digest == plain.digest
    assert shipped.as_classes is not None
    assert torch.equal(shipped.as_classes.store.inputs, encoded.store.inputs)


def test_weights_that_are_others_are_refused(
    family: ClassFamily, blocks: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metaloop.catalogue import views

    trained = ml.train(
        family, make_candidate_of_blocks(family), budget="2steps", queries=5,
        out=tmp_path / "m.metaloop",
    )  # fmt: skip
    assert trained.out is not None
    other = type(blocks)()
    other.card = replace(blocks.card, weights="f" * 16)
    monkeypatch.setattr(views, "_opened", lambda name, kind: other)
    images = np.zeros((4, 16, 16, 3), np.uint8)
    with pytest.raises(ModelFileError, match=r"with the weights b10c5.*, those here are ffff"):
        ml.load(trained.out).fit(images, [0, 0, 1, 1])


def make_candidate_of_blocks(family: ClassFamily) -> Candidate:
    return candidate_in(family, "blocks", 8)
