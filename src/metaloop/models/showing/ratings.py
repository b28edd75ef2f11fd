"""A user of ratings: what is known of her, what the learner predicts, and the map of items.

The map has the items' factors in their two widest directions; the most rated are named.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from metaloop.core.columns import Beside, Lookup
from metaloop.core.examples import Examples
from metaloop.core.ranking import RANKING
from metaloop.core.spec import TaskSpec
from metaloop.domains.ratings.known import KnownItems
from metaloop.models.model import Model
from metaloop.models.showing.shown import Shown, as_table
from metaloop.tasks.family import TaskFamily, episode_list
from metaloop.tasks.store import Store

_QUERIES, _TITLE = 12, 60  # of a user; characters of an item's title
_WIDTH, _HEIGHT, _EDGE = 900, 620, 60  # pixels of the map
_DRAWN, _NAMED, _LABEL = 1500, 28, 26  # items of the map; characters of a label
_ROOM = (150, 15)  # pixels around a label that no other begins in
_CAPTION = (
    "Items that the same users rate alike lie near each other: the two widest directions of their "
    "factors; those that most users know are named"
)
_PAPER, _DOT, _INK = (255, 255, 255), (150, 170, 200), (40, 40, 40)


def show_ratings(model: Model, family: TaskFamily, spec: TaskSpec) -> Iterator[Shown]:
    """Yields a user of `search` as a table, then the map of items as a picture."""
    assert model.view is not None
    known = KnownItems.of(model.view.assets)
    yield _user(model, family, spec, known)
    picture = _map(model, known)
    if picture is not None:
        yield picture


def _user(model: Model, family: TaskFamily, spec: TaskSpec, known: KnownItems) -> Shown:
    episodes = episode_list(family, "search", spec, 1)
    batch = episodes.gather(family.input_format)
    support, query = batch.support, batch.query
    examples = Examples(support.features[0], support.targets[0], support.mask[0], 0, support.padded)
    state = model.learner.adapt(model.meta_params, examples)
    outputs = model.learner.predict(model.meta_params, state, query.features[0])
    said = model.input_format.raw_targets(outputs)[:, 0].cpu().numpy()
    events = spec.objective == RANKING.name
    rows = []
    for side, indices in (("known", episodes.support), ("asked", episodes.query)):
        true = episodes.real_targets(indices)[0, :, 0].cpu().numpy()
        there = np.flatnonzero(indices.mask[0])
        if side == "asked":
            there = there[np.argsort(-said[there], kind="stable")][:_QUERIES]
        for row in there:
            hers = ("had" if true[row] else "-") if events else f"{true[row]:g}"
            predicted = "-" if side == "known" else f"{said[row]:.2f}"
            title = _title(known, episodes.store, int(indices.examples[0][row]))
            rows.append((title, side, hers, predicted))
    columns = ("item", "of this user", "what she had" if events else "her rating", "predicted")
    caption = "A user of `search`: what is known of her, and what is predicted highest of the asked"
    return as_table("a user", columns, rows, caption)


def _title(known: KnownItems, store: Store, row: int) -> str:
    """What people call the item of a row: a place in one of several tables of all items."""
    inputs = store.inputs
    lookup = cast(Lookup, inputs.pieces[-1] if isinstance(inputs, Beside) else inputs)
    place = int(lookup.index[row]) % len(known.table)
    return known.shown(place)[:_TITLE] if place < len(known.names) else "unknown"


def _map(model: Model, known: KnownItems) -> Shown | None:
    """The items that most users know, by two directions; None where there are no factors."""
    columns = model.input_format.columns
    factors = [place for place, name in enumerate(columns) if name.startswith("factor_")]
    rated = known.rated.numpy()
    best = np.argsort(-rated, kind="stable")[:_DRAWN]
    best = best[rated[best] > 0]
    if len(factors) < 2 or len(best) < 3:
        return None
    points = known.table[torch.from_numpy(best)][:, factors].numpy().astype(np.float64)
    points -= points.mean(0)
    _, _, directions = np.linalg.svd(points, full_matrices=False)
    flat = points @ directions[:2].T
    low, high = np.quantile(flat, 0.01, axis=0), np.quantile(flat, 0.99, axis=0)
    flat = np.clip((flat - low) / np.maximum(high - low, 1e-12), 0, 1)
    places = _EDGE + flat * (np.array([_WIDTH, _HEIGHT]) - 2 * _EDGE)
    return _drawn(places, [known.shown(int(place))[:_LABEL] for place in best])


def _drawn(places: np.ndarray, labels: list[str]) -> Shown:
    canvas = Image.new("RGB", (_WIDTH, _HEIGHT), _PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for x, y in places.tolist():
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), _DOT)
    taken: list[tuple[float, float]] = []
    for (x, y), label in zip(places.tolist(), labels, strict=True):
        near = any(abs(x - a) < _ROOM[0] and abs(y - b) < _ROOM[1] for a, b in taken)
        if near or len(taken) == _NAMED:
            continue
        taken.append((x, y))
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), _INK)
        left = x + 5 if x < _WIDTH - 2 * _ROOM[0] else x - 5
        draw.text((left, y), label, _INK, font, anchor="lm" if left > x else "rm")
    content = io.BytesIO()
    canvas.save(content, "PNG", optimize=True)
    return Shown("map of items", content.getvalue(), _CAPTION)
