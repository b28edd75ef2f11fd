"""`metaloop export-model`: a model as graphs that other programs run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metaloop.cli import options
from metaloop.cli.output import print_json


def export_model(
    model: options.ModelFile,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder.", show_default=False)],
    to: Annotated[str, typer.Option(metavar="FORMAT", help="onnx.")] = "onnx",
    browser: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also write a page that runs them in a browser, with onnxruntime-web from this "
            "folder: dist of the npm package.",
        ),
    ] = None,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Write MODEL as ONNX graphs (embed, adapt, score) with a runner; checked before it is there.

    The runner, run.py, needs NumPy and onnxruntime alone. What makes images has a fourth, draw.
    """
    from metaloop.core.errors import ModelFileError, unknown_name
    from metaloop.models.model import load_model
    from metaloop.models.onnx_export import export_onnx
    from metaloop.serve.in_browser import browser_files

    if to != "onnx":
        raise unknown_name("format", to, ["onnx"])
    if model.is_dir():
        raise ModelFileError(f"'{model}' is a folder; name the model.metaloop in it")
    known = load_model(model)
    more = {} if browser is None else browser_files(known, browser)
    made = export_onnx(known, out, more)
    if as_json:
        print_json(
            {
                "format": to, "out": str(made.folder), "files": list(made.files),
                "opset": made.opset, "difference": made.difference,
            }
        )  # fmt: skip
        return
    print(f"onnx  {made.folder}  opset {made.opset}")
    if browser is not None:
        print(f"page  {made.folder}/index.html  (python -m http.server -d {made.folder} shows it)")
    print(f"onnxruntime says what the model says, to {made.difference:.1g}")
