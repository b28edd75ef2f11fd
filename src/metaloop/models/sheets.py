"""Contact sheets: what a model was shown of a class, and what it makes of it, side by side."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from metaloop.core.inputs import InputFormat

_SIDE, _GAP, _BORDER = 56, 4, 1  # pixels of a tile, between tiles, of its frame
_PAPER, _FRAME = (255, 255, 255), (200, 200, 200)
_SHOWN, _MADE = 10, 16  # images of each class at most
_PER_ROW = 8
_MOST_ROWS = 50


@dataclass(frozen=True)
class Row:
    """A class on a sheet: uint8 pictures `[N, H, W]` or `[N, H, W, 3]` of both kinds."""

    support: np.ndarray
    samples: np.ndarray


def sheet(rows: Sequence[Row]) -> bytes:
    """Returns a PNG with a band for each class: left its support, right what was made of it."""
    rows = rows[:_MOST_ROWS]
    left = min(5, max(len(row.support[:_SHOWN]) for row in rows))
    right = min(_PER_ROW, max(len(row.samples[:_MADE]) for row in rows))
    step = _SIDE + _GAP
    lines = [
        max(
            math.ceil(len(row.support[:_SHOWN]) / left), math.ceil(len(row.samples[:_MADE]) / right)
        )
        for row in rows
    ]
    width = _GAP + (left + right) * step + 3 * _GAP
    canvas = Image.new("RGB", (width, _GAP + sum(lines) * step + 2 * _GAP * len(rows)), _PAPER)
    top = _GAP
    for row, number in zip(rows, lines, strict=True):
        for pictures, across, start in (
            (row.support[:_SHOWN], left, _GAP),
            (row.samples[:_MADE], right, 4 * _GAP + left * step),
        ):
            for place, picture in enumerate(pictures):
                where = (start + place % across * step, top + place // across * step)
                canvas.paste(_tile(picture), where)
        top += number * step + 2 * _GAP
    return png(np.asarray(canvas))


def not_shown(rows: Sequence[Row]) -> str:
    """Returns in words what `sheet` has no room for, "" where it has all."""
    shown = rows[:_MOST_ROWS]
    support = max(len(row.support) for row in shown)
    made = max(len(row.samples) for row in shown)
    told = (
        (len(rows), _MOST_ROWS, "classes"),
        (support, _SHOWN, "images shown of a class"),
        (made, _MADE, "images made of one"),
    )
    return ", ".join(f"{most} of {there:,} {what}" for there, most, what in told if there > most)


def pictures_of(images: Tensor, input_format: InputFormat) -> np.ndarray:
    """Returns images `[N, channels, H, W]` in 0 to 1 as uint8 pictures at the format's levels.

    Drawings are dark on white.
    """
    known = input_format.quantise(images.detach().cpu().clamp(0, 1))
    pixels = torch.round(known * 255).to(torch.uint8).numpy()
    pixels = 255 - pixels if input_format.polarity == "ink" else pixels
    return pixels[:, 0] if pixels.shape[1] == 1 else pixels.transpose(0, 2, 3, 1)


def png(picture: np.ndarray) -> bytes:
    """Returns a PNG of uint8 pixels `[H, W]` or `[H, W, 3]`."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG", optimize=True)
    return content.getvalue()


def _tile(picture: np.ndarray) -> Image.Image:
    inner = _SIDE - 2 * _BORDER
    tile = Image.new("RGB", (_SIDE, _SIDE), _FRAME)
    shown = Image.fromarray(picture).convert("RGB")
    tile.paste(shown.resize((inner, inner), Image.Resampling.NEAREST), (_BORDER, _BORDER))
    return tile
