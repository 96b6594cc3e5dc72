"""The recorded cases of checksums, uploads and downloads, with the commands of this environment."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

CASES = json.loads(
    (Path(__file__).parents[4] / "contracts/vectors/seamless_run_cases.json").read_text(encoding="utf-8")
)["cases"]
OURS = [case for case in CASES if case["argv"][0] in ("seamless-upload", "seamless-download")] + [
    case for case in CASES if case["argv"][0].startswith("seamless-checksum")
]


def _expected(name: str, produced: str | dict[str, object]) -> tuple[str, int]:
    content = produced.encode() if isinstance(produced, str) else None
    if content is None:
        return str(produced["sha256"]), int(str(produced["length"]))
    return hashlib.sha256(content).hexdigest(), len(content)


def test_there_are_cases_of_each_command():
    assert {case["argv"][0] for case in OURS} == {
        "seamless-checksum",
        "seamless-checksum-file",
        "seamless-checksum-index",
        "seamless-download",
        "seamless-upload",
    }


@pytest.mark.parametrize("case", OURS, ids=lambda case: case["id"])
def test_recorded_case(case, shell):
    for name, text in {**case["config"], **case["files"]}.items():
        shell.write(name, text)
    for command in case["setup_commands"]:
        subprocess.run(
            ["bash", "-c", command],
            cwd=shell.folder,
            env=shell.variables(case["env"], cache=False),
            check=True,
            timeout=30,
        )
    before = shell.files()
    done = shell.run(*case["argv"], environment=case["env"], cache=False, cwd=case["cwd"])
    after = shell.files()
    assert done.stdout.decode() == case["stdout"]
    assert done.returncode == case["exit_code"]
    assert done.stderr.decode() == case.get("stderr", done.stderr.decode())
    assert [text for text in case.get("stderr_contains", []) if text not in done.stderr.decode()] == []
    produced = {name: content for name, content in after.items() if before.get(name) != content}
    assert {name: (hashlib.sha256(c).hexdigest(), len(c)) for name, c in produced.items()} == {
        name: _expected(name, content) for name, content in case["files_produced"].items()
    }
