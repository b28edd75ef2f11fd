"""`SelectSettings`: the numbers by which a run of `select` goes; tests pass others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SelectSettings:
    """Shares of the budget, sizes of proxies, and how much is believed of what they say.

    Spreads (standard deviations) are shares of what the metric can gain over guessing.
    """

    search_share: float = 0.15  # of the budget, for choosing; the rest trains what was chosen
    informed_share: float = 0.08  # the same where an archive has told what to try first
    first_share: float = 0.6  # of what is for choosing, that goes into proxies of the first rung
    proxy_steps: int = 50  # of the usual net: a first proxy takes as long
    proxy_side: float = 0.5  # of the images, in the first rung
    longer: float = 3.0  # how many times a proxy of the second rung takes
    fewest_raced: int = 2  # a race of fewer is none
    most_raced: int = 24  # in the first rung, changed ones included
    informed_raced: int = 3
    finalists: int = 3
    children_from: float = 0.5  # of the first rung: then what is known is changed and crossed

    prior_spread: float = 0.04  # of pipelines about what is expected of them
    proxy_spreads: tuple[float, ...] = (0.04, 0.015)  # what a rung's proxies mislead by,
    size_spreads: tuple[float, ...] = (0.1, 0.04)  # and by a net that is e times as dear, beside
    child_loss: float = 0.003  # what a change costs on average: most are for the worse
    mirror_gain: float = 0.01  # of mirror images, which pay late, where nothing else is known
    size_loss: float = 0.012  # of a net that is e times as dear as it should be, squared in log
    usual_examples: float = 200_000.0  # trained on so many, the usual net is the right one
    useful_passes: float = 40.0  # through the data: beyond, no larger net is called for

    frozen_share: float = 0.35  # of the budget, for what backbones make of the examples
    mirrored_gain: float = 0.6  # expected of mirror images, in standard errors of what is measured,
    second_gain: float = 1.0  # of a second look at larger images,
    centroid_loss: float = 0.75  # and of centroids beside regression (LOG.md)
    fewest_encoded: int = 5  # examples of each class, whatever that takes
    encoded_steps: float = 0.012  # what an image costs in steps, at the side that is usual
    encoded_side: int = 96
    most_cross_validated: int = 600  # examples; more of them are judged by `search` alone
    most_baseline: int = 4000  # examples that plain methods on pixels learn from
    baseline_side: int = 16  # pixels of the images that they see
    most_tested: int = 2000  # examples of `test` that baselines are looked at on

    guests_share: float = 0.5  # of what is for choosing, at most, for guests together,
    guest_start_seconds: float = 15.0  # and this for each of them, which its library takes to load
    guest_seconds: float = 600.0  # at most, where the budget is in steps
    guest_examples: int = 2000  # of `train` that a guest is measured with

    kept_back: float = 0.01  # of the budget, for what is between two trainings
    wait_seconds: float = 0.25
    note_seconds: float = 2.0
    patience: float = 4.0  # a job may take so many times its budget,
    grace_seconds: float = 60.0  # and this on top


USUAL = SelectSettings()
