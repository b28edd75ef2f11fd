"""Contact sheets of a model that makes images: the test classes that it does best and worst on."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from metaloop.core.examples import Examples
from metaloop.core.generation import bits_per_dimension
from metaloop.core.randomness import torch_stream
from metaloop.core.sampler import Sampler
from metaloop.core.spec import TaskSpec
from metaloop.models.model import Model
from metaloop.models.sheets import Row, pictures_of, sheet
from metaloop.models.showing.shown import Shown
from metaloop.tasks.family import TaskFamily, episode_list

_LOOKED_AT = 40  # tasks of the list that the figure is of
_SHEETS = 5  # classes, of the best and of the worst each
_SAMPLES = 16


@torch.no_grad()
def show_generated(model: Model, family: TaskFamily, spec: TaskSpec) -> Iterator[Shown]:
    """Yields sheets of the best and of the worst test classes.

    They are of the list of tasks on which `test` was opened, and are made after it was.
    """
    learner = model.learner
    if not isinstance(learner, Sampler):
        return
    episodes = episode_list(family, "test", spec, _LOOKED_AT)
    found: dict[int, tuple[float, str, Row]] = {}
    for place in range(len(episodes)):
        unit = int(episodes.units[place, 0])
        if unit in found:
            continue
        batch = episodes[place : place + 1].gather(family.input_format)
        support, query = batch.support, batch.query
        shown = Examples(support.features[0], support.targets[0], support.mask[0])
        state = model.learner.adapt(model.meta_params, shown)
        outputs = model.learner.predict(model.meta_params, state, query.features[0])
        bits = float(bits_per_dimension(outputs[None], query.targets, query.mask))
        rng = torch_stream(0, "sheet", place)
        warmth = learner.usual_temperature
        drawn = learner.sample(model.meta_params, state, _SAMPLES, rng, warmth)
        pictures = [pictures_of(each, family.input_format) for each in (shown.features, drawn)]
        found[unit] = (bits, episodes.store.classes[unit].name, Row(*pictures))
    ranked = sorted(found.values(), key=lambda each: each[0])
    number = min(_SHEETS, len(ranked) // 2)
    for words, rows in (("best", ranked[:number]), ("worst", ranked[len(ranked) - number :])):
        if rows:
            told = ", ".join(f"{name} ({bits:.3f})" for bits, name, _ in rows)
            caption = (
                f"New images of the {len(rows)} test classes of {len(ranked)} that are {words} by "
                f"bits per dimension: left what was shown of each, right what was made, at a "
                f"temperature of {learner.usual_temperature:g}. {told}"
            )
            yield Shown(f"{words} classes", sheet([row for _, _, row in rows]), caption)
