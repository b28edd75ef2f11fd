"""The flags that verbs share: one type each, so that they mean the same everywhere."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated

import typer

_LARGEST_SEED = 2**63 - 1

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A folder with one folder of images per class, a zip of that, an .npz with X and y, "
        "a table (.csv, .tsv, .jsonl, .json, .parquet, .arff, also .gz), Omniglot's folder, or a "
        "built-in family: see 'metaloop list families'.",
    ),
]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A model.metaloop file.")]
Budget = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="What training may use: 240s, 3m, 1.5h, or exactly 5000steps."
    ),
]
Ways = Annotated[int, typer.Option(metavar="N", help="Classes of an evaluated task.")]
Shots = Annotated[int, typer.Option(metavar="N", help="Examples per class to learn a task from.")]
Queries = Annotated[int, typer.Option(metavar="N", help="Examples per class to be asked about.")]
AskedWays = Annotated[
    int | None, typer.Option(metavar="N", help="Classes of a task. (default: the model's own)")
]
AskedShots = Annotated[
    int | None, typer.Option(metavar="N", help="Examples per class. (default: the model's own)")
]
AskedQueries = Annotated[
    int | None, typer.Option(metavar="N", help="Queries per class. (default: the model's own)")
]
Seed = Annotated[
    int,
    typer.Option(
        min=0, max=_LARGEST_SEED, metavar="N", help="Decides all that is random in training."
    ),
]
UnusedSeed = Annotated[
    int,
    typer.Option(
        min=0,
        max=_LARGEST_SEED,
        metavar="N",
        help="Accepted by every verb; nothing here is random: episode lists are frozen.",
    ),
]
SplitSeed = Annotated[
    int,
    typer.Option(
        min=0,
        max=_LARGEST_SEED,
        metavar="N",
        help="Decides the parts, where no split is published.",
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        metavar="PIXELS", help="Side that images are resized to. (default: 28 if grey, else 32)"
    ),
]
ClassesAt = Annotated[
    int | None,
    typer.Option(
        metavar="DEPTH",
        help="How many folders below DATA those are that are classes, where 'metaloop data' shows "
        "that the names mislead.",
    ),
]
SupportClassesAt = Annotated[
    int | None,
    typer.Option(
        metavar="DEPTH",
        help="How many folders below the support those are that are classes, where the names "
        "mislead.",
    ),
]
AskedRange = Annotated[
    str | None,
    typer.Option(
        metavar="LOW..HIGH",
        help="Black and white in images of more than 8 bits and in arrays, such as 0..4095.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="ROLE=NAME,...",
        help="Which columns of a table are what, where their names do not say so: label, text, "
        "group (or domain), target, split, ignore; of ratings user, item, rating, time; document, "
        "summary. Such as "
        "label=intent,ignore=id.",
    ),
]
TextColumn = Annotated[
    str | None, typer.Option("--text", metavar="NAME", help="The column of texts in a table.")
]
LabelColumn = Annotated[
    str | None, typer.Option("--label", metavar="NAME", help="The column of labels in a table.")
]
DomainColumn = Annotated[
    str | None,
    typer.Option(
        "--domain",
        metavar="NAME",
        help="The column of domains in a table: labels of one are never in different parts.",
    ),
]
UseLabelNames = Annotated[
    bool,
    typer.Option(
        "--use-label-names",
        help="Of texts: the name of a class is one more example of it, in every support. Figures "
        "with and without are of different protocols.",
    ),
]
SpeakerPattern = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Who speaks in a recording: the first group of this, looked for in its path below "
        "DATA. Parts then share no speaker, as far as that leaves enough.",
    ),
]
Items = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Of ratings: a table of the items, one a row, with their names or numbers as the "
        "ratings have them: genres, years, titles. Averages of ratings in it are left out. Also "
        "MovieLens' movies.csv, movies.dat and u.item.",
    ),
]
Users = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Of ratings: a table of the users, one a row, with their names or numbers as the "
        "ratings have them: age, occupation. Also MovieLens' users.dat and u.user.",
    ),
]
Words = Annotated[
    int | None,
    typer.Option(metavar="N", help="Of summaries: at most so many words, in whole sentences."),
]
Sentences = Annotated[
    int | None, typer.Option(metavar="N", help="Of summaries: at most so many sentences.")
]
Ratio = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Of summaries: at most this share of a document's words."),
]
References = Annotated[
    str | None,
    typer.Option(
        metavar="mean|best",
        help="Where a document has several summaries: the mean over them counts, or the best.",
    ),
]
Objective = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What tasks are about, where it is not what DATA says: generation, of images, makes "
        "new ones of a class.",
    ),
]
View = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How texts or recordings are seen: see 'metaloop list views'. "
        "(default: what is best on 'search')",
    ),
]
Backbone = Annotated[
    str,
    typer.Option(
        metavar="auto|none|NAME|PATH",
        help="The pretrained encoder that inputs may be seen through: a name of 'metaloop list "
        "backbones', or the path of an ONNX file or of a folder as Hugging Face has them; several "
        "with commas race, with + are one view. auto: those installed, if they are better than "
        "none.",
    ),
]
Download = Annotated[
    bool,
    typer.Option(
        "--download", help="Fetch the weights of --backbone if they are not on this machine."
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse data of which anything has to be left out.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with an interrupted run; give the same options.")
]
Archive = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|URL",
        help="The archive of earlier runs, to start from what they found: a file, or "
        "postgresql://USER@HOST/DATABASE.",
    ),
]
ArchiveTo = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|URL", help="An archive, or that of a team, to record this run in as well."
    ),
]
Openings = Annotated[
    str | None,
    typer.Option(
        "--archive",
        metavar="FILE|URL",
        help="Where openings of test go. (default: archive.sqlite beside MODEL)",
    ),
]
Target = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of a table: the column that is to be told.")
]
TableObjective = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Of a table: classification or regression. (default: as the target looks)",
    ),
]
TableMetric = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Of a table: balanced_accuracy, accuracy, f1_macro, auroc, log_loss; rmse, mae, r2. "
        "(default: balanced_accuracy, rmse)",
    ),
]
Groups = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of a table: rows of one value here stay in one part."),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Of a table: a column to leave out; repeatable."),
]
TestFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Of a table: the rows to test on. (default: a fifth)"),
]
TimeLimitPerRow = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Of a table: what telling a row may take, as 0.001s."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Support = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        help="Examples of the classes: one folder of images each (one image is enough), a zip of "
        "that, an .npz with X and y, or a table with a column of labels (or of a real target).",
    ),
]


def columns(
    named: str | None,
    text: str | None = None,
    label: str | None = None,
    domain: str | None = None,
) -> dict[str, list[str]] | None:
    """Returns the columns of each role that `--columns ROLE=NAME,...` names; a role may repeat.

    `--text`, `--label` and `--domain` name those of these roles. Raises `DataError` for anything
    else, and where both ways name different columns.
    """
    from metaloop.core.errors import DataError

    roles: dict[str, list[str]] = {}
    for pair in named.split(",") if named is not None else ():
        role, separator, name = pair.partition("=")
        if not separator or not role.strip():
            raise DataError(
                f"--columns takes ROLE=NAME,..., such as label=intent,ignore=id; got {named!r}"
            )
        roles.setdefault(role.strip(), []).append(name.strip())
    for flag, own in (("text", text), ("label", label), ("domain", domain)):
        if own is None:
            continue
        role = "group" if flag == "domain" and "group" in roles else flag
        if roles.get(role, [own]) != [own]:
            raise DataError(
                f"--{flag} {own} and --columns {role}={roles[role][0]} name two columns of one "
                "role; give one of them"
            )
        roles[role] = [own]
    return roles or None


def value_range(text: str | None) -> tuple[float, float] | None:
    """Returns what `--value-range LOW..HIGH` declares; raises `DataError` for anything else."""
    if text is None:
        return None
    from metaloop.core.errors import DataError

    found = re.fullmatch(r"\s*(-?[\d.e+]*?\d)\s*\.\.\s*(-?[\d.e+-]+)\s*", text)
    try:
        low, high = (float(bound) for bound in found.groups()) if found else (1.0, 0.0)
    except ValueError:
        low, high = 1.0, 0.0
    if not -math.inf < low < high < math.inf:
        raise DataError(
            f"--value-range takes the numbers of black and of white, such as 0..4095; got {text!r}"
        )
    return low, high
