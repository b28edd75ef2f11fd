"""Which views a family is seen in: its own, and further ones that the loop may choose.

Where inputs are no tensors, the family's own view is the best of the table's, measured on `search`
before any training. Frozen encoders are further views: candidates are trained in each, and what is
best is found out by racing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from metaloop.catalogue.candidates import build_learner
from metaloop.catalogue.features import Tell, encoded
from metaloop.catalogue.nets import RAW, VIEW
from metaloop.catalogue.offered import (
    AUTO,
    NO_CLOCK,
    NONE,
    Allowance,
    Offer,
    affordable,
    named,
)
from metaloop.catalogue.views import (
    ENCODER,
    VIEWS,
    cards_of,
    fitted,
    fitting_views,
    for_nets,
    kind_of_view,
    needs_view,
    seen,
    unmeasured_format,
    view_entry,
    view_of_encoder,
)
from metaloop.core.column_kinds import kind_of
from metaloop.core.columns import Beside, Column, described
from metaloop.core.encoder import Encoder
from metaloop.core.errors import DataError
from metaloop.core.fitted_view import AS_IS, FittedView
from metaloop.core.inputs import InputFormat
from metaloop.core.leagues import Backbone, described_card
from metaloop.core.records import PARTS, Candidate, Choice, Part, Plan
from metaloop.core.spec import TaskSpec
from metaloop.domains.text.entities import has_marks
from metaloop.engine.evaluation import evaluate
from metaloop.tasks.family import ClassFamily, TaskFamily
from metaloop.tasks.measuring import measure_format
from metaloop.tasks.sight import OWN, SEVERAL, Sight
from metaloop.tasks.store import Store

_EPISODES, _WAYS = 300, 5


def seen_family(family: ClassFamily, name: str | None = None) -> tuple[ClassFamily, str]:
    """Returns the family in the table's view of this name, or in the best, and what to say of it.

    The best is the one by which the nearest class mean is right most often, with one and with five
    examples of each class, in tasks of `search`.
    """
    fitting = fitting_views(family.store.inputs)
    if name is not None:
        entry = view_entry(name)
        if entry.takes != kind_of(family.store.inputs):
            raise DataError(
                f"{family.name} has {described(family.store.inputs)}, the view '{name}' is for "
                f"{entry.takes}; leave --view away"
            )
        return in_view(
            family, fitted(family, name)
        ), f"{kind_of(family.store.inputs)} are seen as {VIEWS[name].summary}"
    fitting = tuple(each for each in fitting if not for_nets(each))
    if not fitting:
        raise DataError(f"{family.name}: there is no view for {described(family.store.inputs)}")
    measured = {key: _accuracy(family, fitted(family, key)) for key in fitting}
    best = max(measured, key=lambda key: measured[key])
    others = ", ".join(f"{k} {100 * v:.1f}" for k, v in measured.items() if k != best) or "none"
    told = (
        f"{kind_of(family.store.inputs)} are seen as {VIEWS[best].summary}: nearest class means "
        f"are right in {100 * measured[best]:.1f} % on 'search' (other views: {others})"
    )
    return in_view(family, fitted(family, best)), told


def seen_as(
    family: ClassFamily,
    view: str | None,
    backbone: str | Encoder,
    tell: Tell | None = None,
    *,
    download: bool = False,
    allowance: Allowance = NO_CLOCK,
    offer: Offer | None = None,
) -> tuple[ClassFamily, tuple[str, ...]]:
    """Returns a family as it was read in the views that it may be seen in, and what to say of them.

    An encoder that is named is its own view, and others that are named with it are further ones;
    those that are installed and take no longer than the allowance (`auto`) are further ones beside
    what a family is seen in without them; `offer`: which those are, where images were read for
    them. Raises `DataError` for a view or an encoder of inputs of another kind.
    """
    store = family.store
    raw = store.inputs if store.detail is None else store.detail
    kind = kind_of(raw)
    is_named = backbone not in (NONE, AUTO)
    if is_named and view is not None:
        raise DataError("inputs are seen through a backbone or in a view; leave one away")
    if is_named and not kind:
        raise DataError(f"no backbone is for {described(raw)}; use --backbone none")
    encoders = named(backbone, kind, download=download)
    if is_named and not encoders:
        raise DataError(f"{family.name} has {kind}, the backbone is for others; use another")
    told: list[str] = []
    left_out: tuple[str, ...] = ()
    further: list[FittedView] = []
    if backbone == AUTO:
        if offer is None or offer.number < len(store):  # images of the file may have been turned
            offer = affordable(kind, len(store), allowance, raw, marked=has_marks(store.inputs))
        encoders, left_out = offer.encoders, offer.left_out
    if is_named:
        family, said = encoded_family(family, encoders[0], tell)
        told, encoders = [said], encoders[1:]
    elif needs_view(store.inputs):
        further = [] if view else _views_for_nets(family)
        family, said = seen_family(family, view)
        told = [said]
        told += [f"they are seen as {VIEWS[each.choice.name].summary}, too" for each in further]
    elif view is not None:
        raise DataError(f"{family.name} is seen as it is; leave --view away")
    told += [f"inputs are seen through {described_card(each.card)}, too" for each in encoders]
    further += [view_of_encoder(each) for each in encoders]
    return with_sights(family, further, tell), (*told, *left_out)


def _views_for_nets(family: ClassFamily) -> list[FittedView]:
    """The views of the table that nets are trained in, whatever nearest means say of them."""
    fitting = fitting_views(family.store.inputs)
    return [fitted(family, name) for name in fitting if for_nets(name)]


def encoded_family(
    family: ClassFamily, encoder: Encoder, tell: Tell | None = None
) -> tuple[ClassFamily, str]:
    """Returns the family seen through an encoder alone, and what to say of it."""
    whole = in_view(family, view_of_encoder(encoder), tell)
    return whole, f"inputs are seen through {described_card(encoder.card)}"


def in_view(family: ClassFamily, view: FittedView, tell: Tell | None = None) -> ClassFamily:
    """Returns the family with its inputs in that view; the raw ones stay beside them."""
    source = family.store
    columns = [_inputs(source, piece, tell) for piece in view.pieces]
    of_encoder = any(piece.choice.name == ENCODER for piece in view.pieces)
    store = replace(
        source,
        inputs=columns[0] if len(columns) == 1 else Beside(tuple(columns)),
        detail=None,
        identity=source.digest if of_encoder else None,
    )
    given = family.given_format
    if given is None and view.choice.name in (ENCODER, *VIEWS):
        given = _format_of(view, store, family)
    return replace(family, store=store, view=view, raw=source, given_format=given)


def _inputs(source: Store, view: FittedView, tell: Tell | None) -> Column:
    if view.choice.name == ENCODER:
        return encoded(view, source, tell)
    return source.inputs if view.choice == AS_IS.choice else seen(view, source.inputs)


def with_sights(
    family: ClassFamily, views: Sequence[FittedView], tell: Tell | None = None
) -> ClassFamily:
    """Returns the family with these further views of its inputs, by the names of `name_of`."""
    sights = {name_of(view): sight_of(family, view, tell) for view in views}
    return replace(family, sights={**family.sights, **sights})


def further_views(family: TaskFamily) -> list[FittedView]:
    """Returns the views that a family is seen in beside its own."""
    classes = family.as_classes
    return [] if classes is None else [sight.view for sight in classes.sights.values()]


def backbones_of(family: TaskFamily) -> tuple[Backbone, ...]:
    """Returns the encoders that a family may be seen through, its own view's first."""
    classes = family.as_classes
    if classes is None:
        own: FittedView | None = getattr(family, "view", None)  # of documents
        return tuple(Backbone("", card) for card in cards_of(own))
    views = {"": classes.view, **{name: sight.view for name, sight in classes.sights.items()}}
    return tuple(Backbone(name, card) for name, view in views.items() for card in cards_of(view))


