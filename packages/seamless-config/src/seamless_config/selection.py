"""What is selected, as one immutable value, with where each part came from."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .places import Place

    Origin = Place | str

__all__ = ("FIELDS", "MANUAL", "Selection")

MANUAL = "select"
"""The origin of what a program selected; it survives reading the files again, until a command there says otherwise."""

FIELDS = (
    "cluster",
    "project",
    "subproject",
    "stage",
    "substage",
    "execution",
    "persistent",
    "remote",
    "queue",
    "node",
    "record",
    "nparallel",
    "auth",
)


class Selection:
    """What is selected. A field that nobody has set is None; `in` tells whether it was set (to null, even).

    queue_cluster: the cluster for which the queue was selected. auth: mode by cluster.
    """

    __slots__ = ("_origins", "_values", "queue_cluster")

    cluster: str | None
    project: str | None
    subproject: str | None
    stage: str | None
    substage: str | None
    execution: str | None
    persistent: bool | None
    remote: str | None
    queue: str | None
    node: str | None
    record: bool | None
    nparallel: int | None
    auth: Mapping[str, str] | None

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        origins: Mapping[str, Origin] | None = None,
        queue_cluster: str | None = None,
    ) -> None:
        self._values = dict(values or {})
        self._origins = dict(origins or {})
        self.queue_cluster = queue_cluster

    def __getattr__(self, name: str) -> Any:
        if name in FIELDS:
            return self._values.get(name)
        raise AttributeError(name)

    def __contains__(self, field: str) -> bool:
        return field in self._values

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Selection)
            and self._values == other._values
            and self.queue_cluster == other.queue_cluster
        )

    def __hash__(self) -> int:
        return hash(tuple((name, str(value)) for name, value in sorted(self._values.items())))

    def __repr__(self) -> str:
        return f"Selection({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"

    def origin(self, field: str) -> Origin | None:
        """Return where the value came from: a place in a file, or words; None when it was not set."""
        return self._origins.get(field)

    def with_(self, field: str, value: Any, origin: Origin) -> Selection:
        """Return the selection with one field set. Selecting another cluster drops the queue."""
        values, origins, queue_cluster = dict(self._values), dict(self._origins), self.queue_cluster
        values[field] = value
        origins[field] = origin
        if field == "queue":
            queue_cluster = values.get("cluster")
        if field == "cluster" and value != self.queue_cluster:
            values.pop("queue", None)
            origins.pop("queue", None)
            queue_cluster = None
        return Selection(values, origins, queue_cluster)

    def without(self, *fields: str) -> Selection:
        """Return the selection with fields as if nobody had set them."""
        values = {name: value for name, value in self._values.items() if name not in fields}
        origins = {name: origin for name, origin in self._origins.items() if name not in fields}
        return Selection(values, origins, None if "queue" in fields else self.queue_cluster)

    def manual(self) -> Selection:
        """Return what a program selected, without what files or the environment said."""
        return self.without(*(name for name, origin in self._origins.items() if origin != MANUAL))
