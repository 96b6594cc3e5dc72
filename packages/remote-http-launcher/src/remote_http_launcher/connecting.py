"""The way from this machine to a running service: tunnel, proof that it is the one, client state and token."""

from __future__ import annotations

import os
import time

from .client_state import client_state
from .directories import make_private_directory
from .errors import TokenUnusable
from .handshake import connect_error, probe
from .handshake_url import handshake_url
from .launch_errors import ConfigurationError, ServiceNotReachable, StrangerOnPort, TunnelFailed
from .reuse import same_process
from .state_files import SCHEMA, remove_state, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .configuration import Configuration
    from .progress import NoProgress

__all__ = ("connect", "handshake_port", "valid_port")

PROBE_TIMEOUT_S = 10.0
CONNECT_TRIES, CONNECT_PAUSE_S = 5, 0.5


def handshake_port(config: Configuration, state: Mapping[str, Any]) -> int | None:
    """Return the port at which to ask, None if the state has no valid one."""
    name = (config.handshake.port_name if config.handshake else None) or "port"
    return valid_port(state.get(name))


def valid_port(value: object) -> int | None:
    """Return the value if it is the number of a port."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536 else None


def connect(
    config: Configuration, path: str, state: dict[str, Any], token: str | None, progress: NoProgress
) -> dict[str, Any]:
    """Return the client state, written to `path` once the service has answered from here."""
    if valid_port(state.get("port")) is None:
        raise ServiceNotReachable(
            f"{config.key!r} says that it runs, but not at which port ('port' is {state.get('port')!r:.80})",
            hint=f"rhl-inspect {config.key}; rhl-logs {config.key}",
            host=config.hostname,
            key=config.key,
        )
    make_private_directory(os.path.dirname(path))
    token_path = path.removesuffix(".json") + ".token"
    if config.tunnel:
        from .tunnels import open_tunnel

        progress.begin("tunnel_setup")
        mapping = open_tunnel(config, state)
        progress.phase("tunnel_setup", "ok")
    else:
        mapping = client_state(config, state, _no_port).mapping
    try:
        identity = _answering(config, mapping, state)
    except ServiceNotReachable as exc:
        if config.tunnel:
            raise _useless_tunnel(config, exc) from exc
        raise
    progress.phase("local_validate", "ok")
    shared = _shared_token_file(state, token)
    if shared is not None:
        mapping["token_file"] = shared
    elif token is not None:
        _write_private(token_path, token + "\n")
        mapping["token_file"] = token_path
    if shared is not None or token is None:
        remove_state(token_path)
    mapping["schema"] = SCHEMA
    if identity is not None:
        mapping["identity"] = {
            name: identity.get(name) for name in ("service", "key", "pid", "start_time", "boot_id")
        }
        mapping["launched"] = {
            name: state[name] for name in ("workdir", "command", "auth", "token_file") if name in state
        }
    write_state(path, mapping)
    return mapping


def _answering(
    config: Configuration, mapping: Mapping[str, Any], state: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the identity of what answers, None if it gives none. Raises ServiceNotReachable, StrangerOnPort."""
    host, port = str(mapping["hostname"]), handshake_port(config, mapping)
    if port is None:
        raise ConfigurationError(
            f"The state of {config.key!r} has no port {config.handshake.port_name if config.handshake else 'port'!r}.",
            hint="correct handshake.port_name",
            field="handshake",
        )
    said = ""
    for attempt in range(CONNECT_TRIES):
        if attempt:
            time.sleep(CONNECT_PAUSE_S * attempt)
        found = probe(handshake_url(host, port, config.handshake), PROBE_TIMEOUT_S)
        if found.identity is not None and not same_process(found.identity, state, config.key):
            raise StrangerOnPort(
                f"{host}:{port} is not {config.key!r}: there answers {found.identity.get('service')!r} with key "
                f"{found.identity.get('key')!r} and pid {found.identity.get('pid')}",
                hint=f"rhl-stop {config.key}, and launch again",
                host=host,
                key=config.key,
            )
        if found.is_healthy:
            return found.identity
        said = found.error if found.status is None else f"HTTP {found.status}"
        if config.handshake is None and (found.status is not None or not connect_error(host, port)):
            return found.identity
    raise ServiceNotReachable(
        f"{config.key!r} runs, but does not answer from here at {handshake_url(host, port, config.handshake)} "
        f"({CONNECT_TRIES} tries: {said})",
        hint="set network_interface to an address that clients reach, or tunnel: true",
        host=config.hostname,
        key=config.key,
    )


def _shared_token_file(state: Mapping[str, Any], token: str | None) -> str | None:
    """Return where a group finds the token, if it can be read here: so can others who are handed the client state."""
    from .tokens import read_token

    path = state.get("token_file")
    if token is None or not isinstance(path, str):
        return None
    try:
        return path if read_token(path) == token else None
    except TokenUnusable:
        return None


def _useless_tunnel(config: Configuration, exc: ServiceNotReachable) -> TunnelFailed:
    from .tunnels import close_tunnel, tunnel_log

    said = tunnel_log(config.key)
    close_tunnel(config.key)
    return TunnelFailed(
        f"{exc.message}; the tunnel was there and is closed again, ssh said: {said}",
        hint=f"the ssh server of {config.ssh_hostname} must allow TCP forwarding (AllowTcpForwarding, permitopen)",
        host=config.ssh_hostname,
        key=config.key,
    )


def _no_port() -> int:
    raise AssertionError("a direct connection needs no port of this machine")


def _write_private(path: str, text: str) -> None:
    temporary = f"{path}.{os.urandom(8).hex()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "w", encoding="ascii") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        remove_state(temporary)
        raise
