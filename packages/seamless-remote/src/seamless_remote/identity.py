"""Who answers at an address, and what it can do beyond the common protocol.

GET /healthcheck with `Accept: application/json`: our services answer who they are; a plain `OK` is a server of
the earlier implementation, or one behind something that does not pass the header on: it is taken as having no
capabilities.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("Identity", "parse_identity")

TEXT_LIMIT = 200
MAX_CAPABILITIES = 200


class Identity:
    """service, version and protocol are "" when the server does not say."""

    __slots__ = ("capabilities", "protocol", "service", "version")

    def __init__(
        self,
        service: str = "",
        version: str = "",
        protocol: str = "",
        capabilities: frozenset[str] = frozenset(),
    ) -> None:
        self.service = service
        self.version = version
        self.protocol = protocol
        self.capabilities = capabilities

    def can(self, capability: str) -> bool:
        return capability in self.capabilities

    def __repr__(self) -> str:
        return f"Identity({self.service!r}, {self.version!r}, {sorted(self.capabilities)})"


def parse_identity(body: bytes, headers: Mapping[str, str]) -> Identity:
    """Return the identity in a healthcheck's answer; an empty one for a plain OK. Raises ValueError."""
    if "json" not in headers.get("content-type", "").lower():
        return Identity()
    import json

    fields = json.loads(body)
    if not isinstance(fields, dict):
        raise ValueError("it is no JSON object")
    capabilities = fields.get("capabilities")
    listed = capabilities if isinstance(capabilities, list) else []
    service, version, protocol = (
        str(fields.get(name) or "")[:TEXT_LIMIT] for name in ("service", "version", "protocol")
    )
    named = frozenset(item for item in listed[:MAX_CAPABILITIES] if isinstance(item, str))
    return Identity(service, version, protocol, named)
