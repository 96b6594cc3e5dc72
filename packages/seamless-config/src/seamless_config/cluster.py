"""Clusters: what they offer, where, and the table of those that are defined.

A definition is checked as a whole, with the place of every field, before any of it counts. The table is part of
the configuration that was read last (`define_clusters` replaces the table alone).
"""

from __future__ import annotations

from .cluster_fields import (
    CLUSTER_FIELDS,
    FRONTEND_FIELDS,
    MAX_PORT,
    SERVICE_FIELDS,
    SERVICES,
    Field,
)
from .errors import ClusterUnknown, ConfigurationError, ConfigurationFileInvalid
from .names import name_problem
from .remedies import name_remedy, spelled_remedy
from .spelling import meant, one_of
from .yaml_nodes import ListNode, MappingNode, Node, ScalarNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from .places import Place

__all__ = (
    "LOCAL_CLUSTER",
    "Cluster",
    "Frontend",
    "Queue",
    "check_field",
    "cluster_of",
    "define_clusters",
    "get_cluster",
    "get_local_cluster",
    "parse_clusters",
)

LOCAL_CLUSTER = "local_cluster"
THIS_MACHINE = (None, "localhost", "127.0.0.1", "::1")


class Frontend:
    """A machine of a cluster. hostname: None is this machine. Services: their fields, None: not offered."""

    __slots__ = (
        "auth",
        "daskserver",
        "database",
        "hashserver",
        "hostname",
        "jobserver",
        "place",
        "ssh_hostname",
    )

    hostname: str | None
    ssh_hostname: str | None
    auth: str | None
    hashserver: Mapping[str, Any] | None
    database: Mapping[str, Any] | None
    jobserver: Mapping[str, Any] | None
    daskserver: Mapping[str, Any] | None
    place: Place | None

    def __init__(self, fields: Mapping[str, Any], place: Place | None = None) -> None:
        for name in FRONTEND_FIELDS:
            setattr(self, name, fields.get(name))
        self.place = place

    def service(self, name: str) -> Mapping[str, Any] | None:
        """Return the fields of a service, None when it is not offered. "pure-daskserver" is offered as daskserver."""
        found: Mapping[str, Any] | None = getattr(self, name.removeprefix("pure-"))
        return found


class Queue:
    """A queue of jobs. fields: those that are set, in the spelling with `_`, templates resolved."""

    __slots__ = ("fields", "name", "place")

    def __init__(self, name: str, fields: Mapping[str, Any], place: Place | None = None) -> None:
        self.name = name
        self.fields = dict(fields)
        self.place = place

    def get(self, field: str, default: Any = None) -> Any:
        return self.fields.get(field, default)


class Cluster:
    """A cluster. Treat it as frozen."""

    __slots__ = (
        "default_queue",
        "frontends",
        "memory_per_core_property_name",
        "name",
        "place",
        "queues",
        "tunnel",
        "type",
        "workers",
    )

    name: str
    type: str | None
    frontends: tuple[Frontend, ...]
    tunnel: bool
    workers: int | None
    memory_per_core_property_name: str | None
    queues: Mapping[str, Queue]
    default_queue: str | None
    place: Place | None

    def __init__(self, name: str, fields: Mapping[str, Any], place: Place | None = None) -> None:
        self.name = name
        self.type = fields.get("type")
        self.frontends = tuple(fields.get("frontends") or ())
        self.tunnel = bool(fields.get("tunnel", False))
        self.workers = fields.get("workers")
        self.memory_per_core_property_name = fields.get("memory_per_core_property_name")
        self.queues = dict(fields.get("queues") or {})
        self.default_queue = fields.get("default_queue")
        self.place = place

    @property
    def is_here(self) -> bool:
        """Whether it is of type local and none of its frontends names another machine."""
        return self.type == "local" and all(
            frontend.hostname in THIS_MACHINE and frontend.ssh_hostname in THIS_MACHINE
            for frontend in self.frontends
        )

    def frontend(self, service: str, frontend_name: str | None = None) -> Frontend:
        """Return the first frontend that offers the service. Raises ConfigurationError.

        frontend_name: only frontends of that `hostname`.
        """
        named = [
            frontend
            for frontend in self.frontends
            if frontend_name is None or frontend.hostname == frontend_name
        ]
        for frontend in named:
            if frontend.service(service) is not None:
                return frontend
        which = "no frontend" if frontend_name is None else f"no frontend with hostname {frontend_name!r}"
        raise ConfigurationError(
            f"cluster {self.name!r} has {which} that offers a {service}.",
            place=self.place,
            remedy=f"Add '{service.removeprefix('pure-')}:' to a frontend of the cluster.",
        )

    def offers(self, service: str) -> bool:
        """Whether some frontend offers the service."""
        return any(frontend.service(service) is not None for frontend in self.frontends)


