"""`TaskFamily`: a distribution over tasks, in four parts that share no class.

`ClassFamily` makes few-shot classification tasks from the classes of a store. Families whose tasks
are functions rather than classes (see `sinusoid.py`) implement the same contract. A class family
whose training part was enlarged by generated classes keeps the family it came from.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from metaloop.core import columns
from metaloop.core.errors import DataError, EpisodeError
from metaloop.core.examples import Examples
from metaloop.core.fitted_view import AS_IS, FittedView
from metaloop.core.inputs import InputFormat
from metaloop.core.metric import Scores
from metaloop.core.objective import Objective
from metaloop.core.records import PARTS, Part
from metaloop.core.spec import TaskSpec
from metaloop.tasks.copied_classes import join_copied_classes
from metaloop.tasks.duplicates import check_something_left, cross_part_duplicates
from metaloop.tasks.episode_lists import concatenate as concatenate
from metaloop.tasks.episode_lists import episode_list as episode_list
from metaloop.tasks.episodes import Episodes, Indices, scored_by_tensors
from metaloop.tasks.measuring import measure_format
from metaloop.tasks.sampling import draw_distinct, inserted
from metaloop.tasks.sight import OWN, SEVERAL, Sight, abreast
from metaloop.tasks.speakers import apart_by_speaker
from metaloop.tasks.split import assign_parts
from metaloop.tasks.store import LeftOut, Reading, Store
from metaloop.tasks.voices import one_voice


class TaskFamily(ABC):
    """A distribution over tasks with disjoint parts `train`, `search`, `promotion` and `test`."""

    name: str

    @property
    @abstractmethod
    def digest(self) -> str:
        """Identity of the content, independent of any seed of a run."""

    @property
    @abstractmethod
    def input_format(self) -> InputFormat:
        """Shape and scale of the inputs, measured on the training part."""

    @abstractmethod
    def spec(self, ways: int, shots: int, queries: int = 15, part: Part | None = None) -> TaskSpec:
        """Returns the spec of such tasks; `EpisodeError` if a part (or `part`) cannot make them."""

    @abstractmethod
    def sample(
        self, part: Part, spec: TaskSpec, num_tasks: int, rng: np.random.Generator
    ) -> Episodes:
        """Returns `num_tasks` episodes of that part; all randomness comes from `rng`."""

    @property
    def as_classes(self) -> ClassFamily | None:
        """The family itself where its tasks are classes to be told apart, else None."""
        return None

    @property
    def as_read(self) -> Store | None:
        """The examples as they came, where the family was made of any."""
        return None

    @property
    def device(self) -> torch.device:
        """Where gathered examples are."""
        return torch.device("cpu")

    @abstractmethod
    def to(self, device: torch.device | str) -> TaskFamily:
        """Returns the family with its tensors on `device`."""

    @property
    def views(self) -> tuple[str, ...]:
        """The names of the views that inputs can be seen in: "" is the family's own."""
        return ("",)

    def seen(self, view: str) -> TaskFamily:
        """Returns the family with its inputs in the view of a candidate; "" is its own.

        Tasks are the same, example for example. Raises `DataError` for a view that it lacks.
        """
        if view:
            raise DataError(f"{self.name} is not seen as '{view}'")
        return self

    def score(
        self, objective: Objective, outputs: Tensor, targets: Tensor, episodes: Episodes
    ) -> Mapping[str, Scores]:
        """Returns what the objective's metrics say of outputs on the queries of the episodes.

        `outputs` and `targets` `[T, N, ...]` belong to the rows `episodes.query.examples`, those
        that its mask leaves out mean nothing. A pair for each metric, by its name: per task `[T]`
        and per unit `[T, U]`, as `episodes.units` has them; a third, per query `[T, N]`, makes the
        interval one over examples. The primary metric is among them. The default needs tensors
        alone; a family whose metric needs what examples are (texts, lists) overrides it.
        """
        return scored_by_tensors(objective, outputs, targets, episodes)


