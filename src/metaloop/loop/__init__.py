"""The loop: choose, train, judge; and its single steps for those who choose by themselves."""

from metaloop.loop.events import DataRead, Learned, LoopEvent, Promoted, Tried, Trying
from metaloop.loop.learning import learn
from metaloop.loop.measuring import evaluate_model
from metaloop.loop.single import train_model

__all__ = [
    "DataRead",
    "Learned",
    "LoopEvent",
    "Promoted",
    "Tried",
    "Trying",
    "evaluate_model",
    "learn",
    "train_model",
]
