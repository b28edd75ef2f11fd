"""The options of `metaloop predict` that no other verb has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Asked = Annotated[
    list[Path] | None,
    typer.Argument(metavar="INPUT...", help="Images, recordings, folders, arrays, tables."),
]
Support = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Examples of the classes: one folder of images each (one image is enough), a zip of "
        "that, an .npz with X and y, or a table. Not for models of 'fit' and 'select'.",
    ),
]
SkipUnreadable = Annotated[
    bool,
    typer.Option(
        "--skip-unreadable",
        help="Warn of images and recordings that cannot be read and go on; without, nothing is "
        "predicted.",
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Of long recordings: slide a window of so many seconds, such as 1s, and tell which "
        "word is heard when: start, end, word, confidence and input per line.",
    ),
]
Top = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Of ratings: the N items that the user of --support would rate highest, of all that "
        "the model knows; no INPUT is needed.",
    ),
]
ExcludeSeen = Annotated[
    bool,
    typer.Option(
        "--exclude-seen/--include-seen", help="With --top: leave out what the user has rated."
    ),
]
Explain = Annotated[
    bool, typer.Option("--explain", help="With --top: say which ratings speak for an item.")
]
Step = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="With --window or --microphone: how far apart windows are; 0.1s if not given.",
    ),
]
Microphone = Annotated[
    bool,
    typer.Option(
        "--microphone",
        help="Listen until Ctrl-C, and tell each word when it is heard: start, end, word and "
        "confidence per line. Needs sounddevice.",
    ),
]
Reject = Annotated[
    str | None,
    typer.Option(
        metavar="RATE",
        help="Say '-' for what is none of the classes: a threshold at which so many of other "
        "things are taken for one, such as 5%.",
    ),
]
Csv = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        help="Of a table: a new file with its rows, what is predicted and each probability.",
    ),
]
