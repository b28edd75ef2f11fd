"""Roles: which column of a table is the label, the text, the group, the target, the split.

They are found by name, case aside, or declared: `{"label": "intent", "ignore": ["id", "date"]}`.
What a table is taken for follows from the roles that it has:

    text     a text, and a label of each            classes of texts
    vectors  a label, and columns of numbers        classes of vectors; a group is of classes
    groups   a group, numbers and a target          each group is a function, learned from its rows
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from metaloop.core.errors import DataError, unknown_name
from metaloop.tasks.readers.tables import Table

Columns = Mapping[str, str | Sequence[str]]
Kind = Literal["text", "vectors", "groups"]

IGNORE: Final = "ignore"
DOMAIN: Final = "domain"  # what a group of classes may be called as well
ROLES: Final = ("label", "text", "group", "target", "split", IGNORE)
_LABELS: Final = ("label", "labels", "class", "classes", "category", "intent")
_EITHER: Final = ("y", "target", "targets")  # a label, or a real target: the values decide
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("text", "sentence", "utterance", "query", "question", "message", "document", "review"),
    "group": (
        *("group", "groups", "group_id", "task", "task_id", "user", "user_id", "unit"),
        *("subject", "subject_id", "patient", "patient_id", "domain"),
    ),
    "target": ("value", "rating", "score", "output", "outcome", "response"),
    "split": ("split", "splits", "part", "partition"),
    "pair": ("text_pair", "text2", "sentence2", "text_b"),
    IGNORE: ("", "id", "index", "row", "row_id", "unnamed: 0"),
}
_SHOWN = 8  # columns named in a message


@dataclass(frozen=True)
class Roles:
    """The columns of a table by what they are for; `features` are those of numbers."""

    kind: Kind
    label: str | None = None
    text: str | None = None
    group: str | None = None
    target: str | None = None
    split: str | None = None
    pair: str | None = None  # a second text of each row, read behind the first
    features: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """How the table was understood, in a line."""
        named = ("label", "text", "pair", "group", "target", "split")
        said = [f"{role} '{name}'" for role in named if (name := getattr(self, role)) is not None]
        if self.kind != "text":
            count = len(self.features)
            said.append(f"{count} column{'s' if count > 1 else ''} of numbers")
        if self.ignored:
            said.append(f"not used: {listed(self.ignored)}")
        return "columns: " + ", ".join(said)


def find_roles(where: str, table: Table, columns: Columns | None = None) -> Roles:
    """Returns the roles of a table's columns; those declared in `columns` come first.

    Raises `DataError`, naming the columns found, if the table is none of the kinds, if a role is
    ambiguous, or if a column that is left over holds text.
    """
    declared = declared_columns(where, table, columns or {})
    found = {role: names[0] for role, names in declared.items() if role != IGNORE}
    empty = [name for name in table.columns if bool(table.missing(name).all())]
    empty = [name for name in empty if name not in found.values()]
    ignored = [*declared.get(IGNORE, ()), *empty]
    free = [n for n in table.columns if n not in found.values() and n not in ignored]
    for role in ("split", IGNORE, "group", "text"):
        name = None if role in declared else _first(free, _NAMES[role])
        if name is None or (role == "text" and not table.is_text(name)):
            continue
        free.remove(name)
        if role == IGNORE:
            ignored.append(name)
        else:
            found[role] = name
    if "label" not in declared and "target" not in declared:
        _find_answer(where, table, found, free)
    return _understood(where, table, found, free, tuple(ignored))


def listed(names: Iterable[str]) -> str:
    """Returns the first of these names in quotes, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name[:40]}'" for name in names[:_SHOWN]) + more


def same_columns(
    where: str, table: Table, found: Sequence[str], features: Sequence[str]
) -> tuple[str, ...]:
    """Returns the `found` columns of numbers in the order of a model's `features`, case aside.

    Raises `DataError` for a column that is missing, holds text, or is there beside them.
    """
    by_name = {name.lower().strip(): name for name in reversed(found)}
    same: list[str] = []
    for feature in features:
        name = feature if feature in found else by_name.get(feature.lower().strip())
        if name is None or name in same:
            holds = "no numbers in column" if feature in table.columns else "no column"
            raise DataError(
                f"{where} has {holds} '{feature}', which the model was trained with; its columns "
                f"of numbers are {listed(found) or 'none'}"
            )
        same.append(name)
    extra = next((name for name in found if name not in same), None)
    if extra is not None:
        raise DataError(
            f"{where} has the column '{extra}', which the model was not trained with; leave it out "
            f"with --columns ignore={extra}"
        )
    return tuple(same)


