"""`Settings`: the numbers by which a run of the loop goes; tests and trials pass others.

What they decide is how much is measured and how long is waited. What the loop may do is said by
`Generates` (`proposal.py`); what is tried is decided by what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Episodes, shares of the budget, and patience; the defaults are those of every usual run.

    `learners`: names of those to choose among, None for all of the catalogue.
    """

    learners: tuple[str, ...] | None = None

    race_episodes: int = 100  # to measure the first segments on `search`
    episodes: int = 400  # to measure what comes later
    join_episodes: int = 200  # for many features there are many numbers to go through
    round_episodes: int = 100  # of `promotion`, in a round
    final_episodes: int = 400  # at most: a judgement stops where more would not help
    test_episodes: int = 1000

    rounds_at: tuple[float, ...] = (0.35, 0.65)  # spent shares at which the incumbent is tested
    finish_share: float = 0.12  # of a budget in seconds, at most, for joining and judging
    measurements_to_finish: float = 8.0  # what they take, in times that a node takes to be measured
    least_segment: float = 0.25  # of what was planned: a shorter one is not worth starting

    wait_seconds: float = 0.5  # between two looks at what workers do
    note_seconds: float = 2.0  # between two notes of what is spent
    patience: float = 4.0  # a job may take so many times its budget,
    grace_seconds: float = 60.0  # and this on top
    seconds_allowed: float = 1800.0  # of a job, where the budget is in steps

    most_joined_from: int = 6
    joining_reach: float = 0.075  # of what can be gained, behind the best: others only cost time
    most_inventions_joined: int = 2


USUAL = Settings()
