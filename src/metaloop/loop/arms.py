"""The arms of the loop's bandits: what a line can go on with, and what a new one can differ by.

Data operators are arms by their text, `data: add rotate(90)`; the others by a word.
"""

from __future__ import annotations

from collections.abc import Sequence

from metaloop.loop.credit import Bandit, Use

CONTINUE, SEED, PLAN, NET, CROSSOVER = "continue", "seed", "plan", "net", "crossover"
INNER_LOSS, END_TO_END = "inner loss", "end to end"
DATA = "data: "
SEED_WORDS = "seed: a fresh start"

# Guesses, as if each had been seen a few times in an earlier run: they decide what is tried first,
# a few measurements outweigh them. More training usually helps, and most changes do not. Of data,
# turned classes gave a ResNet-12 on CIFAR-FS 3 to 4 points (Lee et al. 2019 and others), and mixed
# tasks help with few classes (MLTI, Yao et al. 2022).
_GUESSES = {
    "continue": 0.04,
    f"{DATA}add rotate(90)": 0.03,
    f"{DATA}add mix(0.3)": 0.015,
    "plan": 0.01,
    "net": 0.01,
    "inner loss": 0.0,
    "end to end": 0.01,
    "crossover": 0.0,
    "seed": 0.0,
}
_GUESS_OF_ANOTHER, _GUESS_ERROR, _GUESS_TIMES = -0.01, 0.01, 4
SEGMENT_COST = 10.0  # of one usual segment, whatever the budget: rates are gains per segment / 10
STANDARD_ERRORS_OF_INTERVAL = 1.96
LEAST_COST = 1e-3


def guessing_bandit(arms: Sequence[str], earlier: Sequence[Use]) -> Bandit:
    """Returns a bandit over these arms that starts from the guesses and from earlier runs."""
    guesses = [
        Use(arm, _GUESSES.get(arm, _GUESS_OF_ANOTHER), _GUESS_ERROR, SEGMENT_COST)
        for arm in arms
        for _ in range(_GUESS_TIMES)
    ]
    return Bandit(arms, [*guesses, *earlier])


def arm_of(operator: str) -> str:
    """Returns the arm that an operator in words belongs to: `plan` for `plan: warmup 0 -> 0.1`."""
    return operator if operator.startswith(DATA) else operator.partition(":")[0]


def adds_operator(arm: str) -> bool:
    """Whether an arm makes new classes (rather than taking those of another family)."""
    return arm.startswith(DATA) and not arm.startswith(f"{DATA}add family ")
