"""The services that a configuration asks for. Pure."""

from __future__ import annotations

from .errors import ConfigurationError
from .launch_dictionaries import STORAGE_SERVICES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .configuration import Configuration

__all__ = ("implied_services",)


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
