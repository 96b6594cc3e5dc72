"""Every effective value with where it came from, and the services that they imply. Pure."""

from __future__ import annotations

from .errors import ConfigurationError
from .launch_dictionaries import STORAGE_SERVICES
from .selection import FIELDS, MANUAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .configuration import Configuration
    from .places import Place

__all__ = ("DEFAULT", "Effective", "effective_values", "implied_services")

DEFAULT = "default"


class Effective:
    """One value. origin: a place in a file, or words. why: about a default, or ""."""

    __slots__ = ("name", "origin", "value", "why")

    def __init__(self, name: str, value: Any, origin: Place | str, why: str = "") -> None:
        self.name = name
        self.value = value
        self.origin = origin
        self.why = why

    def as_json(self) -> dict[str, Any]:
        """Return value and origin; for a place its file, line and column."""
        found: dict[str, Any] = {"value": self.value}
        if isinstance(self.origin, str):
            found["origin"] = self.origin
        else:
            found |= {"origin": "file", "file": self.origin.file}
            found |= {"line": self.origin.line, "column": self.origin.column}
        if self.why:
            found["why"] = self.why
        return found


def effective_values(configuration: Configuration) -> list[Effective]:
    """Return all values that can be selected, and what counts where nothing was."""
    selection = configuration.selection
    found = []
    for name in FIELDS:
        origin = selection.origin(name)
        value = getattr(selection, name)
        if origin is None or (origin == MANUAL and value is None):
            value, why = _default(configuration, name)
            found.append(Effective(name, value, DEFAULT, why))
        else:
            found.append(Effective(name, value, origin))
    return found


def implied_services(configuration: Configuration) -> tuple[list[str], list[ConfigurationError]]:
    """Return the services that the configuration asks for, and what is wrong with it."""
    if not configuration.selection.cluster:
        return [], []
    wrong: list[ConfigurationError] = []
    found: list[str] = []
    try:
        cluster = configuration.cluster()
    except ConfigurationError as exc:
        return [], [exc]
    if configuration.persistent:
        found += [name for name in STORAGE_SERVICES if cluster.offers(name)]
    if configuration.execution == "remote":
        try:
            back_end = configuration.back_end(cluster)
        except ConfigurationError as exc:
            wrong.append(exc)
        else:
            if back_end is not None:
                found.append(back_end if configuration.persistent else f"pure-{back_end}")
    return found, wrong


def _default(configuration: Configuration, name: str) -> tuple[Any, str]:
    selection = configuration.selection
    has_cluster = "a cluster is selected" if selection.cluster else "no cluster is selected"
    if name == "execution":
        return configuration.execution, has_cluster
    if name == "persistent":
        return configuration.persistent, has_cluster
    if name == "record":
        return False, ""
    cluster = configuration.clusters.get(selection.cluster or "")
    if cluster is None:
        return None, ""
    if name == "queue" and cluster.default_queue is not None:
        return cluster.default_queue, f"default_queue of cluster {cluster.name!r}"
    if name == "remote":
        offered = [service for service in ("jobserver", "daskserver") if cluster.offers(service)]
        if len(offered) == 1:
            return offered[0], f"all that cluster {cluster.name!r} offers"
        if offered:
            return None, f"cluster {cluster.name!r} offers both: one is to be selected"
    return None, ""
