"""What `auto` offers: the largest size that is affordable, and a line about what is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from metaloop.catalogue import offered
from metaloop.catalogue.families import DataOptions, OpenedData, open_data
from metaloop.catalogue.offered import (
    MOST_WITHOUT_A_CLOCK,
    Allowance,
    affordable,
    allowance_of,
    seconds_each,
)
from metaloop.catalogue.sights import backbones_of
from metaloop.core.columns import Texts
from metaloop.core.encoder import Encoder, JoinedEncoder
from metaloop.core.errors import DataError, UnknownNameError

_CLASSES, _EACH = 21, 4
SIZES = {"blocks@32": 1.0, "blocks@24": 0.1, "blocks": 0.01}  # seconds for an image


@pytest.fixture(autouse=True)
def sized(blocks: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`blocks` in three sizes is installed; how long it takes is known."""

    def opened(name: str, **asked: Any) -> Encoder:
        if name not in SIZES:
            raise UnknownNameError(f"no backbone is called '{name}'")
        encoder = type(blocks)()
        size = int(name.partition("@")[2] or 16)
        encoder.card = replace(blocks.card, name=name, size=size)
        return encoder

    monkeypatch.setenv("METALOOP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(offered, "installed", lambda takes: ("blocks",) * (takes == "images"))
    monkeypatch.setattr(offered, "open_backbone", opened)
    monkeypatch.setattr(offered, "_SIDES", {"blocks": tuple(SIZES)})
    monkeypatch.setattr(offered, "seconds_each", lambda encoder, column: SIZES[encoder.card.name])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coloured images of 40 x 30 pixels, a colour to a class."""
    root = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    for k in range(_CLASSES):
        (root / f"class{k:02}").mkdir()
        for i in range(_EACH):
            noise = rng.integers(0, 90, (30, 40, 3)) + rng.integers(0, 160, 3)
            image = Image.fromarray(noise.astype(np.uint8))
            image.save(root / f"class{k:02}" / f"{i}.png")
    return root


def opened(data: Path, seconds: float | None, **asked: Any) -> OpenedData:
    return open_data(data, DataOptions(backbone="auto", allowance=Allowance(seconds), **asked))


def names(data: OpenedData) -> list[str]:
    return [each.card.name for each in backbones_of(data.family)]


@pytest.mark.parametrize(
    ("seconds", "chosen", "said"),
    [
        (84.5, ["blocks@32"], ""),
        (83.0, ["blocks@24"], "it would take 84 s for 84 images, and all encoding may take 83 s"),
        (5.0, ["blocks"], "blocks is offered instead"),
        (0.5, [], "'blocks@32' is left out"),
        (None, ["blocks"], ""),
    ],
)
def test_the_largest_affordable_size_is_offered_and_read(
    folder: Path, seconds: float | None, chosen: list[str], said: str
) -> None:
    data = opened(folder, seconds)
    assert names(data) == chosen
    classes = data.family.as_classes
    assert classes is not None
    side = {"blocks@32": 32, "blocks@24": 24, "blocks": 16}[chosen[0]] if chosen else 0
    detail = classes.store.detail
    assert (None if detail is None else tuple(detail.shape[2:])) == ((side, side) if side else None)  # type: ignore[union-attr]
    told = [note for note in data.notes if "left out" in note]
    assert len(told) == bool(said) and all(said in note for note in told)
    assert all("--backbone blocks@32 has it used" in note for note in told)


def test_a_name_is_used_however_long_it_takes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = DataOptions(backbone="blocks@32", allowance=Allowance(0.0))
    assert names(open_data(folder, asked)) == ["blocks@32"]


def test_a_resumed_run_is_offered_what_it_was(folder: Path) -> None:
    for kept, found in (
        (("blocks@24",), ["blocks@24"]),
        ((), []),
        (("gone", "blocks"), ["blocks"]),
    ):
        asked = DataOptions(backbone="auto", allowance=Allowance(1e9, names=kept))
        assert names(open_data(folder, asked)) == found


def test_without_a_clock_the_number_decides() -> None:
    few, many = (affordable("images", MOST_WITHOUT_A_CLOCK + more, Allowance()) for more in (0, 1))
    assert [each.card.name for each in few.encoders] == ["blocks"] and not few.left_out
    assert many.encoders == () and "a budget in steps has no clock" in many.left_out[0]


def test_what_comes_first_takes_its_time_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offered, "installed", lambda takes: ("blocks", "blocks@24"))
    offer = affordable("images", 100, Allowance(105.0))
    assert [each.card.name for each in offer.encoders] == ["blocks@32"]
    assert "'blocks@24' is left out: it would take 10 s for 100 images" in offer.left_out[0]


def test_a_long_budget_is_offered_the_front_of_a_net_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offered, "_FRONTS", {"blocks": "blocks@24"})
    for fine_tunes, seconds, found in (
        (True, 150.0, ["blocks@32", "blocks@24"]),
        (True, 105.0, ["blocks@32"]),  # nothing is left for it
        (False, 150.0, ["blocks@32"]),
    ):
        offer = affordable("images", 100, Allowance(seconds, fine_tunes=fine_tunes))
        assert [each.card.name for each in offer.encoders] == found


def test_the_first_may_take_longer_than_the_others_if_it_has_one_size(
    joined: dict[str, float],
) -> None:
    def offer(takes: str, number: int) -> list[str]:
        found = affordable(takes, number, Allowance(50.0, first=100.0), Texts.of(["a"]))
        return [each.card.name for each in found.encoders]

    assert offer("texts", 40) == ["large", "large+small"]
    assert offer("texts", 99) == ["large", "large+small"]  # of which little is new
    assert offer("texts", 101) == ["small"]
    assert allowance_of(60.0) == Allowance(30.0, first=60.0)
    assert allowance_of(600.0) == Allowance(300.0, first=600.0, fine_tunes=True)
    assert allowance_of(None) == Allowance()


@pytest.fixture
def joined(blocks: Encoder, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """`large` and `large+small` are installed, for texts; seconds for a text of each piece."""
    seconds = {"large": 1.0, "small": 0.01}

    class Pair(JoinedEncoder):
        def join(self, features: Sequence[Tensor]) -> Tensor:
            return torch.cat(list(features), dim=1)

    def piece(name: str) -> Encoder:
        encoder = type(blocks)()
        encoder.card = replace(blocks.card, name=name, takes="texts", weights=name, size=0)
        return encoder

    def opened(name: str, **asked: Any) -> Encoder:
        if name != "large+small":
            return piece(name)
        pair = Pair()
        pair.pieces = (piece("large"), piece("small"))
        pair.card = replace(pair.pieces[0].card, name=name, weights=name)
        return pair

    monkeypatch.setattr(offered, "open_backbone", opened)
    monkeypatch.setattr(offered, "installed", lambda takes: ("large", "small", "large+small"))
    for table in ("_PIECES", "_OUTDONE"):
        monkeypatch.setattr(offered, table, {"small": "large+small"})
    monkeypatch.setattr(offered, "seconds_each", lambda encoder, column: seconds[encoder.card.name])
    return seconds


@pytest.mark.parametrize(
    ("seconds", "found"),
    [(102.0, ["large", "large+small"]), (99.0, ["small"]), (0.5, [])],
)
def test_joined_encoders_take_what_is_new_in_them_and_a_piece_stands_in_for_them(
    joined: dict[str, float], seconds: float, found: list[str]
) -> None:
    offer = affordable("texts", 100, Allowance(seconds), Texts.of(["a"]))
    assert [each.card.name for each in offer.encoders] == found


@pytest.mark.parametrize(
    ("each", "found"), [(0.09, ["large", "large+small"]), (0.11, ["large"]), (0.5, ["large"])]
)
def test_what_adds_little_to_what_is_encoded_anyway_is_never_too_long(
    joined: dict[str, float], each: float, found: list[str]
) -> None:
    joined["small"] = each
    offer = affordable("texts", 100, Allowance(50.0, first=101.0), Texts.of(["a"]))
    assert [encoder.card.name for encoder in offer.encoders] == found


def test_texts_are_timed_by_some_of_them(blocks: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    encoder = type(blocks)()
    encoder.card = replace(blocks.card, takes="texts", size=0)
    monkeypatch.setattr(encoder, "encode", asked.append)
    assert seconds_each(encoder, Texts.of([f"text {k}" for k in range(40)])) > 0
    assert seconds_each(encoder, Texts.of(["one"])) > 0
    assert [len(each) for each in asked] == [16, 16, 1, 1]
    assert asked[0][0] == "text 0" and asked[0][-1] == "text 39"


def test_a_damaged_backbone_that_nobody_asked_for_stops_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(name: str, **asked: Any) -> Encoder:
        raise DataError(f"'{name}.pth' is a damaged file of weights; get it anew")

    monkeypatch.setattr(offered, "open_backbone", damaged)
    data = opened(folder, 1e9)
    assert names(data) == []
    (told,) = [note for note in data.notes if "left out" in note]
    assert "'blocks' is left out: 'blocks@32.pth' is a damaged file" in told
    with pytest.raises(DataError, match="is a damaged file of weights"):
        open_data(folder, DataOptions(backbone="blocks"))
