"""seamless-service-ps: show services, and the data that they keep."""

from __future__ import annotations

from remote_http_launcher.errors import LauncherError, UsageError
from remote_http_launcher.helpers.frame import write
from remote_http_launcher.launch_errors import HelperFailed

from .command import print_error, print_json, run, warn
from .options import Request, read_options, scope_help
from .processes import find_client_rows, find_server_rows
from .rows import ABSENT, UNREACHABLE, Row, add_data, in_order, unreachable_row
from .scopes import DATA_SERVICES
from .tables import service_table

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .hosts import Host
    from .targets import Place

__all__ = ("main",)

NAME = "seamless-service-ps"
_VIEWS = frozenset(("--client", "--server", "--all-clusters"))
HELP = f"""\
usage: seamless-service-ps [--client | --server | --all-clusters] [--persistent] [--status STATE]
                           [--wide] [--json] [--service S] [--cluster C] [--project P[:SUB]] ...

Show services. Without options: those that this machine uses, without asking any other machine.

  --client             the connections of this machine, and their tunnels
  --server             the processes on all hosts of the cluster
  --all-clusters       the processes on the hosts of every cluster that is defined
  --persistent         also what hashserver and database keep in directories
  --status STATE       only these: running, starting, failed, stale, absent (data without process), client
  --wide               more columns: HOST KEY CLUSTER MODE SUBPROJECT SUBSTAGE QUEUE PID TUNNEL NOTE
{scope_help()}
--cluster C alone means --server --persistent. Other options only choose rows.

examples:
  seamless-service-ps --server --persistent
      show processes and data of the cluster that the project files select
  seamless-service-ps --all-clusters --status stale --json
      show, as JSON, every service whose process is gone

exit codes:
  0  done
  1  a host could not be asked (its row says unreachable), or the configuration is wrong
  2  wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of seamless-service-ps."""
    return run(NAME, HELP, _body, arguments)


def _body(arguments: Sequence[str]) -> int:
    request = read_options(
        arguments,
        flags=("--client", "--server", "--all-clusters", "--persistent", "--wide"),
        values=("--status",),
    )
    views = sorted(_VIEWS & request.flags)
    if len(views) > 1:
        raise UsageError(f"{' and '.join(views)} exclude each other")
    view = views[0] if views else "--server" if request.cluster and not request.is_cache_alias else "--client"
    rows, failed = _View(request).rows(view)
    status = request.values.get("--status")
    if status is not None:
        rows = [row for row in rows if row.process in (status, UNREACHABLE)]
    _show(in_order(rows), request)
    return 1 if failed else 0


