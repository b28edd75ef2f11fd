"""What a served model makes of queries: many of them, of different tasks, in one pass of its net.

Learners that embed see all queries together, whichever tasks they are of, and each task's head then
scores its own. A learner that looks at its query batch is shown each query alone: what it says must
not hang on who else happens to ask.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.errors import DivergenceError, InputError, MetaloopError
from metaloop.core.extracts import Length
from metaloop.core.learner import EmbeddingLearner
from metaloop.core.objective import probabilities
from metaloop.core.ranking import RANKING
from metaloop.estimators import (
    FewShotClassifier,
    FewShotGenerator,
    FewShotRegressor,
    TrainedClassifier,
)
from metaloop.estimators.baseline import is_baseline
from metaloop.estimators.documents import DocumentRows, Extract, extracts, length_of, worth_of
from metaloop.estimators.images import read_pictures
from metaloop.estimators.items import ItemRows, last_of_each
from metaloop.estimators.joining import joined, opened
from metaloop.estimators.reading import Asked, reading_of
from metaloop.estimators.task import AdaptedTask, RawInputs, Support, adapt_to
from metaloop.models import Model
from metaloop.models.classifier import Classifier
from metaloop.serve.limits import Limits
from metaloop.serve.sent import TAKEN, Sent, Taken
from metaloop.serve.storage import Label

Estimator = FewShotClassifier | FewShotRegressor | FewShotGenerator | TrainedClassifier
Answers = Literal["labels", "values", "samples", "summaries"]
_EMBEDDED_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Served:
    """A model under the name by which tasks know it.

    `fixed`: it has learned its one task already, and takes no examples.
    """

    name: str
    estimator: Estimator
    model: Model | Classifier
    taken: Taken
    fixed: bool

    @property
    def answers(self) -> Answers:
        """What is told of an input, or made of the examples."""
        if isinstance(self.estimator, FewShotGenerator):
            return "samples"
        if not isinstance(self.estimator, FewShotRegressor):
            return "labels"
        return "summaries" if self.model.takes == "documents" else "values"

    @property
    def of_events(self) -> bool:
        """Whether an example is an item that a user had, without a rating."""
        return isinstance(self.model, Model) and self.model.spec.objective == RANKING.name


def served(name: str, estimator: object) -> Served:
    """Returns the model of an estimator as one to be served.

    Raises `MetaloopError` for one that answers something else than labels or values, whose inputs
    nobody could send, and for one without a model.
    """
    if not isinstance(estimator, Estimator):
        raise MetaloopError(f"'{name}' is a {type(estimator).__name__}, which cannot be served")
    adapted = getattr(estimator, "task_", None)
    model = estimator.model if adapted is None else adapted.model
    if not isinstance(model, Model | Classifier) or (
        isinstance(model, Model) and is_baseline(model)
    ):
        raise MetaloopError(f"'{name}' is no model; give files that 'learn' or 'train' wrote")
    if model.takes not in TAKEN:
        known = ", ".join(sorted(TAKEN))
        raise MetaloopError(f"'{name}' takes {model.takes}; models can be served that take {known}")
    fixed = adapted is not None or isinstance(model, Classifier)
    return Served(name, estimator, model, TAKEN[model.takes], fixed)


class Reader:
    """How the inputs of one task are read: by the rules of `fit` and `predict`, one at a time.

    What the first example decides (what is black and white in images) holds for all others.
    """

    def __init__(self, of: Served, limits: Limits) -> None:
        self._served, self._limits = of, limits
        kind: Any = type(of.estimator)
        self._estimator: Any = of.estimator if of.fixed else kind(of.model)
        self._begun = of.fixed

    @property
    def value_range(self) -> tuple[float, float] | None:
        """What is black and white in the images of the task, once that is decided."""
        return getattr(self._estimator, "value_range_", None)

    def read(self, sent: Sent) -> RawInputs:
        """Returns one input, decoded; raises `MetaloopError` for what the model does not take."""
        taken = self._served.taken
        if sent.kind not in taken.kinds:
            raise InputError(
                f"the model '{self._served.name}' takes {self._served.model.takes}: send "
                f"{' or '.join(repr(kind) for kind in taken.kinds)}, not '{sent.kind}'"
            )
        try:
            read = opened(self._read(taken.as_X(sent, self._limits)))
        except MetaloopError as error:
            told = str(error)
            if "X[0]" not in told and not told.startswith("X "):
                raise
            told = told.replace("recording X[0]", "the recording").replace("X[0]: ", "")
            raise InputError(told.replace("X ", "the input ", 1)) from error
        self._begun = True
        return read

    def _read(self, X: Any) -> RawInputs:
        model, known = self._served.model, self.value_range
        if isinstance(model, Classifier):
            return read_pictures(X, model.read_format, None, known)
        first = not self._begun
        asked = Asked(model, first, None if first else known)
        return reading_of(model).read(self._estimator, X, asked)


@dataclass(frozen=True, eq=False)
class Ready:
    """A task that a model has learned, with the numbers of its examples in their order."""

    served: Served
    reader: Reader
    adapted: AdaptedTask | None
    classes: tuple[str, ...]
    examples: tuple[int, ...] = ()

    @cached_property
    def seen(self) -> Tensor | None:
        """The examples as `_features` has them, of unit length; None where there are none."""
        if self.adapted is None or self.adapted.support is None or not self.examples:
            return None
        parts = [
            _features(self.adapted.model, batch)
            for batch in torch.split(self.adapted.support.inputs, _EMBEDDED_AT_ONCE)
        ]
        found = [part for part in parts if part is not None]
        return torch.nn.functional.normalize(torch.cat(found), dim=1) if found else None


def learned(
    of: Served,
    reader: Reader,
    inputs: Sequence[RawInputs],
    labels: Sequence[Label],
    examples: Sequence[int],
) -> Ready:
    """Returns the task that the model learns from inputs and labels: as `fit` would.

    Of an item that was rated again the last rating is its only example.
    """
    assert isinstance(of.model, Model)
    items = [name for each in inputs if isinstance(each, ItemRows) for name in each.names]
    if items:
        kept = last_of_each(items)
        inputs, labels = [inputs[place] for place in kept], [labels[place] for place in kept]
        examples = [examples[place] for place in kept]
        items = [items[place] for place in kept]
    classes = () if of.answers != "labels" else tuple(sorted({str(label) for label in labels}))
    if of.answers == "values":
        targets = torch.tensor(np.array(labels, dtype=np.float64)).reshape(len(labels), -1)
    elif of.answers == "samples":
        targets = torch.zeros(len(labels), *of.model.spec.target_shape, dtype=torch.float64)
    elif of.answers == "summaries":
        targets = torch.cat([worth(of, *pair) for pair in zip(inputs, labels, strict=True)])
    else:
        places = {label: place for place, label in enumerate(classes)}
        targets = torch.tensor([places[str(label)] for label in labels])
    rows = joined([each[:] for each in inputs])[:]
    support = Support(rows, targets, tuple(items) if items else None)
    adapted = adapt_to(of.model, support, len(classes), reader.value_range)
    return Ready(of, reader, adapted, classes, tuple(examples))


def worth(of: Served, document: RawInputs, summary: Label) -> Tensor:
    """Returns what a summary says of a document's sentences; `InputError` if it has no word."""
    assert isinstance(document, DocumentRows) and isinstance(of.model, Model)
    assert of.model.view is not None
    return worth_of([str(summary)], document, of.model.view)


