"""Queries of other classes than a task's: how well they are told, by what, and how thresholds hold.

    .venv/bin/python benchmarks/open_set.py DATA [--data arabic,clinc,photos,omniglot,maml,oos]
        [--tasks 5x1,5x5,10x1,10x5] [--episodes 1000] [--budget 60s] [--cache runs/features]

DATA holds `arabic_speech_commands/`, `clinc150/`, `banking77/`, `protaugment_folds/`,
`tiny_imagenet_fewshot/` and `omniglot/` as their owners publish them. What is asked about are
classes that nothing was trained or calibrated on, 15 queries each, and up to five other classes a
task, 15 queries each, too. Learners:

    arabic    nearest class mean on the frozen speech embedding; Arabic words 30-39 of six speakers
              never heard, training words 0-15, words 16-29 for the thresholds
    clinc     the same on frozen MiniLM; the first published fold of labels
    photos    the same on frozen EfficientNet-Lite0; Tiny ImageNet, classes seen in pretraining
    omniglot  ProtoNet, trained from scratch in `--budget`
    maml      MAML, likewise: a learner without an embedding

Evidence: `likeness` is metaloop's (core/likeness.py), `cosine` that to the nearest class mean
(centred, unit length), `output` the largest output of the learner, `energy` the logsumexp of them,
`softmax` the largest probability. Recall is the share of the task's queries that are accepted where
5 % of the others are. The last two columns are what the model's own threshold for 5 % does.

`oos` is CLINC150 with all its 150 intents and its 1,000 out-of-scope queries, five draws of the
support, 15 queries an intent; likeness and thresholds are of BANKING77, other texts from elsewhere.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from backbones import features_family
from frozen_heads import centroid
from language_data import banking, clinc, reading
from torch import Tensor

import metaloop
from metaloop.catalogue.backbones import open_backbone
from metaloop.catalogue.nets import RAW, VIEW
from metaloop.core.columns import Texts, take
from metaloop.core.examples import Examples
from metaloop.core.learner import Learner
from metaloop.core.likeness import means_of, nearest_cosine
from metaloop.core.records import Candidate, Choice, Plan
from metaloop.core.statistics import EpisodeScores, estimate
from metaloop.domains.speech.embedding import SpeechEmbedding
from metaloop.engine.evaluation import learner_outputs
from metaloop.engine.open_scores import OpenTable
from metaloop.engine.open_set import answer, open_list
from metaloop.models import Model, open_for
from metaloop.models.rejecting import eyes_of
from metaloop.tasks.readers import read_recordings
from metaloop.tasks.store import ClassInfo, PublishedPart, Reading, Store

RATE = 0.05
Row = tuple[str, EpisodeScores, EpisodeScores]


def arabic(data: Path, cache: Path) -> Reading:
    """Returns features of the words: parts share no word, `test` no speaker with the others."""
    path = data / "arabic_speech_commands" / "arabic_speech_commands_8k.npz"
    with np.load(path, allow_pickle=False) as file:
        words, speakers = file["label"], file["speaker"]
        voices = file["speaker_split"][speakers]
        part = np.select([words < 16, words < 30], ["train", "val"], "test")
        used = (voices == "test") == (part == "test")
        sound = file["ulaw_table"][file["audio_ulaw"][used]]
        rate = float(file["sample_rate"])
        words, part, names = words[used], part[used], file["keywords"]
    column = read_recordings(sound, names[words], rate).store
    if len(column) != len(words):
        raise SystemExit("some recordings were left out")
    features = _kept(cache / "open-arabic.npy", lambda: SpeechEmbedding().encode(_all(column)))
    part_of: dict[int, PublishedPart] = dict(zip(words.tolist(), part.tolist(), strict=True))
    return _reading("arabic", features, words, [str(name) for name in names], part_of)


def intents(data: Path, cache: Path) -> Reading:
    """Returns MiniLM's features of CLINC150's intents, in the parts of the first fold."""
    read = reading(data, "clinc", 1)
    features = _kept(cache / "open-clinc.npy", lambda: _minilm(_all(read.store)))
    infos = read.store.classes
    parts = {place: info.part for place, info in enumerate(infos)}
    return _reading("clinc", features, read.store.targets.numpy(), [i.name for i in infos], parts)  # type: ignore[arg-type]


def model_of(name: str, data: Path, cache: Path, budget: str) -> tuple[Model, Any]:
    """Returns a model with its thresholds, and the data that it is asked about."""
    if name in ("omniglot", "maml"):
        learner = "protonet" if name == "omniglot" else "maml"
        path = data / "omniglot"
        return metaloop.train(path, learner, budget=budget, progress=False).trained, path
    if name == "photos":
        family = features_family(name, data, open_backbone("lite0"), cache)
        parts = {c: p for p, some in family.parts.items() for c in some.tolist()}
        known = {"search": "val", "promotion": "val"}
        infos = tuple(
            ClassInfo(info.name, part=known.get(parts[place], parts[place]))  # type: ignore[arg-type]
            for place, info in enumerate(family.store.classes)
        )
        store = Store(family.store.inputs, family.store.targets, infos)
        read = Reading("photos", "features", store)
    else:
        read = arabic(data, cache) if name == "arabic" else intents(data, cache)
    trained = metaloop.train(read, centroid(), budget="1steps", progress=False).trained
    return trained, read


@torch.no_grad()
def rows(model: Model, family: Any, ways: int, shots: int, episodes: int) -> Iterator[Row]:
    """Yields the name of each evidence, its AUROC and its recall, and last what thresholds do."""
    spec = family.spec(ways, shots, part="test")
    asked = open_list(family, "test", spec, episodes)
    table = OpenTable(asked)
    rejection, eyes = model.rejection, eyes_of(model)
    if rejection is None:
        raise SystemExit("the model has no thresholds")
    learner: Learner = model.learner
    found = answer(learner, model.meta_params, asked, model.input_format, rejection.likeness, eyes)
    outputs = learner_outputs(learner, model.meta_params, asked.episodes, model.input_format)
    evidence = {} if found.plain is None else {"likeness": found.evidence, "cosine": found.plain}
    evidence |= {
        "output": outputs.amax(-1).double().numpy(),
        "energy": outputs.double().logsumexp(-1).numpy(),
        "softmax": outputs.double().softmax(-1).amax(-1).numpy(),
    }
    for name, values in evidence.items():
        yield name, table.auroc(values), table.recall(values, table.there, RATE)
    threshold = rejection.threshold(RATE, ways, shots)
    yield (
        f"threshold{', ' + threshold.outside if threshold.outside else ''}",
        table.false_alarms(found.evidence, threshold.value),
        table.accepted(found.evidence, table.there, threshold.value),
    )


def _regression() -> Candidate:
    """Logistic regression on features of unit length, C as 5-way tasks of intents have it."""
    options = {"inverse_strength": 10.0}
    return Candidate(
        Choice("logistic_regression", options), Choice(RAW, {VIEW: "unit"}), Plan("none")
    )


def oos(data: Path, cache: Path) -> Iterator[str]:
    """Yields lines: accuracy, AUROC and recall of out-of-scope queries, by likeness and cosine."""
    pairs = clinc(data)
    others = json.loads(gzip.decompress((data / "clinc150" / "data_full.json.gz").read_bytes()))
    strange = [text for text, _ in others["oos_test"]]
    elsewhere = banking(data)
    texts = [text for text, _ in (*pairs, *elsewhere)] + strange
    column = Store(Texts.of(texts), torch.zeros(len(texts), dtype=torch.int64), (ClassInfo("x"),))
    features = _kept(cache / "open-oos.npy", lambda: _minilm(_all(column)))
    ends = np.cumsum([len(pairs), len(elsewhere)])
    mine, bank, far = features[: ends[0]], features[ends[0] : ends[1]], features[ends[1] :]
    names = sorted({label for _, label in elsewhere})
    places = np.array([names.index(label) for _, label in elsewhere])
    rng = np.random.default_rng(0)
    dealt = dict(enumerate(rng.permutation(["train"] * 46 + ["val"] * 26 + ["test"] * 5).tolist()))
    read = _reading("banking", bank, places, names, dealt)
    trained = {
        name: metaloop.train(read, candidate, budget="1steps", progress=False).trained
        for name, candidate in (("class mean", centroid()), ("regression", _regression()))
    }
    rejection = trained["class mean"].rejection
    assert rejection is not None and rejection.likeness is not None
    known = rejection.likeness
    labels = sorted({label for _, label in pairs})
    own = np.array([labels.index(label) for _, label in pairs])
    for shots in (1, 5, 10):
        draws: dict[str, list[float]] = {}
        for draw in range(5):
            rng = np.random.default_rng(draw)
            some = [rng.permutation(np.flatnonzero(own == c))[: shots + 15] for c in range(150)]
            rows_of = np.concatenate([each[:shots] for each in some])
            asked = torch.from_numpy(np.concatenate([each[shots:] for each in some]))
            support = Examples(
                mine[rows_of], torch.arange(150).repeat_interleave(shots),
                torch.ones(len(rows_of), dtype=torch.bool), 150,
            )  # fmt: skip
            both = torch.cat([mine[asked], far])
            for name, model in trained.items():
                head = metaloop.FewShotClassifier(model).fit(mine[rows_of].numpy(), own[rows_of])
                right = head.predict(mine[asked].numpy()) == own[asked.numpy()]
                draws.setdefault(f"accuracy, {name}", []).append(float(right.mean()))
            means, counts = means_of(support.with_inputs(known.seen(support.features)))
            found = {
                "likeness": known.evidence(means, counts, known.seen(both)).numpy(),
                "cosine": nearest_cosine(known.center, support, both).numpy(),
            }
            for name, values in found.items():
                inside, outside = values[: len(asked)], values[len(asked) :]
                least = np.quantile(outside, 1 - RATE)
                draws.setdefault(f"{name} AUROC", []).append(_auroc(inside, outside))
                draws.setdefault(f"{name} recall", []).append(float((inside > least).mean()))
            least = rejection.threshold(RATE, 150, shots).value
            values = found["likeness"]
            draws.setdefault("false alarms", []).append(
                float((values[len(asked) :] > least).mean())
            )
            draws.setdefault("accepted", []).append(float((values[: len(asked)] > least).mean()))
        told = "; ".join(
            f"{name} {100 * np.mean(v):.1f} +/- {100 * np.std(v, ddof=1):.1f}"
            for name, v in draws.items()
        )
        yield f"| oos | 150x{shots} | {told} |"


def main() -> None:
    """Prints a table, a row for each task and evidence as soon as it is known."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--data", dest="names", default="arabic,clinc,photos,omniglot,maml,oos")
    parser.add_argument("--tasks", default="5x1,5x5,10x1,10x5")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--cache", type=Path, default=Path("runs/features"))
    asked = parser.parse_args()
    asked.cache.mkdir(parents=True, exist_ok=True)
    print("| data | task | evidence | AUROC, % | recall at 5 %, % | lead over cosine | in recall |")
    print("|---" * 7 + "|", flush=True)
    for name in asked.names.split(","):
        if name == "oos":
            for line in oos(asked.data, asked.cache):
                print(line, flush=True)
            continue
        model, data = model_of(name, asked.data, asked.cache, asked.budget)
        family = open_for(model, data).family
        for task in asked.tasks.split(","):
            ways, shots = map(int, task.split("x"))
            ways = min(ways, family.largest_ways("test", shots) - 1)  # type: ignore[attr-defined]
            found = {n: pair for n, *pair in rows(model, family, ways, shots, asked.episodes)}
            for evidence, pair in found.items():
                lead = "|"
                if evidence == "likeness":
                    lead = " | ".join(
                        _figure(a - b) for a, b in zip(pair, found["cosine"], strict=True)
                    )
                told = " | ".join(_figure(each) for each in pair)
                print(f"| {name} | {ways}x{shots} | {evidence} | {told} | {lead} |", flush=True)


def _auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    return float((np.sign(inside[:, None] - outside[None]) / 2 + 0.5).mean())


def _figure(scores: EpisodeScores) -> str:
    found = estimate(scores)
    return f"{100 * found.value:.1f} ± {100 * found.ci95:.1f} ({100 * (found.ci95_new or 0):.1f})"


def _reading(
    name: str,
    features: Tensor,
    places: np.ndarray,
    names: list[str],
    part_of: dict[int, PublishedPart],
) -> Reading:
    used = sorted(set(places.tolist()))
    infos = tuple(ClassInfo(names[place], part=part_of[place]) for place in used)
    targets = torch.from_numpy(np.searchsorted(used, places).astype(np.int64))
    return Reading(name, "features", Store(features, targets, infos))


def _all(store: Store) -> Any:
    return take(store.inputs, torch.arange(len(store)))


def _minilm(texts: Any) -> Tensor:
    return open_backbone("minilm", takes="texts").encode(texts)


def _kept(path: Path, compute: Any) -> Tensor:
    if not path.exists():
        np.save(path, compute().numpy())
    return torch.from_numpy(np.load(path))


if __name__ == "__main__":
    main()
