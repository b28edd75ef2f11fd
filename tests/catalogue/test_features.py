"""Features that are computed once: kept in the cache, and shared with encoders that are joined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metaloop.catalogue.features import encoded
from metaloop.catalogue.views import view_of_encoder
from metaloop.core.encoder import Beside
from metaloop.tasks.store import ClassInfo, Store


def test_features_of_a_pair_are_those_of_its_pieces_and_none_is_computed_twice(
    blocks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METALOOP_CACHE", str(tmp_path))
    first, second = (type(blocks)() for _ in range(2))
    second.card = replace(blocks.card, name="other", weights="0e4" + 13 * "0")
    images = torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8)
    store = Store(images, torch.zeros(20, dtype=torch.int64), (ClassInfo("x"),))
    alone = encoded(view_of_encoder(first), store)
    assert first.seen == 20
    both = Beside("pair", (first, second), (1.0, 0.5))
    pair = encoded(view_of_encoder(both), store)
    assert (first.seen, second.seen) == (20, 20)
    unit = alone / alone.norm(dim=1, keepdim=True)
    torch.testing.assert_close(pair, torch.cat([unit, unit / 2], dim=1))
    assert torch.equal(pair, both.encode(images))
