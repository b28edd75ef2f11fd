"""Tables on the command line: what `select` prints, and what `predict` says of new rows."""

from __future__ import annotations

import csv
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaloop.cli.output import print_json, print_table
from metaloop.core.errors import DataError, ModelFileError, OutputError

if TYPE_CHECKING:
    from metaloop.api.tabular import TableResult
    from metaloop.estimators import TrainedTable
    from metaloop.tasks.readers.tables import Table

_COLUMNS_SHOWN = 5
_OF_OTHERS = (
    *("support", "classes_at", "value_range", "columns", "text", "label", "domain", "window"),
    *("skip_unreadable", "microphone", "reject", "use_label_names"),
)  # options of predict that mean nothing to a table


def print_tabular(run: TableResult) -> None:
    """Prints the pipelines, the figures and what to do next."""
    from metaloop.api.tabular import TABLE_COLUMNS
    from metaloop.core.leagues import WITHOUT, backbones_sentence
    from metaloop.report.figures import estimate, printable

    print_table(TABLE_COLUMNS, run.table, numbers=("cross-validated", "folds", "rows", "CPU s"))
    best, test, explained = run.content["best"], run.test, run.content["explained"]
    assert test is not None
    print(f"\nchosen: {best['reason']}")
    if best["search"] is not None:
        found = best["search"]
        figure = estimate(found["metric"], found["value"], found["ci95"], found["ci95_new"])
        print(f"cross-validated: {figure}")
    print(f"test: {test}; a constant answer would have {estimate(test.metric, test.chance)}")
    if run.league == WITHOUT:
        print(backbones_sentence(()))
    if not test.better_than_chance:
        print("no better than chance")
    if explained is not None:
        names = [row["column"] for row in explained["importances"] if row["loss"] > 0]
        said = ", ".join(printable(name) for name in names[:_COLUMNS_SHOWN])
        print(f"goes by: {said or 'no column that could be told from the others'}")
    wall = run.content["wall_seconds"]
    print(f"{wall:,.1f} s, {run.cpu_seconds:,.0f} CPU-seconds")
    print(f"\nmodel    {run.path}\narchive  {run.archive}")
    print(f"\nnext: metaloop predict {shlex.quote(str(run.path))} NEW.csv")


def tell_rows(
    estimator: TrainedTable, model: Path, inputs: list[Path], to: Path | None, as_json: bool
) -> None:
    """Prints what a model of a table says of new rows, or writes it beside them into a CSV file.

    Raises `DataError` for what is no table or lacks columns, `OutputError` where `to` is there.
    """
    from metaloop.tasks.readers.tables import is_table, read_table

    strange = next((path for path in inputs if not is_table(path)), None)
    if strange is not None:
        raise DataError(f"the model takes tables, not '{strange}'")
    if to is not None and len(inputs) != 1:
        raise DataError("--csv writes the rows of one table; name one")
    tables = [(path, read_table(path)) for path in inputs]
    if to is not None:
        _write_csv(estimator, tables[0][1], to)
        return
    report: dict[str, Any] = {"model": str(model), "predictions": []}
    if estimator.classes_ is not None:
        report["classes"] = estimator.classes_.tolist()
    for path, table in tables:
        rows = _rows(estimator, str(path), table)
        if as_json:
            report["predictions"] += list(rows)
        else:
            sys.stdout.writelines(f"{_line(row)}\n" for row in rows)
    if as_json:
        print_json(report)


def told_table(
    estimator: Any,
    model: Path,
    inputs: list[Path],
    to: Path | None,
    as_json: bool,
    given: dict[str, Any],
) -> bool:
    """Returns whether the model is one of a table, and then has told its rows.

    `given` are all options: raises `ModelFileError` for those that say nothing to it, and for `to`
    without one.
    """
    from metaloop.estimators import TrainedTable

    if isinstance(estimator, TrainedTable):
        _refuse_options(model, {name: given[name] for name in _OF_OTHERS})
        tell_rows(estimator, model, inputs, to, as_json)
        return True
    if to is not None:
        raise ModelFileError(f"'{model}' is no model of a table; leave --csv away")
    return False


def _refuse_options(model: Path, given: dict[str, Any]) -> None:
    named = [name for name, value in given.items() if value]
    if named:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in named)
        raise ModelFileError(f"'{model}' is a model of a table; leave {names} away")


def _rows(estimator: TrainedTable, path: str, table: Table) -> Iterator[dict[str, Any]]:
    told, shares = estimator.told(table)
    for place, answer in enumerate(told.tolist()):
        name = f"{path}[{place}]"
        if shares is None:
            yield {"input": name, "value": answer, "confidence": None}
            continue
        assert estimator.classes_ is not None
        row = shares[place]
        sure = float(row[estimator.model.classes.index(answer)])
        yield {
            "input": name, "label": answer, "confidence": sure, "probability": sure,
            "probabilities": row.tolist(),
        }  # fmt: skip


def _line(row: dict[str, Any]) -> str:
    if "value" in row:
        return f"{row['value']}\t{row['input']}"
    return f"{row['label']}\t{row['confidence']:.4f}\t{row['input']}"


def _write_csv(estimator: TrainedTable, table: Table, to: Path) -> None:
    told, shares = estimator.told(table)
    target = estimator.model.target
    names = [*table.columns, f"predicted {target}"]
    columns = [column.tolist() for column in table.columns.values()] + [told.tolist()]
    if shares is not None:
        assert estimator.classes_ is not None
        names += [f"probability of {name}" for name in estimator.classes_.tolist()]
        columns += [[f"{share:.6f}" for share in column] for column in shares.T.tolist()]
    try:
        with to.open("x", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            writer.writerows(zip(*([_cell(v) for v in column] for column in columns), strict=True))
    except FileExistsError as error:
        raise OutputError(f"'{to}' already exists; choose another name or remove it") from error
    except OSError as error:
        raise OutputError(f"cannot write '{to}': {error.strerror or error}") from error


def _cell(value: Any) -> Any:
    return "" if isinstance(value, float) and value != value else value
