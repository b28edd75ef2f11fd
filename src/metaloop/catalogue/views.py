"""The table of views: how inputs that are no tensors are seen as tensors, and which view is best.

A view is fitted on `train` alone. Where data can be seen in several ways, `seen_family` measures
them on `search` and takes the best; what it has found is told in its notes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import cast

import numpy as np
import torch
from torch import Tensor

from metaloop.catalogue.candidates import build_learner
from metaloop.catalogue.nets import RAW, VIEW
from metaloop.core.columns import Column, Taken, Texts, described, length, pieces_of, take
from metaloop.core.errors import DataError, ModelFileError, unknown_name
from metaloop.core.fitted_view import FittedView
from metaloop.core.records import PARTS, Candidate, Choice, Part, Plan
from metaloop.domains.text import tfidf
from metaloop.engine.evaluation import evaluate
from metaloop.tasks.family import ClassFamily

_AT_ONCE = 4096  # examples seen in one go
_MOST_BYTES = 1 << 30  # of all examples in a view
_MOST_FEATURES, _LEAST_FEATURES = 2048, 256
_EPISODES, _WAYS, _FITTING_EXAMPLES = 300, 5, 50_000

Assets = dict[str, Tensor]


@dataclass(frozen=True)
class ViewEntry:
    """A view: a line about it and what it does; `takes` says what kind of column it is for.

    `fit(training inputs)` gives its assets, `see(assets, inputs, num_features)` tensors
    `[N, num_features]`; `expected` is the shape and kind of numbers of each asset.
    """

    summary: str
    takes: str
    fit: Callable[[Taken], Assets]
    see: Callable[[Mapping[str, Tensor], Taken, int], Tensor]
    expected: dict[str, tuple[tuple[int, ...], torch.dtype]]


def _of_terms(terms: str, summary: str) -> ViewEntry:
    def fit(texts: Taken) -> Assets:
        return tfidf.fit(cast(Sequence[str], texts), terms)

    def see(assets: Mapping[str, Tensor], texts: Taken, num_features: int) -> Tensor:
        return tfidf.see(assets, cast(Sequence[str], texts), terms, num_features)

    return ViewEntry(summary, "texts", fit, see, tfidf.expected(terms))


VIEWS: Mapping[str, ViewEntry] = MappingProxyType(
    {
        "words_and_characters": _of_terms(
            "words_and_characters", "tf-idf of words and of runs of 2 to 5 letters, equal shares"
        ),
        "characters": _of_terms("characters", "tf-idf of runs of 2 to 5 letters within words"),
        "words": _of_terms("words", "tf-idf of words and of pairs of them"),
    }
)


def needs_view(column: Column) -> bool:
    """Whether inputs are no tensors of one shape yet."""
    return not isinstance(pieces_of(column)[0], Tensor)


def view_entry(name: str) -> ViewEntry:
    """Returns the view of this name; raises `UnknownNameError`."""
    if name not in VIEWS:
        raise unknown_name("view", name, VIEWS)
    return VIEWS[name]


def check_view(view: FittedView) -> None:
    """Raises `ModelFileError` unless the view of a file from a stranger can be used as it is."""
    if view.choice.name not in VIEWS:
        raise ModelFileError(
            f"the model sees its inputs as '{view.choice.name}', a view that this metaloop does "
            f"not have; upgrade metaloop"
        )
    features = view.choice.options.get("features")
    if set(view.choice.options) != {"features"} or type(features) is not int:
        raise ModelFileError("the model file is damaged: its view has no number of features")
    if not 1 <= features <= _MOST_FEATURES:
        raise ModelFileError(f"a view has 1 to {_MOST_FEATURES} features, got {features}")


def seen(view: FittedView, column: Column) -> Tensor:
    """Returns the examples of a column as the view sees them, float32 `[N, features]`.

    Raises `DataError` for a column of another kind than the view is for.
    """
    entry = view_entry(view.choice.name)
    if described(column) != entry.takes:
        raise DataError(f"the model takes {entry.takes}, got {described(column)}")
    features = int(view.choice.options["features"])
    rows = torch.split(torch.arange(length(column)), _AT_ONCE)
    return torch.cat([entry.see(view.assets, take(column, some), features) for some in rows])


def seen_texts(view: FittedView, texts: Sequence[str]) -> Tensor:
    """Returns the same for texts in memory."""
    return seen(view, Texts.of(texts))


def in_view(family: ClassFamily, view: FittedView) -> ClassFamily:
    """Returns the family with its inputs in that view; the raw ones stay beside them."""
    inputs = seen(view, family.store.inputs)
    store = replace(family.store, inputs=inputs)
    return replace(family, store=store, view=view, raw=family.store)


def seen_family(family: ClassFamily, name: str | None = None) -> tuple[ClassFamily, str]:
    """Returns the family in the view of this name, or in the best one, and what to say of it.

    The best is the one by which the nearest class mean is right most often, with one and with five
    examples of each class, in tasks of `search`.
    """
    fitting = [key for key, e in VIEWS.items() if e.takes == described(family.store.inputs)]
    if name is not None:
        entry = view_entry(name)
        if name not in fitting:
            raise DataError(
                f"{family.name} has {described(family.store.inputs)}, the view '{name}' is for "
                f"{entry.takes}; leave --view away"
            )
        return in_view(family, fitted(family, name)), f"texts are seen as {VIEWS[name].summary}"
    if not fitting:
        raise DataError(f"{family.name}: there is no view for {described(family.store.inputs)}")
    measured = {key: _accuracy(family, fitted(family, key)) for key in fitting}
    best = max(measured, key=lambda key: measured[key])
    others = ", ".join(f"{k} {100 * v:.1f}" for k, v in measured.items() if k != best)
    told = (
        f"texts are seen as {VIEWS[best].summary}: nearest class means are right in "
        f"{100 * measured[best]:.1f} % on 'search' (other views: {others})"
    )
    return in_view(family, fitted(family, best)), told


def fitted(family: ClassFamily, name: str) -> FittedView:
    """Returns the view of this name, fitted on the training classes of a family."""
    rows = family.labelled("train")[0]
    if len(rows) > _FITTING_EXAMPLES:
        rows = rows[np.linspace(0, len(rows) - 1, _FITTING_EXAMPLES).astype(np.int64)]
    choice = Choice(name, {"features": _num_features(len(family.store))})
    return FittedView(choice, view_entry(name).fit(family.store.take(rows)))


def _num_features(num_examples: int) -> int:
    """As many as there is room for, a power of two."""
    possible = max(_LEAST_FEATURES, _MOST_BYTES // (4 * max(1, num_examples)))
    return int(min(_MOST_FEATURES, 1 << (possible.bit_length() - 1)))


def _accuracy(family: ClassFamily, view: FittedView) -> float:
    """The mean accuracy of the nearest class mean on tasks of `search`, of one and five shots."""
    small = _of_parts(family, ("train", "search"))
    looked_at = in_view(small, view)
    candidate = Candidate(Choice("nearest_centroid"), Choice(RAW, {VIEW: "unit"}), Plan("none"))
    learner = build_learner(candidate, looked_at.input_format, "classification")
    found = []
    for shots in (1, 5):
        ways = min(_WAYS, small.largest_ways("search", shots))
        if ways < 2:  # classes of few examples
            continue
        spec = small.spec(ways, shots, part="search")
        found.append(evaluate(learner, {}, looked_at, "search", spec, _EPISODES)[0].value)
    return float(np.mean(found)) if found else 0.0


def _of_parts(family: ClassFamily, parts: Sequence[Part]) -> ClassFamily:
    """The family without the classes of other parts: there is less to look at."""
    kept = np.sort(np.concatenate([family.parts[part] for part in parts]))
    gone = np.setdiff1d(np.arange(len(family.store.classes)), kept)
    places = {p: np.searchsorted(kept, family.parts[p] if p in parts else []) for p in PARTS}
    return replace(family, store=family.store.without(gone), parts=places)
