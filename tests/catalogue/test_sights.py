"""A family in several views: its own, those of frozen encoders, and several beside each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metaloop.catalogue import features
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.catalogue.sights import best_view, further_views, with_sights
from metaloop.catalogue.views import ENCODER, seen
from metaloop.core.encoder import Encoder
from metaloop.core.errors import DataError, UnknownNameError
from metaloop.core.fitted_view import BESIDE
from metaloop.tasks.family import ClassFamily, episode_list

_CLASSES, _EACH = 24, 6


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a cache of its own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("METALOOP_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coloured images of 40 x 30 pixels, a colour to a class, with noise."""
    root = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    for k in range(_CLASSES):
        colours = rng.integers(0, 256, (2, 2, 3))
        (root / f"class{k:02}").mkdir()
        for i in range(_EACH):
            pixels = np.kron(colours, np.ones((15, 20, 1))) + rng.normal(0, 40, (30, 40, 3))
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(root / f"class{k:02}" / f"{i}.png")
    return root


def both(folder: Path, encoder: Encoder) -> ClassFamily:
    """The family in its own view and through the encoder."""
    plain = open_data(folder, detail=encoder.card.size).family
    assert isinstance(plain, ClassFamily)
    from metaloop.catalogue.views import view_of_encoder

    return with_sights(plain, [view_of_encoder(encoder)])


def test_a_named_encoder_is_the_familys_own_view(folder: Path, blocks: Encoder) -> None:
    opened = open_data(folder, DataOptions(backbone=blocks))
    family = opened.family
    assert isinstance(family, ClassFamily)
    assert family.input_format.shape == (24,) and family.views == ("",)
    assert family.view is not None and family.view.choice.name == ENCODER
    assert any("through blocks at 16 pixels" in note for note in opened.notes)


def test_an_encoder_sees_files_at_its_own_size(folder: Path, blocks: Encoder) -> None:
    family = open_data(folder, DataOptions(backbone=blocks)).family
    assert isinstance(family, ClassFamily) and family.raw is not None
    name = family.store.classes[3].name
    files = sorted((folder / name).iterdir())
    small = Image.open(files[0]).convert("RGB").resize((16, 16), Image.Resampling.BOX)
    pixels = torch.from_numpy(np.asarray(small).transpose(2, 0, 1).copy())[None]
    row = family.store.examples_of[3][0]
    assert torch.allclose(family.store.taken(np.array([row])), blocks.encode(pixels), atol=1e-5)


def test_further_views_have_the_same_tasks_and_the_same_identity(
    folder: Path, blocks: Encoder
) -> None:
    family = both(folder, blocks)
    other = family.seen("blocks")
    assert family.views == ("", "blocks") and other.input_format.shape == (24,)
    assert other.digest == family.digest == open_data(folder).family.digest
    spec = family.spec(5, 1, 3)
    mine, theirs = (episode_list(each, "search", spec, 20) for each in (family, other))
    assert mine.list_hash == theirs.list_hash
    assert np.array_equal(mine.query.examples, theirs.query.examples)
    assert family.seen("blocks") is other


def test_views_beside_each_other_are_flat_and_come_apart_again(
    folder: Path, blocks: Encoder
) -> None:
    family = both(folder, blocks)
    joined = family.seen("own + blocks")
    assert joined.input_format.shape == (3 * 32 * 32 + 24,)
    assert joined.view is not None and joined.view.choice.name == BESIDE
    rows = np.arange(7)
    inputs = joined.input_format.to_float(joined.store.taken(rows))
    images, encoded = joined.input_format.parted(inputs)
    own = family.input_format.to_float(family.store.taken(rows))
    assert torch.equal(images, own)
    assert torch.equal(encoded, family.seen("blocks").store.taken(rows))
    normal = joined.input_format.parted(joined.input_format.normalise(inputs))[0]
    assert torch.allclose(normal, family.input_format.normalise(own), atol=1e-6)


def test_a_joined_view_sees_new_inputs_as_the_family_does(folder: Path, blocks: Encoder) -> None:
    family = both(folder, blocks)
    joined, store = family.seen("own + blocks"), family.store
    assert joined.view is not None and store.detail is not None
    assert torch.equal(
        seen(joined.view, store.inputs, store.detail),
        joined.store.taken(np.arange(len(store))),
    )


def test_a_view_that_a_family_lacks_is_refused_in_one_line(folder: Path, blocks: Encoder) -> None:
    with pytest.raises(DataError, match="is not seen as 'lite9', but as: own, blocks"):
        both(folder, blocks).seen("own + lite9")
    with pytest.raises(DataError, match="is not seen as 'lite9'"):
        open_data("sinusoid").family.seen("lite9")


def test_features_are_computed_once_and_found_again(
    folder: Path, blocks: Encoder, own_cache: Path
) -> None:
    told: list[tuple[int, int]] = []
    before = blocks.seen  # type: ignore[attr-defined]
    options = DataOptions(backbone=blocks)
    first = open_data(folder, options, tell=lambda done, of: told.append((done, of))).family
    number = _CLASSES * _EACH
    assert blocks.seen == before + number and told[-1] == (number, number)  # type: ignore[attr-defined]
    again = open_data(folder, options).family
    assert blocks.seen == before + number  # type: ignore[attr-defined]
    assert first.digest == again.digest
    (kept,) = (own_cache / "features").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])  # damaged: it is made again
    open_data(folder, options)
    assert blocks.seen == before + 2 * number  # type: ignore[attr-defined]


def test_the_cache_of_features_stays_within_its_bounds(
    folder: Path, blocks: Encoder, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = 4 * 24 * _CLASSES * _EACH
    monkeypatch.setattr(features, "MOST_BYTES", 3 * one)
    for size in (12, 20, 24, 28):  # other contents of the same data
        card = replace(blocks.card, size=size)
        encoder = type(blocks)()
        encoder.card = card
        open_data(folder, DataOptions(backbone=encoder))
    assert 1 <= len(list((own_cache / "features").iterdir())) <= 3


def test_encoders_are_for_inputs_of_their_kind(blocks: Encoder, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "v.npz", X=rng.normal(size=(80, 6)), y=np.repeat(np.arange(20), 4))
    with pytest.raises(DataError, match="v has vectors, the backbone is for others"):
        open_data(tmp_path / "v.npz", DataOptions(backbone=blocks))
    with pytest.raises(UnknownNameError, match="no backbone is called"):
        open_data("glyphs", DataOptions(backbone="lite1"))


def test_the_best_view_is_measured(folder: Path, blocks: Encoder) -> None:
    family = both(folder, blocks)
    assert [view.choice.name for view in further_views(family)] == [ENCODER]
    blind = replace(family.sights["blocks"], inputs=torch.zeros(len(family.store), 24))
    unseeing = replace(family, sights={"blocks": blind})
    spec = family.spec(5, 1, 3)
    assert best_view(unseeing, spec) == ""
    assert best_view(replace(family, sights={}), spec) == ""
