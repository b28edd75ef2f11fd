"""Images in every form become what the data readers would have made of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from PIL import Image

from metaloop.core.errors import DataError, InputError
from metaloop.core.inputs import InputFormat
from metaloop.estimators import FewShotClassifier
from metaloop.estimators.images import read_pictures
from metaloop.models import Model
from metaloop.tasks.readers import decode_image, read_arrays
from metaloop.tasks.value_range import decide_range, to_bytes

GREY, COLOUR = (1, 12, 12), (3, 12, 12)


def _format(shape: tuple[int, ...], polarity: Literal["as_is", "ink"] = "as_is") -> InputFormat:
    return InputFormat("image", shape, (0.5,) * shape[0], (0.2,) * shape[0], polarity)


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).random(shape)


ARRAYS = {
    "bytes": (_noise(6, 12, 12) * 255).astype(np.uint8),
    "another size": (_noise(6, 30, 17) * 255).astype(np.uint8),
    "small": (_noise(6, 5, 7) * 255).astype(np.uint8),
    "truth values": _noise(6, 12, 12) > 0.5,
    "zeros and ones": (_noise(6, 12, 12) > 0.5).astype(np.int64),
    "unit floats": _noise(6, 12, 12).astype(np.float32),
    "half floats": _noise(6, 12, 12).astype(np.float16),
    "sixteen levels": np.floor(_noise(6, 12, 12) * 17),
    "signed floats": _noise(6, 12, 12) * 2 - 1,
    "sixteen bits": (_noise(6, 12, 12) * 65535).astype(np.uint16),
    "one channel": (_noise(6, 12, 12, 1) * 255).astype(np.uint8),
    "colour": (_noise(6, 14, 12, 3) * 255).astype(np.uint8),
    "transparency": (_noise(6, 14, 12, 4) * 255).astype(np.uint8),
    "channels first": _noise(6, 3, 14, 12).astype(np.float32),
}


@pytest.mark.parametrize("polarity", ["as_is", "ink"])
@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_are_read_by_the_rules_of_the_readers(
    kind: str, shape: tuple[int, ...], polarity: Literal["as_is", "ink"]
) -> None:
    given = ARRAYS[kind]
    reading = read_arrays(
        to_bytes(given, decide_range(given)),
        [0, 0, 0, 1, 1, 1],
        image_size=12,
        channels=shape[0],
        polarity=polarity,
    )
    ours = read_pictures(given, _format(shape, polarity))
    assert torch.equal(ours[:], reading.store.inputs)
    assert torch.equal(ours[2:4], reading.store.inputs[2:4])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_pil_images_bytes_and_files_are_the_same(mode: str, tmp_path: Path) -> None:
    grey = mode in ("I;16", "I", "F")
    white = 255 if mode == "F" else 65535
    pixels = (_noise(20, 20) * white).astype(np.uint16) if grey else None
    image = (
        Image.fromarray(pixels).convert(mode)
        if pixels is not None and mode != "I;16"
        else Image.fromarray(pixels)
        if pixels is not None
        else Image.fromarray((_noise(20, 20, 3) * 255).astype(np.uint8)).convert(mode)
    )
    path = tmp_path / "image.tiff"
    image.save(path)
    expected = decode_image(path, COLOUR)
    listed: list[Any] = [image, path, str(path), path.read_bytes()]
    for row in read_pictures(listed, _format(COLOUR))[:].numpy():
        assert_array_equal(row, expected)


def test_orientation_and_transparency_of_pil_images_are_obeyed() -> None:
    turned = Image.fromarray((_noise(8, 16, 3) * 255).astype(np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6  # turn by 90 degrees
    clear = Image.new("P", (16, 8), 1)
    clear.info["transparency"] = 1
    for image in (turned, clear):
        file = io.BytesIO()
        image.save(file, "PNG", exif=image.getexif())
        fitted = read_pictures([image, file.getvalue()], _format(COLOUR))[:]
        assert torch.equal(fitted[0], fitted[1])


def test_a_query_is_scaled_like_the_support_not_like_its_neighbours(
    image_model: Model, task: dict[str, Any]
) -> None:
    for scale in (lambda x: x / 127.5 - 1, lambda x: x / 255.0, lambda x: x.astype(float)):
        estimator = FewShotClassifier(image_model).fit(scale(task["support"]), task["labels"])
        together = estimator.predict_proba(scale(task["queries"]))
        alone = estimator.predict_proba(scale(task["queries"][:1]))
        np.testing.assert_allclose(alone, together[:1], atol=1e-5)
        dark = estimator.predict_proba(scale(task["queries"][:1] // 255))  # black, still black
        assert np.isfinite(dark).all()


def test_files_arrays_and_images_may_be_mixed_between_fit_and_predict(
    image_model: Model, task: dict[str, Any], tmp_path: Path
) -> None:
    paths = []
    for i, pixels in enumerate(task["support"]):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(pixels).save(paths[-1])
    from_files = FewShotClassifier(image_model).fit(paths, task["labels"])
    from_arrays = FewShotClassifier(image_model).fit(task["support"], task["labels"])
    queries = [Image.fromarray(pixels) for pixels in task["queries"]]
    for estimator in (from_files, from_arrays):
        assert_array_equal(
            estimator.predict_proba(queries), from_arrays.predict_proba(task["queries"])
        )
    assert_array_equal(from_files.predict(np.array(paths)), from_arrays.predict(task["support"]))


@pytest.mark.parametrize("others", [lambda x: x / 255.0, lambda x: x * 3.0])
def test_images_on_another_scale_than_the_support_are_refused(
    image_model: Model, task: dict[str, Any], others: Any
) -> None:
    estimator = FewShotClassifier(image_model).fit(task["support"], task["labels"])
    with pytest.raises(InputError, match=r"pixels were in 0\.\.255 .* give images on the same"):
        estimator.predict(others(task["queries"]))
    unit = FewShotClassifier(image_model).fit(task["support"] / 255.0, task["labels"])
    with pytest.raises(InputError, match=r"pixels were in 0\.\.1 .* run from \d+ to 2\d\d"):
        unit.partial_fit(task["queries"], task["truth"])


def test_an_unreadable_file_is_named(
    image_model: Model, task: dict[str, Any], tmp_path: Path
) -> None:
    estimator = FewShotClassifier(image_model).fit(task["support"], task["labels"])
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.png"):
        estimator.predict([broken])
    with pytest.raises(DataError, match=r"X\[1\]: the image cannot be read"):
        estimator.predict([Image.new("L", (4, 4)), b"no image"])
    with pytest.raises(DataError, match="does not exist"):
        estimator.predict(["nowhere.png"])
