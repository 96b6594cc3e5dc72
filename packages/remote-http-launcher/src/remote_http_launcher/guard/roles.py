"""Which helpers a key may run: `observe`, `operate`, `clear` or `all`.

| role | may |
|---|---|
| observe | look at states, logs, processes, ports and sizes |
| operate | observe, and start and stop services, remove states, refresh the conda cache |
| clear | observe, and empty data directories |
| all | everything |
"""

from __future__ import annotations

from .refusal import GuardMisconfigured, Refused

__all__ = ("check_role", "role_named")

ROLES = {
    "observe": frozenset(("observe",)),
    "operate": frozenset(("observe", "operate")),
    "clear": frozenset(("observe", "clear")),
    "all": frozenset(("observe", "operate", "clear")),
}


def role_named(name: str) -> str:
    """Return the name, if there is such a role. Raises GuardMisconfigured."""
    if name not in ROLES:
        raise GuardMisconfigured(f"--role must be one of {', '.join(ROLES)}, not {name!r}")
    return name


def check_role(role: str, needed: str) -> None:
    """Raise Refused if the role does not hold what is needed."""
    if needed not in ROLES[role]:
        raise Refused(f"this key has the role {role!r}; the command needs {needed!r}")
