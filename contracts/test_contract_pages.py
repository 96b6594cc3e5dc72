"""Each page of this folder is executed: its examples run, and its golden vectors exist.

A page is a Markdown file (README.md apart). Its fenced `python` blocks run in order, in one namespace, in a
directory of their own; at least one must assert something. A line

    Golden vectors: `vectors/NAME.json` (`key`, `key`)

names the data that the format is tested with; the keys are members of the file and must not be empty. A page
whose examples say it all is listed in `WITHOUT_VECTORS`, with the reason.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

WITHOUT_VECTORS = {
    "buffer-directory": "its examples write and read whole directories",
    "service-status-file": "the tests of the service kit drive a running service",
}

FOLDER = Path(__file__).parent
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VECTORS = re.compile(r"^Golden vectors: `vectors/([\w.-]+\.json)` \(((?:`[^`]+`(?:, )?)+)\)", re.MULTILINE)


def code_blocks(text: str) -> list[str]:
    """Return the python blocks, each after as many empty lines as precede it in the page."""
    return ["\n" * text.count("\n", 0, match.start(1)) + match.group(1) for match in _BLOCK.finditer(text)]


def named_vectors(text: str) -> list[tuple[str, str]]:
    """Return (file name, key) of the golden vectors that a page names."""
    return [
        (match.group(1), key)
        for match in _VECTORS.finditer(text)
        for key in re.findall(r"`([^`]+)`", match.group(2))
    ]


def test_there_are_pages():
    assert PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_the_page_hold(page, tmp_path, monkeypatch):
    blocks = code_blocks(page.read_text(encoding="utf-8"))
    assert any("assert " in block for block in blocks), f"{page.name} has no example that asserts something"
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": page.stem}
    for block in blocks:
        exec(compile(block, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_golden_vectors_of_the_page_exist(page):
    vectors = named_vectors(page.read_text(encoding="utf-8"))
    assert vectors or page.stem in WITHOUT_VECTORS, (
        f"{page.name} names no golden vectors; expected a line: Golden vectors: `vectors/NAME.json` (`key`)"
    )
    contents = {
        name: json.loads((FOLDER / "vectors" / name).read_text(encoding="utf-8")) for name, _ in vectors
    }
    assert [(name, key) for name, key in vectors if not contents[name].get(key)] == []


def test_a_wrong_example_would_be_noticed():
    (block,) = code_blocks("# Page\n\n```python\nassert 1 == 2\n```\n")
    with pytest.raises(AssertionError):
        exec(compile(block, "page", "exec"), {})