def already_learned(of: Served, limits: Limits) -> Ready:
    """Returns the task of a model that knows it already."""
    classes = getattr(of.estimator, "classes_", None)
    names = () if classes is None else tuple(str(label) for label in classes.tolist())
    return Ready(of, Reader(of, limits), getattr(of.estimator, "task_", None), names)


@dataclass(frozen=True, eq=False)
class Query:
    """One input of a task, decoded, and how many of the nearest examples are to be named.

    `length` is that of the summary of a document, None for the one that the model was trained for.
    """

    ready: Ready
    inputs: RawInputs
    nearest: int = 0
    length: Length | None = None


@dataclass(frozen=True)
class Answer:
    """A label with the probability of every class, or a real value; and the nearest examples.

    `nearest`: numbers of examples and how alike they are, as a cosine in features. `extract`: the
    summary of a document.
    """

    label: str | None
    probabilities: dict[str, float] | None
    value: float | list[float] | None
    nearest: tuple[tuple[int, float], ...] = ()
    extract: Extract | None = None


@torch.no_grad()
def answers(queries: Sequence[Query]) -> list[Answer | Exception]:
    """Returns an answer to each of the queries of one model, or why there is none."""
    try:
        return _together(queries)
    except Exception:
        if len(queries) == 1:
            raise
    alone: list[Answer | Exception] = []
    for query in queries:  # one of them is to blame; the others are not to suffer from it
        try:
            alone += _together([query])
        except Exception as error:
            alone.append(error)
    return alone


