"""What a worker does to judge: contestants on fresh episodes of `promotion`, the same for all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from metaloop.core.records import candidate_from_json
from metaloop.loop.executor import Report
from metaloop.loop.scoring import Scorer
from metaloop.loop.workplace import TrainedNet, assemble, net_of


def judge(folder: Path, arguments: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
    """Scores every contestant on episodes `first` to `first + episodes` of the frozen list.

    A contestant: `candidate` (JSON) and `node`, whose net it is on (None: it has none). Figures are
    as `Scorer.figures` returns them.
    """
    scorers: dict[int | None, Scorer] = {}
    figures: list[dict[str, Any]] = []
    for contestant in arguments["contestants"]:
        candidate, node = candidate_from_json(contestant["candidate"]), contestant["node"]
        if node is None or node not in scorers:
            scorers[node] = Scorer(
                folder, "promotion", arguments["episodes"], first=arguments["first"]
            )
        net = net_of(folder, node) if node is not None else TrainedNet({})
        make = partial(assemble, folder, candidate, net, arguments["seed"])
        figures.append(scorers[node].figures(make))
    return {"status": "finished", "message": "", "heads": figures}
