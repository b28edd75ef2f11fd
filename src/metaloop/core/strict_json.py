"""JSON that everybody can read: what is written has no NaN, what is read can be walked through.

Python's own reader takes NaN and infinity, which strict JSON lacks, text that no encoding can hold,
and lists in lists as deep as its stack. Whoever writes such a value again, or walks it, then fails
far from where it was read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

MOST_DEPTH = 64  # of lists and objects in each other; honest records have fewer than ten


def json_values(value: Any) -> Any:
    """Returns values of JSON (tuples become lists) in which what is not finite is None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    return value


def checked_json(text: str | bytes, *, finite: bool = True) -> Any:
    """Returns the value that JSON text stands for; `ValueError` if it is none or nested too deep.

    With `finite` numbers are finite and text can be encoded. Without, both are as Python takes
    them: names of files need not be Unicode, a loss need not be finite.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"JSON is nested deeper than {MOST_DEPTH}") from None
    _check(value, MOST_DEPTH, finite)
    return value


def _check(value: Any, depth: int, finite: bool) -> None:
    if isinstance(value, (dict, list)):
        if not depth:
            raise ValueError(f"JSON is nested deeper than {MOST_DEPTH}")
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth - 1, finite)
        for key in value if isinstance(value, dict) else ():
            _check(key, depth, finite)
    elif finite and isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"JSON has the number {value}, which is not finite")
    elif finite and isinstance(value, str) and not value.isascii():
        value.encode("utf-8")  # raises a `ValueError` of its own
