"""The arms of the loop's bandits: what a line can go on with, and what a new one can differ by.

Data operators are arms by their text, `data: add rotate(90)`; the others by a word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from metaloop.selection.bandit import Bandit, Use

CONTINUE, SEED, PLAN, NET, CROSSOVER = "continue", "seed", "plan", "net", "crossover"
INNER_LOSS, END_TO_END, RESOLUTION = "inner loss", "end to end", "resolution"
EPISODES = "episodes"  # a whole-class line goes on as prototypes
VOICES = "voices"  # some training episodes with support of one speaker, queries of others
DATA = "data: "
ALL_DATA = f"{DATA}add all"  # one of each kind of operator, from the start
SEED_WORDS = "seed: a fresh start"

# Guesses, as if each had been seen a few times in an earlier run: they decide what is tried first,
# a few measurements outweigh them. More training usually helps, and most changes do not. Another
# kind of net is the best second member of a joined one.
_GUESSES = {
    CONTINUE: 0.04,
    PLAN: 0.01,
    NET: 0.04,
    INNER_LOSS: 0.0,
    END_TO_END: 0.01,
    RESOLUTION: 0.05,
    EPISODES: 0.045,
    VOICES: 0.005,
    CROSSOVER: 0.0,
    SEED: 0.0,
}
# Of data by the number of training classes: few are learned by heart, so more classes help; among
# many they take the place of better ones. Rotated classes: +2 to +3 points with 20 classes of
# photographs, -4 to -5 with 100 (LOG.md); mixed ones help with few (MLTI, Yao et al. 2022).
_FEW_CLASSES, _MANY_CLASSES = 30, 100
_DATA_GUESSES = {f"{DATA}add rotate(90)": (0.06, -0.02), f"{DATA}add mix(0.3)": (0.015, -0.01)}
_FAMILY, _FAMILY_GUESS = f"{DATA}add family ", 0.03  # somebody thought that it might help
_GUESS_OF_ANOTHER, _GUESS_ERROR, _GUESS_TIMES = -0.01, 0.01, 4
_GUESSED_OF = 0.8  # what accuracy can gain at 5 ways, where the guesses were made
SEGMENT_COST = 10.0  # of one usual segment, whatever the budget: rates are gains per segment / 10
STANDARD_ERRORS_OF_INTERVAL = 1.96
LEAST_COST = 1e-3


def guessing_bandit(arms: Sequence[str], earlier: Sequence[Use], num_classes: int) -> Bandit:
    """Returns a bandit over these arms that starts from the guesses and from earlier runs.

    It is credited with shares of what the metric can gain over a constant answer.

    `num_classes`: how many there are to learn from (0 where targets are no classes).
    """
    guesses = [
        Use(arm, guess(arm, num_classes) / _GUESSED_OF, _GUESS_ERROR / _GUESSED_OF, SEGMENT_COST)
        for arm in arms
        for _ in range(_GUESS_TIMES)
    ]
    return Bandit(arms, [*guesses, *earlier])


def guess(arm: str, num_classes: int) -> float:
    """Returns what one segment with this arm may bring: accuracy, with 5 ways."""
    if arm.startswith(_FAMILY):
        return _FAMILY_GUESS
    if arm not in _DATA_GUESSES:
        return _GUESSES.get(arm, _GUESS_OF_ANOTHER)
    ends = math.log(_FEW_CLASSES), math.log(_MANY_CLASSES)
    return float(np.interp(math.log(max(1, num_classes)), ends, _DATA_GUESSES[arm]))


def arm_of(operator: str) -> str:
    """Returns the arm that an operator in words belongs to: `plan` for `plan: warmup 0 -> 0.1`."""
    return operator if operator.startswith(DATA) else operator.partition(":")[0]


def adds_operator(arm: str) -> bool:
    """Whether an arm makes new classes (rather than taking those of another family)."""
    return arm.startswith(DATA) and not arm.startswith(_FAMILY)
