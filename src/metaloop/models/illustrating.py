"""Example episodes for the report, to be seen or heard, and what the model says of them.

The episodes come from `search`, which is open: `test` is looked at once, for its figure. Sheets of
new images are of `test`, of the tasks of that look and after it.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from torch import Tensor

from metaloop.catalogue.domains import domain_of
from metaloop.core.columns import kind_of
from metaloop.core.examples import Examples
from metaloop.core.spec import TaskSpec
from metaloop.models.generated_sheets import generated_sheets
from metaloop.models.model import Model
from metaloop.tasks.family import ClassFamily, TaskFamily, episode_list
from metaloop.tasks.generation import GenerationFamily
from metaloop.tasks.readers.recordings import RATE

_EPISODES = 2
_QUERIES_SHOWN = 6  # of each class
_MOST_SOUNDS, _MOST_SECONDS = 6, 3  # of recordings
_SIDE = 44  # pixels of an image
_GAP, _BORDER = 4, 2
_PAPER, _RIGHT, _WRONG = (255, 255, 255), (46, 125, 50), (198, 40, 40)


@dataclass(frozen=True)
class Picture:
    """A PNG or WAV with its name and what it shows, or lets one hear, in words."""

    name: str
    content: bytes
    caption: str
    media_type: str = "image/png"


def illustrations(model: Model, family: TaskFamily, spec: TaskSpec) -> Iterator[Picture]:
    """Yields example episodes with the model's answers, where inputs are images or recordings."""
    if isinstance(family, GenerationFamily):
        for sheet in generated_sheets(model, family, spec):
            yield Picture(*sheet)
        return
    classes = family.as_classes
    show = None if classes is None else _HEARD.get(kind_of(classes.content.inputs))
    if classes is not None and show is not None:
        yield from show(model, classes, spec)
    if classes is None or not domain_of(family.input_format).in_files:
        return
    episodes = episode_list(family, "search", spec, _EPISODES)
    pictures = episodes.gather(family.input_format)
    seen = classes.seen(model.candidate.view)
    batch = replace(episodes, store=seen.store).gather(seen.input_format)
    for task in range(_EPISODES):
        support = Examples(
            batch.support.features[task],
            batch.support.targets[task],
            batch.support.mask[task],
            batch.support.num_classes,
            batch.support.padded,
        )
        state = model.learner.adapt(model.meta_params, support)
        asked = batch.query.mask[task]  # small classes have fewer queries
        queries = batch.query.features[task][asked]
        logits = model.learner.predict(model.meta_params, state, queries)
        said = logits.argmax(-1).cpu().numpy()
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
        yield Picture(f"episode {task + 1}", picture, caption)


def _sounds(model: Model, family: ClassFamily, spec: TaskSpec) -> Iterator[Picture]:
    """Yields a recording of each word of a task of `search`, and what the model says it is."""
    episodes = episode_list(family, "search", spec, 1)
    seen = family.seen(model.candidate.view)
    batch = replace(episodes, store=seen.store).gather(seen.input_format)
    support = Examples(
        batch.support.features[0],
        batch.support.targets[0],
        batch.support.mask[0],
        batch.support.num_classes,
        batch.support.padded,
    )
    state = model.learner.adapt(model.meta_params, support)
    logits = model.learner.predict(model.meta_params, state, batch.query.features[0])
    said = logits.argmax(-1).cpu().numpy()
    words = [family.store.classes[unit].name for unit in episodes.units[0]]
    labels, mask = episodes.query.labels[0], episodes.query.mask[0]
    for way in range(min(len(words), _MOST_SOUNDS)):
        query = int(np.flatnonzero((labels == way) & mask)[0])
        taken = family.content.take(episodes.query.examples[0][query : query + 1])
        assert isinstance(taken, dict)
        values, there = taken["values"], taken["mask"]
        assert isinstance(values, Tensor) and isinstance(there, Tensor)
        samples = values[0][there[0]].cpu().numpy()[: _MOST_SECONDS * RATE]
        caption = f"'{words[way]}' of `search`; the learner says '{words[said[query]]}'"
        yield Picture(f"recording {way + 1}", _wav(samples), caption, "audio/wav")


_HEARD = {"recordings": _sounds}  # by the kind of what was read


def _wav(samples: np.ndarray) -> bytes:
    """Returns a file of int16 samples."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return content.getvalue()


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
