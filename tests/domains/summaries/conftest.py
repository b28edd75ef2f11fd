"""What tests of summaries share; without the extra there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.made_documents import rows, write

import metaloop as ml
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


@pytest.fixture(scope="session")
def model_file(documents_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the documents, trained for some steps."""
    out = tmp_path_factory.mktemp("model") / "papers.metaloop"
    ml.train(
        documents_file, "sentence_ridge", out=out, budget="40steps", shots=5, queries=10,
        sentences=1, progress=False,
    )  # fmt: skip
    return out


@pytest.fixture(scope="session")
def fitted(model_file: Path) -> ml.FewShotRegressor:
    """The same, fitted to five new documents."""
    pairs = rows(5, seed=1)
    model: Any = ml.load(model_file)
    return model.fit([r["document"] for r in pairs], [r["summary"] for r in pairs])
