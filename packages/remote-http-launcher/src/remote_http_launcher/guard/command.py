"""rhl-guard: the forced command of an SSH key, in `authorized_keys`.

sshd puts what the client asked for into SSH_ORIGINAL_COMMAND. The guard runs the helper named there, in this process,
or says in one line why not and ends with 1. Its own options are the policy of the key.
"""

from __future__ import annotations

import os
import sys

from remote_http_launcher.errors import LauncherError

from .audit import AuditLog, system_log, told
from .dispatch import Call, decide, run_helper
from .policy import Policy, policy_of
from .refusal import GuardMisconfigured, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("main",)

COMMAND_VARIABLE = "SSH_ORIGINAL_COMMAND"
INTERRUPTED = 130
# What makes a shell or a helper run other code than ours. What acts on this process has acted already.
DROPPED_VARIABLES = ("RHL_TOOLS_YAML", "BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", COMMAND_VARIABLE)
DROPPED_PREFIXES = ("BASH_FUNC_", "PYTHON")

USAGE = """\
rhl-guard: this program is an SSH guard for remote-http-launcher.

It is the forced command of a key in authorized_keys, and runs the rhl-* helper that the client names, nothing else:

  restrict,command="rhl-guard --data-roots ~/.config/rhl/data-roots" ssh-ed25519 AAAA... user@host

  --data-roots FILE             directories at or below those listed in FILE, one in each line
  --clear-policy seamless       directories that hold seamless.db or .HASHSERVER_PREFIX
  --clear-policy marker:NAME    directories that hold a file NAME
  --permissive-paths            all but the home directory, dot directories and the system's
  --role ROLE                   observe, operate, clear or all (default)
  --print-authorized-keys-line [--ports A-B]   print the line for these options
  --version, --help

exit codes: the helper's; 1 refused
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Decide on SSH_ORIGINAL_COMMAND, and run it or say why not. Returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    text = os.environ.get(COMMAND_VARIABLE)
    if text is None and words and words[0] in ("--help", "-h", "--version", "--print-authorized-keys-line"):
        return _for_a_person(words)
    _clean(os.environ)
    home = _home()
    audit = _audit_log()
    try:
        policy = policy_of(words, home, own_directory=_own_directory())
    except GuardMisconfigured as exc:
        audit.write("misconfigured", os.environ, cause=_first_line(exc))
        return _say(f"configuration error: {exc}")
    if not text:
        audit.write("refused", os.environ, cause="no command", policy=policy.name, role=policy.role)
        sys.stderr.write(USAGE)
        return 1
    try:
        call = _decided(text, policy, home)
    except Refused as exc:
        audit.write(
            "refused", os.environ, helper=exc.helper, cause=exc.cause, policy=policy.name, role=policy.role
        )
        return _say(f"rejected: {exc}")
    try:
        written = audit.write(
            "allowed",
            os.environ,
            helper=call.helper,
            words=told(call.words),
            policy=policy.name,
            role=policy.role,
        )
        if call.changes and not written:
            return _say(f"rejected: no line could be written to {audit.path}; {call.helper} needs one")
        return _run(call)
    finally:
        call.close()


def _decided(text: str, policy: Policy, home: str) -> Call:
    from remote_http_launcher.directories import conda_cache_path, server_directory

    return decide(
        text, policy, home=home, server_directory=server_directory(), conda_cache=conda_cache_path()
    )


def _run(call: Call) -> int:
    try:
        return run_helper(call)
    except Refused as exc:
        return _say(str(exc))
    except LauncherError as exc:
        sys.stderr.write(f"{call.helper}: {exc}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _for_a_person(words: list[str]) -> int:
    if words[0] != "--print-authorized-keys-line":
        if words[0] == "--version":
            from importlib.metadata import version

            sys.stdout.write(f"rhl-guard {version('remote-http-launcher')}\n")
        else:
            sys.stdout.write(USAGE)
        return 0
    from .authorized_keys import advice, authorized_keys_line, own_words, ports_named

    policy_words = words[1:]
    try:
        ports: Sequence[int] = ()
        if "--ports" in policy_words:
            at = policy_words.index("--ports")
            ports = ports_named("".join(policy_words[at + 1 : at + 2]))
            del policy_words[at : at + 2]
        policy = policy_of(policy_words, _home())
        line = authorized_keys_line([*own_words(), *policy_words], ports)
    except GuardMisconfigured as exc:
        return _say(f"configuration error: {exc}")
    sys.stdout.write(f"{line}\n")
    sys.stderr.write(f"{advice(with_ports=bool(ports))}\n")
    if not policy.name:
        sys.stderr.write("Without a path policy this key may not launch, clear or list data directories.\n")
    return 0


def _clean(environment: os._Environ[str]) -> None:
    """Take out what would let the client, through sshd's AcceptEnv, choose code; and the directory of this script."""
    for name in list(environment):
        if name in DROPPED_VARIABLES or name.startswith(DROPPED_PREFIXES):
            del environment[name]
    beside = os.path.dirname(os.path.abspath(sys.argv[0])) if sys.argv and sys.argv[0] else ""
    sys.path[:] = [entry for entry in sys.path if entry not in ("", beside)]


def _home() -> str:
    return os.path.abspath(os.path.expanduser("~"))


def _own_directory() -> str:
    from remote_http_launcher.directories import base_directory

    return base_directory()


def _audit_log() -> AuditLog:
    from remote_http_launcher.directories import server_directory

    return AuditLog(server_directory(), to_system=system_log())


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _say(text: str) -> int:
    sys.stderr.write(f"rhl-guard: {text}\n".encode("ascii", "backslashreplace").decode())
    return 1
