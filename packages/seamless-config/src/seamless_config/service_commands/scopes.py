"""What a service belongs to: cluster, project, stage; read from its state, or from its key where the state is silent.

Pure: no file, environment or host.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

__all__ = ("Scope", "command_words", "scope_of_key", "scope_of_path", "scope_of_state")

CACHE_CLUSTER = "__SEAMLESS_CACHE__"
CACHE_PROJECT = "__TOPLEVEL__"
CACHE_ALIAS = "SEAMLESS_CACHE"
SERVICES = ("hashserver", "database", "jobserver", "daskserver", "pure-daskserver")
DATA_SERVICES = ("hashserver", "database")
MODES = ("ro", "rw")
STAGE = "STAGE-"
SUBSTAGE = "SUBSTAGE-"
FIELDS = ("service", "cluster", "mode", "project", "subproject", "stage", "substage", "queue")


class Scope:
    """What a service belongs to; a part that it has not, or that is not known, is None."""

    __slots__ = FIELDS

    service: str | None
    cluster: str | None
    mode: str | None
    project: str | None
    subproject: str | None
    stage: str | None
    substage: str | None
    queue: str | None

    def __init__(self, **parts: str | None) -> None:
        for name in FIELDS:
            setattr(self, name, parts.get(name))

    def __repr__(self) -> str:
        parts = (f"{name}={value!r}" for name, value in self.as_dict().items() if value is not None)
        return f"Scope({', '.join(parts)})"

    def as_dict(self) -> dict[str, str | None]:
        """Return all parts by name."""
        return {name: getattr(self, name) for name in FIELDS}

    def data_key(self) -> tuple[str | None, ...]:
        """Return what names the directory of data: the same for both modes and all substages."""
        return self.service, self.cluster, self.project, self.subproject, self.stage

    def fits(self, wanted: Mapping[str, str]) -> bool:
        """Whether each wanted part is as wanted; "" wants that there is none."""
        return all((getattr(self, name) or "") == value for name, value in wanted.items())


def scope_of_state(key: str, state: Mapping[str, Any], clusters: Iterable[str] = ()) -> Scope:
    """Return the scope that `meta` of a state tells, else the one that its key tells, else an empty one."""
    meta = state.get("meta")
    if isinstance(meta, dict) and all(isinstance(meta.get(name), str) for name in ("service", "cluster")):
        return Scope(**{name: _text(meta.get(name)) for name in FIELDS})
    return scope_of_key(key, clusters) or Scope()


def scope_of_key(key: str, clusters: Iterable[str] = ()) -> Scope | None:
    """Return the scope that a key stands for, None if it is no key of a Seamless service.

    clusters: the names that are known; one of them decides where a key with several readings is cut.

    >>> scope_of_key("database-far-rw-p--a--b--STAGE-s")
    Scope(service='database', cluster='far', mode='rw', project='p', subproject='a/b', stage='s')
    """
    service = next((name for name in sorted(SERVICES, key=len)[::-1] if key.startswith(f"{name}-")), None)
    if service is None:
        return None
    rest = key[len(service) + 1 :]
    known = sorted((name for name in clusters if rest.startswith(f"{name}-")), key=len)[::-1]
    if service == "pure-daskserver":
        cluster = known[0] if known else rest.rpartition("-")[0]
        queue = rest[len(cluster) + 1 :]
        return Scope(service=service, cluster=cluster, mode="rw", queue=queue) if cluster and queue else None
    for cluster in known:
        mode, dash, tail = rest[len(cluster) + 1 :].partition("-")
        if dash and mode in MODES:
            return _of_tail(service, cluster, mode, tail)
    places = sorted((rest.find(f"-{mode}-"), mode) for mode in MODES if rest.find(f"-{mode}-") > 0)
    if not places:
        return None
    place, mode = places[0]
    return _of_tail(service, rest[:place], mode, rest[place + 4 :])


def scope_of_path(service: str, cluster: str, path: str, root: str) -> Scope | None:
    """Return the scope whose data are in `path` below the directory of all projects, None if it is none's."""
    base = root.rstrip("/")
    if path != base and not path.startswith(f"{base}/"):
        return None
    relative = path[len(base) :].strip("/")
    parts = relative.split("/") if relative else []
    stage = parts.pop().removeprefix(STAGE) if parts and parts[-1].startswith(STAGE) else None
    if any(part.startswith(STAGE) for part in parts) or (stage is not None and not parts):
        return None
    return Scope(
        service=service,
        cluster=cluster,
        project=parts[0] if parts else None,
        subproject="/".join(parts[1:]) or None,
        stage=stage,
    )


def command_words(command: str, scope: Scope) -> str:
    """Return the command line `seamless-service-COMMAND` for the service.

    >>> command_words("stop", Scope(service="database", cluster="far", mode="rw", project="p", stage="s"))
    'seamless-service-stop --service database --cluster far --project p --stage s'
    """
    words = [f"seamless-service-{command}"]
    for name in FIELDS:
        value = getattr(scope, name)
        if value is None or (name == "mode" and value == "rw"):
            continue
        words.append(f"--{name} {value}")
    return " ".join(words)


def _of_tail(service: str, cluster: str, mode: str, tail: str) -> Scope | None:
    parts = tail.split("--")
    stage = substage = None
    if len(parts) > 1 and parts[-1].startswith(STAGE):
        stage, _, substage = parts.pop()[len(STAGE) :].partition(SUBSTAGE)
    if not all(parts):
        return None
    return Scope(
        service=service,
        cluster=cluster,
        mode=mode,
        project=parts[0],
        subproject="/".join(parts[1:]) or None,
        stage=stage or None,
        substage=substage or None,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
