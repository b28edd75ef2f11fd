"""Fine-tuning MiniLM for every task, as SetFit does it, beside a map that is learned once.

    .venv/bin/python benchmarks/contrastive.py DATA [--data banking] [--fold 1] [--tasks 5x1,5x5]
        [--episodes 20] [--pairs 20] [--steps 200] [--tail-steps 60]
        [--rows frozen,contrastive,setfit,map,tail,learn]
        [--budget 120s] [--out runs/benchmark-contrastive]

DATA as for benchmarks/language.py. All rows are on the same tasks of the test classes, 15 queries a
class, and the CPU-seconds are those of one task; what a row learns before its tasks, once for all
of them, is told above the table. Rows:

    frozen        nearest class mean of MiniLM's features, centred and of unit length
    contrastive   pairs of the support, `--pairs` of the same and of other classes for each example:
                  (cosine - same)^2, one epoch of AdamW at 2e-5, batches of 16; then logistic
                  regression on the features. Written by hand after Tunstall et al. 2022,
                  arXiv:2209.11055
    setfit        the same by the package `setfit`, on the same weights: its usual plan but for
                  `num_iterations`, which is `--pairs`
    map           `projection` on minilm+wordllama, ProtoNet, `--steps` of training on the training
                  classes, at the rate that `learn` begins with
    tail          `minilm_tail` on minilm-front: the last two layers tuned, ProtoNet, `--tail-steps`
    learn         what `learn` ends with in `--budget`, with the encoders installed, on one core

The package is no part of metaloop and none of its extras: `setfit` is a row where it can be
imported, with sentence-transformers, datasets and accelerate.

Inductive all. Fine-tuning forgets nothing between tasks: each begins with the weights of the file.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from language_data import reading
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from metaloop.catalogue.backbones import open_backbone
from metaloop.catalogue.candidates import build_learner, gentle_candidate, make_candidate
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.budget import parse_budget
from metaloop.core.examples import Examples
from metaloop.core.learner import Learner, MetaParams
from metaloop.core.randomness import torch_stream
from metaloop.core.records import Candidate
from metaloop.domains.text.bert import MeanOfBert
from metaloop.domains.text.minilm import MOST_TOKENS, PACKAGE, opened_minilm
from metaloop.domains.text.packaged import packaged_file
from metaloop.domains.text.tokens import tokens_by
from metaloop.engine.events import Finished
from metaloop.engine.training import train
from metaloop.loop import Learned, learn
from metaloop.models import load_model
from metaloop.nets.frozen_texts import by_length
from metaloop.tasks.family import ClassFamily

QUERIES, BATCH, RATE = 15, 16, 2e-5

Predict = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # support, labels, queries


def contrastive(texts: Sequence[str], pairs: int) -> Predict:
    """Returns what fine-tunes a fresh net on the support and tells the queries apart."""
    _, rules, net = opened_minilm(None)
    cut = tokens_by(rules, "minilm", special=True, most=MOST_TOKENS)
    weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    rng = np.random.default_rng(0)

    def predict(support: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
        net.load_state_dict(weights)
        net.requires_grad_(True)
        tokens = cut([texts[row] for row in support])
        chosen = _pairs(labels, pairs, rng)
        optimiser = torch.optim.AdamW(net.parameters(), lr=RATE)
        for start in range(0, len(chosen), BATCH):
            some = chosen[start : start + BATCH]
            features = _features(net, tokens)  # of a few examples: all of them
            cosines = (features[some[:, 0]] * features[some[:, 1]]).sum(1)
            same = torch.from_numpy(labels[some[:, 0]] == labels[some[:, 1]]).float()
            loss = ((cosines - same) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        net.requires_grad_(False)
        seen, asked = (
            _features(net, cut([texts[row] for row in rows])).numpy() for rows in (support, queries)
        )
        head = LogisticRegression(C=1.0, max_iter=1000).fit(seen, labels)
        return np.asarray(head.predict(asked))

    return predict


def setfit(texts: Sequence[str], pairs: int) -> Predict:
    """Returns what the package makes of a support: a fresh model of its own for every task.

    Ends the program in one line where the package cannot be imported.
    """
    try:
        from datasets import Dataset  # none of metaloop's extras
        from setfit import SetFitModel, Trainer, TrainingArguments
    except ImportError as error:
        sys.exit(
            f"the row 'setfit' needs the package setfit and what it needs ({error}); install them "
            "or leave the row out of --rows"
        )
    listed = packaged_file(PACKAGE, "/modules.json")
    assert listed is not None  # without the package no row has a net
    folder = str(listed.parent)

    def predict(support: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
        model = SetFitModel.from_pretrained(folder, local_files_only=True)
        examples = {"text": [texts[row] for row in support], "label": labels.tolist()}
        with tempfile.TemporaryDirectory() as out:
            plan = TrainingArguments(
                output_dir=out, num_iterations=pairs, report_to="none", save_strategy="no",
                show_progress_bar=False,
            )  # fmt: skip
            data = Dataset.from_dict(examples)
            Trainer(model=model, args=plan, train_dataset=data).train()
        return np.asarray(model.predict([texts[row] for row in queries]))

    return predict


def _pairs(labels: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """For each example so many of its class (itself, if it is alone) and of others, shuffled."""
    found = []
    for row, label in enumerate(labels):
        same = np.flatnonzero((labels == label) & (np.arange(len(labels)) != row))
        others = np.flatnonzero(labels != label)
        for among in (same if len(same) else np.array([row]), others):
            found += [(row, int(other)) for other in rng.choice(among, number)]
    return rng.permutation(np.array(found))


def _features(net: MeanOfBert, tokens: Sequence[Sequence[int]]) -> Tensor:
    rows, found = [], []
    for some in by_length([len(ids) for ids in tokens]):
        rows += some
        found.append(net(torch.tensor([list(tokens[row]) for row in some])))
    return torch.cat(found)[torch.tensor(np.argsort(rows))]


def frozen(features: Tensor) -> Predict:
    """Returns the nearest class mean."""

    def predict(support: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
        means = torch.stack(
            [features[support[labels == k]].mean(0) for k in range(labels.max() + 1)]
        )
        return torch.cdist(features[queries], means).argmin(1).numpy()

    return predict


def trained_net(family: ClassFamily, steps: int, make: Callable[..., Candidate]) -> Predict:
    """Returns nearest class means behind a candidate's net, after its training."""
    spec = family.spec(5, 1, QUERIES)
    candidate = make(family.input_format, spec)
    learner = build_learner(candidate, family.input_format, spec.objective)
    budget = parse_budget(f"{steps} steps")
    *_, finished = train(learner, family, candidate.plan, budget, spec, seed=0)
    assert isinstance(finished, Finished)
    return _adapting(learner, finished.meta_params, _tensor(family))


