"""Documents that are made: one sentence of each says what it is about, and is its summary."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

WORDS = [f"{a}{b}o" for a in ("bar", "len", "tik", "mov", "ras", "dun") for b in "bcdfgklmn"]


def document(rng: np.random.Generator, number: int = 7) -> tuple[list[str], str]:
    """Sentences of chance words, and the one that begins with `We show` as its own summary."""
    lines = [" ".join(rng.choice(WORDS, 8)).capitalize() + "." for _ in range(number)]
    place = int(rng.integers(0, number))
    lines[place] = "We show that " + " ".join(rng.choice(WORDS, 6)) + "."
    return lines, lines[place]


def rows(number: int, seed: int = 0, domains: int = 0) -> list[dict[str, object]]:
    """Rows of a table: given sentences, a summary, and a domain if there are any."""
    rng = np.random.default_rng(seed)
    found: list[dict[str, object]] = []
    for row in range(number):
        lines, summary = document(rng)
        found.append({"document": lines, "summary": summary})
        if domains:
            found[-1]["domain"] = f"topic {row % domains}"
    return found


def write(path: Path, table: list[dict[str, object]]) -> Path:
    """A table as JSONL."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in table), encoding="utf-8")
    return path
