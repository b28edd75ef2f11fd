"""`RemoteGuest`: a guest in a process of its own, as a black box sees it.

It holds its support, so that it can be fitted again if the process has ended, or has forgotten it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from metaloop.core.errors import GuestError
from metaloop.core.guest_process import guest_process
from metaloop.core.messages import Arrays

TIME_LIMIT_SECONDS = 600.0  # for one task


@dataclass(frozen=True, eq=False)
class RemoteGuest:
    """A classifier or regressor in the process of `program`, made there from `recipe` and arrays.

    `program` is a module of metaloop that calls `guest_serving.serve`; `environment` is added to
    that of this process. `num_classes` is 0 for real targets.
    """

    program: str
    recipe: Mapping[str, Any]
    seed: int
    arrays: Arrays = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)
    limit_seconds: float = TIME_LIMIT_SECONDS
    num_classes: int = 0
    support: Arrays = field(default_factory=dict, repr=False)

    def adapt(self, inputs: np.ndarray, targets: np.ndarray, num_classes: int) -> RemoteGuest:
        """Returns the guest, fitted there."""
        support = {"support.inputs": inputs, "support.targets": targets}
        fitted = replace(self, support=support, num_classes=num_classes)
        fitted._fit()
        return fitted

    def predict(self, state: RemoteGuest, inputs: np.ndarray) -> np.ndarray:
        """Returns log-probabilities `[N, classes]`, or values `[N, targets]`."""
        found = state._asked_of_the_fitted("predict", {"inputs": inputs})
        outputs = found["outputs"]
        if not state.num_classes:
            return outputs
        logits = np.full((len(outputs), state.num_classes), -np.inf)
        logits[:, found["classes"]] = np.log(np.maximum(outputs, 1e-12))
        return logits

    def tensors(self) -> dict[str, np.ndarray]:
        """Returns what a model file may hold of the fitted guest; `GuestError` if nothing."""
        return self._asked_of_the_fitted("tensors", {})

    def _asked_of_the_fitted(self, what: str, arrays: Arrays) -> dict[str, np.ndarray]:
        said, found = self._ask({"do": what, "key": self._key}, arrays)
        if not said["known"]:
            self._fit()
            said, found = self._ask({"do": what, "key": self._key}, arrays)
        if not said["known"]:
            raise GuestError(f"the process of {self.program} forgets what it has fitted")
        return found

    def _fit(self) -> None:
        content = {"do": "fit", "key": self._key, "recipe": dict(self.recipe), "seed": self.seed}
        content["num_classes"] = self.num_classes
        self._ask(content, {**self.arrays, **self.support})

    def _ask(
        self, content: Mapping[str, Any], arrays: Arrays
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        process = guest_process(self.program, self.environment)
        return process.ask(content, arrays, self.limit_seconds)

    @cached_property
    def _key(self) -> str:
        sha = hashlib.sha256(json.dumps([dict(self.recipe), self.seed]).encode())
        for name, array in sorted({**self.arrays, **self.support}.items()):
            sha.update(f"{name} {array.dtype} {array.shape}".encode())
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()
