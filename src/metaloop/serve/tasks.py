"""The tasks of a server: created, shown examples, asked and forgotten; each call may be a thread's.

A task is adapted when it is asked something, and again after its examples have changed. Those that
were asked last are kept ready; of others only the examples' labels are in memory.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metaloop.core.errors import DataError, InputError
from metaloop.core.extracts import Length
from metaloop.estimators import FewShotGenerator, FewShotRegressor
from metaloop.estimators.documents import DocumentRows
from metaloop.estimators.items import ItemRows
from metaloop.estimators.recommending import Recommended, recommend
from metaloop.estimators.task import RawInputs
from metaloop.models import Model
from metaloop.serve.answering import (
    Query,
    Ready,
    already_learned,
    learned,
    least_evidence,
    worth,
)
from metaloop.serve.limits import LARGEST_NAME, LARGEST_TEXT, Limits, RefusedError, not_found
from metaloop.serve.sent import Sent
from metaloop.serve.served import Reader, Served
from metaloop.serve.storage import ExampleRow, Label, TaskRow, TaskStore


@dataclass(eq=False)
class _Loaded:
    """What is in memory of a task: its inputs as the model's tensors, and the task once learned."""

    reader: Reader
    inputs: list[RawInputs]
    ready: Ready | None = None


@dataclass(eq=False)
class _Entry:
    row: TaskRow
    examples: list[ExampleRow]
    served: Served | None  # None while its model is not served
    lock: threading.RLock = field(default_factory=threading.RLock)
    loaded: _Loaded | None = None
    removed: bool = False


