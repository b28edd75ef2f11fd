"""A learner, net, view, domain, objective, executor: each is one file and a line in a table.

The files of `tests/adding` are put into a copy of the package, and their lines into its tables, as
somebody would who adds them; a fresh interpreter then runs `learn` with all of them, and so does a
worker process, that finds them in the tables as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import metaloop

ADDED = Path(__file__).parent / "adding"
PACKAGE = Path(metaloop.__file__).parent
# file -> where it goes; the table, what its line comes behind, and the line
ADDITIONS: dict[str, tuple[str, str, str, str]] = {
    "medians.py": (
        "learners",
        "catalogue/learners.py",
        "LEARNERS: Mapping[str, LearnerEntry] = MappingProxyType(\n    {\n",
        '"medians": LearnerEntry(Medians, "nearest class median", "medians"),\n',
    ),
    "thin.py": (
        "nets",
        "catalogue/nets.py",
        "NETS: Mapping[str, NetEntry] = MappingProxyType(\n    {\n",
        '"thin": NetEntry(thin, "one layer"),\n',
    ),
    "series.py": ("domains", "catalogue/domains.py", "for each in (", "SERIES, "),
    "sure.py": ("core", "core/objective.py", "_KNOWN = (", "SURE, "),
    "letters.py": (
        "domains/text",
        "catalogue/views.py",
        "VIEWS: Mapping[str, ViewEntry] = MappingProxyType(\n    {\n",
        '"letters": ViewEntry("letters", "texts", letters.fit, letters.see, '
        "letters.EXPECTED, 26),\n",
    ),
    "noting.py": ("executors", "", "", ""),  # it is given to `learn`
}
IMPORTS = {
    "medians.py": "from metaloop.learners.medians import Medians\n",
    "thin.py": "from metaloop.nets.thin import thin\n",
    "series.py": "from metaloop.domains.series import SERIES\n",
    "sure.py": "from metaloop.core.sure import SURE\n",
    "letters.py": "from metaloop.domains.text import letters\n",
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package to which everything was added."""
    folder = tmp_path_factory.mktemp("extended")
    copy = folder / "metaloop"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (room, table, behind, line) in ADDITIONS.items():
        shutil.copy(ADDED / name, copy / room / name)
        if table:
            text = (copy / table).read_text()
            assert text.count(behind) == 1, f"{table} is not as the test expects"
            text = text.replace(behind, behind + line)
            first = text.index("\nfrom metaloop") + 1
            (copy / table).write_text(text[:first] + IMPORTS[name] + text[first:])
    return folder


@pytest.mark.long
def test_what_is_added_is_learned_with(extended: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-W", "error", str(ADDED / "program.py"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(extended), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["package"] == str(extended / "metaloop")
    assert told["here"] == {"learner": "medians", "net": "thin", "metric": "sureness"}
    assert "train" in told["jobs"] and "judge" in told["jobs"]
    assert 0.5 < told["value"] < 1
    assert told["page"].count("sureness") > 1
    assert told["view"] == "letters" and told["seen so"] == 26
    assert told["worker"] == {"learner": "medians", "net": "thin", "metric": "accuracy"}
