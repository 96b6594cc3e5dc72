"""The examples in docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from tools.workspace import SourceModule, modules

WITH_EXAMPLES = [module for module in modules() if ">>> " in module.path.read_text()]


@pytest.mark.parametrize("module", WITH_EXAMPLES, ids=lambda m: m.name)
def test_examples_of_module_run(module: SourceModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(module.name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
