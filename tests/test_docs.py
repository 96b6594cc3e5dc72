"""What the documentation shows works: every python and console block runs, every link leads somewhere."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tools.doc_blocks import Block, BlockFailed, blocks, matches, run_page
from tools.workspace import ROOT

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("packages/*/README.md")),
]


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def page_folder(tmp_path: Path) -> Path:
    (tmp_path / "page").mkdir()
    return tmp_path / "page"


@pytest.fixture
def reader_environment(tmp_path: Path) -> dict[str, str]:
    """A reader with our commands on PATH and a cache of their own."""
    scripts = str(Path(sys.executable).parent)
    cache = tmp_path / "cache"
    return os.environ | {
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "SEAMLESS_CACHE": str(cache),
        "NO_COLOR": "1",
    }


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_blocks_of_page_do_what_it_says(page: Path, page_folder: Path, reader_environment: dict[str, str]):
    run_page(page, page_folder, reader_environment)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_relative_links_lead_to_files(page: Path):
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=_name)
def test_page_is_in_the_navigation(page: Path):
    assert page.relative_to(ROOT / "docs").as_posix() in (ROOT / "mkdocs.yml").read_text()


def test_each_language_is_run_in_one_session(
    tmp_path: Path, page_folder: Path, reader_environment: dict[str, str]
):
    page = tmp_path / "page.md"
    page.write_text(
        '```yaml title="a.yaml"\nkey: 1\n```\n'
        "```python\nprint(open('a.yaml').read(), 'and more')\n```\n"
        "```output\nkey: 1\n... more\n```\n"
        "```console\n$ cat a.yaml\nkey: 1\n$ ls \\\n> -1\na.yaml\n...\n```\n"
        "```pycon\n>>> 1 + 1\n2\n```\n"
        "```sh\nexit 1\n```\n"
        "<!-- not run: it fails -->\n```python\nraise SystemExit(1)\n```\n"
    )
    assert run_page(page, page_folder, reader_environment) == 5


@pytest.mark.parametrize(
    "text",
    [
        "```python\nraise SystemExit(1)\n```",
        "```python\nprint(1)\n```\n```output\n2\n```",
        "```pycon\n>>> 1\n2\n```",
        "```console\n$ echo one\ntwo\n```",
        "```console\n$ echo one\n$ echo two\n```",
    ],
)
def test_wrong_block_is_found(
    tmp_path: Path, page_folder: Path, reader_environment: dict[str, str], text: str
):
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(BlockFailed, match=r"page\.md, line"):
        run_page(tmp_path / "page.md", page_folder, reader_environment)


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("a\n...\nz", "a\nb\nc\nz\n", True),
        ("a\n...\nz", "a\nz", True),
        ("took ... ms", "took 12 ms", True),
        ("took ... ms", "took 12 s", False),
        ("a", "a\nb", False),
        ("", "a", False),
        ("", "", True),
        ("...", "anything\nat all", True),
    ],
)
def test_ellipsis_stands_for_anything(expected: str, actual: str, same: bool):
    assert matches(expected, actual) is same


def test_indented_block_is_read_without_its_indentation():
    found = list(blocks('- item\n\n    ```python title="x.py"\n    def f():\n        pass\n    ```\n'))
    assert found == [Block("python", "def f():\n    pass\n", "x.py", 3, "")]
