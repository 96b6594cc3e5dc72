"""rhl-ps: list the services of this machine, or those that it uses."""

from __future__ import annotations

from remote_http_launcher.directories import client_directory, server_directory
from remote_http_launcher.errors import UsageError
from remote_http_launcher.listing import MALFORMED, client_rows, server_rows, table

from .frame import parse, run, write, write_error, write_json

TYPE_CHECKING = False  # importing typing costs a helper 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ("main",)

NAME = "rhl-ps"
HELP = """\
usage: rhl-ps [--client] [--host SSH_HOST] [--status STATE] [--key] [--no-status] [--json]
              [--wide] [--tunnels]

List known remote-http-launcher state rows.

Default mode reads server state. Use --client for client connection files.
--no-status skips server PID liveness probing.

  --client         the services that this machine uses
  --host SSH_HOST  with --client: only those behind this SSH host
  --status STATE   only these: running, starting, failed, stale, malformed
  --key            only the keys
  --no-status      do not look whether the processes live
  --json           one JSON object for each row
  --wide           more columns: PID, HOST and NOTE
  --tunnels        with --client: the tunnels of this machine, and whether they live

examples:
  rhl-ps
      show key, status and port of each service here
  rhl-ps --status stale --key
      print the keys of services whose process is gone

exit codes:
  0  done, also when a state file is malformed: it is a row like the others
  1  wrong usage, or the directory cannot be read
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of rhl-ps."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    options = parse(
        arguments,
        flags=("--client", "--key", "--no-status", "--json", "--tunnels", "--wide"),
        values=("--host", "--status"),
        words=False,
    )
    is_client = "--client" in options.flags
    if "--host" in options.values and not is_client:
        raise UsageError("--host requires --client")
    if "--key" in options.flags and "--json" in options.flags:
        raise UsageError("--key and --json are mutually exclusive")
    if "--tunnels" in options.flags:
        if not is_client:
            raise UsageError("--tunnels requires --client")
        return _show_tunnels(options.values.get("--host"), options.flags)
    rows = (
        client_rows(client_directory())
        if is_client
        else server_rows(server_directory(), probing="--no-status" not in options.flags)
    )
    for row in rows:
        if row.get("status") == MALFORMED and "error" in row:
            write_error(f"{NAME}: {row['error']}")
    if "--host" in options.values:
        rows = [row for row in rows if row["ssh_host"] == options.values["--host"]]
    if "--status" in options.values:
        rows = [row for row in rows if row.get("status") == options.values["--status"]]
    if "--json" in options.flags:
        for row in rows:
            write_json(row, sort_keys=True)
    elif "--key" in options.flags:
        write("".join(f"{row['key']}\n" for row in rows))
    else:
        _show(rows, is_client=is_client, is_wide="--wide" in options.flags)
    return 0


def _show_tunnels(host: str | None, flags: set[str]) -> int:
    from remote_http_launcher.tunnels import list_tunnels  # it brings socket and signal

    rows = [row for row in list_tunnels() if host is None or row.get("ssh_host") == host]
    if "--json" in flags:
        for row in rows:
            write_json(row, sort_keys=True)
        return 0
    if "--key" in flags:
        write("".join(f"{row['key']}\n" for row in rows))
        return 0
    words = {True: "running", False: "stale", None: MALFORMED}
    cells = [
        [row["key"], words[row["live"]], row.get("ssh_host"), _ports(row.get("forwards")), row.get("pid")]
        for row in rows
    ]
    write(table(["KEY", "STATUS", "SSH-HOST", "PORTS", "PID"], cells))
    return 0


def _ports(forwards: Any) -> str:
    """Return `LOCAL:HOST:REMOTE` of each port."""
    found = forwards if isinstance(forwards, list) else []
    return ",".join(":".join(str(part) for part in forward) for forward in found if isinstance(forward, list))


def _show(rows: Sequence[dict[str, Any]], *, is_client: bool, is_wide: bool) -> None:
    columns = {"KEY": "key", "SSH-HOST": "ssh_host", "HOST": "host", "PORT": "port"}
    if not is_client:
        columns = {"KEY": "key", "STATUS": "status", "PORT": "port"}
        if is_wide:
            columns |= {"PID": "pid", "HOST": "host"}
    cells = [[row.get(member) for member in columns.values()] for row in rows]
    header = list(columns)
    if is_wide:
        header.append("NOTE")
        for row, line in zip(rows, cells, strict=True):
            line.append(_note(row))
    write(table(header, cells))


def _note(row: dict[str, Any]) -> str:
    error = row.get("error")
    if isinstance(error, dict):
        error = error.get("message")
    if isinstance(error, str) and error:
        return error.splitlines()[0]
    if row.get("live") is False:
        return f"process {row.get('pid')} is gone"
    if row.get("live") is None and row.get("status") in ("running", "starting") and row.get("pid"):
        return f"whether process {row.get('pid')} lives cannot be told from here"
    return ""
