"""How a worker scores candidates: on frozen episodes of a part, features of a net shared.

On the task that is asked for and on as many with several shots: a learner is given either in use,
two heads that are equal with one shot may be points apart with five, and with five shots a net that
was trained longer is told from the others sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import zip_longest

from metaloop.core.errors import (
    DivergenceError,
    EpisodeError,
    MetaloopError,
    is_of_the_machine,
)
from metaloop.core.learner import EmbeddingLearner, Learner, MetaParams
from metaloop.core.objective import objective
from metaloop.core.packing import scores_to_json
from metaloop.core.records import Candidate, Part, to_json
from metaloop.core.spec import TaskSpec
from metaloop.core.statistics import EpisodeScores
from metaloop.engine.evaluation import FeatureCache, protocol, result_of, score_episodes
from metaloop.executors.base import one_line
from metaloop.jobs.measured import Figures, TaskFigures
from metaloop.jobs.workplace import TrainedNet, Workplace
from metaloop.tasks.episodes import Episodes
from metaloop.tasks.family import ClassFamily, TaskFamily, episode_list

SEVERAL = 5  # shots

# What a candidate can do wrong; anything else (a full disk) is the run's business.
CANDIDATES_FAULTS = (
    MetaloopError,
    RuntimeError,
    ValueError,
    TypeError,
    ArithmeticError,
    MemoryError,
)


class Scorer:
    """Scores candidates that share a trained net on the same episodes of a part.

    `episodes`: how many of the part's frozen list to take. `view`: what all of them see of inputs.
    `cache`: features of the net that are known by now.
    """

    def __init__(
        self,
        workplace: Workplace,
        part: Part,
        episodes: int,
        view: str = "",
        cache: FeatureCache | None = None,
    ) -> None:
        self.family = workplace.family.seen(view)
        self.part: Part = part
        self.lists = task_lists(self.family, workplace.spec, part, episodes)
        self.cache = cache

    def figures(
        self,
        make: Callable[[], tuple[Learner, MetaParams]],
        known: Sequence[EpisodeScores] = (),
        until: int | None = None,
    ) -> Figures:
        """Returns what comes of scoring the candidate that `make` makes.

        `known`: of each task, the scores of the first episodes, which are not scored again;
        `until`: how many episodes there shall be in all. A candidate that fails while it is made or
        scored has no `tasks`.
        """
        try:
            learner, meta_params = make()
            if self.cache is None and isinstance(learner, EmbeddingLearner):
                self.cache = FeatureCache(learner, meta_params)
            tasks = tuple(
                self._task(learner, meta_params, spec, episodes[:until], before)
                for (spec, episodes), before in zip_longest(self.lists, known)
            )
        except CANDIDATES_FAULTS as error:
            if is_of_the_machine(error):
                raise
            diverged = isinstance(error, DivergenceError)
            message = str(error) if diverged else f"{type(error).__name__}: {error}"
            return Figures("diverged" if diverged else "failed", one_line(message))
        return Figures("finished", tasks=tasks)

    def _task(
        self,
        learner: Learner,
        meta_params: MetaParams,
        spec: TaskSpec,
        episodes: Episodes,
        before: EpisodeScores | None,
    ) -> TaskFigures:
        parts = [] if before is None else [before]
        rest = episodes[sum(map(len, parts)) :]
        if len(rest):
            scored = score_episodes(
                learner, meta_params, rest, self.family.input_format, spec.objective, self.cache,
                self.family.score,
            )  # fmt: skip
            parts.append(scored)
        scores = EpisodeScores.concatenated(parts)
        measured_by = protocol(learner, self.family, self.part, spec, episodes)
        result = result_of(scores, objective(spec.objective).metric, measured_by)
        to_json(result)  # figures that are not finite are a failure
        return TaskFigures(result, scores_to_json(scores))


def score_heads(
    workplace: Workplace,
    heads: Sequence[Candidate],
    trained: MetaParams,
    seed: int,
    episodes: int,
    cache: FeatureCache | None = None,
) -> tuple[Figures, ...]:
    """Returns figures of every head on the first `episodes` of `search`, as `Scorer.figures`."""
    scorer = Scorer(workplace, "search", episodes, heads[0].view, cache)
    net = TrainedNet(trained)
    return tuple(scorer.figures(partial(workplace.assemble, head, net, seed)) for head in heads)


def task_lists(
    family: TaskFamily,
    spec: TaskSpec,
    part: Part,
    episodes: int,
    first: int = 0,
    otherwise: int | None = None,
) -> list[tuple[TaskSpec, Episodes]]:
    """Returns the task with its frozen episodes, then the same with several shots if it has fewer.

    One that has several already is followed by one with `otherwise` shots, if that is given.
    Nothing follows where classes have too few examples, and for targets that are no classes.
    """
    specs = [spec]
    shots = SEVERAL if spec.shots < SEVERAL else otherwise
    if isinstance(family, ClassFamily) and shots is not None:
        with suppress(EpisodeError):
            specs.append(family.spec(spec.ways, shots, spec.queries, part))
    return [(one, episode_list(family, part, one, first + episodes)[first:]) for one in specs]
