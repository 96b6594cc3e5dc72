"""The page contracts/buffer-directory.md is true: its python blocks run."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "contracts" / "buffer-directory.md"


def test_every_block_of_the_contract_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    namespace: dict[str, object] = {}
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        first_line = text[: match.start(1)].count("\n")
        code = compile("\n" * first_line + match[1], str(PAGE), "exec")
        exec(code, namespace)
    assert namespace["broken"] != namespace["twice"]
