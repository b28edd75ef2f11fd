"""What a built page would fetch from another host is found, and links are left alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def _load_tool() -> ModuleType:
    path = REPOSITORY / "tools" / "check_site.py"
    spec = importlib.util.spec_from_file_location("check_site", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = _load_tool()


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://other.example/x.js"></script>',
        '<script src="//other.example/x.js"></script>',
        '<link rel="stylesheet" href="http://other.example/x.css">',
        '<img src="HTTPS://other.example/x.png">',
        "<style>@import 'https://other.example/x.css';</style>",
        "<style>body { background: url( //other.example/x.png) }</style>",
    ],
)
def test_what_is_fetched_from_another_host_is_found(page: str) -> None:
    assert len(tool.fetched_elsewhere(page)) == 1


@pytest.mark.parametrize(
    "page",
    [
        '<a href="https://other.example/">read on</a>',
        '<script src="_static/x.js"></script>',
        '<link rel="canonical" href="https://here.example/page.html">',
        "<img src=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E\">",
    ],
)
def test_links_and_own_files_are_no_findings(page: str) -> None:
    assert tool.fetched_elsewhere(page) == []


def test_a_style_sheet_that_fetches_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.html").write_text("<p>nothing</p>", encoding="utf-8")
    assert tool.main([str(tmp_path)]) == 0
    (tmp_path / "x.css").write_text("@font-face { src: url('https://a.example/f') }", "utf-8")
    assert tool.main([str(tmp_path)]) == 1
    assert "fetches https://a.example/f" in capsys.readouterr().out


def test_a_picture_with_fonts_of_another_host_fails_the_check(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<img src="x.svg">', encoding="utf-8")
    style = '@font-face { src: local("Own"), url("https://a.example/f.woff2") }'
    (tmp_path / "x.svg").write_text(f"<svg><style>{style}</style></svg>", encoding="utf-8")
    assert tool.main([str(tmp_path)]) == 1


def test_a_folder_without_pages_fails_the_check(tmp_path: Path) -> None:
    assert tool.main([str(tmp_path)]) == 1
