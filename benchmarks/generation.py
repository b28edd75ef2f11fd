"""New characters of Omniglot: likelihood, recognition, diversity, copying and speed, in one table.

    .venv/bin/python benchmarks/generation.py DATA [--learners NAME,...] [--budget 1500steps]
        [--seed 0] [--tasks 3] [--samples 10] [--episodes 100] [--results runs/generation]
        [--part promotion] [--judged-only] [--full]

DATA is the folder of Omniglot's original files with the Vinyals lists. Each learner is the real
command `metaloop train DATA --objective generation`, then `metaloop evaluate` with 1, 5 and 10
images; `--full` is 1,000 episodes, 20 tasks, 10 samples a class and 30 minutes of training.
Nothing else should run meanwhile where the budget is in seconds.

    bits        per dimension, 28 x 28 by area, split at one half, published test characters; and
                `drawn`, where every pixel of a test image is ink with the probability of its grey;
                and `falls`, how much fewer there are with 5 images than with 1, and with 10 than
                with 5, of the same images in the same tasks, ± for new characters
    recognised  20-way: a ProtoNet that was trained apart, on training characters alone, is shown
                five *other* images of each of 20 test characters, and says which one is drawn
    diversity   the spread of features of a net that was trained without labels (SimCLR), of the
                samples of a class, over that of real images of it (Boutin et al. 2022,
                arXiv:2205.10370)
    nearest     share of pixels by which a sample differs from the support image most like it, over
                that of real images: far below one is copying
    a minute    images drawn on this machine, of one thread, 1,000 side by side

Rows besides learners: real images of the class, the support copied, and the support moved by up to
two pixels; nets also draw at temperatures below 1, and the best of several tries.
`--part promotion` judges other classes, to choose by. What is finished is kept in the results
folder and not run again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

import metaloop as ml
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.examples import Examples
from metaloop.core.generation import bits_per_dimension
from metaloop.core.randomness import numpy_stream, seeded_modules, torch_stream
from metaloop.engine.augmentation import affine
from metaloop.engine.evaluation import score_episodes
from metaloop.models import Model, load_model
from metaloop.nets.strided import strided
from metaloop.tasks.family import ClassFamily, episode_list
from metaloop.tasks.generation import GenerationFamily

LEARNERS = ("blurred_mixture", "pixelcnn", "set_pixelcnn", "fomaml_pixelcnn", "set_vae")
SHOTS, WAYS, SUPPORT = (1, 5, 10), 20, 5
COOLER = (0.7, 0.5, 0.4)  # temperatures
CHOSEN = ((0.7, 2), (0.5, 2))  # temperatures, and of how many tries the best is kept
FEATURES_STEPS, FEATURES_BATCH, TEMPERATURE = 300, 128, 0.2
Draw = Callable[[np.ndarray, int, int], np.ndarray]  # support, count, seed -> pictures


def metaloop(*arguments: str) -> dict[str, Any]:
    """Returns the JSON that one command prints; stops with its message if it fails."""
    command = [sys.executable, "-m", "metaloop", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def trained(learner: str, asked: argparse.Namespace, objective: Sequence[str] = ()) -> Path:
    """Returns the model file of a learner, trained if it is not there."""
    path: Path = asked.results / f"{learner}-{asked.budget}-seed{asked.seed}.metaloop"
    if not path.exists():
        told(f"training {learner} for {asked.budget}")
        words = ["--learner", learner, "--budget", asked.budget, "--seed", str(asked.seed)]
        metaloop("train", asked.data, *objective, *words, "--shots", "5", "--out", str(path))
    return path


def likelihoods(path: Path, asked: argparse.Namespace, family: GenerationFamily) -> dict[str, Any]:
    """Returns bits per dimension with each number of shots, and those of drawn test images."""
    found: dict[str, Any] = {}
    model, drawn = load_model(path), _drawn(family)
    for shots in SHOTS:
        words = ["--shots", str(shots), "--queries", "10", "--episodes", str(asked.episodes)]
        figures = metaloop("evaluate", str(path), asked.data, *words)
        found[str(shots)] = {key: figures[key] for key in ("value", "ci95", "ci95_new")}
        spec = drawn.spec(0, shots, 10, "test")
        scores = score_episodes(
            model.learner, model.meta_params, episode_list(drawn, "test", spec, asked.episodes),
            drawn.input_format, "generation",
        )  # fmt: skip
        found[f"drawn {shots}"] = {"value": float(scores.values.mean())}
    return found | {"falls": falls(model, family, asked.episodes)}


@torch.no_grad()
def falls(model: Model, family: GenerationFamily, number: int) -> dict[str, tuple[float, float]]:
    """Returns by how much bits fall from 1 to 5 and from 5 to 10 images, in pairs, with 95 %.

    A task's images are the same for all three; the smaller supports are the first of the largest.
    Intervals are over characters.
    """
    learner, params = model.learner, model.meta_params
    spec = family.spec(0, max(SHOTS), 10, "test")
    episodes = episode_list(family, "test", spec, number)
    by_class: dict[int, list[list[float]]] = {}
    for place in range(len(episodes)):
        batch = episodes[place : place + 1].gather(family.input_format)
        row = []
        for shots in SHOTS:
            few, real, there = (
                part[0, :shots]
                for part in (batch.support.features, batch.support.targets, batch.support.mask)
            )
            some = Examples(few, real, there)
            outputs = learner.predict(params, learner.adapt(params, some), batch.query.features[0])
            bits = bits_per_dimension(outputs[None], batch.query.targets, batch.query.mask)
            row.append(float(bits.mean()))
        by_class.setdefault(int(episodes.units[place, 0]), []).append(row)
    means = np.array([np.mean(rows, 0) for rows in by_class.values()])  # [characters, shots]
    fallen = means[:, :-1] - means[:, 1:]
    error = 1.96 * fallen.std(0, ddof=1) / len(fallen) ** 0.5
    names = [f"{few} to {more}" for few, more in itertools.pairwise(SHOTS)]
    return {n: (float(m), float(e)) for n, m, e in zip(names, fallen.mean(0), error, strict=True)}


def _drawn(family: GenerationFamily) -> GenerationFamily:
    """The family with every pixel of its images drawn once, by its grey."""
    classes = family.classes
    inputs = classes.store.inputs
    assert isinstance(inputs, Tensor)
    draws = torch.rand(inputs.shape, generator=torch_stream(0, "dynamic binarisation"))
    ink = (draws * 255 < inputs).to(torch.uint8) * 255
    store = replace(classes.store, inputs=ink)
    return GenerationFamily(
        family.name, replace(classes, store=store, given_format=family.input_format)
    )


def features_net(family: ClassFamily, path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Returns features of unit length by a net that has seen no labels (SimCLR), kept in a file."""
    with seeded_modules(0):
        net = strided(family.store.input_shape)
    if path.exists():
        net.load_state_dict(load_file(path))
    else:
        told("training a net without labels")
        _contrast(net, family)
        save_file(net.state_dict(), path)
    net.eval()

    @torch.no_grad()
    def features(pictures: np.ndarray) -> np.ndarray:
        found = functional.normalize(net(_floats(pictures)), dim=-1)
        return np.asarray(found.numpy())

    return features


