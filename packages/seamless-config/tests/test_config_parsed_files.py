"""What files parse to is kept by their content: nothing changes but the time, whatever lies in the folder."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seamless_config import parsed_files
from seamless_config.errors import ConfigurationError
from seamless_config.yaml_nodes import ListNode, MappingNode, Node, ScalarNode
from seamless_config.yaml_reader import read_yaml

PROJECT = "- project: p\n- stage prod:\n  - execution: process\n- nparallel: 8\n- persistent: yes\n"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where files are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "seamless" / parsed_files.FOLDER


def described(node: Node | None) -> object:
    """Return everything that a node knows."""
    if node is None:
        return None
    assert node.place is not None
    place = (node.place.file, node.place.line, node.place.column, node.place.text)
    if isinstance(node, ScalarNode):
        return ("scalar", place, type(node.value), repr(node.value), node.raw)
    if isinstance(node, ListNode):
        return ("list", place, [described(item) for item in node.items])
    assert isinstance(node, MappingNode)
    return ("mapping", place, [(described(key), described(value)) for key, value in node.entries])


def outcome(path: Path, *, keeps: bool) -> object:
    try:
        return described(read_yaml(str(path), keeps=keeps))
    except ConfigurationError as exc:
        return str(exc)


YAML = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=20),
        st.dates(),
    ),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc:# ", max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.invariant("I-280")
@given(YAML, st.sampled_from(("\n", "\r\n", "\u2028")), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_kept_nodes_are_those_that_the_parser_gives(folder, tmp_path, value, newline, is_flow):
    import yaml

    text = yaml.safe_dump(value, default_flow_style=is_flow, allow_unicode=True)
    path = tmp_path / "seamless.yaml"
    path.write_bytes(text.replace("\n", newline).encode())
    parsed = outcome(path, keeps=False)
    assert outcome(path, keeps=True) == parsed
    assert outcome(path, keeps=True) == parsed


def test_second_reading_imports_no_parser_and_sees_every_change(folder, tmp_path):
    path = tmp_path / "seamless.yaml"
    code = (
        "import sys; from seamless_config.yaml_reader import read_yaml; "
        "print(read_yaml(sys.argv[1]).plain(), 'yaml' in sys.modules)"
    )

    def read() -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=50, check=True
        )
        return done.stdout.strip()

    path.write_text("- project: p\n")
    before = os.stat(path)
    assert read() == "[{'project': 'p'}] True"
    assert read() == "[{'project': 'p'}] False"
    path.write_text("- project: q\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read() == "[{'project': 'q'}] True"


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b'["scalar",1,1,"x"]',
        b'["list",1,1,7]',
        b'["mapping",1,1,[[1,2]]]',
        b"\xff",
    ],
)
def test_junk_among_the_kept_files_is_parsed_again(folder, tmp_path, junk):
    path = tmp_path / "seamless.yaml"
    path.write_text(PROJECT)
    expected = outcome(path, keeps=False)
    assert outcome(path, keeps=True) == expected
    (kept,) = folder.iterdir()
    kept.write_bytes(junk)
    assert outcome(path, keeps=True) == expected


def test_what_cannot_be_kept_is_read_all_the_same(folder, tmp_path):
    path = tmp_path / "seamless.yaml"
    path.write_text("- project: 2026-11-26\n- node: .inf\n")
    assert outcome(path, keeps=True) == outcome(path, keeps=False)
    assert list(folder.parent.glob("*/*")) == []
    (tmp_path / "cache").mkdir(exist_ok=True)
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file, not a folder")
    path.write_text(PROJECT)
    assert outcome(path, keeps=True) == outcome(path, keeps=False)


def test_kept_files_are_private_and_not_too_many(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(parsed_files, "MAX_FILES", 5)
    path = tmp_path / "seamless.yaml"
    for number in range(9):
        path.write_text(f"- project: p{number}\n")
        assert read_yaml(str(path)) is not None
    names = list(folder.iterdir())
    assert len(names) == 5
    assert {stat.S_IMODE(name.stat().st_mode) for name in names} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert json.loads(names[0].read_text())[0] == "list"


def test_errors_are_not_kept(folder, tmp_path):
    path = tmp_path / "seamless.yaml"
    path.write_text("- a: [\n")
    assert "not valid YAML" in str(outcome(path, keeps=True))
    assert not folder.exists()