class Tasks:
    """All tasks of a server, those of models that have learned theirs already included.

    Refusals are `RefusedError`s with the status of HTTP, or other `MetaloopError`s for what is
    wrong with an input.
    """

    def __init__(self, models: Mapping[str, Served], store: TaskStore, limits: Limits) -> None:
        self.models, self._store, self._limits = models, store, limits
        self._lock = threading.Lock()
        self._entries = {
            row.id: _Entry(row, store.examples(row.id), models.get(row.model))
            for row in store.tasks()
        }
        self._recent: OrderedDict[str, _Entry] = OrderedDict()
        self._fixed = {
            name: already_learned(each, limits) for name, each in models.items() if each.fixed
        }
        self.adaptations = 0
        self._drawing = threading.Lock()

    def close(self) -> None:
        """Closes the file of tasks."""
        self._store.close()

    @property
    def works(self) -> bool:
        """Whether tasks can be read and kept."""
        return self._store.works()

    def counts(self) -> tuple[int, int]:
        """Returns how many tasks and examples there are."""
        with self._lock:
            entries = list(self._entries.values())
        return len(entries), sum(len(entry.examples) for entry in entries)

    def list(self) -> list[dict[str, Any]]:
        """Returns what is to be known of every task, the oldest first."""
        with self._lock:
            entries = list(self._entries.values())
        own = [_described(ready) for ready in self._fixed.values()]
        return own + [self._about(entry) for entry in entries]

    def about(self, task: str) -> dict[str, Any]:
        """Returns what is to be known of a task, with its examples."""
        if task in self._fixed:
            return {**_described(self._fixed[task]), "examples": []}
        entry = self._entry(task)
        with entry.lock:
            examples = [
                {"id": each.id, "label": each.label, "kind": each.kind, "name": each.name}
                for each in entry.examples
            ]
            return {**self._about(entry), "examples": examples}

    def create(self, name: str, model: str | None) -> dict[str, Any]:
        """Returns the new task; its model is named where there is more than one that learns."""
        learning = [each for each, of in self.models.items() if not of.fixed]
        if model is None and len(learning) == 1:
            model = learning[0]
        if model not in learning:
            known = ", ".join(repr(each) for each in learning) or "none of those served learns any"
            asked = (
                "name the 'model' of the task" if model is None else f"no model {model!r} learns"
            )
            raise RefusedError(422, f"{asked}; models that learn new tasks: {known}")
        row = TaskRow(secrets.token_hex(8), checked_name("name", name), model, time.time())
        with self._lock:
            if len(self._entries) >= self._limits.tasks:
                raise RefusedError(
                    409, f"there are {self._limits.tasks:,} tasks, the most; delete one first"
                )
            self._store.add_task(row)
            entry = self._entries[row.id] = _Entry(row, [], self.models[model])
        return self._about(entry)

    def remove(self, task: str) -> None:
        """Forgets a task with all its examples."""
        entry = self._own_entry(task)
        with entry.lock, self._lock:
            self._store.remove_task(task)
            entry.removed, entry.loaded = True, None
            self._entries.pop(task, None)
            self._recent.pop(task, None)

    def add(self, task: str, label: Any, sent: Sent) -> dict[str, Any]:
        """Keeps an example and returns it; it is on the disk then.

        What the model cannot take is refused, and nothing is kept of it.
        """
        entry = self._own_entry(task)
        with entry.lock:
            served = self._served(entry)
            if len(entry.examples) >= self._limits.examples:
                raise RefusedError(
                    409, f"the task has {self._limits.examples:,} examples, the most"
                )
            checked = _checked_label(label, served)
            loaded = self._load(entry, served)
            inputs = loaded.reader.read(sent)
            if served.answers == "summaries":
                worth(served, inputs, checked)  # a summary without a word is refused here
            row = self._store.add_example(task, checked, sent)
            entry.examples.append(row)
            loaded.inputs.append(_kept(inputs))
            loaded.ready = None
            return {"id": row.id, "label": row.label, "examples": len(entry.examples)}

    def remove_example(self, task: str, example: int) -> None:
        """Forgets an example; the first one decided how others are read, which is decided anew."""
        entry = self._own_entry(task)
        with entry.lock:
            places = [p for p, row in enumerate(entry.examples) if row.id == example]
            if not places:
                raise not_found(f"example {example} of task '{task}'")
            self._store.remove_example(example)
            del entry.examples[places[0]]
            entry.loaded = None

    def sent(self, task: str, example: int) -> Sent:
        """Returns an example as it came."""
        entry = self._own_entry(task)
        found = None
        if any(row.id == example for row in entry.examples):
            found = self._store.sent(example)
        if found is None:
            raise not_found(f"example {example} of task '{task}'")
        return found

    def ready(self, task: str) -> Ready:
        """Returns the task as it is learned by now."""
        if task in self._fixed:
            return self._fixed[task]
        entry = self._entry(task)
        with entry.lock:
            served = self._served(entry)
            if not entry.examples:
                raise RefusedError(
                    409, f"the task has no examples yet; POST some to /tasks/{task}/examples"
                )
            loaded = self._load(entry, served)
            if loaded.ready is None:
                labels = [row.label for row in entry.examples]
                numbers = [row.id for row in entry.examples]
                loaded.ready = learned(served, loaded.reader, loaded.inputs, labels, numbers)
                self.adaptations += 1
            ready = loaded.ready
        self._keep(entry)
        return ready

    def query(
        self,
        task: str,
        sent: Sent,
        nearest: int = 0,
        length: Length | None = None,
        reject: str | None = None,
    ) -> Query:
        """Returns a question to a task, decoded; `length` is that of a summary.

        `reject`: the share of inputs of other classes that may be taken for one of the task's.
        """
        ready = self.ready(task)
        if ready.served.answers == "samples":
            raise RefusedError(
                409, f"the task's model makes images; POST to /tasks/{task}/generate"
            )
        if length is not None and ready.served.answers != "summaries":
            raise RefusedError(422, "only summaries have a length; leave it away")
        ready = ready if length is None else ready.at(length)
        least = None if reject is None else least_evidence(ready, reject)
        return Query(ready, ready.reader.read(sent), nearest, least)

    def generate(
        self, task: str, count: int, seed: int, temperature: float | None
    ) -> tuple[Any, float]:
        """Returns uint8 pictures `[count, H, W]` or `[..., 3]` of the task's class.

        And the temperature at which they were drawn: None is the one that suits the model.
        """
        ready = self.ready(task)
        served = ready.served
        if not isinstance(served.estimator, FewShotGenerator):
            raise RefusedError(409, f"the task's model makes no images; it tells {served.answers}")
        if not 1 <= count <= self._limits.images:
            raise RefusedError(
                422, f"'count' is a number of images from 1 to {self._limits.images}, got {count}"
            )
        assert ready.adapted is not None
        assert isinstance(served.model, Model)
        estimator = FewShotGenerator(served.model)
        estimator.task_ = ready.adapted
        with self._drawing:  # drawing takes all that a processor has
            at = estimator.usual_temperature if temperature is None else float(temperature)
            return estimator.sample(count, seed, at), at

    def top(self, task: str, count: int) -> Sequence[Recommended]:
        """Returns the items that the user of a task would like most, none that she has had."""
        ready = self.ready(task)
        served = ready.served
        if served.model.takes != "items" or not isinstance(served.estimator, FewShotRegressor):
            raise RefusedError(409, "the task's model ranks no items; predict asks it")
        assert ready.adapted is not None
        assert isinstance(served.model, Model)
        estimator = FewShotRegressor(served.model)
        estimator.task_ = ready.adapted
        return recommend(estimator, count)

    def model_of(self, task: str) -> str:
        """Returns the name of the model that a task is asked of; also whether there is such."""
        return task if task in self._fixed else self._served(self._entry(task)).name

    def _entry(self, task: str) -> _Entry:
        entry = self._entries.get(task)
        if entry is None or entry.removed:
            raise not_found(f"task '{task[:LARGEST_NAME]}'")
        return entry

    def _own_entry(self, task: str) -> _Entry:
        if task in self._fixed:
            raise RefusedError(409, f"'{task}' is a model that knows its task: it stays as it is")
        return self._entry(task)

    def _served(self, entry: _Entry) -> Served:
        if entry.removed:
            raise not_found(f"task '{entry.row.id}'")
        if entry.served is None or entry.served.fixed:
            raise RefusedError(
                409, f"the task's model '{entry.row.model}' is not served now; start it again"
            )
        return entry.served

    def _load(self, entry: _Entry, served: Served) -> _Loaded:
        """What is in memory of a task, read again if it was not; its lock is held."""
        if entry.loaded is None:
            reader = Reader(served, self._limits)
            inputs: list[RawInputs] = []
            for row in entry.examples:
                sent = self._store.sent(row.id)
                if sent is None:
                    raise RefusedError(409, f"example {row.id} of the task cannot be read")
                try:
                    _checked_label(row.label, served)
                    inputs.append(_kept(reader.read(sent)))
                except (InputError, DataError) as error:
                    raise RefusedError(
                        409, f"example {row.id} was kept for another model '{served.name}' than "
                        f"the one that is served now: {error}",
                    ) from error  # fmt: skip
            entry.loaded = _Loaded(reader, inputs)
        return entry.loaded

    def _keep(self, entry: _Entry) -> None:
        """Makes a task the last one used, and lets go of those that nobody has asked for long."""
        with self._lock:
            self._recent[entry.row.id] = entry
            self._recent.move_to_end(entry.row.id)
            old = []
            while len(self._recent) > self._limits.adapted:
                old.append(self._recent.popitem(last=False)[1])
        for each in old:
            if each.lock.acquire(blocking=False):
                each.loaded = None
                each.lock.release()

    def _about(self, entry: _Entry) -> dict[str, Any]:
        served = entry.served
        labels = [row.label for row in entry.examples]
        classes = sorted({str(label) for label in labels})
        real = served is not None and served.answers != "labels"
        return {
            "id": entry.row.id,
            "name": entry.row.name,
            "model": entry.row.model,
            "classes": None if real else {each: labels.count(each) for each in classes},
            "num_examples": len(labels),
            "fixed": False,
            "available": served is not None,
        }


