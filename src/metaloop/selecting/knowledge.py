"""What earlier runs of `select`, on whatever data, say of pipelines: where to begin on new data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from metaloop.archive import Archive
from metaloop.catalogue.pipelines import CLASSIFIER
from metaloop.core.records import Candidate

COMMAND = "select"
_PRIOR_RUNS = 1.0  # an advantage seen once counts half


def known_pipelines(archive: Archive) -> Mapping[str, float]:
    """Returns, by identity, how much better than others a pipeline was in the archive's runs.

    As a share of what can be gained over guessing, the mean over runs, shrunk towards 0 where there
    were few. Compared are those that were measured on one list of examples in one run.
    """
    trained = {c.identity for c in archive.candidates() if c.candidate.learner.name == CLASSIFIER}
    advantages: dict[str, list[float]] = defaultdict(list)
    for run in archive.runs():
        if run.command != COMMAND:
            continue
        groups: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
        for stored in archive.trials(run.id):
            if stored.trial.candidate not in trained:
                continue
            for result in stored.trial.results:
                if result.protocol.part == "search":
                    key = (result.protocol.list_hash, stored.trial.rung)
                    guessing = 1 / max(2, result.protocol.ways)
                    share = result.value / (1 - guessing)
                    groups[key][stored.trial.candidate] = share
        last: dict[str, float] = {}
        for _, shares in sorted(groups.items(), key=lambda pair: pair[0][1]):
            if len(shares) > 1:
                middle = float(np.mean(list(shares.values())))
                last |= {name: share - middle for name, share in shares.items()}
        for name, advantage in last.items():
            advantages[name].append(advantage)
    return {
        name: float(np.sum(found)) / (len(found) + _PRIOR_RUNS)
        for name, found in advantages.items()
    }


def candidates_of(archive: Archive, most: int) -> list[tuple[Candidate, float]]:
    """Returns the best pipelines of the archive's runs with their advantages, the best first."""
    known = known_pipelines(archive)
    best = sorted(known, key=lambda name: -known[name])[:most]
    stored = {one.identity: one.candidate for one in archive.candidates()}
    return [(stored[name], known[name]) for name in best]