def feature_columns(
    table: Table, number: int, columns: Columns | None = None, features: Sequence[str] = ()
) -> list[str]:
    """Returns the columns of so many numbers in a table of inputs, which may have labels or not.

    `features` are their names, in the model's order, where it knows them. Columns that have a role,
    declared or by name, are left out; raises `DataError` if the others are not those.
    """
    where = f"table '{table.name}'"
    declared = {
        name for names in declared_columns(where, table, columns or {}).values() for name in names
    }
    numbers = [n for n in table.columns if not table.is_text(n) and n not in declared]
    known = {*_LABELS, *_EITHER, *(name for names in _NAMES.values() for name in names)}
    if features:
        wanted = {name.lower().strip() for name in features}
        found = [n for n in numbers if n.lower().strip() in wanted or n.lower() not in known]
        return list(same_columns(where, table, found, features))
    for skipped in (set(), set(_NAMES[IGNORE]), known):
        left = [name for name in numbers if name.lower() not in skipped]
        if len(left) == number:
            return left
    raise DataError(
        f"{where}: the model takes {number} numbers, but there are {len(numbers)} columns of "
        f"numbers ({listed(numbers)}); leave others out with --columns ignore=NAME"
    )


def answer_column(table: Table, real: bool, columns: Columns | None = None) -> str:
    """Returns the column of labels or, with `real`, of real targets of a task's examples.

    Raises `DataError` if there is none, or if a real target is text.
    """
    where, role = f"table '{table.name}'", "target" if real else "label"
    declared = declared_columns(where, table, columns or {}).get(role)
    known = (*_EITHER, *_NAMES["target"]) if real else (*_LABELS, *_EITHER)
    name = declared[0] if declared else _first(list(table.columns), known)
    if name is None:
        raise DataError(
            f"{where} has the columns {listed(table.columns)}, and no {role} among them; name it "
            f"with --columns {role}=NAME"
        )
    if real and table.is_text(name):
        raise DataError(f"{where}: the target '{name}' holds text, and a target is a number")
    return name


def text_column(table: Table, columns: Columns | None = None) -> str:
    """Returns the column of texts in a table of inputs: declared, by its name, or the only one.

    Raises `DataError` if there is none, or several and none that its name tells.
    """
    where = f"table '{table.name}'"
    declared = declared_columns(where, table, columns or {}).get("text")
    others = {
        *_LABELS,
        *_EITHER,
        *(n for role, names in _NAMES.items() if role != "text" for n in names),
    }
    texts = [n for n in table.columns if table.is_text(n) and n.lower() not in others]
    name = declared[0] if declared else _first(texts, _NAMES["text"])
    if name is None and len(texts) == 1:
        name = texts[0]
    if name is None or not table.is_text(name):
        raise DataError(
            f"{where} has the columns {listed(table.columns)}, and it is not clear which one is "
            "the text; name it with --text NAME"
        )
    return name


def second_text(table: Table, among: Sequence[str]) -> str | None:
    """Returns the column of second texts, which its name tells; None where there is none."""
    name = _first(among, _NAMES["pair"])
    return name if name is not None and table.is_text(name) else None


def single_group(table: Table, features: Sequence[str], columns: Columns | None = None) -> None:
    """Raises `DataError` if the rows are of several groups: a task is one of them."""
    where = f"table '{table.name}'"
    declared = declared_columns(where, table, columns or {}).get("group")
    free = [name for name in table.columns if name not in features]
    name = declared[0] if declared else _first(free, _NAMES["group"])
    number = 1 if name is None else len(set(table.columns[name].tolist()))
    if number > 1:
        raise DataError(
            f"{where}: its rows are of {number} groups ('{name}'), and a task is one group; give "
            "the rows of one"
        )


