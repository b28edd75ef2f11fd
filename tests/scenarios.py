"""A small scenario as ASlib writes it, for tests."""

from pathlib import Path

import numpy as np

DESCRIPTION = """scenario_id: SMALL
performance_measures:
    - runtime
maximize:
- false
performance_type:
    - runtime
algorithm_cutoff_time: 100
algorithm_cutoff_memory: '?'
feature_steps:
    Pre:
        provides:
            - size
    more:
        provides:
        - kind
        requires:
        - Pre
"""


def write_scenario(folder: Path, count: int = 60, informative: bool = True) -> Path:
    """Instances of which even ones are solved by `fast`, odd ones by `slow`, told by a feature."""
    folder.mkdir()
    (folder / "description.txt").write_text(DESCRIPTION)
    rng = np.random.default_rng(0)
    runs, values, costs, folds = [], [], [], []
    for place in range(count):
        even = place % 2 == 0
        for name, good in (("fast", even), ("slow", not even)):
            runs.append(f"'i {place}',1,{name},{20 if good else 100},{'ok' if good else 'timeout'}")
        told = even if informative else rng.random() < 0.5
        values.append(f"'i {place}',1,{rng.random():.3f},{'?' if place == 3 else float(told)}")
        costs.append(f"'i {place}',1,1.5,?")
        folds.append(f"'i {place}',1,{place // 2 % 5 + 1}")

    def arff(name: str, columns: str, rows: list[str]) -> None:
        header = "\n".join(f"@ATTRIBUTE {each}" for each in columns.split(", "))
        key = "@ATTRIBUTE instance_id STRING\n@ATTRIBUTE repetition NUMERIC"
        text = f"@RELATION r\n{key}\n{header}\n@DATA\n" + "\n".join(rows) + "\n"
        (folder / f"{name}.arff").write_text(text)

    arff(
        "algorithm_runs",
        "algorithm STRING, runtime NUMERIC, runstatus {ok|timeout}".replace("|", ","),
        runs,
    )
    arff("feature_values", "size NUMERIC, kind NUMERIC", values)
    arff("feature_costs", "Pre NUMERIC, more NUMERIC", costs)
    arff("cv", "fold NUMERIC", folds)
    return folder
