"""`card`: what whoever is given a model has to know of it, as Markdown, from its file alone.

What Mitchell et al. 2019 (Model Cards for Model Reporting, arXiv:1810.03993) ask for and a file can
tell: what it is and is for, on which data, how it was measured and how sure that is, which encoders
it needs under which terms, and what is not known of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from metaloop.core.extraction import EXTRACTION
from metaloop.core.generation import GENERATION
from metaloop.core.leagues import UNKNOWN, EncoderCard
from metaloop.core.ranking import RANKING
from metaloop.core.rating import RATING
from metaloop.core.records import PARTS, Result
from metaloop.guests.sklearn.apart import ESTIMATOR
from metaloop.modelfile import ModelFile, file_hash, read_model
from metaloop.modelfile.tensors import flatten_tensors
from metaloop.models.classifier import Classifier, classifier_from_file
from metaloop.models.model import Model, model_from_file
from metaloop.report.figures import figure, intervals_text, measures_text, printable, protocol_text

_OF_OBJECTIVES = {
    GENERATION.name: "It is shown a few images of a class, and makes new images of it.",
    EXTRACTION.name: "It is shown a few documents with summaries, and takes summaries from others.",
    RANKING.name: "It is told what a user had, and says what else she would like.",
    RATING.name: "It is told some ratings of a user, and predicts the others.",
}
_INTENDED = {
    "learner": "It is shown a few examples of each class, or of a function, and tells others.",
    "adapted learner": "It was shown its examples already, and tells classes or values by them.",
    "model of a table": "It tells a column of a table from the others, as it was trained to.",
    "classifier": "It tells the classes apart that it was trained on, and learns no new ones.",
}


def model_card(path: str | os.PathLike[str]) -> str:
    """Returns the card of a model file; raises `ModelFileError` if it is damaged."""
    file = Path(path)
    file = file / "model.metaloop" if file.is_dir() else file
    content = read_model(file)
    takes, backbones = _known(content)
    lines = [
        f"# Model card: {printable(content.candidate.label)}",
        "",
        f"File `{file.name}`, SHA-256 {file_hash(file)}, written by metaloop "
        f"{printable(content.metaloop_version)}.",
        "",
        *_use(content, takes),
        *_data(content),
        *_figures(content.results, content.kind == "table"),
        *_backbones(backbones),
        *_limits(content, backbones),
        *_citations(content),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _known(content: ModelFile) -> tuple[str, tuple[EncoderCard, ...]]:
    """What raw inputs are, and the encoders that they are seen through."""
    if content.kind == "table":
        return "rows of a table", ()
    of = classifier_from_file if content.kind == "classifier" else model_from_file
    model: Model | Classifier = of(content)
    return model.takes, model.backbones


def _use(content: ModelFile, takes: str) -> Iterator[str]:
    how, spec = content.input_format, content.spec
    names = {"adapted": "adapted learner", "table": "model of a table"}
    kind = names.get(content.kind, content.kind)
    article = "An" if kind[0] in "aeiou" else "A"
    meant = _OF_OBJECTIVES.get(spec.objective, _INTENDED[kind])
    yield from ("## What it is", "", f"{article} {kind}. {meant}", "")
    yield f"- Learner: {printable(content.candidate.learner.name)}"
    yield f"- Net: {printable(content.candidate.net.name)}"
    numbers = sum(t.numel() for t in flatten_tensors(content.weights).values())
    yield f"- Numbers in its weights: {numbers:,}"
    shape = " x ".join(map(str, how.shape))
    yield f"- Takes: {takes}; its net sees {how.kind} inputs of {shape}"
    if content.classes:
        shown = ", ".join(printable(str(label)) for label in content.classes[:20])
        more = f" and {len(content.classes) - 20} more" if len(content.classes) > 20 else ""
        yield f"- Classes: {shown}{more}"
    elif spec.ways:
        yield f"- Measured for tasks of {spec.ways} classes with {spec.shots} examples of each"
    yield f"- Objective: {spec.objective}"
    yield ""


def _data(content: ModelFile) -> Iterator[str]:
    record = content.training
    yield from ("## What it was trained on", "")
    yield f"- Data: {printable(record.data_name)}, digest `{record.data_hash or UNKNOWN}`"
    for part in PARTS:
        if content.parts.get(part):
            yield f"- {part}: {len(content.parts[part]):,} {_units(content)}"
    yield (
        f"- Budget {printable(record.budget)}: {record.steps:,} steps, "
        f"{record.cpu_seconds:,.0f} CPU-seconds, seed {record.seed}"
    )
    kept = [] if content.fingerprints is None else ["fingerprints of training examples"]
    kept += [] if content.support is None else ["the examples of its support, as they are"]
    if ESTIMATOR in content.weights:
        kept.append("what its estimator keeps of it, for support vectors are examples")
    yield f"- Of the data the file holds: {' and '.join(kept) or 'nothing but what was learned'}"
    yield ""


def _units(content: ModelFile) -> str:
    """What tasks are made of: classes, or groups such as users."""
    of_classes = content.spec.ways or content.spec.objective == GENERATION.name
    return "classes" if of_classes or content.kind not in ("learner", "adapted") else "groups"


def _figures(results: tuple[Result, ...], of_table: bool) -> Iterator[str]:
    yield from ("## How well it does", "")
    if not results:
        yield from ("Not measured: the file holds no figure.", "")
        return
    for result in results:
        how = result.protocol
        yield f"- **{printable(figure(result))}** ({printable(protocol_text(result))})"
        yield f"  - {intervals_text(result)}"
        if result.metrics:
            yield f"  - {measures_text(result)}"
        yield (f"  - part `{how.part}`, list of episodes `{how.list_hash}`, data `{how.data_hash}`")
    yield ""
    if of_table:
        yield "Measured on rows that were held back; `metaloop verify` tells those of `test` again."
    else:
        yield (
            "Measured on classes (or functions) that were held back; `metaloop verify` measures "
            "the same episodes again."
        )
    yield ""


def _backbones(cards: tuple[EncoderCard, ...]) -> Iterator[str]:
    yield from ("## What it needs of others", "")
    if not cards:
        yield from ("Nothing: all was learned from the data above.", "")
        return
    yield "| backbone | weights | licence | trained on |"
    yield "|---|---|---|---|"
    for card in cards:
        told = (card.name, f"{card.weights} {card.version}".strip(), card.licence, card.knows)
        yield f"| {' | '.join(printable(each).replace('|', '/') for each in told)} |"
    yield from ("", "Their weights are not in the file; whoever uses it needs the same ones.", "")


def _limits(content: ModelFile, cards: tuple[EncoderCard, ...]) -> Iterator[str]:
    yield from ("## What is not known", "")
    if content.kind in ("learner", "adapted"):
        yield "- Figures are of tasks drawn from one family; other families were not measured."
    else:
        yield "- Figures are of examples drawn as the training examples were."
    if not any(result.ci95_new is not None for result in content.results):
        yield f"- How the figures would vary over new {_units(content)} cannot be told."
    if content.rejection is None and (content.classes or content.spec.ways):
        yield "- It names one of its classes for anything: there are no thresholds to reject with."
    elif content.rejection is not None:
        yield "- What is none of the classes can be rejected, at rates measured on such classes."
    for card in cards:
        if card.knows == UNKNOWN:
            name = printable(card.name)
            yield f"- What {name} was trained on is not known: it may know the data."
        if card.licence == UNKNOWN:
            yield f"- Under which terms {printable(card.name)} may be used is not known."
    yield "- Fairness between groups of people, and harm by wrong answers, were not looked at."
    yield ""


def _citations(content: ModelFile) -> Iterator[str]:
    if content.citations:
        yield from ("## Methods", "", "```bibtex")
        yield "\n\n".join(
            printable(line)
            if "\n" not in line
            else "\n".join(printable(each) for each in line.splitlines())
            for line in content.citations
        )
        yield "```"
