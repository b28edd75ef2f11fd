"""The command that goes on is one that can be typed."""

from __future__ import annotations

import pytest

from metaloop.cli.resuming import say_how_to_go_on


def test_flags_stand_alone_or_not_at_all_and_passwords_never(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = {
        "out": "runs/a", "ways": 5, "shots": 3, "use_label_names": True, "net": None,
        "other_flag": False, "also": ["b", "c d"], "archive": "postgresql://ann:secret@db/team",
    }  # fmt: skip
    say_how_to_go_on("learn", "my data", given)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "metaloop: go on with: metaloop learn 'my data' --out runs/a --shots 3 --use-label-names "
        "--also b --also 'c d' --archive 'postgresql://ann:***@db/team' --resume"
    )
