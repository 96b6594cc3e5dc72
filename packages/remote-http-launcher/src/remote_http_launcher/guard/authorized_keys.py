"""Make the line of `authorized_keys` that ties a key to the guard."""

from __future__ import annotations

import os
import sys

from .refusal import GuardMisconfigured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("advice", "authorized_keys_line", "own_words", "ports_named")

N_PORTS_MAX = 200  # each is a word of the line
PORT_MAX = 65535
NO_LISTENING = (
    'permitlisten="127.0.0.1:1"'  # a port that only root can bind: no forwarding from there to the client
)


def ports_named(text: str) -> range:
    """Return the ports that `A-B` or `A` stands for. Raises GuardMisconfigured."""
    first, dash, last = text.partition("-")
    if not first.isdigit() or not (last.isdigit() if dash else True) or len(text) > 11:
        raise GuardMisconfigured(f"--ports takes A-B, not {text!r}")
    ports = range(int(first), int(last or first) + 1)
    if not ports or ports[0] < 1 or ports[-1] > PORT_MAX or len(ports) > N_PORTS_MAX:
        raise GuardMisconfigured(
            f"--ports takes at most {N_PORTS_MAX} ports from 1 to {PORT_MAX}, not {text!r}"
        )
    return ports


def authorized_keys_line(words: Sequence[str], ports: Sequence[int] = ()) -> str:
    """Return the line, but for the public key at its end. words: the command, with the policy."""
    import shlex

    command = shlex.join(words).replace("\\", "\\\\").replace('"', '\\"')
    options = ["restrict"]
    if ports:
        options += ["port-forwarding", NO_LISTENING]
        options += [f'permitopen="{host}:{port}"' for port in ports for host in ("127.0.0.1", "localhost")]
    return ",".join([*options, f'command="{command}"']) + " PUBLIC-KEY"


def advice(*, with_ports: bool) -> str:
    """Return what there is to know about the line, for a person."""
    tunnels = (
        "Tunnels: only to the ports that the line names. Give the cluster the same port range."
        if with_ports
        else "No tunnels. For services that are reached through one: --ports A-B, the port range of the cluster."
    )
    return (
        "Put this line into ~/.ssh/authorized_keys on this machine, with the public key in place of PUBLIC-KEY.\n"
        "restrict: no terminal, no agent, no X11, no forwarding but what follows.\n"
        f"{tunnels}\n"
        "The key must stand in no other line, and the account must not be able to add lines through its services.\n"
        "Then, once, from the client: ssh HOST rhl-cache-conda, and ssh HOST rhl-ps as a trial."
    )


def own_words() -> list[str]:
    """Return how to start this very command: isolated, where that is possible.

    `-I` keeps variables of the client (PYTHONPATH), modules beside the script and the user's site directory out.
    """
    import site

    script = os.path.abspath(sys.argv[0])
    user_site = site.getusersitepackages()
    if __file__.startswith(os.path.join(user_site, "")) or not sys.executable:
        return [script]  # installed for the user: isolated, it would not be found
    return [sys.executable, "-I", script]
