"""What the activation modules of buffers and of the database share: definitions, and the lists of active clients.

A registry holds what is defined, by key or name, and the active lists as one tuple that is replaced as a
whole: a call that is under way keeps the lists it began with.
"""

from __future__ import annotations

import os
import threading
import weakref

from .client import Client
from .errors import ActivationError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeVar
    from typing import Generic as _Generic

    C = TypeVar("C", bound=Client)
    L = TypeVar("L", bound=Client)
else:

    class _Generic:
        """Stands for typing's at run time, where nobody asks for parameters."""

        __slots__ = ()

        def __class_getitem__(cls, _parameters):
            return cls

    C = L = None

__all__ = ("ActiveClients", "Key", "Registry")

Key = tuple[bool, str, str, str, str]
"""readonly, cluster, project, subproject, stage"""


class ActiveClients(_Generic[C]):
    """The clients in use: `read` in order of preference, and `write`."""

    __slots__ = ("read", "write")

    def __init__(self, read: Sequence[C] = (), write: Sequence[C] = ()) -> None:
        self.read = tuple(read)
        self.write = tuple(write)


_registries: weakref.WeakSet[Registry[Any, Any]] = weakref.WeakSet()


class Registry(_Generic[C, L]):
    """Definitions and active clients of one kind of service. make_launched(readonly): returns a client to `config`."""

    def __init__(self, what: str, make_launched: Callable[[bool], L]) -> None:
        self.what = what
        self.launched: dict[Key, L] = {}
        self.extern: dict[str, C] = {}
        self.active: ActiveClients[C] = ActiveClients()
        self._make_launched = make_launched
        self._main: Key | None = None  # the launched client of the last activation
        self._lock = threading.RLock()
        _registries.add(self)

    def define_launched(self, key: Key) -> L:
        """Return the launched client of that key; a new one when there is none, or another service is meant now."""
        with self._lock:
            readonly, *scope = key
            client: Any = self._make_launched(readonly)
            client.config(*scope)
            known: Any = self.launched.get(key)
            if known is None or known.prepared != client.prepared:
                self.launched[key] = known = client
            found: L = known
            return found

    def define_extern(self, name: str, client: C) -> None:
        with self._lock:
            self.extern[name] = client

    def filled(
        self,
        readonly: bool,
        cluster: str | None,
        project: str | None,
        subproject: str | None,
        stage: str | None,
    ) -> Key:
        """Return the key, with the current selection where nothing is given. Raises ActivationError."""
        from .launched import current_selection

        selection = current_selection() or ("", "", "", "")
        cluster = cluster or selection[0]
        project = project or selection[1]
        if not cluster or not project:
            raise ActivationError(
                f"a launched client of the {self.what} needs a cluster and a project; cluster is {cluster!r}, "
                f"project is {project!r}, and nothing else is selected.",
                service=self.what,
                remedy="give cluster and project, or select them in seamless.yaml.",
            )
        return (
            readonly,
            cluster,
            project,
            selection[2] if subproject is None else subproject,
            selection[3] if stage is None else stage,
        )

    def activate(
        self,
        *,
        readonly: bool,
        extra_launched: Sequence[Mapping[str, Any]],
        extern: Sequence[str],
        no_main: bool,
    ) -> None:
        """Replace the active lists: the main launched client, the extra ones, then extern ones by name."""
        from .launched import current_selection

        with self._lock:
            keys: list[Key] = []
            selection = None if no_main else current_selection()
            if selection is not None:
                keys.append((readonly, *selection))
            for fields in extra_launched:
                unknown = sorted(set(fields) - {"readonly", "cluster", "project", "subproject", "stage"})
                if unknown:
                    raise ActivationError(
                        f"an extra launched client of the {self.what} has unknown fields {unknown}.",
                        service=self.what,
                        remedy="use readonly, cluster, project, subproject, stage.",
                    )
                key = self.filled(
                    bool(fields.get("readonly", True)),
                    *(fields.get(name) for name in ("cluster", "project", "subproject", "stage")),
                )
                if key in keys:
                    raise ActivationError(
                        f"the launched client {key} of the {self.what} is activated twice.",
                        service=self.what,
                        remedy="name it once.",
                    )
                keys.append(key)
            clients: list[Any] = [self.define_launched(key) for key in keys]
            for name in extern:
                if name not in self.extern:
                    raise ActivationError(
                        f"no extern client {name!r} of the {self.what} is defined; there are {sorted(self.extern)}.",
                        service=self.what,
                        remedy="define it with define_extern_client.",
                    )
                clients.append(self.extern[name])
            main = None if selection is None else keys[0]
            self._leave_main(main)
            self._main = main
            self.active = ActiveClients(clients, [client for client in clients if not client.readonly])

    def deactivate(self) -> None:
        """Have no active client."""
        with self._lock:
            self._leave_main(None)
            self._main = None
            self.active = ActiveClients()

    def _leave_main(self, key: Key | None) -> None:
        """Forget the definition that the last activation made, unless it is made again: its stage was left."""
        if self._main is not None and self._main != key:
            self.launched.pop(self._main, None)

    def ensure_initialized(self) -> None:
        """Launch and greet all that is defined."""
        for client in [*self.launched.values(), *self.extern.values()]:
            client.ensure_initialized_sync()


def _renew_locks() -> None:
    for registry in list(_registries):
        registry._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
