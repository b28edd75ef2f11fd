"""Frozen encoders in `select`: they take part, are compared, are shipped by name, are beaten."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metaloop as ml
from metaloop.archive import Archive
from metaloop.catalogue import frozen, offered, views
from metaloop.catalogue.frozen import features_of, frozen_pipeline, head_of
from metaloop.core.encoder import Encoder
from metaloop.core.errors import DataError, MetaloopError, ModelFileError
from metaloop.core.records import Choice
from metaloop.domains.images.lite0 import lite0, packaged_file
from metaloop.loop import DataRead, LoopEvent, Noted, Tried
from metaloop.modelfile import read_model, write_model
from metaloop.selecting import SelectSettings
from metaloop.selecting import select as events_of
from metaloop.tasks.readers import read, read_arrays
from metaloop.tasks.store import Reading

Images = Callable[..., tuple[np.ndarray, list[str]]]

ASKED: dict[str, Any] = {"budget": "60steps", "workers": 1, "progress": False}
PLAIN = ["the commonest class", "logistic regression on 12 x 12 pixels"]


@pytest.fixture(scope="module")
def run(
    reading: Reading, blocks: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> ml.SelectResult:
    """A run in which nothing but an encoder of the caller's own took part."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return ml.select(reading, out=tmp_path_factory.mktemp("r") / "o", backbone=blocks, **ASKED)


def test_an_encoder_that_was_named_is_all_that_takes_part(run: ml.SelectResult) -> None:
    assert run.test is not None and run.test.value > 0.8
    rows = [row for row in run.content["leaderboard"] if row["learner"] == "frozen"]
    assert run.league == "blocks" and {row["league"] for row in rows} == {"blocks"}
    (told,) = run.content["best"]["pretraining"]
    assert told["name"] == "blocks" and told["not_known"] == told["classes"] > 1
    assert run.content["backbones"][0]["weights"] and run.content["training"]["steps"] == 0
    assert not [row for row in run.content["leaderboard"] if row["learner"] == "classifier"]


def test_plain_methods_of_both_leagues_are_tested_and_every_look_is_recorded(
    run: ml.SelectResult,
) -> None:
    plain = [row for row in run.content["leaderboard"] if row["baseline"]]
    named = {row["name"]: row["league"] for row in plain}
    assert named == dict.fromkeys(PLAIN, "none") | dict.fromkeys(
        ["blocks, nearest centroid", "blocks, logistic regression"], "blocks"
    )
    assert all(row["test"]["examples"] == 12 for row in plain)
    with Archive.open(run.archive, read_only=True) as archive:
        openings = archive.openings()
    looked = {one.subject: one.result.value for one in openings if one.result is not None}
    assert len(openings) == len(plain) + 1
    assert openings[-1].subject == run.content["best"]["candidate"]
    for row in plain:
        assert row["candidate"] in looked