def learned(read: Any, budget: str, out: Path) -> Predict:
    """Returns what a run of the loop ends with."""
    shutil.rmtree(out, ignore_errors=True)
    asked = DataOptions(backbone="auto")
    events = learn(read, out=out, budget=budget, seed=0, options=asked, workers=1)
    model = next(load_model(each.report["model"]) for each in events if isinstance(each, Learned))
    opened = open_data(read, view=model.view)
    assert isinstance(opened.family, ClassFamily)
    return _adapting(model.learner, model.meta_params, _tensor(opened.family))


def _adapting(learner: Learner, phi: MetaParams, inputs: Tensor) -> Predict:
    def predict(support: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> np.ndarray:
        seen = inputs[torch.from_numpy(support)]
        known = torch.ones(len(seen), dtype=torch.bool)
        examples = Examples(seen, torch.from_numpy(labels), known, int(labels.max()) + 1)
        task = learner.adapt(phi, examples, torch_stream(0, "task"))
        return learner.predict(phi, task, inputs[torch.from_numpy(queries)]).argmax(1).numpy()

    return predict


def main() -> None:
    """Prints a row for each way and task."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--data", dest="name", default="banking")
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--tasks", default="5x1,5x5")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--tail-steps", type=int, default=60)
    parser.add_argument("--rows", default="frozen,contrastive,map")
    parser.add_argument("--budget", default="120s")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-contrastive"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    read = reading(asked.data, asked.name, asked.fold)
    texts = [str(text) for text in read.store.take(torch.arange(len(read.store)))]

    @cache
    def of(backbone: str) -> ClassFamily:
        opened = open_data(read, DataOptions(backbone=open_backbone(backbone, takes="texts")))
        assert isinstance(opened.family, ClassFamily)
        return opened.family

    features = _tensor(of("minilm"))
    train_rows = of("minilm").labelled("train")[0]
    protonet = partial(make_candidate, "protonet")
    unit = torch.nn.functional.normalize(features - features[train_rows].mean(0), dim=1)
    makers: dict[str, Callable[[], Predict]] = {
        "frozen": lambda: frozen(unit),
        "contrastive": lambda: contrastive(texts, asked.pairs),
        "setfit": lambda: setfit(texts, asked.pairs),
        "map": lambda: trained_net(of("minilm+wordllama"), asked.steps, gentle_candidate),
        "tail": lambda: trained_net(of("minilm-front"), asked.tail_steps, protonet),
        "learn": lambda: learned(read, asked.budget, asked.out),
    }
    print(f"{asked.episodes} tasks, {asked.name} fold {asked.fold}")
    ways_to = {}
    for row in dict.fromkeys(["frozen", *asked.rows.split(",")]):
        start = _cpu_seconds()
        ways_to[row] = makers[row]()
        print(f"{row}: {_cpu_seconds() - start:.1f} CPU-seconds once", flush=True)
    print(
        "| row | task | accuracy | over frozen, paired | CPU-seconds a task |\n|---"
        + "|---" * 4
        + "|"
    )
    for ways, shots in (map(int, task.split("x")) for task in asked.tasks.split(",")):
        tasks = _tasks(of("minilm"), ways, shots, asked.episodes)
        values: dict[str, np.ndarray] = {}
        for row, predict in ways_to.items():
            start = _cpu_seconds()
            right = [float((predict(s, ys, q) == yq).mean()) for s, ys, q, yq in tasks]
            each = (_cpu_seconds() - start) / len(tasks)
            values[row] = np.array(right)
            gain = values[row] - values["frozen"]
            print(
                f"| {row} | {ways}w{shots}s | {_figure(values[row], '.1f')} | "
                f"{_figure(gain, '+.1f')} | {each:.2f} |",
                flush=True,
            )


def _cpu_seconds() -> float:
    """What this process and those that it waited for have taken."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _tensor(family: ClassFamily) -> Tensor:
    inputs = family.store.inputs
    assert isinstance(inputs, Tensor)
    return inputs


def _tasks(
    family: ClassFamily, ways: int, shots: int, number: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    rows, targets = family.labelled("test")
    rows_of = [rows[targets == label] for label in np.unique(targets)]
    found = []
    for _ in range(number):
        chosen = rng.choice(len(rows_of), ways, replace=False)
        drawn = np.stack([rng.permutation(rows_of[k])[: shots + QUERIES] for k in chosen])
        labels = np.arange(ways)
        found.append(
            (
                drawn[:, :shots].flatten(), labels.repeat(shots),
                drawn[:, shots:].flatten(), labels.repeat(QUERIES),
            )
        )  # fmt: skip
    return found


def _figure(values: np.ndarray, as_: str) -> str:
    return f"{100 * values.mean():{as_}} +/- {196 * values.std() / len(values) ** 0.5:.1f}"


if __name__ == "__main__":
    main()
