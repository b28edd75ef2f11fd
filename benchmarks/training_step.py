"""What each engine setting is worth: milliseconds per training step, settings side by side.

    .venv/bin/python benchmarks/training_step.py [--rounds 5] [--steps 8] [--json]

On the embedded glyphs, for ProtoNet (net `strided` and `conv4`), the whole-class classifier and
MAML: float32 against bfloat16 embeddings, loop against `vmap`, with and without keeping large
blocks of memory (each in a process of its own). Settings take turns, round by round, and ratios are
taken within a round, so that a machine whose speed drifts does not decide.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

CASES = {  # name: learner, net, tasks, precision, keep large blocks
    "protonet strided float32": ("protonet", "strided", "vmap", "float32", True),
    "protonet strided bfloat16": ("protonet", "strided", "vmap", "bfloat16", True),
    "protonet strided float32, blocks given back": (
        "protonet", "strided", "vmap", "float32", False,
    ),
    "protonet conv4 float32": ("protonet", "conv4", "vmap", "float32", True),
    "simpleshot strided float32": ("simpleshot", "strided", "vmap", "float32", True),
    "maml strided loop": ("maml", "strided", "loop", "float32", True),
    "maml strided vmap": ("maml", "strided", "vmap", "float32", True),
}  # fmt: skip


def time_case(name: str, steps: int) -> float:
    """Returns milliseconds per step of one case, in this process."""
    from metaloop.catalogue import build_learner, make_candidate, open_data
    from metaloop.core.budget import Budget
    from metaloop.engine import training
    from metaloop.engine.beginning import initial_state
    from metaloop.engine.memory import keep_large_blocks
    from metaloop.engine.strategy import Strategy

    learner_name, net, tasks, precision, keep = CASES[name]
    if keep:
        keep_large_blocks()
    family = open_data("glyphs").family
    spec = family.spec(5, 1)
    candidate = make_candidate(learner_name, family.input_format, spec, net)
    learner = build_learner(candidate, family.input_format, "classification")
    state = initial_state(learner, family, spec, seed=0)
    run = training._Run(learner, family, candidate.plan, Budget(steps=10**6), spec, 0, state)
    run.strategy = Strategy(tasks, precision)
    for _ in range(3):
        run.step()
    start = time.perf_counter()
    for _ in range(steps):
        run.step()
    return 1000 * (time.perf_counter() - start) / steps


def main() -> None:
    """Times all cases in turns and prints medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(time_case(options.case, options.steps))
        return
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(options.rounds):
        for name in CASES:
            command = [sys.executable, __file__, "--case", name, "--steps", str(options.steps)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            times[name].append(float(done.stdout))
    base = next(iter(CASES))
    rows = {
        name: {
            "milliseconds": statistics.median(measured),
            "ratio": statistics.median(a / b for a, b in zip(measured, times[base], strict=True)),
        }
        for name, measured in times.items()
    }
    if options.json:
        print(json.dumps(rows))
        return
    print(f"| setting | ms per step | ratio to {base} |\n|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row['milliseconds']:.0f} | {row['ratio']:.2f} |")


if __name__ == "__main__":
    main()