def test_an_interrupted_run_goes_on_with_its_encoder(
    reading: Reading, blocks: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked_so_often = iter(range(1000))
    first = ml.select(
        reading, out="run", backbone=blocks, stop=lambda: next(asked_so_often) > 0, **ASKED
    )
    assert first.status == "interrupted" and first.content["search"]["tried"] == 2
    with pytest.raises(MetaloopError, match="other values of --backbone"):
        ml.select(reading, out="run", resume=True, backbone="none", **ASKED)
    run = ml.select(reading, out="run", resume=True, backbone=blocks, **ASKED)
    assert run.status == "finished" and run.test is not None and run.test.value > 0.8


@pytest.fixture
def offered_blocks(
    blocks: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> dict[str, Encoder | str]:
    """`auto` offers `blocks`, opened as `there` says: an encoder, or why there is none."""
    there: dict[str, Encoder | str] = {"blocks": blocks}

    def opened(name: str, **_: Any) -> Encoder:
        found = there.get(name, f"no backbone is called '{name}'")
        if isinstance(found, str):
            raise DataError(found)
        return found

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(offered, "installed", lambda takes: ("blocks",) * (takes == "images"))
    monkeypatch.setattr(offered, "open_backbone", opened)
    monkeypatch.setattr(frozen, "open_backbone", opened)
    monkeypatch.setattr(views, "_opened", lambda name, kind: opened(name))
    return there


def _events(reading: Reading, **asked: Any) -> list[LoopEvent]:
    """What a run of `auto` tells, up to its end; it is stopped once something was measured."""
    asked_so_often = iter(range(1000))
    return list(
        events_of(
            reading, out="run", budget="60steps", workers=1,
            stop=lambda: next(asked_so_often) > 1, **asked,
        )
    )  # fmt: skip


def _notes(events: list[LoopEvent]) -> list[str]:
    return [note for event in events if isinstance(event, DataRead) for note in event.notes]


def test_a_damaged_encoder_that_nobody_asked_for_is_told(
    reading: Reading, offered_blocks: dict[str, Encoder | str]
) -> None:
    offered_blocks["blocks"] = "the weights of 'blocks' are damaged; install it again"
    said = _notes(_events(reading))
    assert "the backbone 'blocks' is left out: the weights of 'blocks' are damaged" in said[-1]


def test_a_damaged_encoder_of_a_larger_size_is_told(
    reading: Reading,
    offered_blocks: dict[str, Encoder | str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frozen, "LARGER", {"blocks": ("blocks@32",)})
    said = _notes(_events(reading))
    assert any("seen through blocks at 16 pixels" in note for note in said)
    assert "the backbone 'blocks@32' is left out: no backbone is called" in said[-1]


def test_an_encoder_that_takes_too_long_is_told(
    reading: Reading,
    blocks: Encoder,
    offered_blocks: dict[str, Encoder | str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    larger = type(blocks)()
    larger.card = dataclasses.replace(blocks.card, name="blocks@32", size=32)
    offered_blocks["blocks@32"] = larger
    monkeypatch.setattr(frozen, "LARGER", {"blocks": ("blocks@32",)})
    events = _events(reading, settings=SelectSettings(encoded_steps=60.0))
    (line,) = [event.line for event in events if isinstance(event, Noted)]
    assert "'blocks@32' is left out: all encoding may take 35% of the budget" in line


def test_a_resumed_run_is_offered_what_it_was(
    reading: Reading,
    blocks: Encoder,
    offered_blocks: dict[str, Encoder | str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert any(isinstance(event, Tried) for event in _events(reading))
    offered_blocks["blocks"] = "no backbone is called 'blocks'"
    with pytest.raises(MetaloopError, match=r"offered the backbone 'blocks' .* not there any more"):
        _events(reading, resume=True)
    other = type(blocks)()
    other.card = dataclasses.replace(blocks.card, weights=16 * "0")
    offered_blocks["blocks"] = other
    with pytest.raises(MetaloopError, match=r"offered the backbone 'blocks' .* not there any more"):
        _events(reading, resume=True)
    offered_blocks["blocks"] = blocks
    monkeypatch.setattr(frozen, "LARGER", {"blocks": ("blocks@32",)})  # installed since
    through = [note for note in _notes(_events(reading, resume=True)) if "seen through" in note]
    assert len(through) == 1 and "seen through blocks at 16 pixels" in through[0]


def test_shuffled_labels_end_at_chance_with_an_encoder_too(
    squares: Images, blocks: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    images, names = squares(each=100, seed=1)
    shuffled = np.random.default_rng(2).permutation(names)
    reading = read_arrays(images, shuffled, image_size=12)
    run = ml.select(reading, out="shuffled", backbone=blocks, **ASKED)
    assert run.test is not None and run.test.examples == 60
    assert abs(run.test.value - 1 / 3) < 3 * (2 / 9 / 60) ** 0.5  # three standard errors


def test_the_page_says_which_backbone_and_what_it_knows(run: ml.SelectResult) -> None:
    page = run.report().read_text()
    assert "told 3 classes apart" in page and "with blocks" in page and "CC0-1.0" in page


def test_the_model_file_names_the_encoder_and_does_not_hold_it(
    run: ml.SelectResult, squares: Images, blocks: Encoder
) -> None:
    content = read_model(run.path)
    assert content.view is not None and content.view.options["weights"] == blocks.card.weights
    assert set(content.weights) == {"center", "weight", "bias"}
    images, names = squares(each=4, seed=5)
    with pytest.raises(ModelFileError, match=r"a backbone that is not here.*backbone=") as told:
        ml.load(run.out).predict(images)
    assert "\n" not in str(told.value)
    loaded = ml.load(run.out, backbone=blocks)
    assert isinstance(loaded, ml.TrainedClassifier)
    assert (loaded.predict(images) == np.array(names)).mean() > 0.8
    assert np.array_equal(loaded.predict_proba(images), run.model.predict_proba(images))


def test_a_head_that_does_not_fit_is_refused(run: ml.SelectResult, tmp_path: Path) -> None:
    content = read_model(run.path)
    wrong = Choice("frozen", {"head": "regression", "inverse_strength": float(10**12)})
    for changed in (
        {"weights": {**content.weights, "weight": torch.zeros(3, 5)}},
        {"candidate": dataclasses.replace(content.candidate, learner=wrong)},
        {"candidate": dataclasses.replace(content.candidate, learner=Choice("classifier"))},
        {"view": None, "assets": None},
        {"view": Choice("encoder", {**content.view.options, "takes": "texts"})},  # type: ignore[union-attr]
    ):
        write_model(tmp_path / "m", dataclasses.replace(content, **changed), overwrite=True)
        with pytest.raises(MetaloopError):
            ml.load(tmp_path / "m")


def test_an_unknown_option_is_told_all_that_there_are() -> None:
    options = {"head": "centroid", "sharpness": 1.0, "quiet": 1}
    usual = frozen_pipeline("lite0", "centroid", 1.0)
    with pytest.raises(MetaloopError, match="known: copies, head, second, sharpness"):
        head_of(dataclasses.replace(usual, learner=Choice("frozen", options)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"head": "svm"},
        {"head": "centroid"},
        {"head": "centroid", "sharpness": True},
        {"head": "centroid", "sharpness": 1.0, "copies": 9},
        {"head": "centroid", "sharpness": 1.0, "second": 10**6},
        {"head": "centroid", "sharpness": 1.0, "x": 1},
    ],
)
def test_options_of_a_stranger_s_head_are_checked(options: dict[str, Any]) -> None:
    usual = frozen_pipeline("lite0", "centroid", 1.0)
    with pytest.raises(MetaloopError):
        head_of(dataclasses.replace(usual, learner=Choice("frozen", options)))


def test_a_net_of_its_own_wins_where_the_encoder_sees_nothing(
    squares: Images, blocks: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The encoder takes part beside nets, as `auto` has it, and is blind: all images are grey."""
    from metaloop.selecting import selecting

    class Blind(type(blocks)):  # type: ignore[misc]
        def encode(self, inputs: Any) -> torch.Tensor:
            return super().encode(torch.full_like(inputs, 7))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(selecting, "encoders_for", lambda backbone, download: ((Blind(),), ()))
    reading = read_arrays(*squares(each=30), image_size=12)
    asked = {**ASKED, "settings": SelectSettings(proxy_steps=8)}
    run = ml.select(reading, out="run", backbone="auto", **asked)
    assert run.league == "none" and run.content["best"]["reason"].startswith("a net of its own")
    assert run.test is not None and run.test.value > 0.8
    assert [row["league"] for row in run.content["leaderboard"] if row["baseline"]].count(
        "none"
    ) == 2


def test_where_the_budget_is_short_an_encoder_sees_a_part_of_the_examples(
    reading: Reading, blocks: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dear = SelectSettings(encoded_steps=60.0)
    run = ml.select(reading, out="run", backbone=blocks, settings=dear, **ASKED)
    searched = run.content["best"]["search"]["examples"]
    assert 0 < searched < run.content["data"]["examples"]["train"]


def test_an_encoder_of_texts_is_one_clear_line(reading: Reading) -> None:
    with pytest.raises(MetaloopError, match="backbone 'minilm' takes texts"):
        ml.select(reading, out="run", backbone="minilm", **ASKED)


def test_images_for_encoders_are_no_larger_than_they_came(squares: Images, tmp_path: Path) -> None:
    images, names = squares(each=4)
    np.savez(tmp_path / "d.npz", X=images, y=names)
    as_came = read(tmp_path / "d.npz", image_size=8, detail=96, detail_bytes=1 << 20).store
    assert tuple(as_came.detail.shape) == (12, 3, 12, 12)  # type: ignore[union-attr]
    few_bytes = read(tmp_path / "d.npz", image_size=8, detail=96, detail_bytes=12 * 3 * 100).store
    assert tuple(few_bytes.detail.shape) == (12, 3, 10, 10)  # type: ignore[union-attr]
    as_good = read(tmp_path / "d.npz", image_size=12, detail=96, detail_bytes=1 << 20).store
    assert as_good.detail is None


@pytest.mark.skipif(packaged_file() is None, reason="needs 'metaloop[backbones]'")
def test_a_second_look_is_the_mean_with_the_same_net_at_another_size() -> None:
    images = torch.randint(0, 256, (2, 3, 40, 40), generator=torch.Generator().manual_seed(0))
    small, large, images = lite0(32), lite0(64), images.to(torch.uint8)
    mean = (small.encode(images) + large.encode(images)) / 2
    torch.testing.assert_close(features_of(small, images, copies=1, second=64), mean)


def test_a_second_look_through_a_net_that_is_not_here_is_one_clear_line(blocks: Encoder) -> None:
    with pytest.raises(ModelFileError, match="a backbone that is not here"):
        features_of(blocks, torch.zeros(1, 3, 8, 8, dtype=torch.uint8), copies=1, second=64)


@pytest.mark.skipif(packaged_file() is None, reason="needs 'metaloop[backbones]'")
def test_lite0_by_name_from_a_folder_to_a_prediction(
    squares: Images, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    np.savez(tmp_path / "d.npz", **dict(zip("Xy", squares(each=10), strict=True)))
    run = ml.select(tmp_path / "d.npz", out=tmp_path / "run", backbone="lite0", **ASKED)
    assert run.league == "lite0" and run.test is not None and run.test.value > 0.6
    images, names = squares(each=4, seed=5)
    loaded = ml.load(tmp_path / "run")
    assert (loaded.predict(images) == np.array(names)).mean() > 0.6
    assert loaded.model.backbones[0].weights == "fc38944cf555b2c5"


@pytest.mark.skipif(packaged_file() is None, reason="needs 'metaloop[backbones]'")
def test_two_looks_beside_each_other_by_name_from_a_folder_to_a_prediction(
    squares: Images, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    np.savez(tmp_path / "d.npz", **dict(zip("Xy", squares(each=10), strict=True)))
    both = "lite0@32+lite0@64"
    run = ml.select(tmp_path / "d.npz", out=tmp_path / "run", backbone=both, **ASKED)
    assert run.league == both and run.test is not None and run.test.value > 0.6
    images, names = squares(each=4, seed=5)
    assert (ml.load(tmp_path / "run").predict(images) == np.array(names)).mean() > 0.6


def test_data_without_images_are_one_clear_line(blocks: Encoder) -> None:
    vectors = read_arrays(np.random.default_rng(0).normal(size=(12, 4)), ["a", "b"] * 6)
    with pytest.raises(DataError, match="takes images so far"):
        ml.select(vectors, out="run", backbone=blocks, **ASKED)
