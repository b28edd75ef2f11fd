"""Scenarios of ASlib on the command line: what `select` prints of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metaloop.cli.output import print_json, print_table
from metaloop.core.errors import MetaloopError

_SHOWN = 12  # algorithms


def select_of_scenario(folder: Path, seed: int, given: Mapping[str, bool], as_json: bool) -> int:
    """Prints what choosing is worth on a scenario; `given` says which other options were asked.

    Raises `MetaloopError` for options that a scenario does not have.
    """
    from metaloop.api.instances import judge_scenario

    refused = [name for name, asked in given.items() if asked]
    if refused:
        raise MetaloopError(
            f"'{folder}' is a scenario of ASlib, for which there is --seed and --json; leave out "
            + ", ".join(refused)
        )
    run = judge_scenario(folder, seed=seed)
    of = run.content
    if as_json:
        print_json(of)
        return 0
    rows = [[name, f"{count:,}"] for name, count in list(of["chosen"].items())[:_SHOWN]]
    print_table(("algorithm", "chosen for"), rows, numbers=("chosen for",))
    print(f"\n{of['scenario']}: {of['instances']:,} instances, {of['measure']}")
    print(
        f"{of['best_alone']} always {of['score_best_alone']:,.4g}, chosen "
        f"{of['score_chosen']:,.4g}, oracle {of['score_oracle']:,.4g}"
    )
    print(run)
    if of["folds_given_up"]:
        print(f"folds in which nothing was better than one algorithm: {of['folds_given_up']}")
    print(f"{of['cpu_seconds']:,.0f} CPU-seconds")
    return 0
