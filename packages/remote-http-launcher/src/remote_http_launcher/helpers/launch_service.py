"""rhl-launch-service: start a service on this machine, once for its key."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ("main",)

NAME = "rhl-launch-service"
VALUES = (
    "--key",
    "--workdir",
    "--conda-env",
    "--network-interface",
    "--parameters",
    "--meta",
    "--auth",
    "--wait",
    "--replace",
)
MAX_WAIT_S = 7 * 86400.0
USAGE = f"usage: {NAME} --key KEY --workdir DIR [options] -- PROGRAM ARG..."
HELP = f"""{USAGE}

Start a service on this machine, unless the one of this key lives. Without --wait: silent, ends once it is started.

options:
  --key KEY                name of the service: letters, digits, . _ -
  --workdir DIR            its directory, absolute; made if missing
  --conda-env NAME         run it inside this environment (see rhl-cache-conda)
  --network-interface I    noted in the state
  --parameters JSON        an object for the service, noted in the state
  --meta JSON              an object for people and tools, noted in the state
  --auth token|group|none  make a token for it (default), one for its group too, or none
  --wait SECONDS           wait until it runs; print the state, or why it failed, as JSON
  --replace PID:START      stop this process of the key first, if it is still the one
  --version                print the version and end

examples:
  rhl-launch-service --key h --workdir ~/b -- hashserver --status-file ~/.remote-http-launcher/server/h.json ~/b
  rhl-launch-service --key h --workdir ~/b --wait 60 -- hashserver --status-file ~/.remote-http-launcher/server/h.json ~/b

exit codes: 0 started, or there already (with --wait: it runs); 1 refused or failed; 2 wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    before = words[: words.index("--")] if "--" in words else words
    if "-h" in before or "--help" in before:
        sys.stdout.write(HELP)
        return 0
    if "--version" in before:
        from importlib.metadata import version

        print(f"{NAME} {version('remote-http-launcher')}")
        return 0
    options, problem = _parse(words)
    if problem:
        print(f"{USAGE}\n{NAME}: error: {problem}", file=sys.stderr)
        return 2
    from ..errors import LauncherError

    try:
        return _run(options)
    except LauncherError as exc:
        print(f"{NAME}: {exc.message}", file=sys.stderr)
        if exc.hint:
            print(f"hint: {exc.hint}", file=sys.stderr)
        return 1
    except OSError as exc:
        print(f"{NAME}: {exc.strerror or exc}: {exc.filename}", file=sys.stderr)
        return 1


def _parse(words: list[str]) -> tuple[dict[str, Any], str]:
    options: dict[str, Any] = {"words": []}
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--":
            options["words"] = words[at + 1 :]
            break
        name, has_value, value = word.partition("=")
        if name not in VALUES:
            return options, f"unrecognized arguments: {word}"
        if not has_value:
            at += 1
            if at >= len(words) or words[at] == "--":
                return options, f"argument {name}: expected one argument"
            value = words[at]
        if name[2:] in options:
            return options, f"argument {name}: given twice"
        options[name[2:]] = value
        at += 1
    missing = [name for name in ("--key", "--workdir") if name[2:] not in options]
    if missing:
        return options, f"the following arguments are required: {', '.join(missing)}"
    try:
        wait_s = float(options.get("wait", 1))
    except ValueError:
        wait_s = -1.0
    if not 0 < wait_s <= MAX_WAIT_S:
        return options, f"argument --wait: {options['wait']!r} is not a number of seconds from 0 to {MAX_WAIT_S:g}"
    return options, ""


def _run(options: dict[str, Any]) -> int:
    from ..launch_request import LaunchRequest, json_object
    from ..launch_service import launch, wait_for_start

    request = LaunchRequest(
        options["key"],
        options["workdir"],
        options["words"],
        conda_env=options.get("conda-env"),
        network_interface=options.get("network-interface"),
        parameters=json_object(options["parameters"], "--parameters") if "parameters" in options else None,
        meta=json_object(options["meta"], "--meta") if "meta" in options else None,
        auth=options.get("auth", "token"),
    )
    outcome = launch(request, replace=options.get("replace"))
    if "wait" not in options:
        return 0
    import signal

    from ..small_json import dumps
    from ..tokens import read_token

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever started us gave up: so does the start
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the connection was cut: the start goes on, and is recorded
    try:
        state = wait_for_start(request, outcome, float(options["wait"]))
    except KeyboardInterrupt:
        return 130
    token = read_token(request.token_path)
    answer = {"started": outcome.started, "state": state, "token": token}
    print(dumps(answer))
    return 0 if state.get("status") == "running" else 1
