"""Every value that counts, with where it comes from, the defaults included."""

from __future__ import annotations

from .errors import ConfigurationError
from .selection import FIELDS, MANUAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .configuration import Configuration
    from .places import Place

__all__ = ("DEFAULT", "Setting", "effective_settings")

DEFAULT = "default"
WORDS = {MANUAL: "selected by the program"}


class Setting:
    """A value that counts. origin: a place in a file, or words: "default", "SEAMLESS_CACHE", what a program did."""

    __slots__ = ("name", "origin", "value")

    def __init__(self, name: str, value: Any, origin: Place | str) -> None:
        self.name = name
        self.value = value
        self.origin = origin

    def __repr__(self) -> str:
        return f"Setting({self.name!r}, {self.value!r}, {str(self.origin)!r})"


def effective_settings(configuration: Configuration) -> list[Setting]:
    """Return one setting for each field of the selection, in its order, and `local_cluster`.

    What nobody selected has its default, which is None for most. The queue is the selected one or the default queue
    of the cluster, `remote` the selected job back end or the only one of the cluster; both have the place of the
    cluster then.
    """
    selection = configuration.selection
    found = []
    for name in FIELDS:
        value, origin = getattr(selection, name), selection.origin(name)
        if name not in selection or value is None:
            value, implied = _implied(configuration, name)
            origin = implied if value is not None or origin is None else origin
        if value is None and origin == MANUAL:
            origin = DEFAULT  # nothing is selected, which is what counts anyway
        if isinstance(origin, str):
            origin = WORDS.get(origin, origin)
        found.append(Setting(name, value, DEFAULT if origin is None else origin))
    local = configuration.clusters.get(configuration.local_cluster or "")
    place = None if local is None else local.place
    found.append(Setting("local_cluster", configuration.local_cluster, place or DEFAULT))
    return found


def _implied(configuration: Configuration, name: str) -> tuple[Any, Place | str]:
    """Return what counts when nobody selected it."""
    if name == "execution":
        return configuration.execution, DEFAULT
    if name == "persistent":
        return configuration.persistent, DEFAULT
    if name == "record":
        return False, DEFAULT
    cluster = configuration.clusters.get(configuration.selection.cluster or "")
    if cluster is None:
        return None, DEFAULT
    origin = cluster.place or DEFAULT
    if name == "queue":
        return cluster.default_queue, origin if cluster.default_queue is not None else DEFAULT
    if name == "remote":
        try:
            back_end = configuration.back_end(cluster)
        except ConfigurationError:
            return None, DEFAULT
        return back_end, origin if back_end is not None else DEFAULT
    return None, DEFAULT
