"""What an in-context learner is worth on 39 tables: alone, and in an average of fifteen pipelines.

    metaloop train synthetic_tables --learner in_context --ways 10 --shots 20 --queries 10 \\
        --budget 2500steps --out in_context.metaloop
    python benchmarks/in_context.py in_context.metaloop [DATA] [--runs FOLDER] [--splits 1]

DATA and the folder are those of benchmarks/tables.py, whose pipelines are trained first where the
folder has them not yet. The learner sees up to 20 columns and 500 rows (as drawn), standardised; what
it tells is a mean over four draws of the columns' places and signs, which it does not know. Both
averages are greedy, in bags, by the balanced decision; "with it" has one pipeline more to choose.
"""  # noqa: E501

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold
from table_data import EIGHT, INNER, SPLITS, outer_splits, read_sets, told_of
from tables import case_of

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))

from derive_table_prior import family_of

from metaloop.core.examples import Examples
from metaloop.core.statistics import mean_with_interval
from metaloop.models.model import Model, load_model
from metaloop.selection.ensembling import best_power, decide, greedy_weights, tempered
from metaloop.selection.prior import load_prior

DRAWS, MOST_ROWS = 4, 500


def told(
    model: Model, inputs: np.ndarray, targets: np.ndarray, asked: np.ndarray, classes: int
) -> np.ndarray:
    """Returns probabilities `[rows, classes]` of the asked rows."""
    rng, width = np.random.default_rng(0), model.input_format.shape[0]
    middle, spread = inputs.mean(0), inputs.std(0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    total = np.zeros((len(asked), classes))
    for _ in range(DRAWS):
        columns = rng.permutation(inputs.shape[1])[:width]
        places = rng.permutation(width)[: len(columns)]
        rows = rng.permutation(len(inputs))[:MOST_ROWS]
        signs = rng.choice([-1.0, 1.0], len(columns))

        def seen(of: np.ndarray) -> torch.Tensor:
            found = np.zeros((len(of), width), np.float32)
            found[:, places] = ((of - middle) / spread)[:, columns] * signs  # noqa: B023
            return torch.from_numpy(found)

        labels = torch.from_numpy(targets[rows].astype(np.int64))
        there = torch.ones(len(rows), dtype=torch.bool)
        with torch.no_grad():
            state = model.learner.adapt(
                model.meta_params, Examples(seen(inputs[rows]), labels, there, classes)
            )
            outputs = model.learner.predict(model.meta_params, state, seen(asked))
        total += torch.softmax(outputs, -1).numpy() / DRAWS
    return total


def main() -> None:
    """Prints means over data sets, and paired differences with 95 % intervals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--runs", type=Path, default=Path("runs/tables"))
    parser.add_argument("--splits", type=int, default=1, choices=range(1, SPLITS + 1))
    asked = parser.parse_args()
    data = asked.data or Path(os.environ["METALOOP_SHARED_DATA"])
    model, sets, prior = (
        load_model(asked.model),
        read_sets(data, 1250),
        load_prior("classification"),
    )
    found: dict[str, list[float]] = {}
    for data_set in sets:
        scores: dict[str, list[float]] = {}
        for split in range(asked.splits):
            case = case_of(told_of(data_set, split, asked.runs), prior)
            train, test = outer_splits(data_set)[split]
            inputs, targets = data_set.inputs[train], data_set.targets[train]
            count = data_set.num_classes
            out = np.zeros((len(train), count))
            for learned, left in StratifiedKFold(INNER, shuffle=True, random_state=1).split(
                inputs, targets
            ):
                out[left] = told(model, inputs[learned], targets[learned], inputs[left], count)
            power = best_power(out, targets)
            out = tempered(out, power)
            own = tempered(told(model, inputs, targets, data_set.inputs[test], count), power)
            for name, extra in (("average", []), ("average with it", [own])):
                known = [*case.told.out_of_fold, *([out] if extra else [])]
                weights = greedy_weights(np.stack(known), targets, case.shares, bags=10)
                mean = np.tensordot(weights, np.stack([*case.told.refit, *extra]), 1)
                scores.setdefault(name, []).append(case.score(decide(mean, case.shares)))
            scores.setdefault("alone", []).append(case.score(decide(own, case.shares)))
            trees = case.told.refit[case.places(EIGHT)[0]]
            scores.setdefault("extra trees", []).append(case.score(decide(trees, case.shares)))
        for name, values in scores.items():
            found.setdefault(name, []).append(float(np.mean(values)))
    for name, values in found.items():
        print(f"{name}: balanced accuracy {np.mean(values):.2f}")
    families = [family_of(each.name) for each in sets]
    for one, other in (("average with it", "average"), ("alone", "extra trees")):
        apart = np.subtract(found[one], found[other])
        by_family = [
            float(np.mean(apart[np.array(families) == each])) for each in dict.fromkeys(families)
        ]
        for what, gains in (("data sets", apart), ("families", np.array(by_family))):
            value = mean_with_interval(gains)
            print(f"{one} - {other}, {what}: {value.value:+.2f} ± {value.ci95:.2f}")


if __name__ == "__main__":
    main()
