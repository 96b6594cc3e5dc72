"""Modules of the user, written to a directory of the test and imported from there."""

from __future__ import annotations

import importlib
import linecache
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

ImportSource = Callable[..., ModuleType]


@pytest.fixture
def import_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImportSource]:
    """Return a function that writes source text to a fresh module and imports it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def import_(source: str, *, name: str | None = None, newline: str | None = "") -> ModuleType:
        name = name or f"user_{uuid.uuid4().hex}"
        with (tmp_path / f"{name}.py").open("w", encoding="utf-8", newline=newline) as stream:
            stream.write(source)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield import_
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]
    linecache.clearcache()
