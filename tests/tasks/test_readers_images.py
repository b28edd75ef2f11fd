"""Decoding single images: every mode becomes uint8 of the wanted shape, upright, ink as asked."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from metaloop.core.errors import DataError
from metaloop.tasks.readers import decode_image, list_images


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def test_every_mode_of_a_bright_square_decodes_to_the_same_picture() -> None:
    square = Image.new("L", (40, 40), 0)
    ImageDraw.Draw(square).rectangle((10, 10, 29, 29), fill=255)
    wide = Image.fromarray(np.asarray(square).astype(np.uint16) * 257)
    variants = {
        "1": encoded(square.convert("1")),
        "L": encoded(square),
        "P": encoded(square.convert("P")),
        "RGB": encoded(square.convert("RGB")),
        "RGBA": encoded(square.convert("RGBA")),
        "LA": encoded(square.convert("LA")),
        "I;16": encoded(wide),
        "I": encoded(wide.convert("I"), "TIFF"),
        "F": encoded(square.convert("F"), "TIFF"),
        "CMYK": encoded(square.convert("RGB").convert("CMYK"), "TIFF"),
        "gif": encoded(square, "GIF"),
        "webp": encoded(square.convert("RGB"), "WEBP", lossless=True),
    }
    expected = np.zeros((20, 20), np.uint8)
    expected[5:15, 5:15] = 255
    for mode, data in variants.items():
        for channels in (1, 3):
            decoded = decode_image(data, (channels, 20, 20))
            assert decoded.dtype == np.uint8, mode
            assert decoded.shape == (channels, 20, 20), mode
            np.testing.assert_array_equal(decoded, np.stack([expected] * channels), mode)


def test_transparent_pixels_are_white_paper() -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert (decode_image(encoded(image), (3, 8, 8)) == 255).all()
    palette = Image.new("P", (8, 8), 0)
    assert (decode_image(encoded(palette, transparency=0), (1, 8, 8)) == 255).all()
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    assert (decode_image(encoded(half), (1, 8, 8)) == 127).all()


def test_orientation_tag_turns_the_image_upright() -> None:
    upright = Image.new("RGB", (16, 16), "black")
    upright.paste((255, 255, 255), (0, 0, 16, 4))  # a white roof
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned anticlockwise, to be shown turned clockwise
    stored = encoded(upright.rotate(90), "PNG", exif=exif)
    expected = decode_image(encoded(upright), (1, 16, 16))
    np.testing.assert_array_equal(decode_image(stored, (1, 16, 16)), expected)


def test_shrinking_averages_so_that_thin_strokes_stay_visible() -> None:
    image = Image.new("L", (100, 100), 0)
    ImageDraw.Draw(image).line((51, 0, 51, 99), fill=255)
    decoded = decode_image(encoded(image), (1, 10, 10))
    assert (decoded[0, :, 5] == 25).all()  # a tenth of 255


def test_ink_polarity_inverts_only_images_with_a_bright_border() -> None:
    paper = Image.new("L", (20, 20), 255)
    ImageDraw.Draw(paper).rectangle((8, 8, 11, 11), fill=0)
    slate = Image.eval(paper, lambda value: 255 - value)
    from_paper = decode_image(encoded(paper), (1, 20, 20), "ink")
    from_slate = decode_image(encoded(slate), (1, 20, 20), "ink")
    np.testing.assert_array_equal(from_paper, from_slate)
    assert from_paper[0, 9, 9] == 255
    assert from_paper[0, 0, 0] == 0


def test_a_large_photograph_keeps_its_mean_colour() -> None:
    gradient = np.linspace(0, 255, 1600).astype(np.uint8)
    photo = Image.fromarray(np.stack([np.tile(gradient, (1200, 1))] * 3, axis=2))
    decoded = decode_image(encoded(photo, "JPEG"), (3, 32, 32))
    expected = gradient.reshape(32, -1).mean(axis=1)
    assert np.abs(decoded[0].mean(axis=0) - expected).max() < 3


@pytest.mark.parametrize("data", [b"", b"hello", encoded(Image.new("L", (64, 64)))[:60]])
def test_damaged_bytes_are_a_data_error_of_one_line(data: bytes) -> None:
    with pytest.raises(DataError, match="cannot be read") as caught:
        decode_image(data, (1, 8, 8))
    assert "\n" not in str(caught.value)


def test_an_image_of_400_million_pixels_is_refused_unread() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    empty = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + empty
    with pytest.raises(DataError, match="more than 179 million pixels; make it smaller"):
        decode_image(bomb, (3, 8, 8))


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "CMYK"])
def test_an_image_of_one_pixel_is_one_colour(mode: str) -> None:
    one = Image.new("RGB", (1, 1), (255, 255, 255)).convert(mode)
    decoded = decode_image(encoded(one, "TIFF"), (3, 96, 96))
    assert decoded.shape == (3, 96, 96) and decoded.min() == 255


def test_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        decode_image(tmp_path / "none.png", (1, 8, 8))


def test_list_images_gives_a_file_or_all_images_of_a_folder_sorted(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "sub/c.png", ".hidden.png", "notes.txt", "__MACOSX/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    expected = [tmp_path / "a.JPG", tmp_path / "b.png", tmp_path / "sub" / "c.png"]
    assert list_images(tmp_path) == expected
    assert list_images(str(tmp_path / "b.png")) == [tmp_path / "b.png"]


def test_list_images_refuses_what_holds_no_image(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    for path, words in [
        (tmp_path, "holds no images"),
        (tmp_path / "notes.txt", "is not an image"),
        (tmp_path / "none.png", "does not exist"),
    ]:
        with pytest.raises(DataError, match=words):
            list_images(path)
