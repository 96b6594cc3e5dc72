"""Tunnels: ports of this machine that lead to a service on an SSH host, on a connection of their own.

Each tunnel is one ssh process with all ports of a service, kept by a monitor (tunnel_monitor.py) that outlives the
client. `client/tunnels/KEY.json` records both, so that a tunnel is found again, shown and closed; a record without
living monitor is one of a tunnel that is gone. One tunnel for each key, whatever number of clients ask at once.
"""

from __future__ import annotations

import os
import signal
import socket
import time

from .client_state import ClientState, Forward, client_state
from .directories import client_directory, make_private_directory
from .errors import StateMalformed, StateMissing
from .key_lock import KeyLock
from .keys import check_key
from .launch_errors import TunnelFailed
from .processes import liveness, signal_process
from .small_json import dumps
from .state_files import list_states, read_state, remove_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .configuration import Configuration

__all__ = ("close_tunnel", "list_tunnels", "open_tunnel", "tunnel_log", "tunnels_directory")

OPEN_TIMEOUT_S = 40.0
CLOSE_TIMEOUT_S = 10.0
CHECK_S = 20.0  # how often a monitor asks whether the process on the other side lives
PORT_TRIES = 3  # a port can be taken between its choice and its use
_POLL_S = 0.02


def tunnels_directory() -> str:
    """Return the directory of the records."""
    return os.path.join(client_directory(), "tunnels")


def open_tunnel(
    config: Configuration, state: Mapping[str, Any], *, check_s: float = CHECK_S
) -> dict[str, Any]:
    """Have a tunnel to the running service, the one that there is if it fits, and return the client state.

    check_s: how often a new one's monitor asks whether the process on the other side lives.
    Raises TunnelFailed, SshFailed and its kinds.
    """
    directory = tunnels_directory()
    make_private_directory(directory)
    with KeyLock(config.key, directory=directory):
        found = _fitting(config, state)
        if found is not None:
            return found.mapping
        close_tunnel(config.key)
        for attempt in range(PORT_TRIES):
            wanted = client_state(config, state, _free_port)
            failure = _start(config, state, wanted.forwards, check_s)
            if not failure:
                return wanted.mapping
            if "address already in use" not in failure.lower() or attempt + 1 == PORT_TRIES:
                break
    raise _failed(config, failure)


def close_tunnel(key: str) -> bool:
    """End the tunnel of the key; return whether there was one. Only processes that the record names are signalled."""
    path = _path(key)
    try:
        record = read_state(path)
    except StateMissing:
        return False
    except StateMalformed:
        return remove_state(path)
    was_there = False
    ssh = {**record, "pid": record.get("ssh_pid"), "start_time": record.get("ssh_start_time")}
    for process in (record, ssh):  # the monitor ends ssh; if it was killed, ssh is left
        if not isinstance(process.get("start_time"), int) or liveness(process, path) != "alive":
            continue
        was_there = True
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal_process(process, path, number)
            deadline = time.monotonic() + CLOSE_TIMEOUT_S
            while liveness(process, path) == "alive" and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            if liveness(process, path) != "alive":
                break
    remove_state(path)
    return was_there


def list_tunnels() -> list[dict[str, Any]]:
    """Return the records, by key, each with `key` and `live`; of a malformed one there is no more than that."""
    rows: list[dict[str, Any]] = []
    for key, record in list_states(tunnels_directory()):
        if isinstance(record, StateMalformed):
            rows.append({"key": key, "live": None})
        else:
            rows.append({**record, "key": key, "live": liveness(record, _path(key)) == "alive"})
    return rows


def _path(key: str) -> str:
    return os.path.join(tunnels_directory(), check_key(key) + ".json")


def _fitting(config: Configuration, state: Mapping[str, Any]) -> ClientState | None:
    """Return the client state of the tunnel that there is, if it lives and leads where it should."""
    path = _path(config.key)
    try:
        record = read_state(path)
    except (StateMissing, StateMalformed):
        return None
    if record.get("status") != "running" or liveness(record, path) != "alive":
        return None
    forwards = record.get("forwards")
    if not isinstance(forwards, list):
        return None
    ports = iter([forward[0] for forward in forwards])
    try:
        wanted = client_state(config, state, lambda: next(ports))
    except StopIteration:
        return None
    same = [forward.as_list() for forward in wanted.forwards] == forwards
    same &= record.get("remote_pid") == state.get("pid")  # its monitor watches that one
    return wanted if same and record.get("ssh_host") == config.ssh_hostname else None


def _start(config: Configuration, state: Mapping[str, Any], forwards: list[Forward], check_s: float) -> str:
    """Start the monitor and wait for its word; return why there is no tunnel, "" if there is one."""
    import subprocess

    from .executors import own_process
    from .ssh_master import ssh_master

    path = _path(config.key)
    order = {
        "key": config.key,
        "path": path,
        "ssh_host": config.ssh_hostname,
        "ssh_options": ssh_master(config.ssh_hostname or "").own_options,
        "forwards": [forward.as_list() for forward in forwards],
        "remote_pid": state.get("pid"),
        "check_s": check_s,
    }
    log_path = path.removesuffix(".json") + ".log"
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        done = subprocess.run(
            own_process("remote_http_launcher.tunnel_monitor", [dumps(order)]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            timeout=OPEN_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "its monitor did not start"
    finally:
        os.close(log)
    if done.returncode != 0:
        return f"its monitor failed: {tunnel_log(config.key)}"
    deadline = time.monotonic() + OPEN_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            record = read_state(path)
        except (StateMissing, StateMalformed):
            record = {}
        if record.get("status") == "running":
            return ""
        if record.get("status") == "failed":
            remove_state(path)
            return f"{record.get('error') or 'ssh ended'}: {tunnel_log(config.key)}"
        if record and liveness(record, path) == "dead":
            return f"its monitor ended: {tunnel_log(config.key)}"
        time.sleep(_POLL_S)
    close_tunnel(config.key)
    return f"it was not there after {OPEN_TIMEOUT_S:g} s"


def tunnel_log(key: str) -> str:
    """Return what ssh and the monitor of the tunnel have said."""
    try:
        with open(_path(key).removesuffix(".json") + ".log", "rb") as file:
            return file.read(4096).decode("utf-8", "replace").strip()[-500:] or "it said nothing"
    except OSError:
        return "it said nothing"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _failed(config: Configuration, why: str) -> TunnelFailed:
    return TunnelFailed(
        f"no tunnel to {config.key!r} over {config.ssh_hostname!r}: {why}",
        hint=f"ssh {config.ssh_hostname} true; its server must allow TCP forwarding",
        host=config.ssh_hostname,
        key=config.key,
    )
