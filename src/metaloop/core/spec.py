"""`TaskSpec`: the shape of a task. Ways, shots and queries always mean the evaluated task."""

from __future__ import annotations

from dataclasses import dataclass

from metaloop.core.errors import EpisodeError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class TaskSpec:
    """Ways, shots and queries of an episode and the shapes of what is in it.

    `ways` is 0 where targets are not classes; then `shots` and `queries` count the examples of the
    task, else those of each class. `target_shape` is `()` for class indices.
    `num_training_classes` is what a whole-class classifier tells apart; 0 where there is none.
    """

    ways: int
    shots: int
    queries: int
    input_shape: Shape
    objective: str = "classification"
    target_shape: Shape = ()
    num_training_classes: int = 0

    def __post_init__(self) -> None:
        if self.ways == 1 or (self.ways < 1 and self.objective == "classification"):
            raise EpisodeError(f"a task needs at least 2 ways to tell apart, got {self.ways}")
        if self.shots < 1 or self.queries < 1:
            raise EpisodeError(
                f"shots and queries are at least 1, got {self.shots} and {self.queries}"
            )
