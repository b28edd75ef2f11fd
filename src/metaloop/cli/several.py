"""Under `torchrun` several processes run one command: the first of them speaks for all."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from metaloop.core.errors import MetaloopError

_VERB = "train"


def speak_with_one_voice() -> None:
    """Sends what this process would print nowhere, unless it is the first, or the only one."""
    if _several() and os.environ.get("RANK", "0") != "0":
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def check_verb(words: Sequence[str]) -> None:
    """Raises `MetaloopError` where several processes would do what one must do alone."""
    if _several() and words and not words[0].startswith("-") and words[0] != _VERB:
        raise MetaloopError(
            f"torchrun is for 'metaloop {_VERB}' alone; start 'metaloop {words[0]}' by itself"
        )


def _several() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"