def _together(queries: Sequence[Query]) -> list[Answer | Exception]:
    served = queries[0].ready.served
    raw = joined([query.inputs for query in queries])
    if isinstance(served.model, Classifier):
        shares = served.model.log_probabilities(raw[:]).exp()
        shares = shares / shares.sum(1, keepdim=True)
        return [_answer(query, row) for query, row in zip(queries, shares, strict=True)]
    inputs = raw[:]
    outputs = _outputs(served.model, queries, inputs)
    told = zip(queries, torch.split(inputs, 1), outputs, strict=True)
    return [
        error if error is not None else _with_nearest(query, _answer(query, row), one)
        for query, one, row in told
        for error in [_not_finite(served.model, row)]
    ]


def _outputs(model: Model, queries: Sequence[Query], inputs: Tensor) -> list[Tensor]:
    """The outputs of each query, float64, as its task alone would give them."""
    rows: dict[Ready, list[int]] = defaultdict(list)
    for place, query in enumerate(queries):
        rows[query.ready].append(place)
    embeds = isinstance(model.learner, EmbeddingLearner)
    seen = _features(model, inputs) if embeds else inputs
    assert seen is not None
    found: dict[int, Tensor] = {}
    for ready, places in rows.items():
        task = ready.adapted
        assert task is not None
        alone = model.learner.uses_query_batch
        for some in [[place] for place in places] if alone else [places]:
            outputs = _of_task(task, seen[some])
            found |= dict(zip(some, outputs, strict=True))
    return [found[place] for place in range(len(queries))]


def _of_task(task: AdaptedTask, seen: Tensor) -> Tensor:
    """The outputs of one task `[N, ...]` on features, or on inputs where its learner embeds not."""
    model = task.model
    if task.num_classes == 1:
        return torch.zeros(len(seen), 1, dtype=torch.float64)
    if not isinstance(model.learner, EmbeddingLearner):
        return model.predict(task.state, seen).double().cpu()
    scores = model.learner.score(model.meta_params, task.state, seen)
    return model.input_format.raw_targets(scores).double().cpu()


def _features(model: Model, inputs: Tensor) -> Tensor | None:
    """What a model decides by `[N, D]`: its features, a guest's inputs; None where nets adapt."""
    ready = model.input_format.to_float(inputs.to(model.device))
    if isinstance(model.learner, EmbeddingLearner):
        return model.learner.embed(model.meta_params, ready)
    return ready.flatten(1) if isinstance(model.learner, BlackBoxLearner) else None


def _not_finite(model: Model, outputs: Tensor) -> Exception | None:
    if bool(outputs.isnan().any()) or bool((outputs == torch.inf).any()):
        return DivergenceError(
            f"{model.candidate.label} predicts values that are not finite: its examples, or this "
            "input, are of another scale than what it was trained on"
        )
    return None


def _answer(query: Query, row: Tensor) -> Answer:
    classes = query.ready.classes
    if isinstance(query.inputs, DocumentRows):
        view = query.ready.served.model.view
        assert view is not None
        length = query.length or length_of(view)
        (found,) = extracts(row.unsqueeze(0), query.inputs, length)
        return Answer(None, None, None, extract=found)
    if not classes:
        values = row.flatten().tolist()
        return Answer(None, None, values[0] if len(values) == 1 else values)
    shares = row if query.ready.adapted is None else probabilities(row)
    return Answer(
        classes[int(shares.argmax())], dict(zip(classes, shares.tolist(), strict=True)), None
    )


def _with_nearest(query: Query, answer: Answer, one: Tensor) -> Answer:
    if not query.nearest or query.ready.seen is None:
        return answer
    features = _features(query.ready.adapted.model, one)  # type: ignore[union-attr]
    assert features is not None
    alike = query.ready.seen @ torch.nn.functional.normalize(features, dim=1)[0]
    best = alike.argsort(descending=True, stable=True)[: query.nearest].tolist()
    numbers = query.ready.examples
    return replace(answer, nearest=tuple((numbers[p], float(alike[p])) for p in best))
