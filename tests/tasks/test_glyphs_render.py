"""The glyph classes and their drawings: what is a class, what is left out, what a seed decides."""

import unicodedata
from dataclasses import replace

import numpy as np
import pytest

from metaloop.tasks.glyph_alphabet import GlyphClass, glyph_classes
from metaloop.tasks.glyph_fields import FARTHEST, signed_distance, skeleton_distance, thinned
from metaloop.tasks.glyph_filters import area_down, blur, linear_up
from metaloop.tasks.glyph_outlines import FACES, draw, fonts_fingerprint, open_face
from metaloop.tasks.glyphs_render import render_glyphs


@pytest.fixture(scope="module")
def classes() -> list[GlyphClass]:
    return glyph_classes()


@pytest.fixture(scope="module")
def few(classes: list[GlyphClass]) -> list[GlyphClass]:
    return [classes[index] for index in np.linspace(0, len(classes) - 1, 40).astype(int)]


def class_of(classes: list[GlyphClass], character: str) -> GlyphClass:
    return next(glyph for glyph in classes if ord(character) in glyph.merged)


def test_there_are_close_to_two_thousand_classes_in_ascending_order(
    classes: list[GlyphClass],
) -> None:
    assert 1800 <= len(classes) <= 2100
    code_points = [glyph.code_point for glyph in classes]
    assert code_points == sorted(set(code_points))
    assert all(glyph.code_point in glyph.merged for glyph in classes)
    assert {"LATIN", "GREEK", "CYRILLIC"} <= {glyph.group for glyph in classes}


def test_no_code_point_is_in_two_classes(classes: list[GlyphClass]) -> None:
    merged = [code_point for glyph in classes for code_point in glyph.merged]
    assert len(merged) == len(set(merged))


@pytest.mark.parametrize("alike", ["AΑА", "Cc", "Oo", "-–—"])
def test_characters_that_look_alike_are_one_class(classes: list[GlyphClass], alike: str) -> None:
    assert len({class_of(classes, character).code_point for character in alike}) == 1


@pytest.mark.parametrize("different", ["AÁ", "áà", "hn", "bd", "Rr", "bp"])
def test_characters_that_look_different_are_two_classes(
    classes: list[GlyphClass], different: str
) -> None:
    assert len({class_of(classes, character).code_point for character in different}) == 2


def test_the_most_drawn_member_stands_for_a_class(classes: list[GlyphClass]) -> None:
    glyph = class_of(classes, "Α")
    assert (glyph.code_point, glyph.name, glyph.group) == (
        ord("A"),
        "LATIN CAPITAL LETTER A",
        "LATIN",
    )
    assert len(glyph.faces) == len(FACES)


def test_digits_in_any_dress_are_absent(classes: list[GlyphClass]) -> None:
    merged = {chr(code_point) for glyph in classes for code_point in glyph.merged}
    assert not merged & set("0123456789²₂２①½٣З")
    plain = unicodedata.normalize("NFKD", "".join(sorted(merged)))
    assert not set("0123456789") & set(plain)


def test_blanks_combining_marks_and_scaled_copies_are_absent(classes: list[GlyphClass]) -> None:
    merged = {chr(code_point) for glyph in classes for code_point in glyph.merged}
    assert not merged & set(" \u00a0\u2003\u200b\u0301ᵃ─⠿")


def test_every_face_of_a_class_draws_ink_and_no_two_draw_the_same(few: list[GlyphClass]) -> None:
    for glyph in few:
        drawings = [draw(open_face(face), glyph.code_point) for face in glyph.faces]
        assert None not in drawings
        assert len({(one.size, one.tobytes()) for one in drawings if one}) == len(glyph.faces)


@pytest.mark.parametrize("min_faces", [0, len(FACES) + 1])
def test_an_impossible_number_of_faces_is_refused(min_faces: int) -> None:
    with pytest.raises(ValueError, match="min_faces must be in"):
        glyph_classes(min_faces)


def test_the_fingerprint_is_a_stable_sha256() -> None:
    assert fonts_fingerprint() == fonts_fingerprint()
    assert len(bytes.fromhex(fonts_fingerprint())) == 32