def _contrast(net: nn.Module, family: ClassFamily) -> None:
    """Two changed copies of an image are each other's nearest among those of the batch."""
    rows, _ = family.labelled("train")
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3)
    rng, draws = numpy_stream(0, "contrast"), torch_stream(0, "contrast")
    for step in range(FEATURES_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * 0.5 * (1 + math.cos(math.pi * step / FEATURES_STEPS))
        images = family.store.taken(rng.choice(rows, FEATURES_BATCH, replace=False)).float() / 255
        both = torch.cat([(affine(images, draws) >= 0.5).float() for _ in range(2)])
        found = functional.normalize(net(both), dim=-1)
        alike = (found @ found.T / TEMPERATURE).fill_diagonal_(-1e9)
        partners = torch.arange(len(both)).roll(FEATURES_BATCH)
        optimiser.zero_grad()
        loss = functional.cross_entropy(alike, partners)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def drawers(paths: dict[str, Path]) -> dict[str, Draw]:
    """Returns who draws new images of a class from its support, by the name of the row."""

    def by(path: Path, temperature: float = 1.0, tries: int = 1) -> Draw:
        generator = ml.load(path)
        assert isinstance(generator, ml.FewShotGenerator)
        return lambda support, count, seed: generator.fit(support).sample(
            count, seed, temperature, tries
        )

    def copied(support: np.ndarray, count: int, seed: int) -> np.ndarray:
        return support[np.arange(count) % len(support)]

    def moved(support: np.ndarray, count: int, seed: int) -> np.ndarray:
        rng = numpy_stream(seed, "moved")
        return np.stack(
            [
                np.roll(each, tuple(rng.integers(-2, 3, 2)), (0, 1))
                for each in copied(support, count, seed)
            ]
        )

    draws: dict[str, Draw] = {"support, copied": copied, "support, moved": moved}
    for name, path in paths.items():
        draws[name] = by(path)
        if name != "blurred_mixture":
            draws |= {f"{name} at {each}": by(path, each) for each in COOLER}
            draws |= {f"{name} at {t}, best of {n}": by(path, t, n) for t, n in CHOSEN}
    return draws


def judged(
    draws: dict[str, Draw], judge: Any, features: Any, family: ClassFamily, asked: Any
) -> dict[str, dict[str, Any]]:
    """Returns recognition, diversity and distance to the support of every row."""
    gathered: dict[str, dict[str, list[float]]] = {}
    for task in range(asked.tasks):
        told(f"judging task {task + 1} of {asked.tasks}")
        rng = numpy_stream(0, "judged", task)
        classes = rng.choice(family.parts[asked.part], WAYS, replace=False)
        images = [_pictures(family, rng.permutation(family.store.examples_of[c])) for c in classes]
        shown = np.concatenate([each[SUPPORT : 2 * SUPPORT] for each in images])
        judge.fit(shown, np.repeat(np.arange(WAYS), SUPPORT))
        for name, draw in {"real images": None, **draws}.items():
            row = gathered.setdefault(name, {"recognised": [], "spread": [], "nearest": []})
            for way, each in enumerate(images):
                support, real = each[:SUPPORT], each[2 * SUPPORT :]
                made = real if draw is None else draw(support, asked.samples, task * WAYS + way)
                made = made[: asked.samples]
                row["recognised"].append(float((judge.predict(made) == way).mean()))
                found = features(made)
                row["spread"].append(float(found.std(0, ddof=1).mean()))
                differ = (made[:, None] >= 128) != (support[None] >= 128)
                row["nearest"].append(float(differ.mean((2, 3)).min(1).mean()))
    usual = {key: float(np.mean(values)) for key, values in gathered["real images"].items()}
    return {
        name: {
            "recognised": float(np.mean(row["recognised"])),
            "recognised_ci95": 1.96 * float(np.std(row["recognised"])) / len(row["nearest"]) ** 0.5,
            "diversity": float(np.mean(row["spread"])) / usual["spread"],
            "nearest": float(np.mean(row["nearest"])) / usual["nearest"],
        }
        for name, row in gathered.items()
    }


def a_minute(draw: Draw, support: np.ndarray, count: int = 1000) -> float:
    """Returns images drawn in a minute of one processor's time."""
    start = time.process_time()
    draw(support, count, 0)
    return 60 * count / (time.process_time() - start)


def _pictures(family: ClassFamily, rows: np.ndarray) -> np.ndarray:
    """Images as pictures, split at one half, ink dark on white."""
    return np.where(family.store.taken(rows).numpy()[:, 0] >= 128, 0, 255).astype(np.uint8)


def _floats(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures < 128).float().unsqueeze(1)


def told(text: str) -> None:
    """Says on stderr what goes on."""
    print(text, file=sys.stderr, flush=True)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--learners", default=",".join(LEARNERS))
    parser.add_argument("--budget", default="1500steps")
    parser.add_argument("--judge-budget", default="400steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("search", "promotion", "test"), default="test")
    parser.add_argument("--judged-only", action="store_true", help="no likelihoods, which are long")
    parser.add_argument("--tasks", type=int, default=3)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--results", type=Path, default=Path("runs/generation"))
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.full:
        asked.tasks, asked.samples, asked.episodes = 20, 10, 1000
        asked.budget, asked.judge_budget = "30m", "4m"
    return asked


def main() -> None:
    """Trains what is missing, measures it and prints the table."""
    asked = _asked()
    asked.results.mkdir(parents=True, exist_ok=True)
    generation = ("--objective", "generation")
    paths = {name: trained(name, asked, generation) for name in asked.learners.split(",")}
    opened = open_data(asked.data, DataOptions(objective="generation")).family
    assert isinstance(opened, GenerationFamily)
    own = argparse.Namespace(**{**vars(asked), "budget": asked.judge_budget, "seed": 7})
    judge = ml.load(trained("protonet", own))
    features = features_net(opened.classes, asked.results / "features.safetensors")
    draws = drawers(paths)
    table = judged(draws, judge, features, opened.classes, asked)
    kept = asked.results / f"table-{asked.part}-{asked.budget}-seed{asked.seed}.json"
    kept.write_text(json.dumps(table, indent=1))  # likelihoods take longest
    paths = {} if asked.judged_only else paths
    support = _pictures(opened.classes, opened.classes.store.examples_of[0][:SUPPORT])
    for name, path in paths.items():
        told(f"measuring {name}")
        model: Model = load_model(path)
        table[name] |= {
            "bits": likelihoods(path, asked, opened),
            "samples_a_minute": a_minute(draws[name], support),
            "training": {"cpu_seconds": model.training.cpu_seconds, "steps": model.training.steps},
        }
    kept.write_text(json.dumps(table, indent=1))
    print(json.dumps(table) if asked.json else _as_text(table))


def _as_text(table: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| | 1 | 5 | 10 | falls | drawn, 5 | recognised | diversity | nearest | a minute |",
        "|---" * 10 + "|",
    ]
    for name, row in table.items():
        bits = row.get("bits")
        cells = [f"{bits[str(s)]['value']:.4f} ± {bits[str(s)]['ci95_new']:.4f}" if bits else ""
                 for s in SHOTS]  # fmt: skip
        told = (
            [f"{mean:.4f} ± {error:.4f}" for mean, error in bits["falls"].values()] if bits else []
        )
        cells.append(", ".join(told))
        cells.append(f"{bits['drawn 5']['value']:.4f}" if bits else "")
        cells.append(f"{100 * row['recognised']:.1f} ± {100 * row['recognised_ci95']:.1f} %")
        cells += [f"{100 * row['diversity']:.0f} %", f"{row['nearest']:.2f}"]
        cells.append(f"{row['samples_a_minute']:,.0f}" if bits else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
