"""The script that derives the shipped prior, on matrices that are made small."""

import gzip
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from metaloop.selection.prior import load_prior

PATH = Path(__file__).resolve().parents[2] / "tools" / "derive_table_prior.py"
SPEC = importlib.util.spec_from_file_location("derive_table_prior", PATH)
assert SPEC is not None and SPEC.loader is not None
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)


@pytest.fixture
def matrices(tmp_path: Path) -> Path:
    """OBOE of six data sets, two of which have results that coincide, and PMLB of three."""
    rng = np.random.default_rng(0)
    oboe, pmlb = tmp_path / "oboe_error_matrix", tmp_path / "pmlb_benchmark"
    oboe.mkdir()
    pmlb.mkdir()
    header = ",".join(
        f"\"{{'algorithm': {a!r}, 'hyperparameters': {dict(h)!r}}}\"" for a, h in tool.OBOE.values()
    )
    ids = (61, 900, 901, 902, 903, 904)  # 61 is iris
    errors = rng.uniform(0.1, 0.5, (len(ids), len(tool.OBOE)))
    errors[5] = errors[4]
    rows = [
        f"{i:05d}," + ",".join(f"{e:.4f}" for e in row) for i, row in zip(ids, errors, strict=True)
    ]
    write(oboe / "error_matrix.csv.gz", "\n".join(["," + header, *rows]))
    sizes = ["a,0,1", *(f"{i},{150 if i in (61, 900) else 300 + i},4" for i in ids)]
    write(oboe / "dataset_sizes.csv.gz", "\n".join(sizes))
    lines = ["dataset\talgorithm\tparameters\taccuracy\tmacrof1\tbal_accuracy"]
    for data_set in ("iris", "allbp", "dis"):
        for algorithm, settings in tool.PMLB.values():
            lines.append(
                f"{data_set}\t{algorithm}\t{dict(settings)!r}\t0.8\t0.8\t{rng.random():.4f}"
            )
    for name in ("sklearn_benchmark5.tsv.gz", "sklearn_benchmark_r6.tsv.gz"):
        write(pmlb / name, "\n".join(lines))
    write(pmlb / "metafeatures.csv.gz", "dataset,n_rows\niris,150\nallbp,3772\ndis,3772\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(text + "\n")


def test_relatives_by_name_number_and_rows_are_left_out(matrices: Path) -> None:
    prior = tool.Matrices(matrices).prior(["iris"])
    assert prior.provenance["left_out"]["pmlb"] == ["iris"]
    assert prior.provenance["left_out"]["oboe"] == ["openml 61", "openml 900"]
    thyroid = tool.Matrices(matrices).prior(["allbp"])
    assert thyroid.provenance["left_out"]["pmlb"] == ["allbp", "dis"]


def test_data_sets_with_the_same_results_are_one_family(matrices: Path) -> None:
    source, _ = tool.read_oboe(matrices / "oboe_error_matrix")
    assert source.families[5] == source.families[4]
    assert source.weights.tolist() == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]


def test_what_it_writes_is_read_with_its_provenance(
    matrices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "prior.json"
    monkeypatch.setattr(sys, "argv", ["derive", str(matrices), "--out", str(out)])
    tool.main()
    prior = load_prior("classification", out)
    assert set(prior.names) == set(tool.OBOE)
    assert prior.provenance["data_sets"] == {"oboe": 6, "pmlb": 3}
    assert all(len(source["sha256"]) == 64 for source in prior.provenance["sources"])
    assert load_prior("regression", out).scale == "log"
    assert out.stat().st_size < 50_000 and json.loads(out.read_text())["format"] == 1
