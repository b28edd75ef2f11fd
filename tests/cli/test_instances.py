"""`metaloop select` on a folder of ASlib."""

from pathlib import Path
from typing import Any

from tests.cli.conftest import Command
from tests.scenarios import write_scenario


def test_a_scenario_is_judged_and_its_json_is_as_documented(
    command: Command, json_contract: Any, tmp_path: Path
) -> None:
    write_scenario(tmp_path / "small", count=20)
    found = command("select", "small", "--json")
    assert found.code == 0
    json_contract.check("select, scenario", found.json)
    assert (found.json["instances"], found.json["algorithms"]) == (20, 2)


def test_what_a_scenario_does_not_have_is_refused_in_one_line(
    command: Command, tmp_path: Path
) -> None:
    write_scenario(tmp_path / "small", count=10)
    found = command("select", "small", "--target", "y", "--budget", "10s")
    assert found.code == 2
    assert found.err.count("\n") == 1
    assert "leave out --target, --budget" in found.err
