"""Changelog fragments have the form that the assembled text needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.changelog import FOLDER, assemble, complaints

FRAGMENTS = sorted(path for path in FOLDER.iterdir() if path.name != "README.md")


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: path.name)
def test_fragment_has_the_right_form(fragment: Path):
    assert complaints(fragment) == []


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("thing.better.md", "It is better.", "not <slug>.<kind>.md"),
        ("Thing.fixed.md", "It works.", "not <slug>.<kind>.md"),
        ("thing.fixed.md", "", "empty"),
        ("thing.fixed.md", "- It works.", "starts with '-'"),
        ("thing.fixed.md", "It works", "full stop"),
        ("thing.fixed.md", "x" * 700 + ".", "701 characters"),
    ],
)
def test_wrong_form_is_named(tmp_path: Path, name: str, text: str, complaint: str):
    (tmp_path / name).write_text(text)
    assert complaint in "\n".join(complaints(tmp_path / name))


def test_text_is_grouped_by_kind(tmp_path: Path):
    (tmp_path / "b.added.md").write_text("B is\nnew.\n")
    (tmp_path / "a.added.md").write_text("A is new.\n")
    (tmp_path / "c.security.md").write_text("C is safe.\n")
    assert assemble(tmp_path, version="3.0") == (
        "## 3.0\n\n### Added\n\n- A is new.\n- B is\n  new.\n\n### Security\n\n- C is safe.\n"
    )
