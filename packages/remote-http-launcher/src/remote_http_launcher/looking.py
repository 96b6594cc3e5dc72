"""Everything that a client wants to know of services, in one call: a connection costs more than all of it.

Ages are by this machine's own clock, so that a client whose clock is wrong is not misled. With `want` the answer is
given as soon as every service has one of these statuses, or cannot get one any more; at the latest after `wait_s`.
"""

from __future__ import annotations

import os
import time

from .directories import log_path, server_directory, server_state_path
from .errors import StateMalformed, StateMissing, TokenUnusable
from .handshake import connect_error, probe
from .keys import check_key
from .listening import listens_on
from .listing import derived_status
from .processes import liveness, pid_of
from .state_files import read_state
from .tail import last_lines
from .tokens import Redactor, read_token, token_path

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any

__all__ = ("look",)

SCHEMA = 1
ABSENT = "absent"
POLL_S = 0.02
PROBE_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 2.0
LOG_MAX_BYTES = 256 * 1024
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}


def look(
    keys: Iterable[str],
    wait_s: float = 0.0,
    want: Collection[str] = (),
    *,
    handshake: str | None = "/healthcheck",
    port_name: str = "port",
    n_log_lines: int = 0,
    with_token: bool = False,
) -> dict[str, Any]:
    """Return what is known of the services with these keys.

    handshake: path to ask a running service at, None asks nothing. port_name: the member that says at which port.
    n_log_lines: how many of the last lines of the log. with_token: the token too, where there is one.
    """
    names = [check_key(key) for key in keys]
    deadline = time.monotonic() + wait_s
    while True:
        services = {key: _facts(key) for key in names}
        if not want or all(_is_settled(facts, want) for facts in services.values()):
            break
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            break
        time.sleep(min(POLL_S, left_s))
    for key, facts in services.items():
        if handshake is not None and facts["status"] == "running":
            _ask(facts, handshake, port_name, max(deadline, time.monotonic() + PROBE_TIMEOUT_S))
        _add_log_and_token(key, facts, n_log_lines, with_token)
    return {
        "directory": server_directory(),
        "host": os.uname().nodename,
        "now": time.time(),
        "schema": SCHEMA,
        "services": services,
        "uid": os.getuid(),
    }


def _facts(key: str) -> dict[str, Any]:
    path = server_state_path(key)
    facts: dict[str, Any] = {
        "age_s": None,
        "error": None,
        "handshake": None,
        "liveness": None,
        "mtime": None,
        "port_open": None,
        "state": None,
        "status": ABSENT,
    }
    try:
        found = os.stat(path)
        state = read_state(path)
    except (StateMissing, FileNotFoundError):
        return facts
    except StateMalformed as exc:
        return {**facts, "status": "malformed", "error": exc.message}
    facts |= {"state": state, "mtime": found.st_mtime, "age_s": max(0.0, time.time() - found.st_mtime)}
    facts["status"] = derived_status(state, path)[0]
    facts["liveness"] = liveness(state, path) if pid_of(state) is not None else None
    return facts


def _is_settled(facts: Mapping[str, Any], want: Collection[str]) -> bool:
    if facts["status"] in want:
        return True
    if facts["status"] == "starting":
        return bool(facts["liveness"] == "dead")
    return bool(facts["status"] != ABSENT)


def _ask(facts: dict[str, Any], handshake: str, port_name: str, deadline: float) -> None:
    state = facts["state"]
    port = state.get(port_name)
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        facts["port_open"] = False
        return
    interface = state.get("network_interface")
    host = interface if isinstance(interface, str) else "127.0.0.1"
    host = _EVERYWHERE.get(host, host)
    if error := connect_error(host, port, CONNECT_TIMEOUT_S):
        facts |= {"port_open": False, "error": error}
        return
    facts["port_open"] = True
    bracketed = f"[{host}]" if ":" in host else host
    answer = probe(
        f"http://{bracketed}:{port}/{handshake.lstrip('/')}", max(0.1, deadline - time.monotonic())
    )
    listens = None
    if answer.identity is None and facts["liveness"] == "alive":
        listens = listens_on(state["pid"], port)
    facts["handshake"] = {
        "error": answer.error,
        "identity": answer.identity,
        "listens": listens,
        "status": answer.status,
    }


def _add_log_and_token(key: str, facts: dict[str, Any], n_log_lines: int, with_token: bool) -> None:
    token = None
    try:
        token = read_token(token_path(server_state_path(key)))
    except TokenUnusable as exc:
        facts["error"] = facts["error"] or exc.message
    if with_token:
        facts["token"] = token
    if n_log_lines:
        try:
            content = last_lines(log_path(key), n_log_lines, size_max_bytes=LOG_MAX_BYTES)
        except FileNotFoundError:
            facts["log"] = None
            return
        redactor = Redactor(token)
        facts["log"] = (redactor.feed(content) + redactor.rest()).decode("utf-8", "replace")
