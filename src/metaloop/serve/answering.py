"""What a served model makes of queries: many of them, of different tasks, in one pass of its net.

Learners that embed see all queries together, whichever tasks they are of, and each task's head then
scores its own. A learner that looks at its query batch is shown each query alone: what it says must
not hang on who else happens to ask.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.errors import DivergenceError
from metaloop.core.extracts import Length
from metaloop.core.learner import EmbeddingLearner
from metaloop.core.objective import probabilities
from metaloop.core.rejection import parse_rate
from metaloop.estimators.documents import (
    DocumentRows,
    Extract,
    Worth,
    extracts,
    joined_worth,
    length_of,
    worth_of,
)
from metaloop.estimators.items import ItemRows, last_of_each
from metaloop.estimators.joining import joined
from metaloop.estimators.summarising import at_length
from metaloop.estimators.task import AdaptedTask, RawInputs, Support, adapt_to
from metaloop.models import Model
from metaloop.models.classifier import Classifier
from metaloop.serve.limits import Limits, RefusedError
from metaloop.serve.served import Reader, Served
from metaloop.serve.storage import Label

_EMBEDDED_AT_ONCE = 256
_MOST_LENGTHS = 8  # of summaries, for which a task is kept ready


@dataclass(frozen=True, eq=False)
class Ready:
    """A task that a model has learned, with the numbers of its examples in their order."""

    served: Served
    reader: Reader
    adapted: AdaptedTask | None
    classes: tuple[str, ...]
    examples: tuple[int, ...] = ()
    _at: dict[Length, Ready] = field(default_factory=dict, repr=False)
    _learning: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def at(self, length: Length) -> Ready:
        """Returns the task as it is learned for summaries of this length; some are kept ready.

        Raises `InputError` where its examples were not kept.
        """
        assert self.adapted is not None
        with self._learning:
            if length not in self._at:
                adapted = at_length(self.adapted, length)
                of = replace(self.served, model=adapted.model)
                if len(self._at) >= _MOST_LENGTHS:
                    del self._at[next(iter(self._at))]
                self._at[length] = Ready(
                    of, self.reader.of(of), adapted, self.classes, self.examples
                )
            return self._at[length]

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
    told: Worth | None = None
    if of.answers == "values":
        targets = torch.tensor(np.array(labels, dtype=np.float64)).reshape(len(labels), -1)
    elif of.answers == "samples":
        targets = torch.zeros(len(labels), *of.model.spec.target_shape, dtype=torch.float64)
    elif of.answers == "summaries":
        assert of.model.view is not None
        told = joined_worth([worth(of, *pair) for pair in zip(inputs, labels, strict=True)])
        targets = told.targets(length_of(of.model.view))
    else:
        places = {label: place for place, label in enumerate(classes)}
        targets = torch.tensor([places[str(label)] for label in labels])
    rows = joined([each[:] for each in inputs])[:]
    support = Support(rows, targets, told, tuple(items) if items else None)
    adapted = adapt_to(of.model, support, len(classes), reader.value_range)
    return Ready(of, reader, adapted, classes, tuple(examples))


def worth(of: Served, document: RawInputs, summary: Label) -> Worth:
    """Returns what a summary says of a document's sentences; `InputError` if it has no word."""
    assert isinstance(document, DocumentRows) and isinstance(of.model, Model)
    assert of.model.view is not None
    return worth_of([str(summary)], document, of.model.view)


def already_learned(of: Served, limits: Limits) -> Ready:
    """Returns the task of a model that knows it already."""
    classes = getattr(of.estimator, "classes_", None)
    names = () if classes is None else tuple(str(label) for label in classes.tolist())
    return Ready(of, Reader(of, limits), getattr(of.estimator, "task_", None), names)


def least_evidence(ready: Ready, reject: str) -> float:
    """Returns the evidence above which an input of a task is taken for one of its classes.

    `reject` is the share of others that have as much, as text. Raises `MetaloopError` for what is
    no share, and where nothing is known of others.
    """
    if ready.served.answers != "labels" or ready.adapted is None:
        raise RefusedError(
            422, "only classes learned from a few examples can be rejected; leave 'reject' away"
        )
    return ready.adapted.threshold(parse_rate(reject)).value


@dataclass(frozen=True, eq=False)
class Query:
    """One input of a task, decoded, and how many of the nearest examples are to be named.

    `least`: the evidence that an input of one of the classes has more of; None: each is of one.
    """

    ready: Ready
    inputs: RawInputs
    nearest: int = 0
    least: float | None = None


@dataclass(frozen=True)
class Answer:
    """A label with the probability of every class, or a real value; and the nearest examples.

    `nearest`: numbers of examples and how alike they are, as a cosine in features. `extract`: the
    summary of a document. `evidence`: how much the input looks like one of the classes, where that
    was asked for, and `least`, what it has to have more of.
    """

    label: str | None
    probabilities: dict[str, float] | None
    value: float | list[float] | None
    nearest: tuple[tuple[int, float], ...] = ()
    extract: Extract | None = None
    evidence: float | None = None
    least: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether the input is taken for one of the classes."""
        return self.evidence is None or self.least is None or self.evidence > self.least


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
        error if error is not None else _with_evidence(query, _answer(query, row), one)
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
        (found,) = extracts(row.unsqueeze(0), query.inputs, length_of(view))
        return Answer(None, None, None, extract=found)
    if not classes:
        values = row.flatten().tolist()
        return Answer(None, None, values[0] if len(values) == 1 else values)
    shares = row if query.ready.adapted is None else probabilities(row)
    return Answer(
        classes[int(shares.argmax())], dict(zip(classes, shares.tolist(), strict=True)), None
    )


def _with_evidence(query: Query, answer: Answer, one: Tensor) -> Answer:
    """The answer with the nearest examples, and with the evidence for it, as far as asked for."""
    answer = _with_nearest(query, answer, one)
    if query.least is None or query.ready.adapted is None:
        return answer
    evidence = float(query.ready.adapted.evidence(query.inputs)[0])
    return replace(answer, evidence=evidence, least=query.least)


def _with_nearest(query: Query, answer: Answer, one: Tensor) -> Answer:
    if not query.nearest or query.ready.seen is None:
        return answer
    features = _features(query.ready.adapted.model, one)  # type: ignore[union-attr]
    assert features is not None
    alike = query.ready.seen @ torch.nn.functional.normalize(features, dim=1)[0]
    best = alike.argsort(descending=True, stable=True)[: query.nearest].tolist()
    numbers = query.ready.examples
    return replace(answer, nearest=tuple((numbers[p], float(alike[p])) for p in best))
