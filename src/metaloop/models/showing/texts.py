"""A task of texts, to be read: what the learner was shown, what it was asked, what it says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from metaloop.core.spec import TaskSpec
from metaloop.models.model import Model
from metaloop.models.showing.shown import Shown, answered, as_table, episodes_seen
from metaloop.tasks.family import TaskFamily
from metaloop.tasks.store import Store

_MOST_CLASSES, _QUERIES, _LONGEST = 8, 2, 300  # queries of each class; characters of a text


def show_texts(model: Model, family: TaskFamily, spec: TaskSpec) -> Iterator[Shown]:
    """Yields one task of `search` as a table, a row for each of some queries."""
    assert family.as_classes is not None and family.as_read is not None
    episodes, batch = episodes_seen(model, family.as_classes, spec, 1)
    said = answered(model, batch, 0).argmax(-1).cpu().numpy()
    names = [episodes.store.classes[unit].name for unit in episodes.units[0]]
    rows = []
    for way, name in enumerate(names[:_MOST_CLASSES]):
        known = np.flatnonzero((episodes.support.labels[0] == way) & episodes.support.mask[0])
        asked = np.flatnonzero((episodes.query.labels[0] == way) & episodes.query.mask[0])
        shown = _text(family.as_read, int(episodes.support.examples[0][known[0]]))
        for query in asked[:_QUERIES]:
            answer = names[said[query]]
            verdict = answer if said[query] == way else f"{answer} (wrong)"
            question = _text(family.as_read, int(episodes.query.examples[0][query]))
            rows.append((name, shown, question, verdict))
    if rows:
        columns = ("class", "an example that it was shown", "what it was asked", "what it says")
        yield as_table("texts", columns, rows, "A task of `search`, some queries of each class")


def _text(store: Store, row: int) -> str:
    taken = store.take(np.array([row]))
    text = " ".join(str(taken[0]).split())  # type: ignore[index]
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
