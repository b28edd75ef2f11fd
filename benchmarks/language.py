"""Intents nobody trained on: frozen sentence encoders with plain heads, TF-IDF, and the loop.

    .venv/bin/python benchmarks/language.py DATA [--data banking,clinc,domains] [--folds 1,2,3,4,5]
        [--rows tfidf,minilm,wordllama,learn] [--budget 120s] [--episodes 1000]
        [--out runs/benchmark-language]

DATA holds `banking77/`, `clinc150/` and `protaugment_folds/` as their owners publish them.
`banking` and `clinc` are split by the five published folds of labels (train / valid / test: 25 / 25
/ 27 and 50 / 50 / 50); `domains` are five random deals of CLINC150's ten domains, 6 / 2 / 2. Of
each class 50 texts (BANKING77) and 40 (CLINC150) are drawn once. Tasks are of 5 and 10 ways, 1 and
5 shots, 15 queries a class, inductive. Rows:

    tfidf       metaloop's tf-idf of words and letters, logistic regression
    NAME        features of that encoder: nearest class mean, centred on the training classes and of
                unit length; and logistic regression
    learn       what `learn` ends with in the budget, on all cores, with the encoders installed

C and the form of features of logistic regression are tuned on `search`, half of the validation
classes; the other half is `promotion`, by which the loop chooses. Each piece (data, fold, row) is a
file in `--out` and is not computed twice, so that a run that was stopped goes on. The table is of
the folds that are there: the mean, the 95 % interval over all their episodes, and in brackets that
for new classes, where classes of different folds count as different ones.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from frozen_heads import centroid, regression, scored

from metaloop.catalogue.backbones import open_backbone
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.catalogue.offered import AUTO
from metaloop.catalogue.sights import seen_family
from metaloop.core.columns import Texts
from metaloop.core.records import Result
from metaloop.engine.evaluation import evaluate
from metaloop.loop import Learned, learn
from metaloop.models import load_model
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.store import ClassInfo, PublishedPart, Reading, Store

TASKS = ((5, 1), (5, 5), (10, 1), (10, 5))
DRAWN = {"banking": 50, "clinc": 40, "domains": 40}  # texts of a class
FOLDERS = {"banking": "BANKING77", "clinc": "OOS"}
FORMS = ("raw", "standardised", "unit")
TERMS = "words_and_characters"

Pairs = list[tuple[str, str]]
PartOf = dict[str, PublishedPart]


def banking(data: Path) -> Pairs:
    """Returns the texts of BANKING77 with their intents."""
    pairs: Pairs = []
    for part in ("train", "test"):
        with gzip.open(data / "banking77" / f"{part}.csv.gz", "rt", encoding="utf-8") as file:
            pairs += [(row["text"], row["category"]) for row in csv.DictReader(file)]
    return pairs


def clinc(data: Path) -> Pairs:
    """Returns the texts of CLINC150 with their intents; those out of scope are left out."""
    content = (data / "clinc150" / "data_full.json.gz").read_bytes()
    splits = json.loads(gzip.decompress(content))
    return [(text, label) for part in ("train", "val", "test") for text, label in splits[part]]


def parts_of(data: Path, name: str, fold: int) -> PartOf:
    """Returns the part of each intent in a fold."""
    if name == "domains":
        packed = (data / "clinc150" / "domains.json.gz").read_bytes()
        domains: dict[str, list[str]] = json.loads(gzip.decompress(packed))
        order = np.random.default_rng(fold).permutation(sorted(domains)).tolist()
        dealt: tuple[PublishedPart, ...] = (*("train",) * 6, "val", "val", "test", "test")
        return {
            label: part
            for domain, part in zip(order, dealt, strict=True)
            for label in domains[domain]
        }
    folder = data / "protaugment_folds" / FOLDERS[name] / f"{fold:02}"
    files: dict[str, PublishedPart] = {"train": "train", "valid": "val", "test": "test"}
    return {
        label: part
        for file, part in files.items()
        for label in (folder / f"{file}.txt").read_text(encoding="utf-8").split("\n")
        if label
    }


def reading(data: Path, name: str, fold: int) -> Reading:
    """Returns the texts that are drawn, with the parts of a fold; the same texts in every fold."""
    pairs = banking(data) if name == "banking" else clinc(data)
    part_of = parts_of(data, name, fold)
    names = sorted({label for _, label in pairs})
    if set(names) != set(part_of):
        raise SystemExit(f"the labels of {name} are not those of fold {fold}")
    rng = np.random.default_rng(0)
    rows_of: dict[str, list[int]] = {label: [] for label in names}
    for row, (_, label) in enumerate(pairs):
        rows_of[label].append(row)
    kept = [rng.permutation(rows_of[label])[: DRAWN[name]].tolist() for label in names]
    rows = [row for some in kept for row in some]
    targets = torch.tensor([place for place, some in enumerate(kept) for _ in some])
    classes = tuple(ClassInfo(label, part=part_of[label]) for label in names)
    texts = Texts.of([pairs[row][0] for row in rows])
    return Reading(f"{name}-{fold}", "texts", Store(texts, targets, classes))


def frozen_rows(
    read: Reading, row: str, episodes: int
) -> Iterator[tuple[str, int, int, str, Result]]:
    """Yields head, ways, shots, what it is in words, and the result on `test`."""
    if row == "tfidf":
        family, _ = seen_family(class_family(read)[0], TERMS)
    else:
        opened = open_data(read, DataOptions(backbone=open_backbone(row, takes="texts")))
        assert isinstance(opened.family, ClassFamily)
        family = opened.family
    for ways, shots in TASKS:
        heads = {"logistic regression": regression(family, shots, FORMS)}
        if row != "tfidf":
            heads = {"centroid": centroid()} | heads
        for head, candidate in heads.items():
            result = scored(family, candidate, "test", ways, shots, episodes)
            yield head, ways, shots, candidate.label, result


def learned_rows(
    read: Reading, out: Path, budget: str, episodes: int
) -> Iterator[tuple[str, int, int, str, Result]]:
    """Yields the same of what a run of the loop ends with; one model for all kinds of tasks."""
    shutil.rmtree(out, ignore_errors=True)
    asked = DataOptions(backbone=AUTO)
    for event in learn(read, out=out, budget=budget, seed=0, options=asked):
        if not isinstance(event, Learned):
            continue
        model = load_model(event.report["model"])
        opened = open_data(read, view=model.view)
        assert isinstance(opened.family, ClassFamily)
        for ways, shots in TASKS:
            spec = opened.family.spec(ways, shots)
            result, _ = evaluate(
                model.learner, model.meta_params, opened.family, "test", spec, episodes
            )
            yield f"learn {budget}", ways, shots, model.candidate.label, result


def piece(asked: argparse.Namespace, name: str, fold: int, row: str) -> list[dict[str, Any]]:
    """Returns the results of one row on one fold, from its file if it is there."""
    called = f"{name}-{fold}-{row}" + (f"-{asked.budget}" if row == "learn" else "")
    path = Path(asked.out) / f"{called}-{asked.episodes}.json"
    if not path.exists():
        read = reading(asked.data, name, fold)
        if row == "learn":
            found = learned_rows(read, Path(asked.out) / called, asked.budget, asked.episodes)
        else:
            found = frozen_rows(read, row, asked.episodes)
        results = [
            {"head": head, "ways": ways, "shots": shots, "label": label, "value": r.value,
             "ci95": r.ci95, "ci95_new": r.ci95_new, "list": r.protocol.list_hash}
            for head, ways, shots, label, r in found
        ]  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    known: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return known


def lines(pieces: list[list[dict[str, Any]]], name: str, row: str) -> Iterator[str]:
    """Yields a line of the table for each head: means over folds, and both intervals."""
    for head in dict.fromkeys(each["head"] for each in pieces[0]):
        cells = []
        for ways, shots in TASKS:
            of = [
                each for found in pieces for each in found
                if (each["head"], each["ways"], each["shots"]) == (head, ways, shots)
            ]  # fmt: skip
            value = np.mean([each["value"] for each in of])
            spread, new = (
                np.sqrt(np.sum([(each[key] or np.nan) ** 2 for each in of])) / len(of)
                for key in ("ci95", "ci95_new")
            )
            cells.append(f"{100 * value:.1f} +/- {100 * spread:.1f} ({100 * new:.1f})")
        called = head if row == "learn" else f"{row}, {head}"
        yield f"| {name} | {len(pieces)} | {called} | {' | '.join(cells)} |"


def main() -> None:
    """Prints the table, a row as soon as its folds are there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--data", dest="names", default="banking,clinc,domains")
    parser.add_argument("--folds", default="1,2,3,4,5")
    parser.add_argument("--rows", default="tfidf,minilm,wordllama,learn")
    parser.add_argument("--budget", default="120s")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-language"))
    asked = parser.parse_args()
    print(f"{asked.episodes} episodes a fold; +/- 95 %, in brackets for new classes\n")
    print("| data | folds | row | " + " | ".join(f"{w}w{s}s" for w, s in TASKS) + " |")
    print("|---" * (3 + len(TASKS)) + "|", flush=True)
    folds = [int(fold) for fold in asked.folds.split(",")]
    for name in asked.names.split(","):
        for row in asked.rows.split(","):
            pieces = [piece(asked, name, fold, row) for fold in folds]
            for line in lines(pieces, name, row):
                print(line, flush=True)


if __name__ == "__main__":
    main()
