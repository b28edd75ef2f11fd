"""A family scores by what its examples are: through `evaluate`, and through a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import metaloop as ml
from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.errors import MetaloopError
from metaloop.core.metric import Metric, Scores
from metaloop.core.metrics import ACCURACY
from metaloop.core.objective import CLASSIFICATION, OBJECTIVES, Objective
from metaloop.core.scales import Scale
from metaloop.core.spec import TaskSpec
from metaloop.jobs.shipping import ship_family
from metaloop.loop.settings import Settings
from metaloop.report import claim_of, read_run
from metaloop.tasks.episodes import Episodes
from metaloop.tasks.family import ClassFamily

OVERLAP = Metric(Scale("overlap", "words in common", True, 1.0), None, None, lambda _t, _m, _w: 0.0)
FINDING = Objective("finding", "classes", CLASSIFICATION.loss, (OVERLAP, ACCURACY))
THINGS = (
    *("parcel", "invoice", "password", "refund", "delivery", "account", "card", "loan"),
    *("flight", "hotel", "garden", "piano", "concert", "ticket", "museum", "dentist"),
)
FRAMES = ("where is my {}", "help me with the {} now", "the {} does not work", "I lost my {}")


class Finding(ClassFamily):
    """Which class a text is of, judged by the words it shares with the support of the answer."""

    def spec(self, ways: int, shots: int, queries: int = 15, part: Any = None) -> TaskSpec:
        return replace(super().spec(ways, shots, queries, part), objective="finding")

    def score(
        self, objective: Objective, outputs: Tensor, targets: Tensor, episodes: Episodes
    ) -> Mapping[str, Scores]:
        answers = outputs.argmax(-1)
        values = torch.zeros(outputs.shape[:2], dtype=torch.float64)
        for task in range(len(episodes)):
            asked = self._words(episodes.query.examples[task])
            shown = self._words(episodes.support.examples[task])
            for place, answer in enumerate(answers[task].tolist()):
                theirs = episodes.support.labels[task] == answer
                own = [words for words, there in zip(shown, theirs, strict=True) if there]
                common = max(len(asked[place] & words) for words in own)
                values[task, place] = common / len(asked[place])
        of_class = targets[..., None] == torch.arange(episodes.num_classes)
        units = (values[..., None] * of_class).sum(1) / of_class.sum(1)
        tensors = super().score(objective, outputs, targets, episodes)
        return {"overlap": (values.mean(1), units), **tensors}

    def _words(self, rows: Any) -> list[set[str]]:
        assert self.raw is not None
        return [set(str(text).split()) for text in self.raw.take(rows)]


@pytest.fixture(scope="module")
def finding() -> Finding:
    table = {
        "text": [frame.format(thing) for thing in THINGS for frame in FRAMES],
        "label": [thing for thing in THINGS for _ in FRAMES],
    }
    family = open_data(table, DataOptions(view="words")).family
    assert isinstance(family, ClassFamily)
    return Finding(**{field.name: getattr(family, field.name) for field in fields(family)})


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OBJECTIVES, "finding", FINDING)


def test_a_run_goes_by_the_score_of_its_family(finding: Finding, tmp_path: Path) -> None:
    few = Settings(
        learners=("nearest_centroid", "protonet"), race_episodes=20, episodes=20, join_episodes=20,
        round_episodes=20, final_episodes=40, test_episodes=60,
    )  # fmt: skip
    run = ml.learn(
        finding, budget="8steps", ways=2, queries=2, settings=few, out=tmp_path / "run",
        generates=ml.loop.Generates(algorithms=False, data=False), progress=False,
    )  # fmt: skip
    test = run.test
    assert test is not None and test.metric == "overlap" and set(test.metrics) == {"accuracy"}
    assert 0 < test.value < 1 and test.chance is None
    assert {row["search"]["metric"] for row in run.leaderboard} == {"overlap"}
    again = ml.evaluate(run, finding, episodes=60, progress=False)
    assert again.value == test.value and again.metrics == test.metrics  # the same episodes
    assert isinstance(run.model, ml.FewShotClassifier)
    said = " ".join(claim_of(read_run(run.out)).sentences)
    assert "overlap" in said and "On the same episodes: accuracy" in said


def test_a_family_of_ones_own_is_not_sent_away_as_another(finding: Finding, tmp_path: Path) -> None:
    with pytest.raises(MetaloopError, match="class Finding cannot be given to worker processes"):
        ship_family(finding, tmp_path)


@pytest.mark.parametrize("told", [{}, {"accuracy": None}, {"overlap": None, "bleu": None}])
def test_a_score_that_is_not_what_the_objective_has_is_refused(
    finding: Finding, told: dict[str, None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    zeros = (torch.zeros(5), torch.zeros(5, 2))
    monkeypatch.setattr(Finding, "score", lambda *_: dict.fromkeys(told, zeros))
    with pytest.raises(ValueError, match="has the metrics overlap, accuracy"):
        ml.train(finding, "ridge", budget="2steps", ways=2, queries=2, progress=False)
