"""rhl-launch-service: start a service on this machine, once for its key."""

from __future__ import annotations

from remote_http_launcher.errors import UsageError

from .frame import parse, run, to_seconds, write_error, write_json

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .frame import Options

__all__ = ("main",)

NAME = "rhl-launch-service"
HELP = """\
usage: rhl-launch-service --key KEY --workdir DIR [options] -- PROGRAM ARG...

Start a service on this machine, unless the one of this key lives.
Without --wait nothing is printed, and the end comes once it is started.

  --key KEY                name of the service: letters, digits, . _ -
  --workdir DIR            its directory, absolute; made if missing
  --conda-env NAME         run it inside this environment (see rhl-cache-conda)
  --network-interface I    noted in the state
  --parameters JSON        an object for the service, noted in the state
  --meta JSON              an object for people and tools, noted in the state
  --auth token|group|none  make a token for it (default), one that its group may read, or none
  --wait SECONDS           wait until it runs; print its state and token, or why it failed, as JSON
  --replace PID:START      first stop this process of the key, if it is still the one

examples:
  rhl-launch-service --key b --workdir ~/b -- hashserver ~/b
      start it
  rhl-launch-service --key b --workdir ~/b --wait 60 -- hashserver ~/b --status-file \\
          ~/.remote-http-launcher/server/b.json
      start it, and wait until it runs

exit codes:
  0  started, or there already; with --wait: it runs
  1  refused, or failed
  2  wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-launch-service."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    words = list(arguments)
    at = words.index("--") if "--" in words else len(words)
    try:
        options = parse(
            words[:at],
            values=(
                "--key",
                "--workdir",
                "--conda-env",
                "--network-interface",
                "--parameters",
                "--meta",
                "--auth",
                "--wait",
                "--replace",
            ),
            words=False,
        )
        for name in ("--key", "--workdir"):
            if name not in options.values:
                raise UsageError(f"{name} is required")
        wait_s = to_seconds(options, "--wait", 0.0)
    except UsageError as exc:
        write_error(f"{HELP.partition(chr(10))[0]}\n{NAME}: error: {exc.message}")
        return 2
    return _launch(options, words[at + 1 :], wait_s)


def _launch(options: Options, words: list[str], wait_s: float) -> int:
    from remote_http_launcher.launch_request import LaunchRequest, json_object
    from remote_http_launcher.launch_service import launch, wait_for_start

    values = options.values
    request = LaunchRequest(
        values["--key"],
        values["--workdir"],
        words,
        conda_env=values.get("--conda-env"),
        network_interface=values.get("--network-interface"),
        parameters=json_object(values["--parameters"], "--parameters") if "--parameters" in values else None,
        meta=json_object(values["--meta"], "--meta") if "--meta" in values else None,
        auth=values.get("--auth", "token"),
    )
    if not wait_s:
        launch(request, replace=values.get("--replace"))
        return 0
    import signal

    from remote_http_launcher.tokens import read_token

    # Whoever asked gave up: so does the start. The signal is only noted, since it may come at any moment from here on.
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    outcome = launch(request, replace=values.get("--replace"))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the connection was cut: the start goes on, and is recorded
    state = wait_for_start(request, outcome, wait_s, is_interrupted=lambda: bool(told))
    write_json({"started": outcome.started, "state": state, "token": read_token(request.token_path)})
    return 0 if state.get("status") == "running" else 1