def _kept(inputs: RawInputs) -> RawInputs:
    """What is kept in memory: tensors, of documents their sentences and of items names, too."""
    return inputs if isinstance(inputs, DocumentRows | ItemRows) else inputs[:]


def _described(ready: Ready) -> dict[str, Any]:
    name = ready.served.name
    of_classes = ready.served.answers == "labels"
    classes = dict.fromkeys(ready.classes, 0) if of_classes else None
    return {
        "id": name, "name": name, "model": name, "classes": classes, "num_examples": 0,
        "fixed": True, "available": True,
    }  # fmt: skip


def checked_name(what: str, value: Any) -> str:
    """Returns a name without blanks around it; raises `InputError` for none, and for no name."""
    if not isinstance(value, str) or not value.strip() or len(value) > LARGEST_NAME:
        raise InputError(f"'{what}' must be a text of 1 to {LARGEST_NAME} characters")
    name = value.strip()
    if not name.isprintable():
        raise InputError(f"'{what}' has characters that cannot be shown; use letters")
    return name


def _checked_label(label: Any, served: Served) -> Label:
    """Returns a label as it is kept: text, or the real value or values of a function.

    Images of one class need none, and items that a user had are worth 1 each.
    """
    if served.answers == "samples":
        return "" if label in (None, "") else checked_name("label", label)
    if label is None and served.of_events:
        return 1.0
    if label is None:
        wanted = "summary" if served.answers == "summaries" else "label"
        raise RefusedError(422, f"an example needs a '{wanted}'")
    if served.answers == "summaries":
        if not isinstance(label, str) or not label.strip() or len(label) > LARGEST_TEXT:
            raise InputError(f"'summary' must be a text of 1 to {LARGEST_TEXT:,} characters")
        return label
    if served.answers == "labels":
        if isinstance(label, int) and not isinstance(label, bool):
            label = str(label)
        return checked_name("label", label)
    assert isinstance(served.model, Model)
    values = label if isinstance(label, list | tuple) else [label]
    (expected,) = served.model.spec.target_shape or (1,)
    try:
        numbers = tuple(float(value) for value in values if not isinstance(value, bool))
    except (TypeError, ValueError):
        numbers = ()
    if (
        len(numbers) != len(values)
        or len(numbers) != expected
        or not all(math.isfinite(number) and abs(number) < 1e30 for number in numbers)
    ):
        wanted = "a number" if expected == 1 else f"a list of {expected} numbers"
        raise InputError(f"the label of an example of a function is {wanted}, got {label!r:.60}")
    return numbers[0] if expected == 1 else numbers
