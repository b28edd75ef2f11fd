"""What tests of summaries share; without the extra there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.made_documents import rows, write

from metaloop.catalogue.families import DataOptions, open_data
from metaloop.core.extracts import Length
from metaloop.tasks.groups import GroupFamily

pytest.importorskip("rouge_score", reason="needs metaloop[summaries]: rouge-score")
pytest.importorskip("sentencex", reason="needs metaloop[summaries]: sentencex")

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def documents_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 160 documents of one domain."""
    return write(tmp_path_factory.mktemp("documents") / "papers.jsonl", rows(160))


@pytest.fixture(scope="session")
def documents(documents_file: Path) -> GroupFamily:
    """The same as a family whose extracts have one sentence."""
    family = open_data(documents_file, DataOptions(length=Length("sentences", 1))).family
    assert isinstance(family, GroupFamily)
    return family
