"""`metaloop generate`: new images of classes of which a few images are given."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaloop.api.speaking import tell, warn
from metaloop.cli import options
from metaloop.cli.output import print_json
from metaloop.core.errors import InputError, ModelFileError, OutputError

if TYPE_CHECKING:
    import numpy as np

    from metaloop.estimators import FewShotGenerator
    from metaloop.models.sheets import Row

_MOST = 100_000  # images of a class
_SHEET = "sheet.png"
_LONGEST = 240  # bytes of a folder's name; disks take 255


_Temperature = Annotated[
    float | None,
    typer.Option(
        metavar="T",
        help="Below 1: closer to the support, less different.",
        show_default="what suits the model",
    ),
]


def generate(
    model: options.ModelFile,
    support: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="A folder of images of one class, or one folder of images a class; a zip or an "
            ".npz of such.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The new folder to write images to.")],
    count: Annotated[
        int, typer.Option(min=1, max=_MOST, metavar="N", help="Images to make of each class.")
    ] = 16,
    temperature: _Temperature = None,
    tries: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Images drawn for each that is kept, the likest."),
    ] = 1,
    classes_at: options.SupportClassesAt = None,
    value_range: options.AskedRange = None,
    seed: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Decides the images: the same seed, the same ones."),
    ] = 0,
    as_json: options.Json = False,
) -> None:
    """Make new images of each class of a support, from a few of it."""
    from metaloop.api import load
    from metaloop.cli.supports import images_by_class
    from metaloop.estimators import FewShotGenerator
    from metaloop.models.sheets import not_shown, sheet

    if temperature is not None and not 0 < temperature < math.inf:
        raise InputError(f"--temperature is a number above 0; got {temperature}")
    _check_new(out)
    declared = options.value_range(value_range)
    estimator = load(model, value_range=declared)
    if not isinstance(estimator, FewShotGenerator):
        raise ModelFileError(
            f"'{model}' makes no images; train one that does: metaloop learn DATA "
            "--objective generation"
        )
    classes = images_by_class(support, estimator, classes_at, declared)
    for item in classes.left_out:
        warn(f"left out: {item.count} x {item.reason}: {item.what}")
    for note in classes.notes:
        tell(f"read so: {note}")
    how = {"seed": seed, "temperature": temperature, "tries": tries}
    told, rows = _drawn(estimator, classes.images, out, count, how)
    (page := out / _SHEET).write_bytes(sheet(rows))
    if missing := not_shown(rows):
        tell(f"the sheet has not all of it: {missing}; the folders have")
    _say(model, page, told, estimator, how, as_json)


def _drawn(
    estimator: FewShotGenerator,
    images: Mapping[str, Any],
    out: Path,
    count: int,
    how: Mapping[str, Any],
) -> tuple[list[dict[str, Any]], list[Row]]:
    """Writes new images of each class; returns what was made, and the rows of a sheet."""
    from metaloop.core.randomness import derive_seed
    from metaloop.models.sheets import Row

    told, rows = [], []
    folders = _folders(images)
    for place, (name, X) in enumerate(images.items()):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            estimator.fit(X)
        for each in said:
            warn(f"'{name}': {each.message}")
        shown = _shown(estimator)
        own = how["seed"] if len(folders) == 1 else derive_seed(how["seed"], "class", name)
        drawn = estimator.sample(count, **{**how, "seed": own})
        _make(folder := out / folders[place] if len(folders) > 1 else out)
        told.append({"name": name, "support": len(shown), "files": _write(drawn, folder)})
        rows.append(Row(shown, drawn))
    return told, rows


def _check_new(out: Path) -> None:
    """Raises `OutputError` for what is there already and is no empty folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"'{out}' already exists; name a new folder with --out")


def _make(out: Path) -> None:
    """Makes a folder, once there is something to write; raises `OutputError` if it cannot."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{out}': {error.strerror}") from error


def _folders(names: Iterable[str]) -> list[str]:
    """Returns the name of a folder for each class: whatever classes are called, one of its own."""
    taken, found = {_SHEET}, []
    for name in names:
        plain = name.replace("/", "-").replace("\\", "-").strip(". ")
        plain = plain.encode()[:_LONGEST].decode(errors="ignore") or "class"
        folder, number = plain, 1
        while folder.casefold() in taken:  # some disks do not tell A from a
            number += 1
            folder = f"{plain}-{number}"
        taken.add(folder.casefold())
        found.append(folder)
    return found


def _shown(estimator: FewShotGenerator) -> np.ndarray:
    """The support as the model sees it."""
    from metaloop.models.sheets import pictures_of

    task = estimator.task_
    assert task.support is not None
    known = task.model.input_format
    return pictures_of(known.to_float(task.support.inputs), known)


def _write(drawn: np.ndarray, folder: Path) -> list[str]:
    from metaloop.models.sheets import png

    files = [folder / f"{place + 1:0{len(str(len(drawn)))}}.png" for place in range(len(drawn))]
    for file, picture in zip(files, drawn, strict=True):
        file.write_bytes(png(picture))
    return [str(file) for file in files]


def _say(
    model: Path,
    page: Path,
    told: list[dict[str, Any]],
    estimator: FewShotGenerator,
    how: dict[str, Any],
    as_json: bool,
) -> None:
    known = estimator.task_.model.input_format
    how = {**how, "temperature": how["temperature"] or estimator.usual_temperature}
    if as_json:
        size = {"shape": list(known.shape), "levels": known.levels}
        print_json({"model": str(model), **size, **how, "classes": told, "sheet": str(page)})
        return
    side = " x ".join(map(str, reversed(known.shape[1:])))
    for each in told:
        files = each["files"]
        print(
            f"{each['name']}: {len(files)} images of {side} pixels from {each['support']}  "
            f"{Path(files[0]).parent}"
        )
    print(f"sheet  {page}")
