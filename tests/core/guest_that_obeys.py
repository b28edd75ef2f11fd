"""A guest's process for tests: it fits means, or does what its recipe or its inputs say."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from metaloop.core.guest_serving import serve


class Obedient:
    def __init__(self, recipe: Mapping[str, Any], seed: int, num_classes: int) -> None:
        self.recipe, self.seed, self.num_classes = recipe, seed, num_classes

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> Any:
        print("something that a library prints")  # noqa: T201
        does = self.recipe.get("does")
        if does == "exits":
            print("last words", file=sys.stderr)  # noqa: T201
            os._exit(3)
        if does == "hangs":
            time.sleep(600)
        if does == "raises":
            raise ValueError("no\nsuch thing")
        self.mean = targets.mean(0)
        if self.num_classes:
            self.classes_ = np.unique(targets)
        return self

    def __getattr__(self, name: str) -> Any:
        if name == "predict_proba" and self.num_classes:
            return lambda inputs: np.eye(len(self.classes_))[inputs[:, 0].astype(int)]
        raise AttributeError(name)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        told = [self.mean[0], self.seed, os.getpid()]
        return np.tile(np.array(told, dtype=np.float64), (len(inputs), 1))


if __name__ == "__main__":
    serve(lambda recipe, arrays, seed, num_classes: Obedient(recipe, seed, num_classes))