def parse_clusters(tables: Iterable[MappingNode]) -> tuple[dict[str, Cluster], str | None]:
    """Return the clusters by name, and the name of the local one. What comes later replaces what came before.

    Raises ConfigurationFileInvalid.
    """
    definitions: dict[str, tuple[ScalarNode, Node]] = {}
    local: Node | None = None
    for table in tables:
        for key, node in table.entries:
            if key.value == LOCAL_CLUSTER:
                local = node
                continue
            if not isinstance(key.value, str):
                raise _invalid(
                    f"the name of a cluster must be text, not {key.describe()}", key.place, name_remedy(key)
                )
            if problem := name_problem("cluster", key.value):
                raise _invalid(problem, key.place)
            definitions.pop(key.value, None)
            definitions[key.value] = (key, node)
    clusters = {name: _cluster(name, key, node) for name, (key, node) in definitions.items()}
    name: str | None = None
    if local is not None:
        if not isinstance(local, ScalarNode) or not isinstance(local.value, str):
            raise _invalid(f"{LOCAL_CLUSTER} must name a cluster, not {local.describe()}", local.place)
        name = local.value
        if name not in clusters:
            raise _invalid(
                f"{LOCAL_CLUSTER} names {name!r}, which is not defined", local.place, meant(name, clusters)
            )
    return clusters, name


def define_clusters(definitions: Mapping[str, Any]) -> None:
    """Replace the clusters of the configuration. Raises ConfigurationFileInvalid."""
    from . import select
    from .yaml_nodes import node_of

    node = node_of(definitions)
    if not isinstance(node, MappingNode):
        raise _invalid(
            f"definitions must be a mapping from names to definitions, not {node.describe()}", None
        )
    select.replace_clusters(*parse_clusters([node]))


def get_cluster(name: str) -> Cluster:
    """Return a cluster. Raises ClusterUnknown."""
    from .select import current_configuration

    return cluster_of(current_configuration().clusters, name)


def get_local_cluster() -> str | None:
    """Return the name of the designated local cluster, or None."""
    from .select import current_configuration

    return current_configuration().local_cluster


def cluster_of(clusters: Mapping[str, Cluster], name: str, place: Place | None = None) -> Cluster:
    """Return one of the clusters. place: where it is asked for. Raises ClusterUnknown."""
    found = clusters.get(name)
    if found is None:
        known = ", ".join(sorted(clusters)) or "none"
        raise ClusterUnknown(
            f"cluster {name!r} is not defined; defined are: {known}.",
            place=place,
            remedy=meant(name, clusters)
            or "Define it in ~/.seamless/clusters.yaml or with the command 'clusters' of seamless.profile.yaml.",
        )
    return found


# ---- definitions


def _cluster(name: str, key: ScalarNode, node: Node) -> Cluster:
    what = f"cluster {name!r}"
    fields = _fields(what, node, CLUSTER_FIELDS, key.place)
    frontends = fields["frontends"]
    if not isinstance(frontends, ListNode):
        raise _invalid(
            f"'frontends' of {what} must be a list, not {frontends.describe()}", frontends.place or key.place
        )
    is_local = fields.get("type") == "local"
    fields["frontends"] = [
        _frontend(f"frontend {number} of {what}", item, key.place, is_local=is_local)
        for number, item in enumerate(frontends.items, 1)
    ]
    queues = fields.get("queues")
    if isinstance(queues, Node):
        from .queues import parse_queues

        fields["queues"] = parse_queues(what, queues, fields.get("type"))
    return Cluster(name, fields, key.place)


def _frontend(what: str, node: Node, place: Place | None, *, is_local: bool) -> Frontend:
    fields = _fields(what, node, FRONTEND_FIELDS, place)
    if "hostname" not in fields and is_local:
        fields["hostname"] = "localhost"
    for service in SERVICES:
        if isinstance(fields.get(service), Node):
            fields[service] = _service(f"{service} of {what}", service, fields[service], node.place or place)
    return Frontend(fields, node.place or place)