@pytest.mark.parametrize("image_size", [8, 28, 33])
def test_images_have_the_size_asked_for(few: list[GlyphClass], image_size: int) -> None:
    images = render_glyphs(few, 3, np.random.default_rng(0), image_size)
    assert images.shape == (len(few), 3, image_size, image_size)
    assert images.dtype == np.uint8


def test_one_seed_gives_the_same_bytes_and_another_seed_others(few: list[GlyphClass]) -> None:
    first, again, other = (render_glyphs(few, 3, np.random.default_rng(s)) for s in (5, 5, 6))
    assert first.tobytes() == again.tobytes()
    assert not (first == other).all((2, 3)).any()


def test_every_image_shows_ink_on_blank_paper(few: list[GlyphClass]) -> None:
    images = render_glyphs(few, 20, np.random.default_rng(0)).reshape(len(few) * 20, -1)
    assert (images.max(1) >= 150).all()
    assert (np.median(images, axis=1) < 64).mean() > 0.9  # the rest: bold bars and blobs
    assert 0.1 < images.mean() / 255 < 0.4  # the handwritten digits of scikit-learn: 0.3


def test_examples_of_a_class_differ_but_less_than_examples_of_two_classes(
    classes: list[GlyphClass],
) -> None:
    chosen = [class_of(classes, character) for character in "AHKQTXWOfh"]
    images = render_glyphs(chosen, 20, np.random.default_rng(0)).reshape(10, 20, -1) / 255
    images -= images.mean(2, keepdims=True)
    images /= np.linalg.norm(images, axis=2, keepdims=True)
    likeness = np.einsum("aip,bjp->abij", images, images)
    within = likeness[np.arange(10), np.arange(10)][:, ~np.eye(20, dtype=bool)]
    between = likeness[~np.eye(10, dtype=bool)]
    assert within.max() < 0.999
    assert within.mean() > between.mean() + 0.15


def test_no_classes_give_no_images() -> None:
    assert render_glyphs([], 2, np.random.default_rng(0)).shape == (0, 2, 28, 28)


@pytest.mark.parametrize(("examples", "image_size"), [(0, 28), (2, 7)])
def test_impossible_sizes_are_refused(
    few: list[GlyphClass], examples: int, image_size: int
) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        render_glyphs(few, examples, np.random.default_rng(0), image_size)


def test_unknown_faces_and_blank_characters_are_refused(few: list[GlyphClass]) -> None:
    rng = np.random.default_rng(0)
    for faces in ((), (len(FACES),), (-1,)):
        with pytest.raises(ValueError, match="faces"):
            render_glyphs([replace(few[0], faces=faces)], 2, rng)
    with pytest.raises(ValueError, match="blank"):
        render_glyphs([replace(few[0], code_point=ord(" "))], 2, rng)


def test_distances_are_exact_near_the_ink_and_saturate_far_from_it() -> None:
    ink = np.zeros((1, 30, 30), bool)
    ink[0, 10:15, 10:20] = True
    distance = signed_distance(ink)[0]
    assert distance[9, 12] == 0.5
    assert distance[7, 7] == pytest.approx(np.hypot(3, 3) - 0.5)
    assert distance[12, 15] == -2.5
    assert distance[29, 29] == FARTHEST


def test_thinning_keeps_one_pixel_wide_lines_and_every_dot() -> None:
    ink = np.zeros((70, 30, 30), bool)
    ink[:, 10:15, 5:25] = True
    ink[1, 20:22, 20:22] = True
    ink[2, 20:23, 20:23] = True
    skeletons = thinned(ink)
    assert (skeletons <= ink).all()
    assert (skeletons[:, 10:15].sum(1)[:, 9:21] == 1).all()
    assert not skeletons[0, 18:].any()
    assert skeletons[1, 18:].any()
    assert skeletons[2, 18:].any()
    assert (skeleton_distance(ink)[skeletons] == 0).all()
    assert thinned(ink[:0]).shape == (0, 30, 30)


@pytest.mark.parametrize(
    "matrix", [area_down(28, 8), area_down(28, 28), linear_up(8, 28), blur(28, 0.0), blur(28, 0.03)]
)
def test_filters_keep_a_constant_image(matrix: np.ndarray) -> None:
    np.testing.assert_allclose(matrix.sum(1), 1)
    assert (matrix >= 0).all()
