"""What a worker does to judge: contestants on fresh episodes of `promotion`, the same for all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metaloop.core.errors import DivergenceError
from metaloop.core.learner import EmbeddingLearner
from metaloop.core.objective import objective
from metaloop.core.records import Result, candidate_from_json, to_json
from metaloop.core.statistics import mean_with_interval
from metaloop.engine.evaluation import FeatureCache, protocol, score_episodes
from metaloop.loop.executor import Report, one_line
from metaloop.loop.training_job import CANDIDATES_FAULTS
from metaloop.loop.workplace import TrainedNet, assemble, family_of, net_of, spec_of
from metaloop.tasks.family import episode_list


def judge(folder: Path, arguments: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
    """Measures every contestant on episodes `first` to `first + episodes` of the frozen list.

    A contestant: `candidate` (JSON) and `node`, whose net it is on (None: it has none). Returns
    figures as training does.
    """
    family, spec = family_of(folder), spec_of(folder)
    first, number = arguments["first"], arguments["episodes"]
    episodes = episode_list(family, "promotion", spec, first + number)[first:]
    caches: dict[int, FeatureCache] = {}
    figures: list[dict[str, Any]] = []
    for contestant in arguments["contestants"]:
        candidate, node = candidate_from_json(contestant["candidate"]), contestant["node"]
        net = net_of(folder, node) if node is not None else TrainedNet({})
        try:
            learner, meta_params = assemble(folder, candidate, net, arguments["seed"])
            cache = caches.get(node) if node is not None else None
            if cache is None and node is not None and isinstance(learner, EmbeddingLearner):
                cache = caches[node] = FeatureCache(learner, meta_params)
            scores = score_episodes(
                learner, meta_params, episodes, family.input_format, spec.objective, cache
            )
        except CANDIDATES_FAULTS as error:
            status = "diverged" if isinstance(error, DivergenceError) else "failed"
            message = one_line(f"{type(error).__name__}: {error}")
            figures.append({"status": status, "message": message})
            continue
        estimate = mean_with_interval(scores)
        result = Result(
            objective(spec.objective).metric,
            estimate.value,
            estimate.ci95,
            estimate.episodes,
            protocol(learner, family, "promotion", spec, episodes),
        )
        figures.append(
            {
                "status": "finished",
                "message": "",
                "result": json.loads(to_json(result)),
                "scores": scores.tolist(),
                "seconds_per_episode": 0.0,
            }
        )
    return {"status": "finished", "message": "", "heads": figures}