def _service(what: str, service: str, node: Node, place: Place | None) -> dict[str, Any]:
    fields = _fields(what, node, SERVICE_FIELDS[service], place)
    start, end = fields.get("port_start"), fields.get("port_end")
    if (start is None) != (end is None):
        given, missing = ("port_start", "port_end") if end is None else ("port_end", "port_start")
        raise _invalid(f"{what} has {given}, but no {missing}", node.place or place, "Give both, or neither.")
    if start is not None and end is not None and start > end:
        raise _invalid(f"{what} has port_start {start} above port_end {end}", node.place or place)
    return fields


def _fields(what: str, node: Node, table: Mapping[str, Field], place: Place | None) -> dict[str, Any]:
    """Return the checked fields; those of type "nested" as nodes."""
    if not isinstance(node, MappingNode):
        raise _invalid(
            f"{what} must be a mapping of fields, not {node.describe()}",
            node.place or place,
            f"Its fields are {', '.join(table)}.",
        )
    found: dict[str, Any] = {}
    for key, value in node.entries:
        name = key.value
        field = table.get(name) if isinstance(name, str) else None
        if field is None:
            near = meant(name, table)
            raise _invalid(
                f"{what} has the unknown field {name!r:.80}",
                key.place,
                near or f"Its fields are {', '.join(table)}.",
            )
        found[name] = check_field(what, field, value, key.place or place)
    for field in table.values():
        if field.required and field.name not in found:
            raise _invalid(f"{what} lacks the field {field.name!r} ({field.summary})", node.place or place)
    return found


def check_field(what: str, field: Field, node: Node, place: Place | None) -> Any:
    """Return the value of a field as plain data, or the node itself for type "nested".

    Raises ConfigurationFileInvalid.
    """
    place = node.place or place
    if isinstance(node, ScalarNode) and node.value is None:
        if field.null:
            return None
        raise _invalid(f"{field.name!r} of {what} is null", place, "Leave the key out, or give it a value.")
    if field.type == "nested":
        return node
    value = node.plain()
    if field.type == "mapping" and isinstance(node, MappingNode):
        _check_json(f"{field.name!r} of {what}", node, place)
    problem = _problem(field, value)
    if problem:
        near = meant(value, field.choices) if field.choices and isinstance(value, str) else ""
        near = near or spelled_remedy(field.type, field.name, node)
        raise _invalid(f"{field.name!r} of {what} must be {problem}, not {node.describe()}", place, near)
    return value


def _check_json(what: str, node: Node, place: Place | None) -> None:
    """Refuse what JSON cannot say: it is how the value travels."""
    place = node.place or place
    if isinstance(node, MappingNode):
        for key, value in node.entries:
            if not isinstance(key.value, str):
                raise _invalid(
                    f"a key of {what} must be text, not {key.describe()}",
                    key.place or place,
                    name_remedy(key),
                )
            _check_json(what, value, place)
    elif isinstance(node, ListNode):
        for item in node.items:
            _check_json(what, item, place)
    else:
        value = node.plain()
        is_number = isinstance(value, (int, float)) and abs(value) < float("inf")
        if not (value is None or isinstance(value, str) or is_number):
            remedy = node.quoted() if isinstance(node, ScalarNode) else ""
            raise _invalid(
                f"{what} holds {node.describe()}, which is no text, number or truth value",
                place,
                f"Put it in quotes: {remedy}." if remedy else "",
            )


def _problem(field: Field, value: Any) -> str:
    """Return what the value must be, "" if it is."""
    kind = field.type
    is_int = isinstance(value, int) and not isinstance(value, bool)
    if kind == "choice":
        return "" if value in field.choices else one_of(field.choices)
    if kind == "bool":
        return "" if isinstance(value, bool) else "true or false"
    if kind == "count":
        return "" if is_int and value >= 1 else "a positive whole number"
    if kind == "port":
        return "" if is_int and 1 <= value <= MAX_PORT else f"a port from 1 to {MAX_PORT}"
    if kind == "list of text":
        fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return "" if fits else "a list of texts"
    if kind == "mapping":
        return "" if isinstance(value, dict) else "a mapping"
    if not isinstance(value, str) or not value.strip():
        return "text that is not blank"
    return ""


def _invalid(cause: str, place: Place | None, remedy: str = "") -> ConfigurationFileInvalid:
    return ConfigurationFileInvalid(f"{cause}.", place=place, remedy=remedy)
