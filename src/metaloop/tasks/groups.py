"""`GroupFamily`: a task is one group of rows with real targets: a patient, a shop, a user.

The support is some rows of a group, the query others of the same group. Groups are split, sampled
and counted as classes are; a row may occur in several groups, but a group only once. Inputs and
targets are standardised by the rows of `train`; what is reported is in the targets' own units.

Ratings are such groups: a group is a user, a row an item that she rated. Their inputs are places in
a table of items, which many users share, so that equal rows say nothing; in training a user with
few ratings is known by half of them. Events are ratings that are all alike: what the user had is
asked for among items that she had not (`others.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from metaloop.core.columns import Lookup
from metaloop.core.errors import DataError, EpisodeError
from metaloop.core.extraction import EXTRACTION
from metaloop.core.fitted_view import FittedView
from metaloop.core.inputs import InputFormat
from metaloop.core.metric import Objective, Scores
from metaloop.core.ranking import OF_ITEMS, RANKING
from metaloop.core.records import PARTS, Part
from metaloop.core.spec import TaskSpec
from metaloop.tasks.copied_classes import join_copied_classes, named
from metaloop.tasks.episodes import Episodes, Indices, scored_by_tensors
from metaloop.tasks.family import ClassFamily, TaskFamily
from metaloop.tasks.judged import Judged
from metaloop.tasks.measuring import measure_format
from metaloop.tasks.others import OtherItems
from metaloop.tasks.readers.finish import explain
from metaloop.tasks.recognising import Recognised, Seen, recognise, recognise_by_name, seen_of
from metaloop.tasks.sampling import draw_distinct
from metaloop.tasks.split import MIN_CLASSES, assign_parts
from metaloop.tasks.store import LeftOut, Reading, Store

MIN_GROUPS = MIN_CLASSES
_SAME_GROUP = 0.5  # of its rows: a group of other data that shares as many is the same group
_TWINS = 5  # ratings; of fewer it is no wonder that two users have the same
_FEWEST_HALVED = 8  # ratings of a user to train with, where there are enough such users


@dataclass(frozen=True)
class GroupFamily(TaskFamily):
    """Regression tasks over the groups of a store with values; `parts` maps parts to groups.

    Where inputs are seen in a `view`, `raw` are the same examples as they came. `num_items`: of
    events, the items in each of the tables that they are places in. What is `judged` is scored by
    that: extracts of documents, by their words. `alike`: parts share what groups are about, so that
    nothing is known of new ones.
    """

    name: str
    store: Store
    parts: Mapping[Part, np.ndarray]
    given_format: InputFormat | None = None
    objective: str = "regression"
    view: FittedView | None = None
    raw: Store | None = None
    num_items: int = 0
    judged: Judged | None = None
    alike: bool = False

    @cached_property
    def digest(self) -> str:
        """Identity of the store's content and of its parts."""
        sha = hashlib.sha256(f"groups {self.store.digest}".encode())
        for part in PARTS:
            sha.update(np.ascontiguousarray(self.parts[part], dtype=np.int64).data)
            sha.update(part.encode())
        return sha.hexdigest()[:16]

    @cached_property
    def input_format(self) -> InputFormat:
        """The format it was given (a model's), else inputs and targets measured on `train`."""
        return self.given_format or _measured(self.store, self.parts["train"])

    @property
    def as_read(self) -> Store:
        """The rows as they came, before they were seen in a view."""
        return self.store if self.raw is None else self.raw

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.store.device

    def to(self, device: torch.device | str) -> GroupFamily:
        """Returns the family with its store on `device`."""
        return replace(self, store=self.store.to(device), given_format=self.input_format)

    def spec(self, ways: int, shots: int, queries: int = 15, part: Part | None = None) -> TaskSpec:
        """Returns the regression spec; `ways` has no meaning here and becomes 0.

        A group takes part if it has at least `shots` + 1 rows; where it has fewer than `shots` +
        `queries`, the missing queries are masked. Raises `EpisodeError` if `part` (default: any
        part) has no such group.
        """
        checked: tuple[Part, ...] = (part,) if part else PARTS
        for name in checked:
            halved = name == "train" and self.objective in OF_ITEMS
            self._eligible(name, 1 if halved else shots)
        assert self.store.values is not None
        target_shape = tuple(self.store.values.shape[1:])
        return TaskSpec(0, shots, queries, self.store.input_shape, self.objective, target_shape)

    def sample(
        self, part: Part, spec: TaskSpec, num_tasks: int, rng: np.random.Generator
    ) -> Episodes:
        """Returns episodes of groups drawn uniformly, and of their rows without replacement.

        Users of `train` with few ratings are known by half of them.
        """
        halved = part == "train" and self.objective in OF_ITEMS
        members_T = self._members(part, spec, halved, num_tasks, rng)
        draw = self._halved if halved else self._known_by_shots
        episodes = draw(members_T, spec, rng)
        if self.objective != RANKING.name:
            return episodes
        return self._other_items.beside(episodes, members_T, rng)

    def _members(
        self, part: Part, spec: TaskSpec, halved: bool, num_tasks: int, rng: np.random.Generator
    ) -> np.ndarray:
        """The groups of so many tasks, drawn uniformly."""
        if halved:
            groups, sizes = self.parts[part], self._index[1]
            enough = groups[sizes[groups] >= _FEWEST_HALVED]
            groups = enough if len(enough) else self._eligible(part, 1)
        else:
            groups = self._eligible(part, spec.shots)
        return groups[rng.integers(0, len(groups), num_tasks)]

    @cached_property
    def _other_items(self) -> OtherItems:
        return OtherItems.of(self.store, self.num_items + 1)

    def _known_by_shots(
        self, members_T: np.ndarray, spec: TaskSpec, rng: np.random.Generator
    ) -> Episodes:
        """Episodes of these groups with as many known rows as `spec` says."""
        starts, sizes, order = self._index
        drawn_TK = draw_distinct(sizes[members_T], spec.shots + spec.queries, rng)
        rows_TK = order[starts[members_T][:, None] + np.maximum(drawn_TK, 0)]

        def side(columns: slice) -> Indices:
            rows = rows_TK[:, columns]
            return Indices(rows, np.zeros_like(rows), drawn_TK[:, columns] >= 0)

        sides = side(slice(spec.shots)), side(slice(spec.shots, None))
        return Episodes(self.store, *sides, 0, self.alike)

    def score(
        self, objective: Objective, outputs: Tensor, targets: Tensor, episodes: Episodes
    ) -> Mapping[str, Scores]:
        """Returns what metrics say: by tensors, or by what is judged."""
        if self.judged is None:
            return scored_by_tensors(objective, outputs, targets, episodes)
        return self.judged.scores(objective, outputs, episodes)

    def _halved(self, members_T: np.ndarray, spec: TaskSpec, rng: np.random.Generator) -> Episodes:
        """Episodes of users of `train`, in which nobody needs more rows than two."""
        starts, sizes, order = self._index
        num_tasks = len(members_T)
        known_T = np.minimum(spec.shots, sizes[members_T] // 2)[:, None]
        drawn_TK = draw_distinct(sizes[members_T], spec.shots + spec.queries, rng)
        rows_TK = order[starts[members_T][:, None] + np.maximum(drawn_TK, 0)]

        def side(places: np.ndarray, there: np.ndarray) -> Indices:
            rows = np.take_along_axis(rows_TK, np.minimum(places, rows_TK.shape[1] - 1), 1)
            return Indices(np.where(there, rows, 0), np.zeros_like(rows), there)

        support = np.broadcast_to(np.arange(spec.shots), (num_tasks, spec.shots))
        query = known_T + np.arange(spec.queries)
        return Episodes(
            self.store,
            side(support, support < known_T),
            side(query, query < sizes[members_T][:, None]),
            0,
            self.alike,
        )

    @cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where each group starts in the sorted order, its size, and the order itself."""
        by_group = self.store.examples_of
        sizes = np.array([len(rows) for rows in by_group], np.int64)
        return np.cumsum(sizes) - sizes, sizes, np.concatenate(by_group)

    def _eligible(self, part: Part, shots: int) -> np.ndarray:
        groups = self.parts[part]
        sizes = self._index[1][groups]
        fit: np.ndarray = groups[sizes > shots]
        if len(fit):
            return fit
        if not len(groups):
            raise EpisodeError(
                f"{self.name}: part '{part}' has no groups of this data; the groups that a model "
                "was not trained on are all in part 'test'"
            )
        most = int(sizes.max()) - 1
        raise EpisodeError(
            f"{self.name}: {shots}-shot needs groups of {shots + 1} rows or more, the largest of "
            f"part '{part}' has {most + 1}; lower --shots to {most} or add rows"
        )


def group_family(
    reading: Reading,
    *,
    split_seed: int = 0,
    parts: Mapping[str, Sequence[str]] | None = None,
    seen: Seen | None = None,
    input_format: InputFormat | None = None,
) -> tuple[GroupFamily, tuple[LeftOut, ...], Recognised | None]:
    """Returns the family of a reading with values, what is left out of it, and what is known of it.

    `parts`, `seen` and `input_format` are those of a model that is to be used on the data: groups
    that it knows are in the parts that they had, all others in `test`; else groups are dealt.
    Raises `DataError` for fewer than 8 groups.
    """
    of_items = isinstance(reading.store.inputs, Lookup)
    store, copied = (_without_twins if of_items else _without_copies)(reading.store)
    left_out = (*reading.left_out, *copied)
    recognised: Recognised | None = None
    if parts is None:
        if len(store.classes) < MIN_GROUPS:
            gone = f", without those left out: {explain(left_out)}" if left_out else ""
            raise DataError(
                f"{reading.name} has {len(store.classes)} groups{gone}; learning keeps groups "
                f"apart for training, choosing and testing and needs at least {MIN_GROUPS}. To "
                "learn one function, adapt a learner of other groups: metaloop fit MODEL --support "
                "FILE --out adapted.metaloop"
            )
        split = assign_parts(store.classes, split_seed)
    else:
        recognised = (
            recognise(_joint(store), seen, parts, _SAME_GROUP)
            if seen
            else recognise_by_name(store, parts)
        )
        split = dict(recognised.split)
    family = GroupFamily(reading.name, store, split, input_format, reading.objective)
    return family, left_out, recognised


def seen_groups(family: GroupFamily) -> Seen | None:
    """Returns what is to be kept of the family's rows, to know its groups again.

    None of users who rated items: they are known by name; nor of documents: their view knows them.
    """
    if family.objective in OF_ITEMS or family.objective == EXTRACTION.name:
        return None
    return seen_of(ClassFamily(family.name, _joint(family.store), family.parts))


def _measured(store: Store, groups: np.ndarray) -> InputFormat:
    """The format of the inputs and the scale of the targets, over the rows of these groups."""
    assert store.values is not None
    members = torch.isin(store.targets, torch.from_numpy(groups).to(store.targets.device))
    values = store.values[members]
    mean, deviation = values.mean(0), values.std(0, correction=0)
    constant = deviation <= 1e-12 * values.abs().amax(0).clamp(min=1e-300)
    return replace(
        measure_format(store, groups),
        target_mean=tuple(mean.tolist()),
        target_deviation=tuple(torch.where(constant, 1.0, deviation).tolist()),
    )


def _joint(store: Store) -> Store:
    """The store with inputs and targets side by side: what makes a row the same row."""
    assert store.values is not None
    inputs = store.taken(np.arange(len(store)))
    rows = torch.cat([inputs, store.values.to(inputs.dtype)], dim=1)
    return replace(store, inputs=rows, values=None)


def _without_copies(store: Store) -> tuple[Store, tuple[LeftOut, ...]]:
    """The store with every group once; groups that share many rows will share a part."""
    joined, told = join_copied_classes(_joint(store))
    kept = {info.name for info in joined.classes}
    gone = [place for place, info in enumerate(store.classes) if info.name not in kept]
    if gone:
        store = store.without(np.array(gone, np.int64))
    told = tuple(replace(item, reason=_OF_GROUPS.get(item.reason, item.reason)) for item in told)
    return replace(store, classes=joined.classes), tuple(
        replace(item, what=item.what.replace("class ", "group ", 1)) for item in told
    )


def _without_twins(store: Store) -> tuple[Store, tuple[LeftOut, ...]]:
    """The store without users who rated the same items, all of them alike, as one before them."""
    assert isinstance(store.inputs, Lookup) and store.values is not None
    items, values = store.inputs.index.numpy(), store.values[:, 0].numpy()
    known: set[bytes] = set()
    gone = []
    for user, rows in enumerate(store.examples_of):
        if len(rows) < _TWINS:
            continue
        rows = rows[np.argsort(items[rows], kind="stable")]
        content = hashlib.sha256(items[rows].tobytes() + values[rows].tobytes()).digest()
        if content in known:
            gone.append(user)
        known.add(content)
    if not gone:
        return store, ()
    names = named([repr(store.classes[user].name) for user in gone])
    told = LeftOut(f"user {names}", "copy of another user", len(gone))
    return store.without(np.array(gone, np.int64)), (told,)


_OF_GROUPS = {
    "copy of another class": "copy of another group",
    "classes that share content are in one part": "groups that share content are in one part",
}