def declared_columns(
    where: str, table: Table, columns: Columns, known_roles: Sequence[str] = ROLES
) -> dict[str, list[str]]:
    """Returns the columns of each declared role, as they are written in the table.

    Raises `DataError` for columns that are not there or have two roles, `UnknownNameError` for
    roles that are none.
    """
    by_name = {name.lower(): name for name in reversed(list(table.columns))}
    declared: dict[str, list[str]] = {}
    for role, names in columns.items():
        if role not in (*known_roles, DOMAIN):
            raise unknown_name("role of a column", role, known_roles)
        names = [names] if isinstance(names, str) else list(names)
        if len(names) != 1 and role != IGNORE:
            raise DataError(f"{where}: one column is the {role}, got {listed(names) or 'none'}")
        role = "group" if role == DOMAIN else role
        declared[role] = []
        for name in names:
            known = name if name in table.columns else by_name.get(name.lower())
            if known is None:
                raise DataError(
                    f"{where} has no column '{name}' for the role '{role}'; its columns are "
                    f"{listed(table.columns)}"
                )
            declared[role].append(known)
    every = [name for names in declared.values() for name in names]
    twice = next((name for name in every if every.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{where}: column '{twice}' is declared to have two roles; give it one")
    return declared


def columns_of_inputs(
    table: Table, columns: Columns | None, needed: str, known_roles: Sequence[str] = ROLES
) -> Columns:
    """Returns which of the declared columns hold for inputs: answers may be a support's alone.

    The role `needed` is there whatever it names, and roles that are none are, to be refused; others
    only where the table has all that they name.
    """
    surely = {needed, *(role for role in columns or {} if role not in (*known_roles, DOMAIN))}
    named = {role: [n] if isinstance(n, str) else n for role, n in (columns or {}).items()}
    return {
        role: names
        for role, names in named.items()
        if role in surely or all(name in table for name in names)
    }


def _find_answer(where: str, table: Table, found: dict[str, str], free: list[str]) -> None:
    """Adds what is to be told of a row, by name: a label or, of groups, a real target."""
    label, either = _first(free, _LABELS), _first(free, _EITHER)
    value = _first(free, _NAMES["target"]) if "group" in found else None
    if label is not None and either is not None and "text" not in found:
        raise DataError(
            f"{where}: both '{label}' and '{either}' may be what is to be told; say which with "
            f"--columns label={label} or --columns ignore={label}"
        )
    if label is not None:
        found["label"] = label
    elif either is not None:
        real = "group" in found and "text" not in found and _is_real(table, either, found["group"])
        found["target" if real else "label"] = either
    elif value is not None and not table.is_text(value):
        found["target"] = value
    for name in (found.get("label"), found.get("target")):
        if name in free:
            free.remove(name)


def _understood(
    where: str, table: Table, found: dict[str, str], free: list[str], ignored: tuple[str, ...]
) -> Roles:
    """The roles with the kind of the table; raises `DataError` if it is none."""
    texts = [name for name in free if table.is_text(name)]
    numbers = tuple(name for name in free if not table.is_text(name))
    if "label" in found and "text" not in found and not numbers and len(texts) == 1:
        found["text"], texts, free = texts[0], [], []
    roles = Roles("vectors", **found, features=numbers, ignored=ignored)
    if roles.label is not None and roles.text is not None:
        if not table.is_text(roles.text):
            raise DataError(f"{where}: column '{roles.text}' is to be text, but holds numbers")
        pair = second_text(table, free)
        left = [name for name in free if name != pair]
        return replace(roles, kind="text", pair=pair, features=(), ignored=(*ignored, *left))
    kind: Kind = "vectors"
    if roles.label is None and roles.group is not None and roles.target is not None:
        kind = "groups"
        if table.is_text(roles.target):
            raise DataError(
                f"{where}: the target '{roles.target}' holds text, and a target is a number; for "
                f"classes say --columns label={roles.target}"
            )
    elif roles.label is None:
        raise DataError(_of_no_kind(where, table, found))
    if texts:
        raise DataError(
            f"{where}: {listed(texts)} hold{'s' if len(texts) == 1 else ''} text beside columns of "
            f"numbers; say --columns text={texts[0]} to learn from it, or ignore={texts[0]}"
        )
    if not numbers:
        raise DataError(_of_no_kind(where, table, found))
    return replace(roles, kind=kind)


def _of_no_kind(where: str, table: Table, found: Mapping[str, str]) -> str:
    empty = [name for name in table.columns if bool(table.missing(name).all())]
    if (text := _first(empty, _NAMES["text"])) is not None:
        return f"{where}: the text '{text}' is empty in every row; fill it in"
    taken = ", ".join(f"{role} '{name}'" for role, name in found.items()) or "none of them known"
    return (
        f"{where} has the columns {listed(table.columns)} ({taken}); expected a label with a text "
        "or numbers, or a group with numbers and a target; is there a header? Name columns with "
        "--columns label=NAME,text=NAME or --columns group=NAME,target=NAME"
    )


def _first(names: Sequence[str], known: Sequence[str]) -> str | None:
    """The first of the known names that is there, as it is written there."""
    written = {name.lower().strip(): name for name in reversed(names)}
    return next((written[name] for name in known if name in written), None)


def _is_real(table: Table, column: str, group: str) -> bool:
    """Whether a column holds real targets of groups, not classes that groups consist of.

    Text is a class, and a fraction is a number. Whole numbers are classes if each is in one group.
    """
    values = table.columns[column]
    if table.is_text(column):
        return False
    values = values[~table.missing(column)]
    if not np.array_equal(values, np.rint(values)):
        return True
    groups = np.unique(table.columns[group].astype(str), return_inverse=True)[1]
    groups = groups[~table.missing(column)]
    pairs = np.unique(np.stack([values.astype(np.float64), groups]), axis=1)
    return bool(len(np.unique(pairs[0])) < pairs.shape[1])
