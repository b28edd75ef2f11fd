"""What pages show of a model: texts and ratings are read, and say what the learner said."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.sounds import RATE, tune, write_words

from metaloop.catalogue.families import DataOptions, open_data
from metaloop.models.showing import Shown, shown_of
from metaloop.models.training import Trained, train_model
from metaloop.tasks.family import TaskFamily
from metaloop.tasks.readers.recordings import decode_recording

WORDS = ("red", "green", "blue", "loud", "quiet", "round", "square", "far", "near", "old")


def shown_in(family: TaskFamily, learner: str, **asked: int) -> list[Shown]:
    *_, last = train_model(family, learner, budget="1steps", **asked)
    assert isinstance(last, Trained)
    return list(shown_of(last.model, family, last.model.spec))


def lines_of(item: Shown) -> list[dict[str, str]]:
    assert item.media_type == "text/csv"
    return list(csv.DictReader(io.StringIO(item.content.decode())))


def test_a_task_of_texts_is_shown_with_what_the_learner_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["text,label"]
    for label in range(16):
        topic = f"topic{label}"
        for _ in range(6):
            some = " ".join(rng.permutation(WORDS)[:3])
            rows.append(f'"{topic} {some}, مرحبا",label{label}')
    path = tmp_path / "texts.csv"
    path.write_text("\n".join(rows))
    (item,) = shown_in(open_data(path).family, "nearest_centroid", ways=2, shots=2, queries=3)
    lines = lines_of(item)
    assert 2 <= len(lines) <= 4
    for line in lines:
        kind, shown, asked, says = line.values()
        assert shown.startswith(kind.replace("label", "topic") + " ") and "مرحبا" in asked
        assert says == kind or says.endswith("(wrong)")
    assert sum(line["what it says"] == line["class"] for line in lines) >= len(lines) - 1


def test_a_word_of_each_class_is_to_be_heard_with_what_the_learner_says(tmp_path: Path) -> None:
    pytest.importorskip("soundfile", reason="metaloop[speech]")
    pytest.importorskip("soxr", reason="metaloop[speech]")
    family = open_data(write_words(tmp_path / "words", words=16, takes=6)).family
    items = shown_in(family, "nearest_centroid", ways=2, shots=2, queries=3)
    known = {tune(word, 0, take).shape for word in range(16) for take in range(6)}
    assert [item.name for item in items] == ["recording 1", "recording 2"]
    right = 0
    for item in items:
        assert item.media_type == "audio/wav"
        word, said = re.fullmatch(
            r"'(word\d+)' of `search`; the learner says '(word\d+)'", item.caption
        ).groups()  # type: ignore[union-attr]
        right += word == said
        heard = decode_recording(item.content)
        takes = [tune(int(word[4:]), 0, take) for take in range(6)]
        rounded = [np.rint(take * 32767).astype(np.int16) for take in takes]
        assert (heard.rate, heard.channels) == (RATE, 1) and (len(heard.samples),) in known
        assert any(np.abs(heard.samples - take.astype(int)).max() <= 2 for take in rounded)
    assert right == 2


@pytest.mark.parametrize("of_events", [False, True], ids=["ratings", "events"])
def test_a_user_is_shown_with_what_is_predicted_and_items_on_a_map(
    tmp_path: Path, of_events: bool
) -> None:
    rng = np.random.default_rng(1)
    rows = ["user,item" if of_events else "user,item,rating"]
    for user in range(40):
        for item in rng.choice(30, 12, replace=False):
            stars = "" if of_events else f",{1 + (user + item) % 5}"
            rows.append(f"u{user},film {item}{stars}")
    path = tmp_path / "films.csv"
    path.write_text("\n".join(rows))
    learner = "spectral" if of_events else "user_bias"
    user, items = shown_in(open_data(path).family, learner, shots=3, queries=5)
    lines = lines_of(user)
    known = [line for line in lines if line["of this user"] == "known"]
    asked = [line for line in lines if line["of this user"] == "asked"]
    assert len(known) == 3 and asked and all(line["item"].startswith("film ") for line in lines)
    predicted = [float(line["predicted"]) for line in asked]
    assert predicted == sorted(predicted, reverse=True)
    assert not {line["item"] for line in known} & {line["item"] for line in asked}
    hers = {line["what she had" if of_events else "her rating"] for line in known}
    assert hers == {"had"} if of_events else hers <= set("12345")
    assert Image.open(io.BytesIO(items.content)).size[0] > 640


def test_generated_images_are_shown_for_the_five_best_and_the_five_worst_classes(
    tmp_path: Path,
) -> None:
    """Drawings of a class are a square at one place, with noise: more of it is harder."""
    rng = np.random.default_rng(0)
    images, labels = [], []
    for label in range(64):
        row, column = rng.integers(0, 6, 2)
        for _ in range(5):
            image = np.full((9, 9), 255, np.uint8)
            image[row : row + 3, column : column + 3] = 0
            flipped = rng.random((9, 9)) < 0.3 * label / 64
            images.append(np.where(flipped, 255 - image, image))
            labels.append(label)
    np.savez(tmp_path / "squares.npz", X=np.stack(images), y=labels)
    options = DataOptions(objective="generation")
    family = open_data(tmp_path / "squares.npz", options).family
    best, worst = shown_in(family, "blurred_mixture", shots=2, queries=2)
    assert (best.name, worst.name) == ("best classes", "worst classes")
    bits = []
    for item in (best, worst):
        assert item.media_type == "image/png"
        with Image.open(io.BytesIO(item.content)) as sheet:
            assert sheet.height == 4 + 5 * (2 * 60 + 8) and sheet.width > 10 * 60
        assert re.search(r"5 test classes of 1\d that are", item.caption)
        bits.append([float(each) for each in re.findall(r"\((\d\.\d{3})\)", item.caption)])
    assert [len(each) for each in bits] == [5, 5]
    assert bits[0] == sorted(bits[0]) and max(bits[0]) <= min(bits[1])
