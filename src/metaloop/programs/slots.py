"""The five slots of a program: what each is given, what it returns, and what it may not mix.

    embed_map(x, center)     any example alone: features before the task is known (optional)
    adapt(x, y)              the support with one-hot labels -> the state of the task
    predict(x, *state)       queries, each alone -> logits
    inner_loss(logits, y)    on the support, for `grad` in adapt (optional: cross-entropy)
    meta_loss(logits, y)     on the queries, for meta-training (optional: cross-entropy)

Query labels appear in `meta_loss` alone, whose result reaches no prediction. Along a private axis
nothing is ever summed, compared or normalised, and no matrix has it twice, so that each row of the
result depends on its own row of the input: programs are inductive by their types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from metaloop.programs.types import SCALAR, ValueType, mat, vec

MAX_STATE_VALUES = 4
STATE_NAMES = ("w", "v", "u", "t")


@dataclass(frozen=True)
class Slot:
    """A slot's parameters with their types, its result, and its private axis.

    `result` is None where it is inferred (the state); `takes_state`: whether the state's values
    follow the parameters.
    """

    name: str
    parameters: tuple[tuple[str, ValueType], ...]
    result: ValueType | None
    private: str | None = None
    takes_state: bool = False
    required: bool = False

    def parameter_types(self, state: tuple[ValueType, ...]) -> tuple[ValueType, ...]:
        """Returns the types of all parameters, the state's included."""
        return tuple(t for _, t in self.parameters) + (state if self.takes_state else ())

    def parameter_names(self, num_state_values: int) -> tuple[str, ...]:
        """Returns the usual names of all parameters."""
        own = tuple(name for name, _ in self.parameters)
        return own + (STATE_NAMES[:num_state_values] if self.takes_state else ())


_TABLE = (
    Slot("embed_map", (("x", mat("N", "D")), ("center", vec("D"))), mat("N", "D"), private="N"),
    Slot("adapt", (("x", mat("S", "D")), ("y", mat("S", "C"))), None, required=True),
    Slot(
        "predict",
        (("x", mat("Q", "D")),),
        mat("Q", "C"),
        private="Q",
        takes_state=True,
        required=True,
    ),
    Slot("inner_loss", (("logits", mat("S", "C")), ("y", mat("S", "C"))), SCALAR),
    Slot("meta_loss", (("logits", mat("Q", "C")), ("y", mat("Q", "C"))), SCALAR),
)

SLOTS: Mapping[str, Slot] = MappingProxyType({slot.name: slot for slot in _TABLE})
"""In the order in which they are printed."""
