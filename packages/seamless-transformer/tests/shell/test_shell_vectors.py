"""Every observed case of the reference's shell commands, as a user would type it; deliberate differences by name."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

VECTORS = Path(__file__).parents[4] / "contracts" / "vectors"
CASES = {
    case["id"]: case
    for case in json.loads((VECTORS / "seamless_run_cases.json").read_text(encoding="utf-8"))["cases"]
}
CLI = {
    case["name"]: case for case in json.loads((VECTORS / "identity.json").read_text(encoding="utf-8"))["cli"]
}
SCRIPTS = Path(sys.executable).parent
ALPHA_HEX = "b6a98d9ce9a2d9149288fa3df42d377c3e42737afdcdaf714e33c0a100b51060"

OVERRIDES: dict[str, tuple[dict[str, Any], str]] = {
    # id: (what is expected instead, why)
    "fail": ({"exit_code": 3}, "the command's own exit code is passed on"),
    "fail-missing-cmd": ({"exit_code": 127}, "the command's own exit code is passed on"),
    "stderr-ok": ({"stderr": "warn\n"}, "what a command writes on standard error is shown"),
    "badsyntax": (
        {"stderr_contains": ["ERROR: ", "cat a.txt |"]},
        "a message that shows the place, no traceback",
    ),
    "primary-range": (
        {"stderr_contains": ["ERROR: --primary 5: the command line has 1 command"]},
        "a message, no traceback",
    ),
    "outside-cwd": (
        {
            "stderr_contains": [
                "ERROR: Argument #2 '../outer.txt' is not under the current working directory."
            ]
        },
        "refused by argtyping, before anything is read or run",
    ),
    "checksum-sidecar": (
        {"stdout": "alpha\n", "exit_code": 0, "stderr_contains": []},
        "the file itself is there, so it is read",
    ),
    "checksum-only": (
        {"stderr_contains": [ALPHA_HEX, "a.txt"]},
        "the message names the input; there is no worker whose RuntimeError would wrap it",
    ),
    "gz-input": (
        {"stdout": "alpha\n", "exit_code": 0, "stderr_contains": []},
        "a file called .gz is compressed where the command runs",
    ),
    "space-file": (
        {"stdout": "s\n", "exit_code": 0, "stderr_contains": []},
        "words reach the command as they are",
    ),
    "binary-out": (
        {"stdout": b"\xff\xfe", "stderr": ""},
        "standard output is the answer, whatever its bytes",
    ),
    "two-words-c": ({"stderr_contains": ["ERROR: Unquote (-c) requires a single"]}, "without the stray -1"),
    "heredoc": ({"exit_code": 0, "stderr_contains": []}, "a here-document is no result"),
    "stdin-redir": (
        {"stdout": "alpha\n", "exit_code": 0, "stderr_contains": []},
        "a file that is read is an input, and no result",
    ),
    "stdin-redir-i": ({"files_produced": {}}, "a file that is read is no result"),
    "cancel-unknown": ({"stderr_contains": []}, "no warning of another library"),
}


class World:
    """A directory `proj` for one case, with nothing but `home` and `cache` beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.project = root / "proj"
        (root / "home").mkdir(parents=True)
        self.project.mkdir()
        self.environment = {
            "HOME": str(root / "home"),
            "PATH": os.pathsep.join([str(SCRIPTS), "/usr/local/bin", "/usr/bin", "/bin"]),
            "LC_ALL": "C.UTF-8",
            "SEAMLESS_TEST_RUN": os.environ.get("SEAMLESS_TEST_RUN", ""),
        }

    def write(self, files: Mapping[str, str] | None) -> None:
        for name, text in (files or {}).items():
            path = self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def run(self, argv: list[str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            argv,
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=50,
            check=False,
        )

    def setup(self, commands: list[str]) -> None:
        for command in commands:
            done = self.run(["bash", "-c", command])
            assert done.returncode == 0, done.stderr.decode()

    def files(self) -> dict[str, bytes]:
        """Return every file of the world but those of the cache, by path from the project."""
        return {
            os.path.relpath(path, self.project): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and self.root / "cache" not in path.parents
        }


class Done(NamedTuple):
    """What a case came to."""

    stdout: bytes
    exit_code: int
    stderr: str
    produced: dict[str, bytes]
    removed: set[str]


# The reference warns of this, too, through Python's warnings, which are not in the recorded cases.
UNRECORDED = re.compile(
    r"^[\w-]+: warning: No cluster defined; running without persistence\..*\n", re.MULTILINE
)


def run_case(case: Mapping[str, Any], folder: Path) -> Done:
    world = World(folder / case["id"])
    world.write(case["config"])
    world.write(case["files"])
    world.environment.update(case["env"])
    world.setup(case["setup_commands"])
    before = world.files()
    done = world.run(case["argv"])
    after = world.files()
    return Done(
        done.stdout,
        done.returncode,
        UNRECORDED.sub("", done.stderr.decode(errors="backslashreplace")),
        {name: content for name, content in after.items() if before.get(name) != content},
        set(before) - set(after),
    )


def expected_of(case: Mapping[str, Any]) -> dict[str, Any]:
    override = OVERRIDES.get(case["id"], ({}, ""))[0]
    return {**case, **override}


def is_content(content: bytes, expected: str | Mapping[str, Any]) -> bool:
    """Return whether a file is as expected: a text, or `{"sha256", "length"}`."""
    if isinstance(expected, str):
        return content == expected.encode()
    return (hashlib.sha256(content).hexdigest(), len(content)) == (expected["sha256"], expected["length"])


def is_output(found: bytes, expected: str | bytes) -> bool:
    """Return whether an output is as expected; of one that is not compared, the part before `...`."""
    if isinstance(expected, bytes):
        return found == expected
    start, mark, _ = expected.partition(" ... (not compared)")
    return found.decode().startswith(start) if mark else found.decode() == expected


def exact_stderr(expected: Mapping[str, Any], found: str) -> str:
    """Return standard error as it must be; where it is not fixed, as it was found."""
    text = expected.get("stderr")
    return text if isinstance(text, str) and not text.startswith("(") else found


@pytest.mark.parametrize("name", CASES)
def test_case_of_the_reference(name, tmp_path):
    expected = expected_of(CASES[name])
    done = run_case(CASES[name], tmp_path)
    assert "Traceback" not in done.stderr
    assert is_output(done.stdout, expected["stdout"]), done
    assert done.exit_code == expected["exit_code"], done.stderr
    assert sorted(done.produced) == sorted(expected["files_produced"])
    assert [
        file
        for file, content in expected["files_produced"].items()
        if not is_content(done.produced[file], content)
    ] == []
    assert done.removed == set()
    wanted = [text.replace("<ROOT>", str(tmp_path)) for text in expected.get("stderr_contains", [])]
    assert [text for text in wanted if text not in done.stderr] == [], done.stderr
    assert done.stderr == exact_stderr(expected, done.stderr)


def test_every_case_runs():
    assert len(CASES) == 106
    assert len(CLI) == 16


@pytest.mark.parametrize("name", OVERRIDES)
def test_an_override_differs_from_its_case(name):
    changes, why = OVERRIDES[name]
    assert [member for member, value in changes.items() if CASES[name].get(member) == value] == []
    assert changes
    assert why


def test_a_wrong_expectation_would_be_noticed(tmp_path):
    done = run_case(CASES["redir-c"], tmp_path)
    assert is_content(done.produced["out.txt"], "alpha\n")
    assert not is_content(done.produced["out.txt"], "beta\n")
    assert not is_content(done.produced["out.txt"], {"sha256": ALPHA_HEX, "length": 5})
    assert is_content(done.produced["out.txt"], {"sha256": ALPHA_HEX, "length": 6})
    assert not is_output(done.stdout, "x")


# ---- the identity


@pytest.fixture
def cli_world(request, tmp_path):
    case = CLI[request.param]
    world = World(tmp_path / "case")
    world.environment["SEAMLESS_CACHE"] = str(tmp_path / "case" / "cache")
    world.write(case["files"])
    for name in case["executable"]:
        (world.project / name).chmod(0o755)
    return world, case


@pytest.mark.parametrize("cli_world", CLI, indirect=True)
def test_identity_of_the_reference(cli_world):
    world, case = cli_world
    program, *arguments = case["argv"]
    done = world.run([program, "--dry", "-j", "job", *arguments])
    job = world.project / "job"
    assert (job / "transformation.json").read_text(encoding="utf-8") == case["transformation_dict"]
    assert (job / "command.txt").read_text(encoding="utf-8") == case["code"]
    assert sorted(path.name for path in job.iterdir()) == ["command.txt", "transformation.json"]
    assert done.stdout.decode() == case["tf_checksum"] + "\n"
    assert hashlib.sha256(case["transformation_dict"].encode()).hexdigest() == case["tf_checksum"]


@pytest.mark.parametrize("cli_world", CLI, indirect=True)
def test_result_of_the_reference(cli_world):
    world, case = cli_world
    program, *arguments = case["argv"]
    before = world.files()
    done = world.run([program, "-v", *arguments])
    told = done.stderr.decode()
    produced = {name: content for name, content in world.files().items() if name not in before}
    assert done.returncode == 0, told
    assert f"miss: step {case['tf_checksum']}" in told
    assert f"result {case['result_checksum']}" in told
    assert produced == {name: text.encode() for name, text in case["new_files"].items()}
    for name in produced:  # as a word of the command, a result that is there would be an input
        (world.project / name).unlink()
    again = world.run([program, "-v", *arguments])
    assert f"hit: step {case['tf_checksum']}" in again.stderr.decode()
    assert f"result {case['result_checksum']}" in again.stderr.decode()
    assert again.stdout == done.stdout
