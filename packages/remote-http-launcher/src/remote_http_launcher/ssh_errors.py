"""Why a call over SSH did not reach its helper: one class for each cause, told apart by what ssh says."""

from __future__ import annotations

import re

from .errors import LauncherError

__all__ = (
    "HelperMissing",
    "HelperTooOld",
    "SshAuthenticationFailed",
    "SshBusy",
    "SshConnectionCut",
    "SshFailed",
    "SshHostKeyRejected",
    "SshHostUnknown",
    "SshRefused",
    "SshUnreachable",
    "ssh_error",
)


class SshFailed(LauncherError):
    """The program ssh failed, in a way that it does not say more about, or it is not installed.

    stderr: what it said.

    Remedy: try by hand what the hint names.
    """

    layer = "ssh"

    def __init__(
        self, message: str, *, hint: str | None = None, host: str | None = None, stderr: str = ""
    ) -> None:
        super().__init__(message, hint=hint, host=host)
        self.stderr = stderr


class SshHostUnknown(SshFailed):
    """The name of the SSH host does not resolve.

    Remedy: correct `ssh_hostname`, or give the alias a HostName in the ssh configuration.
    """


class SshRefused(SshFailed):
    """Nothing listens on the SSH port of the host.

    Remedy: see whether the host is up and which Port its ssh server has.
    """


class SshUnreachable(SshFailed):
    """The host did not answer in time, or there is no way to it.

    Remedy: see whether the network, a VPN or a ProxyJump is missing.
    """


class SshAuthenticationFailed(SshFailed):
    """The host did not accept the key; a password cannot be asked for.

    Remedy: load the key into the agent (`ssh-add`), or name it with IdentityFile; `ssh HOST true` must work by itself.
    """


class SshHostKeyRejected(SshFailed):
    """The host's key is not known, or is another one than before.

    Remedy: connect once by hand and compare the fingerprint.
    """


class SshConnectionCut(SshFailed):
    """The connection ended, or stayed silent, before the helper had answered.

    Remedy: try again; what was begun on the host is recorded there, and found by the next try.
    """


class SshBusy(SshFailed):
    """As many calls to the host as are made at once were running all the time, in all processes of this user.

    Remedy: wait for them, or end those that hang.
    """


class HelperMissing(LauncherError):
    """The host has no rhl-* helpers on the PATH of ssh commands, and no Python that could take their place.

    Remedy: `pip install remote-http-launcher` on the host, into the system Python or conda's base environment.
    """

    layer = "helper"


class HelperTooOld(LauncherError):
    """The helpers of the host, or the guard of the key, do not know what this version asks for.

    Remedy: `pip install --upgrade remote-http-launcher` on the host.
    """

    layer = "helper"


_CAUSES: tuple[tuple[str, type[SshFailed], str, str], ...] = (
    (
        r"could not resolve hostname|name or service not known|nodename nor servname",
        SshHostUnknown,
        "the name does not resolve",
        "correct ssh_hostname, or give it a HostName in ~/.ssh/config",
    ),
    (
        r"host key verification failed|remote host identification has changed|no \S+ host key is known",
        SshHostKeyRejected,
        "its host key is not known, or has changed",
        "ssh {host} true, and compare the fingerprint",
    ),
    (
        r"permission denied \(|too many authentication failures|no supported authentication methods",
        SshAuthenticationFailed,
        "the key was not accepted",
        "ssh-add, or IdentityFile in ~/.ssh/config; then try: ssh -o BatchMode=yes {host} true",
    ),
    (
        r"connection refused",
        SshRefused,
        "nothing listens on its ssh port",
        "see whether the host is up, and its Port: ssh -v {host} true",
    ),
    (
        r"(connect to host .*|banner exchange.*)(timed out|no route|unreachable)|connection timed out during banner|"
        r"operation timed out|network is unreachable|no route to host",
        SshUnreachable,
        "it does not answer",
        "see whether network, VPN or ProxyJump are there: ssh -v {host} true",
    ),
    (
        r"connection (to \S+ )?(was )?(closed|reset|aborted)|broken pipe|timeout, server|client_loop|"
        r"mux_client|connection closed by|connection reset by|kex_exchange",
        SshConnectionCut,
        "the connection was cut",
        "try again: ssh {host} true",
    ),
)


def ssh_error(host: str, stderr: str) -> SshFailed:
    """Return the error that what ssh said stands for."""
    said = stderr.strip()
    fits = (row for row in _CAUSES if re.search(row[0], said, re.IGNORECASE))
    _, kind, cause, hint = next(fits, ("", SshFailed, "ssh failed", "ssh -v {host} true"))
    last = said.splitlines()[-1] if said else "it said nothing"
    return kind(
        f"cannot reach {host!r} over ssh: {cause} ({last:.300})",
        hint=hint.format(host=host),
        host=host,
        stderr=said[:4096],
    )
