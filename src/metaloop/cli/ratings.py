"""Ratings of one user as support of `predict` and `fit`, items as inputs, and the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaloop.api.speaking import warn
from metaloop.core.errors import DataError, ModelFileError
from metaloop.tasks.readers.own_ratings import items_in, ratings_of_one
from metaloop.tasks.readers.tables import TABLE_ENDINGS, is_table, read_table

if TYPE_CHECKING:
    from metaloop.models import Model
    from metaloop.models.classifier import Classifier

Columns = Mapping[str, str | Sequence[str]]
_LINES = (".txt", ".text")


def ratings_support(
    path: Path, columns: Columns | None, model: Model
) -> tuple[list[str], list[float], Sequence[Any], list[str]]:
    """Returns the items that a user has rated, the ratings, what was left out, what to note.

    Items are called as the model knows them. Of events: those that she had, each with the value 1.
    """
    from metaloop.estimators.items import items_of

    where, events = f"support '{path}'", of_events(model)
    if not (is_table(path) and path.is_file()):
        what = "is none" if path.exists() else "does not exist"
        raise DataError(
            f"{where} {what}: the model was trained on {'events' if events else 'ratings'}, "
            f"expected a table with {'a column item' if events else 'the columns item and rating'} "
            f"({', '.join(TABLE_ENDINGS)})"
        )
    assert model.view is not None
    called = items_of(model.view).called
    return ratings_of_one(where, read_table(path), columns, events, called)


def unknown_items(model: Model, names: Sequence[str]) -> list[str]:
    """Returns what to note of items that a model knows nothing of.

    None of its training users has rated them, and no file said anything of them.
    """
    from metaloop.estimators.items import items_of

    assert model.view is not None
    known = items_of(model.view)
    unknown = int((~known.heard_of[known.places(names)]).sum())
    of_all = f"{unknown:,} of {len(names):,} items"
    return [f"{of_all} are unknown to the model, and count as usual ones"] if unknown else []


def support_of_user(
    path: Path, columns: Columns | None, model: Model
) -> tuple[list[str], list[float], Sequence[Any], list[str], dict[str, str] | None]:
    """Returns what `ratings_support` does, and what the table says of the user besides.

    None where the model knows nothing of users. Raises `DataError` for rows that disagree.
    """
    from metaloop.domains.ratings.users import said_of_one
    from metaloop.estimators.items import users_of

    names, values, left_out, notes = ratings_support(path, columns, model)
    notes, users, user = [*notes, *unknown_items(model, names)], users_of(model), None
    if users is not None:
        user = said_of_one(f"support '{path}'", users, read_table(path).columns)
        said = ", ".join(f"{name} {cell}" for name, cell in user.items())
        wanted = ", ".join(users.columns)
        unknown = f"nothing is known of the user; columns as in training would tell: {wanted}"
        notes.append(f"of the user: {said}" if said else unknown)
    return names, values, left_out, notes, user


def items_inputs(path: Path, columns: Columns | None) -> tuple[list[str], tuple[str, ...]]:
    """Returns the items of a table or of a file with one a line, twice: as names and as inputs."""
    if is_table(path) and path.is_file():
        names = items_in(f"table '{path}'", read_table(path), columns)
    elif path.suffix.lower() in _LINES and path.is_file():
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        names = [line.strip() for line in lines if line.strip()]
    else:
        what = "" if path.exists() else ", which does not exist"
        raise DataError(
            f"the model takes items: give it a table with a column item or a .txt with one a "
            f"line, not '{path}'{what}; --top N ranks all that it knows"
        )
    if not names:
        raise DataError(f"'{path}' names no item")
    return names, tuple(names)


def takes_items(model: Model | Classifier) -> bool:
    """Whether a model was trained on ratings of items."""
    return model.takes == "items"


def of_events(model: Model | Classifier) -> bool:
    """Whether a model was trained on what users had, without ratings."""
    return takes_items(model) and model.spec.objective == "ranking"


def ranked(
    estimator: Any,
    model: Path,
    inputs: Sequence[Path] | None,
    top: int | None,
    exclude_seen: bool,
    explain: bool,
    as_json: bool,
) -> dict[str, Any] | list[str]:
    """Returns what is printed of the `top` items for the user of an estimator: JSON, or lines.

    Raises `DataError` if it is not clear what is to be ranked, `ModelFileError` for a model that
    takes no items.
    """
    from metaloop.cli.inputs import model_of
    from metaloop.estimators import FewShotRegressor
    from metaloop.estimators.recommending import rated_by, recommend

    if not isinstance(estimator, FewShotRegressor) or not takes_items(model_of(estimator)):
        raise ModelFileError(
            f"'{model}' was not trained on ratings of items; leave --top and --explain away"
        )
    if top is None:
        raise DataError("--explain is for --top N; leave it away")
    if inputs:
        raise DataError("--top ranks all items that the model knows; leave the inputs away")
    if top < 1:
        raise DataError(f"--top is how many items are wanted, at least 1; got {top}")
    if explain and not rated_by(estimator):
        raise ModelFileError(
            "--explain needs the ratings it is to explain by: a learner with --support FILE, or "
            "what 'fit' wrote with --keep-support"
        )
    found = recommend(estimator, top, exclude_seen=exclude_seen, explain=explain)
    if explain and not any(each.because for each in found):
        _warn_of_no_reasons(estimator.task_.model.candidate.learner.name)
    rows = [
        {
            "input": each.name,
            "title": each.title,
            "value": each.value,
            "confidence": None,
            **({"because": list(each.because)} if explain else {}),
        }
        for each in found
    ]
    did = "had" if of_events(model_of(estimator)) else "rated"
    lines = [_line_of(row, did) for row in rows]
    return {"model": str(model), "predictions": rows} if as_json else lines


def _warn_of_no_reasons(learner: str) -> None:
    from metaloop.estimators.recommending import REASONED_BY

    able = ", ".join(REASONED_BY)
    why = (
        "none of the ratings raises one of these items"
        if learner in REASONED_BY
        else f"{learner} cannot tell which ratings speak for an item; these learners can: {able}"
    )
    warn(f"--explain: {why}")


def _line_of(row: Mapping[str, Any], did: str) -> str:
    """A line for people: the rating or score, what the item is called, its name, and why."""
    title = row["title"] if row["title"] == row["input"] else f"{row['title']}\t{row['input']}"
    because = f"\tbecause you {did} {', '.join(row['because'])}" if row.get("because") else ""
    return f"{row['value']:.2f}\t{title}{because}"
