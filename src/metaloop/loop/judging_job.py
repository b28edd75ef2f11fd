"""What a worker does to judge: contestants on fresh episodes of `promotion`, the same for all.

Of the task that is asked for, and as many with several shots: a learner is given either in use, and
two heads that are equal with one shot may be points apart with five.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metaloop.core.errors import DivergenceError
from metaloop.core.learner import EmbeddingLearner, Learner, MetaParams
from metaloop.core.objective import objective
from metaloop.core.records import Result, candidate_from_json, to_json
from metaloop.core.spec import TaskSpec
from metaloop.core.statistics import mean_with_interval
from metaloop.engine.evaluation import FeatureCache, protocol, score_episodes
from metaloop.loop.executor import Report, one_line
from metaloop.loop.training_job import CANDIDATES_FAULTS
from metaloop.loop.workplace import (
    TrainedNet,
    assemble,
    family_of,
    net_of,
    spec_of,
    with_several_shots,
)
from metaloop.tasks.episodes import Episodes
from metaloop.tasks.family import TaskFamily, episode_list


def judge(folder: Path, arguments: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
    """Measures every contestant on episodes `first` to `first + episodes` of the frozen list.

    A contestant: `candidate` (JSON) and `node`, whose net it is on (None: it has none). Its
    figures: `results` for each task, the one that is asked for first.
    """
    family, spec = family_of(folder), spec_of(folder)
    first, number = arguments["first"], arguments["episodes"]
    specs = with_several_shots(family, spec, "promotion")
    lists = [episode_list(family, "promotion", one, first + number)[first:] for one in specs]
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
            results = [
                _measured(learner, meta_params, family, one, episodes, cache)
                for one, episodes in zip(specs, lists, strict=True)
            ]
        except CANDIDATES_FAULTS as error:
            status = "diverged" if isinstance(error, DivergenceError) else "failed"
            message = one_line(f"{type(error).__name__}: {error}")
            figures.append({"status": status, "message": message})
            continue
        figures.append({"status": "finished", "message": "", "results": results})
    return {"status": "finished", "message": "", "heads": figures}


def _measured(
    learner: Learner,
    meta_params: MetaParams,
    family: TaskFamily,
    spec: TaskSpec,
    episodes: Episodes,
    cache: FeatureCache | None,
) -> dict[str, Any]:
    scores = score_episodes(
        learner, meta_params, episodes, family.input_format, spec.objective, cache
    )
    estimate = mean_with_interval(scores)
    result = Result(
        objective(spec.objective).metric,
        estimate.value,
        estimate.ci95,
        estimate.episodes,
        protocol(learner, family, "promotion", spec, episodes),
    )
    return {"result": json.loads(to_json(result)), "scores": scores.tolist()}
