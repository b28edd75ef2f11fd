"""`metaloop card`: what is to be known of a model, as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metaloop.cli import options
from metaloop.cli.output import print_json


def card(
    model: options.ModelFile,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it to a new file. (default: print it)"),
    ] = None,
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Print a model card: data by digest, protocol, both intervals, backbones, licences, limits."""
    from metaloop.api.carding import model_card
    from metaloop.api.destination import check_destination

    text = model_card(model)
    if out is not None:
        check_destination(out)
        out.write_text(text, encoding="utf-8")
    if as_json:
        print_json({"out": None if out is None else str(out), "card": text})
    elif out is None:
        print(text, end="")
    else:
        print(f"card  {out}")
