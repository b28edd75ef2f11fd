"""What a learner of drawn characters makes of real handwriting: scikit-learn's digits.

The digits are ten classes that no font character shares. From one and from five examples of each,
beside logistic regression and the nearest neighbour on their pixels, over the same episodes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from metaloop.catalogue.families import open_data
from metaloop.core.inputs import InputFormat
from metaloop.core.learner import Learner
from metaloop.core.statistics import EpisodeScores, estimate, paired_difference
from metaloop.engine.evaluation import score_episodes
from metaloop.learners.logistic_regression import LogisticRegressionLearner
from metaloop.learners.nearest_neighbour import NearestNeighbour
from metaloop.models.model import Model
from metaloop.tasks.digits import digit_pixels
from metaloop.tasks.episodes import Episodes
from metaloop.tasks.family import episode_list

_WAYS, _QUERIES = 10, 15
_SHOTS = (1, 5)
# Tuned on these very digits, a favour to the baseline: C = 1 is the best of 0.001 to 100.
_BASELINES: dict[str, Learner] = {
    "logistic regression on pixels": LogisticRegressionLearner(inverse_strength=1.0),
    "nearest neighbour on pixels": NearestNeighbour(),
}


def digits_report(model: Model, num_episodes: int = 1000) -> dict[str, Any]:
    """Returns, per shot, accuracy with interval of the model and of the pixel baselines.

    `{"ways": 10, "episodes": n, "1-shot": {"learner": {"value", "ci95", "ci95_new"}, ...}, ...}`;
    each baseline also has the model's paired gain over it. All ten digits are in every episode.
    """
    family = open_data("digits", parts={}, input_format=model.input_format).family
    family = family.to(model.device)
    report: dict[str, Any] = {"ways": _WAYS, "episodes": num_episodes}
    for shots in _SHOTS:
        spec = family.spec(_WAYS, shots, _QUERIES, part="test")
        episodes = episode_list(family, "test", spec, num_episodes)
        learned = score_episodes(model.learner, model.meta_params, episodes, model.input_format)
        row: dict[str, Any] = {"learner": _figures(learned)}
        for name, baseline in _BASELINES.items():
            scores = _baseline_scores(baseline, episodes)
            gain = paired_difference(learned, scores)
            row[name] = {
                **_figures(scores),
                "gain": gain.value,
                "gain_ci95": gain.ci95,
                "gain_ci95_new": gain.ci95_new,
            }
        report[f"{shots}-shot"] = row
    return report


def _baseline_scores(baseline: Learner, episodes: Episodes) -> EpisodeScores:
    """Returns a baseline's scores on the same episodes, on the original 8x8 pixels."""
    pixels, _ = digit_pixels()
    store = replace(episodes.store, inputs=pixels.to(episodes.store.device))
    plain = InputFormat("vector", (pixels.shape[1],), (0.0,) * 64, (1.0,) * 64)
    return score_episodes(baseline, {}, replace(episodes, store=store), plain)


def _figures(scores: EpisodeScores) -> dict[str, float | None]:
    found = estimate(scores)
    return {"value": found.value, "ci95": found.ci95, "ci95_new": found.ci95_new}
