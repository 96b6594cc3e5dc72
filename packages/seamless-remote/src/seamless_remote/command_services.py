"""Services as commands use them: a hit needs two requests, and few modules."""

from __future__ import annotations

from seamless.checksum import Checksum
from seamless_command.scope import Services

from .active_store import store_of_active_clients
from .database_remote import active_clients
from .first_found import first_found
from .forwarding import set_remote_clients_from_environment

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from seamless.active import ActiveSet

__all__ = ("CommandServices",)


class CommandServices(Services):
    """Makes the clients at once, and asks the services when it is asked itself. Raises ForwardedClientsInvalid."""

    full_records = False

    def __init__(self) -> None:
        self.use_clients()
        self.store, self.location = store_of_active_clients()

    def use_clients(self) -> None:
        """Make the clients of SEAMLESS_REMOTE_CLIENTS the active ones."""
        set_remote_clients_from_environment()

    def result(self, transformation: bytes) -> bytes | None:
        (found,) = first_found(
            active_clients().read,
            [Checksum(transformation)],
            lambda client, asked: [client.get_transformation_result_sync(asked[0])],
        )
        return None if found is None else found.bytes()

    def content(self, digest: bytes) -> bytes | None:
        buffer = self.store.get(Checksum(digest))
        return None if buffer is None else buffer.content

    def open(self, stage: str | None, substage: str | None) -> ActiveSet:
        from .remote_set import make_remote_set

        return make_remote_set(stage=stage, substage=substage, full_records=self.full_records)
