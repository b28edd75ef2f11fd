"""The font files that matplotlib ships, and the drawings in them: a character's ink as a mask."""

import hashlib
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from metaloop.tasks.glyph_fields import REACH

BOX = 40  # pixels: the longer side of every fitted drawing
SIDE = BOX + 2 * REACH  # with a blank margin, in which distances to the ink are known
_FONT_SIZE = 96  # pixels per em, before a drawing is fitted to the box
_CANVAS = (4 * _FONT_SIZE, 3 * _FONT_SIZE)  # room for every glyph of the files, from the origin on
_ORIGIN = (_FONT_SIZE, _FONT_SIZE // 2)

_LATIN_CAPITALS = frozenset(range(ord("A"), ord("Z") + 1))
_LATIN_LETTERS = _LATIN_CAPITALS | frozenset(range(ord("a"), ord("z") + 1))

# File name without ".ttf" -> the code points it may be asked for; None: all that it maps. The
# Computer Modern files map many code points to other characters: only their letters are true.
FACES: dict[str, frozenset[int] | None] = {
    "DejaVuSans": None,
    "DejaVuSansMono": None,
    "DejaVuSerif": None,
    "STIXGeneral": None,
    "DejaVuSans-Bold": None,
    "DejaVuSans-Oblique": None,
    "DejaVuSans-BoldOblique": None,
    "DejaVuSansMono-Bold": None,
    "DejaVuSansMono-Oblique": None,
    "DejaVuSansMono-BoldOblique": None,
    "DejaVuSerif-Bold": None,
    "DejaVuSerif-Italic": None,
    "DejaVuSerif-BoldItalic": None,
    "STIXGeneralBol": None,
    "STIXGeneralItalic": None,
    "STIXGeneralBolIta": None,
    "cmr10": _LATIN_LETTERS,
    "cmb10": _LATIN_LETTERS,
    "cmss10": _LATIN_LETTERS,
    "cmti10": _LATIN_LETTERS,
    "cmtt10": _LATIN_LETTERS,
    "cmmi10": _LATIN_LETTERS,
    "cmsy10": _LATIN_CAPITALS,
}
MAIN_FACES = range(4)  # the upright faces at the head of the table: they decide what looks alike


def fonts_fingerprint() -> str:
    """The sha256 of the names and contents of the font files used, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for face in range(len(FACES)):
        content = face_file(face).read_bytes()
        digest.update(f"{face_file(face).name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def face_file(face: int) -> Path:
    """The font file of the face at a position in `FACES`."""
    return Path(matplotlib.get_data_path(), "fonts", "ttf", f"{list(FACES)[face]}.ttf")


def open_face(face: int) -> ImageFont.FreeTypeFont:
    """The font of the face at a position in `FACES`, at the size that `draw` expects."""
    path = str(face_file(face))
    return ImageFont.truetype(path, _FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)


def draw(font: ImageFont.FreeTypeFont, code_point: int) -> Image.Image | None:
    """A character as a grey image cropped to its ink; None if it is blank."""
    canvas = Image.new("L", _CANVAS)
    ImageDraw.Draw(canvas).text(_ORIGIN, chr(code_point), fill=255, font=font)
    box = canvas.getbbox()
    return None if box is None else canvas.crop(box)


def fit(drawing: Image.Image) -> NDArray[np.bool_]:
    """A drawing scaled to `BOX` along its longer side, centred: `[SIDE, SIDE]`, True = ink."""
    scale = BOX / max(drawing.size)
    width, height = (max(1, round(extent * scale)) for extent in drawing.size)
    scaled = np.asarray(drawing.resize((width, height), Image.Resampling.BILINEAR))
    out = np.zeros((SIDE, SIDE), np.bool_)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    threshold = min(128, scaled.max())  # a hairline may be fainter than half, but stays
    out[top : top + height, left : left + width] = scaled >= threshold
    return out
