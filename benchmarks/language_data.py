"""The texts of benchmarks/language.py: who is in which part, and how many texts are drawn.

`banking` and `clinc`: the published label folds of ProtAugment. `domains`: random deals of
CLINC150's ten domains. `nyt` and `pubmed`: relations of FewRel, learned from those of Wikipedia
and SemEval, which have 60 sentences each; a third of them are the validation part.
"""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import torch

from metaloop.core.columns import Texts
from metaloop.domains.text.entities import without_marks
from metaloop.tasks.readers import read
from metaloop.tasks.store import ClassInfo, PublishedPart, Reading, Store

DRAWN = {"banking": 50, "clinc": 40, "domains": 40, "nyt": 40, "pubmed": 40}  # texts of a class
FOLDERS = {"banking": "BANKING77", "clinc": "OOS"}
RELATIONS = ("nyt", "pubmed")
_LEARNED_FROM = ("wiki", "semeval")
_OF_RELATION = 60  # sentences to learn from

Pairs = list[tuple[str, str]]
PartOf = dict[str, PublishedPart]


def reading(data: Path, name: str, fold: int, fronted: bool = False) -> Reading:
    """Returns the texts that are drawn, with the parts of a fold; the same texts in every fold.

    `fronted`: the two entities of a relation stand before the sentence and are not marked.
    """
    if name in RELATIONS:
        return _relations(data, name, fold, fronted)
    return _intents(data, name, fold)


def _relations(data: Path, name: str, fold: int, fronted: bool) -> Reading:
    texts: list[str] = []
    targets: list[int] = []
    classes: list[ClassInfo] = []
    rng = np.random.default_rng(fold)
    for source in (*_LEARNED_FROM, name):
        store = read(data / "fewrel_val" / f"val_{source}.json.gz").store
        places = store.targets.numpy()
        number = len(store.classes)
        chosen = set(rng.permutation(number)[: number // 3].tolist())
        for place, known in enumerate(store.classes):
            rows = np.random.default_rng(0).permutation(np.flatnonzero(places == place))
            rows = rows[: DRAWN[name] if source == name else _OF_RELATION]
            part: PublishedPart = "test" if source == name else "train"
            if source != name and place in chosen:
                part = "val"
            texts += [str(text) for text in store.take(torch.from_numpy(rows))]
            targets += [len(classes)] * len(rows)
            classes.append(ClassInfo(f"{source}: {known.name}", part=part))
    if fronted:
        texts = [_fronted(text) for text in texts]
    store = Store(Texts.of(texts), torch.tensor(targets), tuple(classes))
    return Reading(f"{name}-{fold}", "texts", store)


def _fronted(text: str) -> str:
    marked = without_marks(text)
    sides = [marked.text[slice(*side)] for side in (marked.head, marked.tail) if side is not None]
    return f"{' ; '.join(sides)} : {marked.text}"


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


def _intents(data: Path, name: str, fold: int) -> Reading:
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
