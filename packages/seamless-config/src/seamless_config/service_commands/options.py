"""The options that all seamless-service-* commands share, and what they say.

Options are written out, each once. `--project P:SUB` is `--project P --subproject SUB`, `--stage S:SUB` likewise.
"""

from __future__ import annotations

from remote_http_launcher.errors import UsageError
from remote_http_launcher.helpers.frame import Options, parse, to_seconds

from .scopes import CACHE_ALIAS, CACHE_CLUSTER, CACHE_PROJECT, FIELDS, MODES, SERVICES

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ("Request", "read_options", "scope_help")

TIMEOUT_S = 30.0
_VALUES = (*(f"--{name}" for name in FIELDS), "--frontend-name", "--workdir", "--timeout")
_HELP = """\
  --service S          hashserver, database, jobserver, daskserver, pure-daskserver
  --cluster C          instead of the one that the project files select
  --project P[:SUB]    project, and subproject; SEAMLESS_CACHE is the cache directory
  --subproject SUB     subproject, such as a or a/b; "" for none
  --stage S[:SUB]      stage, and substage; blocks of that stage in the project files count
  --substage SUB       substage; "" for none
  --mode M             rw (default) or ro
  --queue Q            queue of the cluster, for a pure-daskserver
  --frontend-name H    only the frontend with this hostname
  --workdir DIR        directory of the project files {default}
  --timeout SECONDS    how long to wait for the answer of a host (default {timeout_s:g})
  --json               one JSON object on each line
"""


class Request:
    """What the command line asks for.

    wanted: the parts of a scope that were given, "" for one that is to be none. frontend_name, workdir: None when
    not given. timeout_s: for each call on a host. json: whether the answer is JSON. flags, values: of the command.
    """

    def __init__(self, options: Options, *, timeout_s: float = TIMEOUT_S) -> None:
        values = options.values
        self.flags = options.flags
        self.values = values
        self.json = "--json" in options.flags
        self.timeout_s = to_seconds(options, "--timeout", timeout_s)
        self.workdir = values.get("--workdir")
        self.frontend_name = values.get("--frontend-name")
        self.wanted = {name: values[f"--{name}"] for name in FIELDS if f"--{name}" in values}
        for outer, inner in (("project", "subproject"), ("stage", "substage")):
            self._split(outer, inner)
        for name in ("service", "cluster", "project", "mode", "queue"):
            if self.wanted.get(name) == "":
                raise UsageError(f"--{name} is empty")
        self._check_choice("service", SERVICES)
        self._check_choice("mode", MODES)
        if self.wanted.get("project") == CACHE_ALIAS and self.cluster in (None, CACHE_CLUSTER):
            self.wanted |= {"project": CACHE_PROJECT, "cluster": CACHE_CLUSTER}
            self.is_cache_alias = True
        else:
            self.is_cache_alias = False

    @property
    def service(self) -> str | None:
        """The service, None when none is given."""
        return self.wanted.get("service")

    @property
    def cluster(self) -> str | None:
        """The cluster, None when none is given."""
        return self.wanted.get("cluster")

    @property
    def mode(self) -> str:
        """The mode, `rw` when none is given."""
        return self.wanted.get("mode", "rw")

    def without(self, *names: str) -> dict[str, str]:
        """Return what is wanted, but these."""
        return {name: value for name, value in self.wanted.items() if name not in names}

    def _split(self, outer: str, inner: str) -> None:
        text = self.wanted.get(outer)
        if text is None or ":" not in text:
            return
        first, _, second = text.partition(":")
        if not first:
            raise UsageError(f"--{outer} {text!r}: there is no {outer} before the colon")
        if inner in self.wanted:
            raise UsageError(f"the {inner} is given twice: --{outer} {text} --{inner} {self.wanted[inner]}")
        self.wanted |= {outer: first, inner: second}

    def _check_choice(self, name: str, choices: Sequence[str]) -> None:
        value = self.wanted.get(name)
        if value is not None and value not in choices:
            raise UsageError(f"--{name} must be one of {', '.join(choices)}, not {value!r}")


def read_options(
    arguments: Sequence[str],
    *,
    flags: Collection[str] = (),
    values: Collection[str] = (),
    timeout_s: float = TIMEOUT_S,
) -> Request:
    """Return what the command line says. flags, values: the command's own options. Raises UsageError."""
    options = parse(arguments, flags=("--json", *flags), values=(*_VALUES, *values), words=False)
    return Request(options, timeout_s=timeout_s)


def scope_help(default: str = "(default: this one)", timeout_s: float = TIMEOUT_S) -> str:
    """Return the lines of the help that are the same for all commands."""
    return _HELP.format(default=default, timeout_s=timeout_s)
