"""Queues of a cluster: fields, templates and the rules that hold between fields."""

from __future__ import annotations

from .cluster import Queue, check_field
from .cluster_fields import QUEUE_FIELDS
from .errors import ConfigurationFileInvalid
from .remedies import name_remedy
from .spelling import meant
from .yaml_nodes import MappingNode, Node, ScalarNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .places import Place

__all__ = ("parse_queues",)


def parse_queues(what: str, node: Node, cluster_type: str | None) -> dict[str, Queue]:
    """Return the queues by name, templates resolved; what: the cluster. Raises ConfigurationFileInvalid."""
    if not isinstance(node, MappingNode):
        raise _invalid(f"'queues' of {what} must be a mapping of names, not {node.describe()}", node.place)
    queues: dict[str, Queue] = {}
    for key, value in node.entries:
        if not isinstance(key.value, str) or not key.value.strip():
            raise _invalid(
                f"the name of a queue of {what} must be text, not {key.describe()}",
                key.place,
                name_remedy(key),
            )
        queues[key.value] = _queue(f"queue {key.value!r} of {what}", key, value, cluster_type, queues)
    return queues


def _queue(
    what: str, key: ScalarNode, node: Node, cluster_type: str | None, earlier: dict[str, Queue]
) -> Queue:
    if not isinstance(node, MappingNode):
        raise _invalid(f"{what} must be a mapping of fields, not {node.describe()}", node.place or key.place)
    given: dict[str, Any] = {}
    for field_key, value in node.entries:
        name = field_key.value
        spelled = name.replace("-", "_") if isinstance(name, str) else name
        field = QUEUE_FIELDS.get(spelled)
        if spelled == "name":
            continue  # the key is the name
        if field is None:
            raise _invalid(
                f"{what} has the unknown field {name!r:.80}",
                field_key.place,
                meant(name, QUEUE_FIELDS) or f"Its fields are {', '.join(QUEUE_FIELDS)}.",
            )
        if spelled in given:
            raise _invalid(f"{what} has {spelled!r} twice, spelled with '-' and with '_'", field_key.place)
        given[spelled] = check_field(what, field, value, field_key.place)
    template = given.pop("TEMPLATE", None)
    fields: dict[str, Any] = {}
    if template is not None:
        if template not in earlier:
            raise _invalid(
                f"{what} has the template {template!r}, which is no earlier queue of this cluster",
                node.place or key.place,
                meant(template, earlier) or f"Earlier queues are: {', '.join(earlier) or 'none'}.",
            )
        fields = dict(earlier[template].fields)
    fields.update(given)
    fields = {name: value for name, value in fields.items() if value is not None}
    _check_cores(what, fields, cluster_type, node.place or key.place)
    return Queue(str(key.value), fields, key.place)


def _check_cores(what: str, fields: dict[str, Any], cluster_type: str | None, place: Place | None) -> None:
    if fields.get("exclusive"):
        if "job_cores" in fields:
            raise _invalid(f"{what} is exclusive and has job_cores", place, "Remove one of the two.")
        if "cores" not in fields and cluster_type == "local":
            raise _invalid(f"{what} is exclusive, on a local cluster, and has no cores", place, "Give cores.")
    elif "cores" not in fields and cluster_type != "local":
        raise _invalid(f"{what} has no cores", place, "Give cores, or 'exclusive: true' to take whole nodes.")


def _invalid(cause: str, place: Place | None, remedy: str = "") -> ConfigurationFileInvalid:
    return ConfigurationFileInvalid(f"{cause}.", place=place, remedy=remedy)
