"""Generated classes that teach nothing are dropped: tasks too easy, or hopeless, for a learner.

The learner is the nearest class mean over given features (of the incumbent's net): tasks are made
of generated classes alone, and a class is judged by how often its own queries are told right.

Few tasks or one shot are too noisy a judge: on features after 20 s of training, more than a third
of tiny-imagenet's *original* classes would pass for hopeless with 8 one-shot tasks per class, and a
tenth with 40 five-shot tasks, the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from metaloop.core.inputs import embedded_at_once
from metaloop.core.spec import TaskSpec
from metaloop.generators.classes import Classes, joined
from metaloop.tasks.episodes import Episodes
from metaloop.tasks.family import ClassFamily
from metaloop.tasks.store import LeftOut, Store

TOO_EASY = 0.9375  # of what accuracy can gain over chance: 95 % at 5 ways
HOPELESS_ABOVE_CHANCE = 0.0625  # of the same: 25 % at 5 ways
_TASKS_AT_ONCE = 64


@dataclass(frozen=True)
class Verdict:
    """Which of the generated classes are of use, and what became of the others.

    `kept`: their places among the generated ones, in order. `accuracy` maps each judged class to
    the share of its queries that were told right.
    """

    kept: tuple[int, ...]
    too_easy: int = 0
    hopeless: int = 0
    unjudged: int = 0  # among the kept: beyond the number to judge, or with too few examples
    accuracy: dict[str, float] = field(default_factory=dict)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What was dropped, with reasons."""
        items = (
            LeftOut("generated classes", "too easy", self.too_easy),
            LeftOut("generated classes", "hopeless", self.hopeless),
        )
        return tuple(item for item in items if item.count)

    @property
    def message(self) -> str:
        """What became of the generated classes, in a line."""
        dropped = f"{self.too_easy:,} too easy, {self.hopeless:,} hopeless"
        if not self.kept:
            return f"no generated class is of use ({dropped}): the original classes remain"
        return f"kept {len(self.kept):,} generated classes, dropped {dropped}"


def judge_classes(
    base: ClassFamily,
    made: Sequence[Classes],
    embed: Callable[[Tensor], Tensor],
    rng: np.random.Generator,
    *,
    ways: int = 5,
    shots: int = 5,
    queries: int = 5,
    examples: int = 15,
    tasks_per_class: int = 40,
    classes_judged: int = 200,
    high: float = TOO_EASY,
    above_chance: float = HOPELESS_ABOVE_CHANCE,
) -> Verdict:
    """Returns which of the classes `made` from `base` are neither too easy nor hopeless.

    `embed(inputs [N, *input]) -> features [N, D]` takes floats in the format of the family. At
    most `classes_judged` classes are judged, on at most `examples` of each (what is embedded);
    classes with no more than `shots` examples cannot be, and stay as all others do. Too easy: more
    than the share `high` of what can be gained over chance; hopeless: less than `above_chance`.
    Original classes are not asked about: they always stay.
    """
    sizes = np.concatenate([piece.sizes for piece in made])
    places = np.arange(len(sizes))
    judged = np.sort(rng.permutation(places[sizes > shots])[:classes_judged])
    if len(judged) < 2:
        return Verdict(tuple(places.tolist()), unjudged=len(sizes))
    ends = np.cumsum([len(piece) for piece in made])
    pieces = [
        piece.subset(judged[(judged >= end - len(piece)) & (judged < end)] - (end - len(piece)))
        for piece, end in zip(made, ends, strict=True)
    ]
    few = _few_examples(joined(pieces), max(examples, shots + 1), rng)
    ways = min(ways, len(judged))
    num_tasks = -(-tasks_per_class * len(judged) // ways)
    accuracy = _accuracy_of_classes(
        base, few, embed, TaskSpec(ways, shots, queries, few.inputs.shape[1:]), num_tasks, rng
    )
    gained = (accuracy - 1 / ways) / (1 - 1 / ways)
    too_easy, hopeless = gained > high, gained < above_chance
    seen = ~np.isnan(accuracy)
    return Verdict(
        kept=tuple(np.setdiff1d(places, judged[too_easy | hopeless]).tolist()),
        too_easy=int(too_easy.sum()),
        hopeless=int(hopeless.sum()),
        unjudged=len(sizes) - int(seen.sum()),
        accuracy={
            info.name: float(share)
            for info, share, told in zip(few.infos, accuracy, seen, strict=True)
            if told
        },
    )


def _few_examples(classes: Classes, number: int, rng: np.random.Generator) -> Classes:
    """Returns the classes with at most `number` examples each, at random."""
    order = np.lexsort((rng.random(len(classes.labels)), classes.labels))
    rank = np.arange(len(order)) - classes.starts[classes.labels]
    chosen = np.sort(order[rank < number])
    index = torch.from_numpy(chosen).to(classes.inputs.device)
    return Classes(
        classes.inputs.index_select(0, index), np.minimum(classes.sizes, number), classes.infos
    )


@torch.no_grad()
def _accuracy_of_classes(
    family: ClassFamily,
    classes: Classes,
    embed: Callable[[Tensor], Tensor],
    spec: TaskSpec,
    num_tasks: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns, for each class, the share of its queries nearest to their own class mean `[C]`.

    It is not a number for a class that chance left out of every task.
    """
    labels = torch.from_numpy(classes.labels)
    store = Store(classes.inputs, labels, classes.infos, family.store.polarity)
    nothing = np.empty(0, np.int64)
    parts = {"search": nothing, "promotion": nothing, "test": nothing}
    own = ClassFamily(
        family.name,
        store,
        {"train": np.arange(len(classes)), **parts},  # type: ignore[dict-item]
        family.input_format,
    )
    to_float = family.input_format.to_float
    pieces = torch.split(classes.inputs, embedded_at_once(classes.inputs.device))
    features = torch.cat([embed(to_float(piece)) for piece in pieces])
    right, asked = np.zeros(len(classes)), np.zeros(len(classes))
    episodes = own.sample("train", spec, num_tasks, rng)
    for start in range(0, num_tasks, _TASKS_AT_ONCE):
        piece = episodes[start : start + _TASKS_AT_ONCE]
        correct, classes_of = _told_right(piece, features, classes.labels)
        np.add.at(right, classes_of, correct)
        np.add.at(asked, classes_of, 1)
    return np.where(asked > 0, right / np.maximum(asked, 1), np.nan)


def _told_right(
    episodes: Episodes, features: Tensor, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns, for every query, whether its nearest class mean is its own, and its class."""
    support, query = episodes.support, episodes.query
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(support.labels), episodes.num_classes)
    weights = (one_hot * torch.from_numpy(support.mask)[..., None]).to(features)
    support_TSD = features[torch.from_numpy(support.examples)]
    centres_TWD = torch.einsum("tsw,tsd->twd", weights, support_TSD)
    centres_TWD = centres_TWD / weights.sum(1)[..., None]
    distances = torch.cdist(features[torch.from_numpy(query.examples)], centres_TWD)
    correct = distances.argmin(-1).cpu().numpy() == query.labels
    return correct[query.mask].astype(float), labels[query.examples[query.mask]]
