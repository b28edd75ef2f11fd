"""`GenerationFamily`: a task is one class of images, of which a few are known.

The classes, their parts and their images are those of a `ClassFamily`. The support are some images
of a class, the queries others of the same. Drawings are black and white here, split at one half;
images with greys or colours that matter have all their 256 levels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from metaloop.core.errors import DataError, EpisodeError
from metaloop.core.generation import GENERATION
from metaloop.core.inputs import InputFormat
from metaloop.core.records import Part
from metaloop.core.spec import TaskSpec
from metaloop.tasks.episodes import Episodes, Indices
from metaloop.tasks.family import ClassFamily, TaskFamily
from metaloop.tasks.sampling import draw_distinct
from metaloop.tasks.store import Store

LEAST_SIDE, MOST_SIDE = 2, 64  # pixels
_DRAWN = 0.5  # of the values of a drawing: black or white, or nearly so
_NEARLY = 32  # of 255
_AT_ONCE = 4096  # images whose levels are counted


@dataclass(frozen=True)
class GenerationFamily(TaskFamily):
    """Tasks of one class each over the classes of a family of images."""

    name: str
    classes: ClassFamily

    @property
    def parts(self) -> Mapping[Part, np.ndarray]:
        """The classes of each part."""
        return self.classes.parts

    @cached_property
    def digest(self) -> str:
        """Identity of the classes' content and parts, and of how images are taken."""
        return hashlib.sha256(f"generation {self.classes.digest}".encode()).hexdigest()[:16]

    @cached_property
    def input_format(self) -> InputFormat:
        """The format of the classes' images, with the number of levels."""
        known = self.classes.input_format
        return known if known.levels else replace(known, levels=_levels(self.classes))

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.classes.device

    def to(self, device: torch.device | str) -> GenerationFamily:
        """Returns the family with its images on `device`."""
        classes = replace(self.classes, given_format=self.input_format).to(device)
        return replace(self, classes=classes)

    @cached_property
    def store(self) -> Store:
        """The images; the `values` of one are how often each level occurs in it."""
        known = self.classes.store
        return replace(known, values=_histograms(known, self.input_format), identity=known.digest)

    def spec(self, ways: int, shots: int, queries: int = 15, part: Part | None = None) -> TaskSpec:
        """Returns the spec; `ways` has no meaning here and becomes 0.

        A class takes part if it has at least `shots` + 1 images; where it has fewer than `shots` +
        `queries`, the missing queries are masked. In training it may have as few as two. Raises
        `EpisodeError` if `part` (default: any part but `train`) has no such class.
        """
        checked: tuple[Part, ...] = (part,) if part else ("train", "search", "promotion", "test")
        for name in checked:
            self._eligible(name, 1 if name == "train" else shots)
        levels = (self.input_format.levels,)
        return TaskSpec(0, shots, queries, self.classes.store.input_shape, GENERATION.name, levels)

    def sample(
        self, part: Part, spec: TaskSpec, num_tasks: int, rng: np.random.Generator
    ) -> Episodes:
        """Returns episodes of classes drawn uniformly, and of their images without replacement.

        In training all tasks of a stack have as many images for support as the smallest of their
        classes can give.
        """
        starts, sizes, order = self.classes.places
        classes = self._eligible(part, 1 if part == "train" else spec.shots)
        members_T = classes[rng.integers(0, len(classes), num_tasks)]
        shots = min(spec.shots, int(sizes[members_T].min()) - 1)
        drawn_TK = draw_distinct(sizes[members_T], shots + spec.queries, rng)
        rows_TK = order[starts[members_T][:, None] + np.maximum(drawn_TK, 0)]

        def side(columns: slice) -> Indices:
            rows = rows_TK[:, columns]
            return Indices(rows, np.zeros_like(rows), drawn_TK[:, columns] >= 0)

        return Episodes(self.store, side(slice(shots)), side(slice(shots, None)), 0)

    def _eligible(self, part: Part, shots: int) -> np.ndarray:
        classes = self.parts[part]
        sizes = self.classes.places[1][classes]
        fit: np.ndarray = classes[sizes > shots]
        if len(fit):
            return fit
        if not len(classes):
            raise EpisodeError(
                f"{self.name}: part '{part}' has no classes of this data; the classes that a model "
                "was not trained on are all in part 'test'"
            )
        most = int(sizes.max()) - 1
        raise EpisodeError(
            f"{self.name}: with {shots} images to learn from, a class needs {shots + 1} or more, "
            f"the largest of part '{part}' has {most + 1}; "
            + (f"lower --shots to {most} or add images" if most > 0 else "add images")
        )


def generation_family(classes: ClassFamily) -> GenerationFamily:
    """Returns the tasks of generating the images of these classes.

    Raises `DataError` for inputs that are no images, for images of a size that is not offered, and
    where each is of one colour: single pixels, whatever size they were read at.
    """
    shape = classes.store.input_shape
    if len(shape) != 3 or classes.view is not None:  # what a view has made is no image
        raise DataError(
            f"generation is about images; {classes.name} has {classes.input_format.kind}s: leave "
            "--objective away"
        )
    if not all(LEAST_SIDE <= side <= MOST_SIDE for side in shape[1:]):
        raise DataError(
            f"images are generated at {LEAST_SIDE} to {MOST_SIDE} pixels a side, {classes.name} "
            f"has {shape[2]} x {shape[1]}; give another --image-size"
        )
    if _are_plain(classes.store):
        raise DataError(
            f"every image of {classes.name} is of one colour, as single pixels are; give images "
            "with something to be seen in them"
        )
    return GenerationFamily(classes.name, classes)


def classes_of(family: TaskFamily) -> ClassFamily | None:
    """Returns the classes whose examples a family is about, told apart or generated; else None."""
    return family.classes if isinstance(family, GenerationFamily) else family.as_classes


def _are_plain(store: Store) -> bool:
    """Whether no image that is looked at has two pixels that differ."""
    images = store.taken(np.arange(min(len(store), _AT_ONCE))).flatten(2)
    return bool((images == images[..., :1]).all())


def _levels(classes: ClassFamily) -> int:
    """2 for drawings: one channel, and most of it black or white; else 256."""
    store = classes.store
    if store.input_shape[0] != 1:
        return 256
    members = torch.isin(store.targets, torch.from_numpy(classes.parts["train"]).to(store.device))
    images = store.taken(members.nonzero().flatten()[:_AT_ONCE])
    extreme = (images < _NEARLY) | (images > 255 - _NEARLY)
    return 2 if float(extreme.double().mean()) >= _DRAWN else 256


def _histograms(store: Store, input_format: InputFormat) -> torch.Tensor:
    """Returns `[N, levels]` float64: the share of each level in every image."""
    levels, found = input_format.levels, []
    for rows in torch.split(torch.arange(len(store)), _AT_ONCE):
        images = input_format.quantise(input_format.to_float(store.taken(rows))).flatten(1)
        places = torch.round(images * (levels - 1)).long()
        counts = torch.zeros(len(rows), levels, dtype=torch.float64, device=images.device)
        ones = torch.ones_like(places, dtype=torch.float64)
        found.append(counts.scatter_add(1, places, ones) / images.shape[1])
    return torch.cat(found)
