"""What the name of a class is worth as one more example of it: frozen MiniLM, plain heads.

    .venv/bin/python benchmarks/label_names.py DATA [--data banking] [--fold 1]
        [--episodes 1000] [--heads centroid,regression]

DATA as for benchmarks/language.py, and so are texts, folds and tasks. Each task is scored twice, on
the same support and queries: as it is, and with the name of each class (underscores and dots as
spaces) as a further example of it. Figures with names are of another protocol and are never in one
column with others. The last number is the gain, paired over episodes, with its 95 % interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from frozen_heads import centroid, regression
from language_data import reading

from metaloop.catalogue.backbones import open_backbone
from metaloop.catalogue.candidates import build_learner
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.randomness import torch_stream
from metaloop.engine.evaluation import score_episodes
from metaloop.tasks.episodes import Episodes, Indices
from metaloop.tasks.family import ClassFamily, episode_list
from metaloop.tasks.readers.names import as_text

TASKS = ((5, 1), (5, 5), (10, 1), (10, 5))
FORMS = ("unit",)


def with_names(episodes: Episodes, names: torch.Tensor) -> Episodes:
    """Returns the episodes with a further support example of each class: row k of `names`."""
    store, support, units = episodes.store, episodes.support, episodes.units
    there = store.taken(np.arange(len(store)))
    enlarged = replace(
        store,
        inputs=torch.cat([there, names]),
        targets=torch.cat([store.targets, torch.arange(len(names))]),
        detail=None,
    )
    labels = np.broadcast_to(np.arange(episodes.num_classes), units.shape)
    sides = Indices(
        np.concatenate([support.examples, len(store) + units], axis=1),
        np.concatenate([support.labels, labels], axis=1),
        np.concatenate([support.mask, np.ones_like(units, bool)], axis=1),
    )
    return Episodes(enlarged, sides, episodes.query, episodes.num_classes)


def rows(family: ClassFamily, names: torch.Tensor, heads: list[str], count: int) -> Iterator[str]:
    """Yields a line for each head and kind of task."""
    for head in heads:
        for ways, shots in TASKS:
            spec = family.spec(ways, shots, part="test")
            chosen = centroid() if head == "centroid" else regression(family, shots, FORMS)
            learner = build_learner(chosen, family.input_format, spec.objective)
            phi = learner.init(spec, torch_stream(0, "benchmark"))
            plain = episode_list(family, "test", spec, count)
            values = [
                100 * score_episodes(learner, phi, each, family.input_format).values
                for each in (plain, with_names(plain, names))
            ]
            gain = values[1] - values[0]
            ci95 = 1.96 * gain.std(ddof=1) / len(gain) ** 0.5
            means = f"{values[0].mean():.1f} | {values[1].mean():.1f}"
            yield f"{head} {ways}w{shots}s | {means} | {gain.mean():+.1f} ± {ci95:.1f}"


def main() -> None:
    """Prints, for each head and kind of task: without names, with them, and the gain."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", default="banking")
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--heads", default="centroid,regression")
    asked = parser.parse_args()
    encoder = open_backbone("minilm", takes="texts")
    read = reading(asked.folder, asked.data, asked.fold)
    family = open_data(read, DataOptions(backbone=encoder)).family
    assert isinstance(family, ClassFamily)
    names = encoder.encode(tuple(as_text(info.name) for info in family.store.classes))
    for line in rows(family, names, asked.heads.split(","), asked.episodes):
        print(line, flush=True)


if __name__ == "__main__":
    main()
