"""Replay the recorded cases of contracts/vectors/config_cases.json.

`replay(case, root)` lays the files out below `root` and runs the steps in this process, which must be a fresh one or
have been reset by `reset()`, with HOME `root/home` and the current directory `root/<workdir>` (`enter` does both with
a monkeypatch). `replay_in_new_process(case, root)` does the whole in a process of its own.

With `activate=False`, `init` and `set_stage` only select and read, as `load` does: what the language means, without
starting anything. The outcome has the members of `expect`; an error has `kind`, `type`, `text`, `file` and `line`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

VECTORS = json.loads(
    (Path(__file__).resolve().parents[3] / "contracts" / "vectors" / "config_cases.json").read_text(
        encoding="utf-8"
    )
)
CASES: dict[str, dict[str, Any]] = {case["id"]: case for case in VECTORS["cases"]}
RESOLVE_CASES: dict[str, dict[str, Any]] = {case["id"]: case for case in VECTORS["resolve_cases"]}
FIXTURES: dict[
    str, str
] = {  # one cluster of X2 has a reversed range, which we refuse with all that is beside it
    name: text.replace("port_start: 9, port_end: 5", "port_start: 5, port_end: 9")
    for name, text in VECTORS["fixtures"].items()
}
ISOLATED = ("SEAMLESS_", "REMOTE_HTTP_LAUNCHER_", "RHL_")
STATUS = "<STATUS>"

KINDS = {  # what a message says, by the kind of error that was recorded
    "already-initialized": "after init",
    "ambiguous-remote": "offers both a jobserver and a daskserver",
    "bad-argument": r"must (be|have)|is no |the mode|is null|is text",
    "bad-cluster-definition": r"must be|is null|lacks the field|not defined|must name",
    "bad-entry": r"an entry (holds|must)|a command is a word",
    "bad-name": r"must not (contain|begin)|has the part|is empty",
    "bad-queue": r"has no cores|is exclusive",
    "bad-remote-client": r".",
    "bad-stage-block": r"block|needs the name of the stage",
    "bad-value": r"must be|is blank",
    "half-port-range": r"has port_(start|end), but no",
    "missing-field": r"lacks the field",
    "no-cluster": r"no cluster|without a cluster",
    "no-cluster-selected": r"before a cluster is",
    "no-cluster-type": r"does not say its type",
    "no-frontend": r"no frontend",
    "no-local-cluster": r"local cluster",
    "no-project": r"no project|project",
    "node-unsupported": r"nodes cannot be",
    "not-a-list": r"must hold a list",
    "nparallel-unset": r"nparallel is not set",
    "pure-dask-needs-daskserver": r"daskserver",
    "remote-clients-set": r"set_remote_clients",
    "unknown-cluster": r"is not defined",
    "unknown-command": r"is no command",
    "unknown-field": r"unknown field",
    "unknown-queue": r"has no queue",
    "unknown-template": r"no earlier queue",
    "yaml-syntax": r"not valid YAML",
}


def says(error: dict[str, Any], kind: str) -> bool:
    """Whether the message of an error is about the recorded kind."""
    return bool(re.search(KINDS[kind], error["text"]))


def lay_out(case: dict[str, Any], root: Path) -> Path:
    """Write the files of a case; return the directory to work in."""
    (root / "home").mkdir(parents=True, exist_ok=True)
    (root / "proj").mkdir(exist_ok=True)
    for name, content in case.get("files", {}).items():
        _write(root, name, content)
    workdir = root / case.get("workdir", "proj")
    workdir.mkdir(parents=True, exist_ok=True)
    return workdir


def environment(case: dict[str, Any], root: Path) -> dict[str, str]:
    """Return what the case sets in the environment, HOME included."""
    changes = {name: _located(value, root) for name, value in (case.get("env") or {}).items()}
    return {"HOME": str(root / "home"), **changes}


def enter(case: dict[str, Any], root: Path, monkeypatch: Any) -> None:
    """Lay the case out, and make its HOME, environment and directory those of this process."""
    workdir = lay_out(case, root)
    for name in [name for name in os.environ if name.startswith(ISOLATED) and name != "SEAMLESS_TEST_RUN"]:
        monkeypatch.delenv(name)
    for name, value in environment(case, root).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(workdir)


def reset() -> None:
    """Forget what this process has selected."""
    from seamless_config import select, workdir
    from seamless_config.configuration import Configuration

    select.replace_configuration(Configuration())
    workdir._workdir = None
    workdir._was_set = False


def replay(
    case: dict[str, Any], root: Path, *, activate: bool = True, activated: list[str] | None = None
) -> dict[str, Any]:
    """Run the steps of a case that has been entered; stop at the first that fails.

    activated: a list that the caller's stand-ins for job back ends append to.
    """
    outcome: dict[str, Any] = {"result": None}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for number, step in enumerate(case["steps"]):
            arguments = _located(step[1], root) if len(step) > 1 else {}
            try:
                outcome["result"] = _step(step[0], arguments, root, activate=activate)
            except Exception as exc:
                outcome["error"] = {
                    "type": type(exc).__name__,
                    "classes": [kind.__name__ for kind in type(exc).__mro__],
                    "text": str(exc),
                    "file": getattr(exc, "file", None),
                    "line": getattr(exc, "line", None),
                }
                outcome["failed_step"] = number
                break
    outcome["warnings"] = [str(item.message) for item in seen if issubclass(item.category, UserWarning)]
    outcome["state"] = state()
    outcome["activated"] = list(activated or ())
    outcome["result"] = _unlocated(outcome["result"], root)
    return outcome


def replay_in_new_process(case: dict[str, Any], root: Path, *, activate: bool = True) -> dict[str, Any]:
    """Do it all in a fresh process; the outcome is that of `replay`."""
    workdir = lay_out(case, root)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ISOLATED)
        or name == "SEAMLESS_TEST_RUN"  # by which what is left behind is found
    }
    done = subprocess.run(
        [sys.executable, __file__, case["id"], str(root), str(int(activate))],
        cwd=workdir,
        env={**inherited, **environment(case, root)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return outcome


def state() -> dict[str, Any]:
    """Return what is selected, as the recorded cases show it."""
    from seamless_config import activation, select
    from seamless_config.errors import ConfigurationError

    now = select.current_configuration()
    try:
        nparallel: int | None = select.get_nparallel()
    except ConfigurationError:
        nparallel = None
    return {
        "cluster": select.get_selected_cluster(),
        "project": select.get_selected_project(),
        "subproject": select.get_subproject(),
        "stage": select.get_stage(),
        "substage": select.get_substage(),
        "execution": select.get_execution(),
        "execution_explicit": select.execution_was_set_explicitly(),
        "persistent": select.get_persistent(select.get_selected_cluster()),
        "persistent_explicit": select.persistent_was_set_explicitly(),
        "remote": select.get_remote(),
        "queue": select.get_queue(select.get_selected_cluster()),
        "node": select.get_node(),
        "record": select.get_record(),
        "clusters": sorted(now.clusters),
        "local_cluster": now.local_cluster,
        "initialized": activation.is_initialised(),
        "nparallel": nparallel,
    }


def _step(name: str, arguments: dict[str, Any], root: Path, *, activate: bool) -> Any:
    import seamless_config
    from seamless_config import config_files, select, tools, workdir

    if name == "write":
        return _write(root, arguments["path"], arguments["content"])
    if name == "load" or (name in ("init", "set_stage") and not activate):
        workdir.set_workdir_path(Path.cwd())
        if name != "load":
            select.select_stage(arguments.get("stage"))
            select.select_substage(arguments.get("substage"))
        return config_files.load_config_files()
    if name == "init":
        return seamless_config.init(workdir=arguments.get("workdir", Path.cwd()))
    if name == "set_stage":
        if not arguments.pop("keep_workdir", False):
            workdir.set_workdir_path(Path.cwd())
        return seamless_config.set_stage(arguments.get("stage"), arguments.get("substage"))
    if name == "set_stage_workdir_kw":
        return seamless_config.set_stage(arguments.get("stage"), workdir=arguments["workdir"])
    if name.startswith("configure_"):
        mode = [arguments.pop("mode")] if "mode" in arguments else []
        return evaluated(getattr(tools, name)(*mode, **arguments))
    function = getattr(seamless_config, name, None) or getattr(select, name)
    if name in ("set_workdir", "set_nparallel"):
        return function(*arguments.values())
    return function(**arguments)


def evaluated(launch: dict[str, Any]) -> dict[str, Any]:
    """Return a launch dictionary as it was recorded: key and command evaluated, without `meta`."""
    from remote_http_launcher import Configuration

    found = Configuration.from_mapping(launch)
    return {
        **{name: value for name, value in launch.items() if name != "meta"},
        "key": found.key,
        "command": found.command(STATUS),
    }


def _write(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = FIXTURES[content[1:]] if content.startswith("@") else content
    path.write_text(_located(text, root), encoding="utf-8")


def _located(value: Any, root: Path) -> Any:
    """Return the value with <ROOT> replaced by the folder."""
    return json.loads(json.dumps(value).replace("<ROOT>", str(root)))


def _unlocated(value: Any, root: Path) -> Any:
    return json.loads(json.dumps(value, default=str).replace(str(root), "<ROOT>"))


if __name__ == "__main__":
    found_case = {**CASES, **RESOLVE_CASES}[sys.argv[1]]
    print(json.dumps(replay(found_case, Path(sys.argv[2]), activate=sys.argv[3] == "1")))
