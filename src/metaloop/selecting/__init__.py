"""One data set as one task: choose a whole pipeline, train it, say how good it is.

The counterpart of `loop`, which learns learners of new classes: here all classes are known, and
their examples are dealt into `train`, `search` and a sealed `test`. Jobs, workers, archive, page
and events are the same ones.
"""

from metaloop.selecting.selecting import select
from metaloop.selecting.settings import USUAL, SelectSettings

__all__ = ["USUAL", "SelectSettings", "select"]