class _View:
    """One call. failed: whether a host could not be asked."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.failed = False

    def rows(self, view: str) -> tuple[list[Row], bool]:
        """Return the rows, and whether a host could not be asked. Raises ConfigurationError."""
        rows = self._of_client() if view == "--client" else self._of_servers(view)
        return rows, self.failed

    def _of_client(self) -> list[Row]:
        request = self.request
        rows = find_client_rows(request.wanted)
        if "--persistent" not in request.flags:
            return rows
        from seamless_config.errors import ConfigurationError

        from .targets import configuration_of, data_places, selected_cluster

        try:
            configuration = configuration_of(request)
            cluster = selected_cluster(configuration, request)
            wanted = {**request.wanted, "cluster": cluster.name, "project": configuration.project()}
            places = data_places(configuration, cluster, _services(request), request.frontend_name)
        except ConfigurationError as exc:
            warn(f"{NAME}: no data are shown: {' '.join(str(exc).split())}")
            return add_data(rows, ())
        return self._with_data(rows, places, wanted, of_servers=False)

    def _of_servers(self, view: str) -> list[Row]:
        from .targets import configuration_of, data_places, hosts_of, selected_cluster

        request = self.request
        configuration = configuration_of(request)
        if view == "--all-clusters" and not request.cluster:
            chosen = [configuration.clusters[name] for name in sorted(configuration.clusters)]
        else:
            chosen = [selected_cluster(configuration, request)]
        if view == "--all-clusters":
            chosen = [each for each in chosen if each.frontends]
        hosts: dict[str | None, Host] = {}
        owners: dict[str | None, list[str]] = {}
        for cluster in chosen:
            for host in hosts_of(configuration, cluster, request.frontend_name):
                hosts.setdefault(host.name, host)
                owners.setdefault(host.name, []).append(cluster.name)
        rows = self._processes(list(hosts.values()), owners, list(configuration.clusters))
        silent = {row.host for row in rows if row.process == UNREACHABLE}
        is_plain = not _VIEWS & request.flags and request.values.get("--status") in (None, ABSENT)
        if "--persistent" not in request.flags and not is_plain:
            return rows
        found = [
            place
            for cluster in chosen
            for place in data_places(configuration, cluster, _services(request), request.frontend_name)
            if place.host.name not in silent
        ]
        rows = self._with_data(rows, found, request.wanted, of_servers=True)
        self._look_at_workdirs(rows, [host for host in hosts.values() if host.name not in silent])
        return rows

    def _processes(
        self, hosts: list[Host], owners: dict[str | None, list[str]], known: list[str]
    ) -> list[Row]:
        from .hosts import on_all

        wanted = self.request.without("cluster")
        timeout_s = self.request.timeout_s
        answers = on_all(hosts, lambda host: find_server_rows(host, wanted, known, timeout_s))
        rows: list[Row] = []
        for host, answer in zip(hosts, answers, strict=True):
            clusters = owners[host.name]
            if isinstance(answer, LauncherError):
                message = self._tell(answer)
                rows.append(unreachable_row(host.name, clusters[0] if len(clusters) == 1 else None, message))
            else:
                rows += [row for row in answer if row.scope.cluster in clusters]
        return rows

    def _with_data(
        self, rows: list[Row], places: list[Place], wanted: dict[str, str], *, of_servers: bool
    ) -> list[Row]:
        """Return the rows with what is in the directories; no mode, queue or substage has data of its own."""
        from .data import data_rows, is_data_wanted
        from .hosts import on_all

        by_host: dict[str | None, list[Place]] = {}
        for place in places if is_data_wanted(wanted) else ():
            by_host.setdefault(place.host.name, []).append(place)
        hosts = [group[0].host for group in by_host.values()]
        timeout_s = self.request.timeout_s

        def ask(host: Host) -> list[Row]:
            return [row for place in by_host[host.name] for row in data_rows(place, wanted, timeout_s)]

        data: list[Row] = []
        silent: list[Row] = []
        for host, answer in zip(hosts, on_all(hosts, ask), strict=True):
            if isinstance(answer, HelperFailed):
                self._tell(answer)  # it has answered
            elif isinstance(answer, LauncherError):
                silent.append(unreachable_row(host.name, by_host[host.name][0].cluster, self._tell(answer)))
            else:
                data += answer
        return [*add_data(rows, data, of_servers=of_servers), *silent]

    def _look_at_workdirs(self, rows: list[Row], hosts: list[Host]) -> None:
        """Add what is in the directories of processes of which no marked directory was found."""
        from .data import rows_of_workdirs

        for host in hosts:
            without = [row for row in rows if row.host == host.name and row.key and row.persistent is None]
            if without:
                try:
                    add_data(without, rows_of_workdirs(host, without, self.request.timeout_s))
                except LauncherError as exc:
                    self._tell(exc)

    def _tell(self, error: LauncherError) -> str:
        from .hosts import explain

        self.failed = True
        message, hint = explain(error)
        print_error(message, hint)
        return message


def _services(request: Request) -> Sequence[str]:
    return [request.service] if request.service else DATA_SERVICES


def _show(rows: list[Row], request: Request) -> None:
    for row in rows:
        if row.process == "malformed" and row.error:
            warn(f"{NAME}: {row.error}")
    if request.json:
        for row in rows:
            print_json(row.as_json())
    else:
        write(service_table(rows, is_wide="--wide" in request.flags))
