"""The process of scikit-learn: `python -m metaloop.guests.sklearn`, never started by hand."""

from __future__ import annotations

import pickle  # noqa: TID251 (of what the parent of this process sends: no file comes here)
from collections.abc import Mapping
from typing import Any

import numpy as np

from metaloop.core.guest_serving import serve
from metaloop.core.messages import Arrays
from metaloop.guests.sklearn.apart import ESTIMATOR
from metaloop.guests.sklearn.storing import kept


class Guest:
    """An estimator for one task of classes."""

    def __init__(
        self, recipe: Mapping[str, Any], arrays: Arrays, seed: int, num_classes: int
    ) -> None:
        self.made = pickle.loads(arrays[ESTIMATOR].tobytes())
        self.classes_ = np.arange(num_classes)

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> Guest:
        """Learns from inputs `[N, features]` and class indices `[N]`."""
        self.state = self.made.adapt(inputs, targets, len(self.classes_))
        return self

    def predict_proba(self, inputs: np.ndarray) -> np.ndarray:
        """Returns probabilities `[N, classes]`."""
        logits = self.made.predict(self.state, inputs)
        shares = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(shares / shares.sum(1, keepdims=True))

    def tensors(self) -> dict[str, np.ndarray]:
        """Returns the fitted estimator as a model file has it; `GuestError` where it cannot be."""
        _, fitted = self.state
        return {ESTIMATOR: np.frombuffer(kept(fitted), np.uint8)}


if __name__ == "__main__":
    serve(Guest)
