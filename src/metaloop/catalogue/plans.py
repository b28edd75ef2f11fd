"""Plans: for each learner the complete plan that it is trained with, as a function of the data.

ProtoNet's was chosen on Omniglot's validation characters (LOG.md, benchmarks/omniglot.py), that for
vectors on intents and on small drawings (LOG.md); the others follow untuned, unless a paper is
named.
"""

from __future__ import annotations

from typing import Any, Literal

from metaloop.catalogue.domains import domain_of
from metaloop.catalogue.learners import learner_entry
from metaloop.catalogue.nets import tail_of
from metaloop.core.extraction import EXTRACTION
from metaloop.core.generation import GENERATION
from metaloop.core.inputs import InputFormat
from metaloop.core.ranking import OF_ITEMS
from metaloop.core.records import Choice, Plan
from metaloop.core.spec import TaskSpec

# of weights that were trained on a million photographs, and on a billion sentences (LOG.md)
_TAIL_RATES = {"lite0_tail": 3e-4, "minilm_tail": 3e-5}

Style = Literal["episodes", "classes"]


def usual_plan(learner: str, input_format: InputFormat, spec: TaskSpec) -> Plan:
    """Returns the plan for a learner on such inputs, for such tasks."""
    trunk = learner_entry(learner).trunk
    augmentation = default_augmentation(input_format)
    if trunk == "none":
        return Plan("none")
    if spec.objective == GENERATION.name:
        return _generation_plan(trunk)
    if not spec.ways:
        if spec.objective == EXTRACTION.name:
            return _extraction_plan(spec)
        of_items = spec.objective in OF_ITEMS
        return _rating_plan(spec) if of_items else _regression_plan(trunk, spec)
    if trunk == "classifier":
        return _optimised(
            input_format,
            "classes",
            batch_size=128,
            precision="fastest",
            augmentation=augmentation,
        )
    if trunk == "in_context":
        return _in_context_plan(spec)
    if trunk in ("protonet", "ridge"):
        return _optimised(
            input_format,
            "episodes",
            ways=36 if trunk == "protonet" else 20,
            shots=1 if trunk == "protonet" else spec.shots,
            queries=4,
            num_tasks=1,
            precision="fastest",
            augmentation=augmentation,
        )
    # Gradient-based learners: the evaluated task itself, as in their papers.
    return Plan(
        "episodes",
        ways=spec.ways,
        shots=spec.shots,
        queries=5,
        num_tasks=4,
        optimiser="adam",
        learning_rate=2e-3,
        weight_decay=0.0,
        gradient_clip=10.0,
        augmentation=augmentation,
    )


def default_augmentation(input_format: InputFormat) -> Choice:
    """Returns the usual augmentation of such inputs."""
    return domain_of(input_format).augmentation(input_format)


def _optimised(input_format: InputFormat, style: Style, **chosen: Any) -> Plan:
    """Returns the plan with what all plans for such inputs have."""
    domain = domain_of(input_format)
    fields = {**domain.plan, **chosen, **domain.plan_for(input_format, style)}
    if tail := tail_of(input_format):
        fields["learning_rate"] = _TAIL_RATES[tail.name]
    return Plan(style, **fields)


def _in_context_plan(spec: TaskSpec) -> Plan:
    """Episodes as they will be evaluated, several at once: no two tables are alike."""
    return Plan(
        "episodes",
        ways=spec.ways,
        shots=spec.shots,
        queries=min(spec.queries, 10),
        num_tasks=8,
        optimiser="adamw",
        learning_rate=2e-3,
        weight_decay=1e-2,
        warmup=0.05,
        gradient_clip=1.0,
    )


def _rating_plan(spec: TaskSpec) -> Plan:
    """Episodes of users with somewhat more ratings than will be known; chosen on anime titles."""
    return Plan(
        "episodes",
        shots=max(12, spec.shots + spec.shots // 4),
        queries=30,
        num_tasks=64,
        optimiser="adamw",
        learning_rate=2e-3,
        weight_decay=1e-3,
        warmup=0.1,
    )


def _extraction_plan(spec: TaskSpec) -> Plan:
    """Episodes of domains with many queries: a document says little."""
    return Plan(
        "episodes",
        shots=spec.shots,
        queries=max(20, spec.queries),
        num_tasks=8,
        optimiser="adamw",
        learning_rate=3e-3,
        weight_decay=1e-2,
        warmup=0.1,
    )


def _generation_plan(trunk: str) -> Plan:
    """Episodes of several classes with up to ten images each; chosen on Omniglot's `search`."""
    return Plan(
        "episodes",
        shots=10,
        queries=6,
        num_tasks=4,
        optimiser="adamw",
        learning_rate=3e-3,
        weight_decay=1e-2,
        warmup=0.02,
        gradient_clip=1.0,
    )


def _regression_plan(trunk: str, spec: TaskSpec) -> Plan:
    return Plan(
        "episodes",
        shots=spec.shots,
        queries=spec.queries,
        num_tasks=25,  # MAML paper, section A.1
        optimiser="adam",
        learning_rate=1e-3,
        weight_decay=0.0,
    )
