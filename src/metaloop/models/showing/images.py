"""Example episodes of images: support and queries side by side, and where the learner is right."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from metaloop.core.spec import TaskSpec
from metaloop.models.model import Model
from metaloop.models.showing.shown import Shown, answered, episodes_seen
from metaloop.tasks.family import TaskFamily

_EPISODES = 2
_QUERIES_SHOWN = 6  # of each class
_SIDE = 44  # pixels of an image
_GAP, _BORDER = 4, 2
_PAPER, _RIGHT, _WRONG = (255, 255, 255), (46, 125, 50), (198, 40, 40)


def show_images(model: Model, family: TaskFamily, spec: TaskSpec) -> Iterator[Shown]:
    """Yields pictures of episodes of `search`, a row per class."""
    assert family.as_classes is not None
    episodes, batch = episodes_seen(model, family.as_classes, spec, _EPISODES)
    pictures = episodes.gather(family.input_format)
    for task in range(_EPISODES):
        asked = batch.query.mask[task]  # small classes have fewer queries
        said = answered(model, batch, task)[asked].argmax(-1).cpu().numpy()
        targets = batch.query.targets[task][asked].cpu().numpy()
        picture = _picture(
            pictures.support.features[task].cpu().numpy(),
            batch.support.targets[task].cpu().numpy(),
            pictures.query.features[task][asked].cpu().numpy(),
            targets,
            said,
        )
        right = float((said == targets).mean())
        caption = (
            f"A task of `search`, a row per class: left the support, right queries, framed green "
            f"where the learner is right ({100 * right:.0f} % of this task's queries)"
        )
        yield Shown(f"episode {task + 1}", picture, caption)


def _picture(
    support: np.ndarray,
    support_labels: np.ndarray,
    query: np.ndarray,
    query_labels: np.ndarray,
    said: np.ndarray,
) -> bytes:
    """Returns a PNG: images `[N, channels, height, width]` in 0 to 1."""
    ways = int(support_labels.max()) + 1
    shots = min(_QUERIES_SHOWN, max(int((support_labels == k).sum()) for k in range(ways)))
    columns = shots + 1 + _QUERIES_SHOWN
    step = _SIDE + _GAP
    canvas = Image.new("RGB", (columns * step + _GAP - step // 2, ways * step + _GAP), _PAPER)
    for way in range(ways):
        top = _GAP + way * step
        for column, index in enumerate(np.flatnonzero(support_labels == way)[:shots]):
            canvas.paste(_tile(support[index], _PAPER), (_GAP + column * step, top))
        start = _GAP + shots * step + step // 2
        for column, index in enumerate(np.flatnonzero(query_labels == way)[:_QUERIES_SHOWN]):
            frame = _RIGHT if said[index] == way else _WRONG
            canvas.paste(_tile(query[index], frame), (start + column * step, top))
    content = io.BytesIO()
    canvas.save(content, "PNG", optimize=True)
    return content.getvalue()


def _tile(image: np.ndarray, frame: tuple[int, int, int]) -> Image.Image:
    pixels = np.clip(np.round(image * 255), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    picture = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).convert(
        "RGB"
    )
    inner = _SIDE - 2 * _BORDER
    tile = Image.new("RGB", (_SIDE, _SIDE), frame)
    tile.paste(picture.resize((inner, inner), Image.Resampling.NEAREST), (_BORDER, _BORDER))
    return tile
