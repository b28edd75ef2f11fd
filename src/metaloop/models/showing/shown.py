"""`Shown`: something of a model to be seen, heard or read, and episodes with what it answers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.spec import TaskSpec
from metaloop.models.model import Model
from metaloop.tasks.episodes import Episodes
from metaloop.tasks.family import ClassFamily, episode_list


@dataclass(frozen=True)
class Shown:
    """A PNG, WAV or CSV table with its name and what it shows, or lets one hear, in words."""

    name: str
    content: bytes
    caption: str
    media_type: str = "image/png"


def as_table(
    name: str, columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str
) -> Shown:
    """Returns a table with a header, UTF-8."""
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    return Shown(name, text.getvalue().encode(), caption, "text/csv")


def episodes_seen(
    model: Model, family: ClassFamily, spec: TaskSpec, number: int
) -> tuple[Episodes, EpisodeBatch]:
    """Returns episodes of `search`, and the same as the model sees their inputs.

    `search` is open: `test` is looked at once, for its figure.
    """
    episodes = episode_list(family, "search", spec, number)
    seen = family.seen(model.candidate.view)
    return episodes, replace(episodes, store=seen.store).gather(seen.input_format)


def answered(model: Model, batch: EpisodeBatch, task: int) -> Tensor:
    """Returns the outputs for all queries of a task, those that are masked too."""
    support = batch.support
    examples = Examples(
        support.features[task],
        support.targets[task],
        support.mask[task],
        support.num_classes,
        support.padded,
    )
    state = model.learner.adapt(model.meta_params, examples)
    return model.learner.predict(model.meta_params, state, batch.query.features[task])
