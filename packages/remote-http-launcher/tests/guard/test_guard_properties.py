"""Whatever SSH_ORIGINAL_COMMAND holds: no process but a helper's own code, no path outside the policy."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from remote_http_launcher.guard.dispatch import Call
from remote_http_launcher.guard.paths import resolve

PROGRAM = Path(__file__).with_name("guard_fuzzing.py")


def _fuzz(folder: Path, n_commands: int, seed: int, kind: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), str(n_commands), str(seed), kind],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture
def fuzzing() -> Any:
    spec = importlib.util.spec_from_file_location("guard_fuzzing", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("subprocess.Popen", ("x", [], None, None)),
        ("os.posix_spawn", ("x", [], {})),
        ("os.exec", ("x", [], {})),
        ("os.fork", ()),
        ("socket.connect", (None, ("192.0.2.1", 1))),
        ("open", ("/home/other/secret", "r", os.O_RDONLY)),
        ("open", ("secret", "r", os.O_RDONLY)),
        ("open", ("/home/svc/cfg/roots", "w", os.O_WRONLY)),
        ("os.remove", ("/home/svc/x", -1)),
        ("os.remove", ("x", -1)),
        ("os.rename", ("/home/svc/.remote-http-launcher/server/a", "/home/svc/x", -1, -1)),
    ],
)
def test_watch_sees_what_must_not_happen(fuzzing: Any, event: str, arguments: tuple[Any, ...]):
    watch = fuzzing.Watch("/home/svc")
    watch.active = True
    watch(event, arguments)
    assert len(watch.seen) == 1


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("{ROOT}/outside", ("--data-roots", "x")),
        ("{HOME}/data/link-out", ("--data-roots", "x")),
        ("{HOME}/.ssh", ("--permissive-paths",)),
        ("{HOME}", ("--permissive-paths",)),
        ("{HOME}/data/plain", ("--clear-policy", "seamless")),
        ("{HOME}/data/proj", ()),
    ],
)
def test_judge_sees_a_path_that_should_not_have_been_allowed(
    fuzzing: Any, tmp_path, text: str, policy, launcher_cases
):
    world = fuzzing.World(tmp_path, launcher_cases["guard_setup"])
    directory = resolve(world.filled(text))
    call = Call("rhl-clear", [directory], [directory])
    assert world.complaint(call, policy, "all")
    call.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.invariant("I-218")
def test_of_100000_commands_none_gets_past_the_guard(tmp_path: Path):
    answer = _fuzz(tmp_path, 100_000, 20261, "recorded")
    assert answer["wrong"] == [], answer
    assert answer["allowed"] > 5_000
    assert answer["refused"] > 50_000
    assert len(answer["helpers"]) == 14


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.invariant("I-218")
def test_helpers_behind_the_guard_touch_nothing_else(tmp_path: Path):
    answer = _fuzz(tmp_path, 10_000, 20262, "real")
    assert answer["wrong"] == [], answer
    assert answer["allowed"] > 500