def best_view(family: TaskFamily, spec: TaskSpec) -> str:
    """Returns the view in which nearest class means are right most often on `search`.

    "" is the family's own, which it is where there are no others.
    """
    if len(family.views) == 1:
        return ""
    values = {view: _nearest_mean(family.seen(view), spec) for view in family.views}
    return max(values, key=lambda view: values[view])


def _nearest_mean(family: TaskFamily, spec: TaskSpec) -> float:
    candidate = Candidate(Choice("nearest_centroid"), Choice(RAW, {VIEW: "unit"}), Plan("none"))
    learner = build_learner(candidate, family.input_format, "classification")
    return evaluate(learner, {}, family, "search", spec, _EPISODES)[0].value


def name_of(view: FittedView) -> str:
    """Returns what candidates call a further view: an encoder's name, or that of the table."""
    if view.choice.name != ENCODER:
        return view.choice.name
    name = str(view.choice.options["name"]).replace(SEVERAL, "+")
    return f"{name}'" if name == OWN else name


def sight_of(family: ClassFamily, view: FittedView, tell: Tell | None = None) -> Sight:
    """Returns what a view sees of the family's examples, with the format measured on `train`."""
    inputs = _inputs(family.store if family.raw is None else family.raw, view, tell)
    store = replace(family.store, inputs=inputs, detail=None)
    return Sight(view, inputs, _format_of(view, store, family))


def _format_of(view: FittedView, store: Store, family: ClassFamily) -> InputFormat:
    """The format of what a view sees, measured on `train`; of features it says whose they are."""
    given = unmeasured_format(view)
    if given is not None:
        return given
    measured = measure_format(store, family.parts["train"])
    kind = kind_of_view(view)
    if kind:
        measured = replace(measured, kind=kind)
    named = view.choice.name == ENCODER
    return replace(measured, encoder=name_of(view)) if named else measured


def _accuracy(family: ClassFamily, view: FittedView) -> float:
    """The mean accuracy of the nearest class mean on tasks of `search`, of one and five shots."""
    small = _of_parts(family, ("train", "search"))
    looked_at = in_view(small, view)
    found = []
    for shots in (1, 5):
        ways = min(_WAYS, small.largest_ways("search", shots))
        if ways < 2:  # classes of few examples
            continue
        spec = small.spec(ways, shots, part="search")
        found.append(_nearest_mean(looked_at, spec))
    return float(np.mean(found)) if found else 0.0


def _of_parts(family: ClassFamily, parts: Sequence[Part]) -> ClassFamily:
    """The family without the classes of other parts: there is less to look at."""
    kept = np.sort(np.concatenate([family.parts[part] for part in parts]))
    gone = np.setdiff1d(np.arange(len(family.store.classes)), kept)
    places = {
        p: np.searchsorted(kept, family.parts[p] if p in parts else cast(list[int], []))
        for p in PARTS
    }
    return replace(family, store=family.store.without(gone), parts=places)