@dataclass(frozen=True)
class Enlargement:
    """What a family was before generated classes joined its training part.

    `original_share` of the training episodes (and of the examples of a whole-class batch) are of
    `base`'s classes alone; the others may be of any training class. `left_out` says what was
    generated and not used.
    """

    base: ClassFamily
    original_share: float
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class ClassFamily(TaskFamily):
    """Classification tasks over the classes of a store; `parts` maps each part to its classes.

    Where inputs are seen in a `view`, `raw` are the same examples as they came. `sights` are
    further views of them, by name. With an `enlargement` the store begins with the examples and
    classes of its base, in their order, and the training part with the base's training classes. The
    other parts' tasks are the base's own, episode for episode.
    With `one_voice` the support of a task is of one speaker, its queries are of others.
    """

    name: str
    store: Store
    parts: Mapping[Part, np.ndarray]
    given_format: InputFormat | None = None
    enlargement: Enlargement | None = None
    view: FittedView | None = None
    raw: Store | None = None
    sights: Mapping[str, Sight] = field(default_factory=dict)
    one_voice: bool = False

    @property
    def views(self) -> tuple[str, ...]:
        """The names of the views that inputs can be seen in: "" is the family's own."""
        return ("", *self.sights)

    def seen(self, view: str) -> ClassFamily:
        """Returns the family in the view of a candidate, or in several: `own + NAME`.

        Those beside each other are one vector, for joined nets. Raises `DataError` for a view that
        it lacks.
        """
        if not view:
            return self
        if view not in self._seen:
            names = view.split(SEVERAL)
            for name in names:
                if name not in (OWN, *self.sights):
                    raise DataError(
                        f"{self.name} is not seen as '{name}', but as: "
                        f"{', '.join((OWN, *self.sights))}"
                    )
            self._seen[view] = self._in(abreast([self._sight(name) for name in names]))
        return self._seen[view]

    def _sight(self, name: str) -> Sight:
        if name != OWN:
            return self.sights[name]
        return Sight(self.view or AS_IS, self.store.inputs, self.input_format)

    def _in(self, sight: Sight) -> ClassFamily:
        """The same tasks on inputs as seen so; the content stays what it is."""
        store = replace(self.store, inputs=sight.inputs, detail=None, identity=self.store.digest)
        return replace(
            self,
            store=store,
            given_format=sight.input_format,
            view=sight.view,
            raw=self.raw or self.store,
            sights={},
        )

    @cached_property
    def _seen(self) -> dict[str, ClassFamily]:
        return {}

    @property
    def as_classes(self) -> ClassFamily:
        """Itself."""
        return self

    @property
    def device(self) -> torch.device:
        """Where the store is."""
        return self.store.device

    @property
    def as_read(self) -> Store:
        """What tells whether examples are the same: the original ones, as they came."""
        original = self.original
        return original.store if original.raw is None else original.raw

    @property
    def original(self) -> ClassFamily:
        """The family without generated classes: itself where there are none."""
        return self.enlargement.base if self.enlargement else self

    @cached_property
    def digest(self) -> str:
        """Identity of the store's content and of its parts."""
        sha = hashlib.sha256(self.store.digest.encode())
        for part in PARTS:
            sha.update(np.ascontiguousarray(self.parts[part], dtype=np.int64).data)
            sha.update(part.encode())
        if self.enlargement:
            sha.update(f"{self.original.digest} {self.enlargement.original_share}".encode())
        return sha.hexdigest()[:16]

    @cached_property
    def input_format(self) -> InputFormat:
        """The format it was given (a model's), else the one measured on the training part."""
        return self.given_format or measure_format(self.store, self.parts["train"])

    def to(self, device: torch.device | str) -> ClassFamily:
        """Returns the family with its store on `device`."""
        sights = {
            name: replace(sight, inputs=columns.moved(sight.inputs, device))
            for name, sight in self.sights.items()
        }
        moved = replace(
            self, store=self.store.to(device), given_format=self.input_format, sights=sights
        )
        if self.enlargement is None:
            return moved
        return replace(moved, enlargement=replace(self.enlargement, base=self.original.to(device)))

    def spec(self, ways: int, shots: int, queries: int = 15, part: Part | None = None) -> TaskSpec:
        """Returns the spec; refuses more ways or shots than `part` (default: all parts) can give.

        A class takes part in a task if it has at least `shots` + 1 examples; where it has fewer
        than `shots` + `queries`, the missing queries are masked. Generated classes do not count:
        episodes without them have the same shape.
        """
        if self.enlargement:
            return self.original.spec(ways, shots, queries, part)
        checked: tuple[Part, ...] = (part,) if part else ("search", "promotion", "test")
        for name in checked:
            self._eligible(name, ways, shots)
        return TaskSpec(ways, shots, queries, self.store.input_shape)

    def sample(
        self, part: Part, spec: TaskSpec, num_tasks: int, rng: np.random.Generator
    ) -> Episodes:
        """Returns episodes with classes and examples drawn uniformly without replacement.

        With an enlargement, its share of the training episodes draw from the original classes.
        """
        if self.enlargement and part != "train":
            return self.original.sample(part, spec, num_tasks, rng)
        if self.one_voice:
            sides = one_voice(self.name, self.store, self.parts[part], spec, num_tasks, rng)
            return Episodes(self.store, *sides, spec.ways)
        classes = self._eligible(part, spec.ways, spec.shots)
        counts = np.array([len(classes)] * num_tasks)
        if self.enlargement:  # the original classes come first
            originals = self.original._eligible(part, spec.ways, spec.shots)
            counts[: portion(num_tasks, self.enlargement.original_share, rng)] = len(originals)
        members_TW = classes[draw_distinct(counts, spec.ways, rng)]
        starts, sizes, order = self.places
        drawn_TWK = draw_distinct(sizes[members_TW], spec.shots + spec.queries, rng)
        examples_TWK = order[starts[members_TW][..., None] + np.maximum(drawn_TWK, 0)]
        shown = spec.shots
        if self.store.names is not None:  # that of a class stands behind its support
            names_TW = self.store.name_of[members_TW]
            drawn_TWK, examples_TWK = inserted(drawn_TWK, examples_TWK, shown, names_TW)
            shown += 1
        labels_TWK = np.zeros_like(drawn_TWK) + np.arange(spec.ways)[:, None]

        def side(columns: slice) -> Indices:
            return Indices(
                examples_TWK[..., columns].reshape(num_tasks, -1),
                labels_TWK[..., columns].reshape(num_tasks, -1),
                (drawn_TWK[..., columns] >= 0).reshape(num_tasks, -1),
            )

        return Episodes(self.store, side(slice(shown)), side(slice(shown, None)), spec.ways)

    def labelled(self, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Returns example indices `[N]` and labels `[N]` (0 to classes - 1) of a part."""
        starts, sizes, order = self.places
        classes = self.parts[part]
        examples = np.concatenate([order[starts[c] : starts[c] + sizes[c]] for c in classes])
        return examples, np.repeat(np.arange(len(classes)), sizes[classes])

    def draw_labelled(self, num_examples: int, rng: np.random.Generator) -> Examples:
        """Returns training examples with labels, drawn with replacement, as `labelled_batch`.

        With an enlargement, its share of them are examples of the original classes.
        """
        examples, labels = self._labelled_train
        limit: int | np.ndarray = len(examples)
        if self.enlargement:  # the original examples come first
            limit = np.full(num_examples, limit)
            originals = self.places[1][self.original.parts["train"]].sum()
            share = self.enlargement.original_share
            limit[: portion(num_examples, share, rng)] = originals
        chosen = rng.integers(0, limit, num_examples)
        return self.labelled_batch(examples[chosen], labels[chosen], len(self.parts["train"]))

    def labelled_batch(
        self, examples: np.ndarray, labels: np.ndarray, num_classes: int
    ) -> Examples:
        """Returns labelled examples as float tensors on the store's device, not yet normalised."""
        index = torch.from_numpy(examples).to(self.store.device)
        inputs = self.input_format.to_float(self.store.taken(index))
        targets = torch.from_numpy(labels).to(index.device)
        return Examples(inputs, targets, torch.ones_like(targets, dtype=torch.bool), num_classes)

    def largest_ways(self, part: Part, shots: int) -> int:
        """Returns how many original classes of `part` have at least `shots` + 1 examples."""
        return int((self.original.places[1][self.original.parts[part]] > shots).sum())

    @cached_property
    def _labelled_train(self) -> tuple[np.ndarray, np.ndarray]:
        return self.labelled("train")

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where each class starts in the sorted order, its size, and the order itself."""
        by_class = self.store.examples_of
        sizes = np.array([len(examples) for examples in by_class])
        return np.cumsum(sizes) - sizes, sizes, np.concatenate(by_class)

    def _eligible(self, part: Part, ways: int, shots: int) -> np.ndarray:
        classes = self.parts[part]
        fit: np.ndarray = classes[self.places[1][classes] > shots]
        if len(fit) >= ways:
            return fit
        if not len(classes):
            raise EpisodeError(
                f"{self.name}: part '{part}' has no classes of this data; the classes that a model "
                f"was not trained on are all in part 'test'"
            )
        if len(classes) >= ways:
            most = sorted(self.places[1][classes])[-ways] - 1
            raise EpisodeError(
                f"{self.name}: {ways}-way {shots}-shot needs {ways} classes with {shots + 1} "
                f"examples or more, part '{part}' has {len(fit)}; "
                + (f"lower --shots to {most} or add examples" if most > 0 else "add examples")
            )
        raise EpisodeError(
            f"{self.name}: {ways} ways asked for, but part '{part}' has {len(classes)} classes; "
            f"the largest possible --ways is {len(fit)}"
        )


def portion(number: int, share: float, rng: np.random.Generator) -> int:
    """Returns about `share` of `number`: a whole number next to it, in expectation exactly it."""
    exact = share * number
    return int(exact) + int(rng.random() < exact - int(exact))


def class_family(
    reading: Reading,
    *,
    split_seed: int = 0,
    split: Mapping[Part, np.ndarray] | None = None,
    input_format: InputFormat | None = None,
) -> tuple[ClassFamily, tuple[LeftOut, ...]]:
    """Returns the family of a reading, and what had to be left out of it.

    `split`: the classes of each part, where that is known; else they are dealt. Speakers, where
    they are known, are kept apart as `speakers.py` says.
    """
    store = reading.store
    left_out = list(reading.left_out)
    if split is None:
        store, copied = join_copied_classes(store)
        left_out += copied
        split = assign_parts(store.classes, split_seed)
    if sum(len(classes) > 0 for classes in split.values()) > 1:
        unheard, told = apart_by_speaker(store, split, split_seed)
        left_out += told
        if len(unheard):
            store = store.without(np.empty(0, np.int64), unheard)
    copies = cross_part_duplicates(store, split)
    duplicates = copies.examples
    if len(duplicates):
        left_out.append(LeftOut(copies.what, "same content in another part", len(duplicates)))
        store = store.without(np.empty(0, np.int64), duplicates)
        check_something_left(reading.name, store, split, len(duplicates))
    return ClassFamily(reading.name, store, split, input_format), tuple(left_out)
