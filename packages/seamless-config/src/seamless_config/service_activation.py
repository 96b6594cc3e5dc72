"""Make the clients of the selected cluster the active ones, or leave them: all at once, or not at all."""

from __future__ import annotations

from . import select
from .launching import register_launcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seamless.active import ActiveSet
    from seamless_remote.client import Client

    from .activation_plan import ActivationPlan

__all__ = ("active_services", "leave_services", "open_services", "use_services")


def open_services(plan: ActivationPlan) -> ActiveSet:
    """Do what `use_services` does, and return the active set of these clients."""
    from seamless_remote.remote_set import make_remote_set

    use_services(plan)
    selection = plan.configuration.selection
    return make_remote_set(
        stage=selection.stage, substage=selection.substage, full_records=bool(selection.record)
    )


def use_services(plan: ActivationPlan) -> None:
    """Select the plan's configuration, and make its clients the active ones; what was active before is dropped.

    Starts nothing. After an error, configuration and clients are as before. Raises ConfigurationError.
    """
    from seamless_remote import buffer_remote, database_remote

    former = (
        select.current_configuration(),
        buffer_remote.active_clients(),
        database_remote.active_clients(),
    )
    register_launcher()
    select.replace_configuration(plan.configuration)
    try:
        for module, service in ((buffer_remote, "hashserver"), (database_remote, "database")):
            if service in plan.services:
                module.activate()
            else:
                module.deactivate()
    except BaseException:
        select.replace_configuration(former[0])
        buffer_remote.reactivate(former[1])
        database_remote.reactivate(former[2])
        raise


def leave_services() -> None:
    """Have no active client; steps that were constructed before keep theirs."""
    import sys

    for name in ("buffer_remote", "database_remote"):
        module = sys.modules.get(f"seamless_remote.{name}")
        if module is not None:
            module.deactivate()


def active_services() -> list[Client]:
    """Return the active clients whose service is launched."""
    from seamless_remote import buffer_remote, database_remote

    clients: list[Client] = [*buffer_remote.active_clients().read, *database_remote.active_clients().read]
    return [client for client in clients if getattr(client, "scope", None) is not None]
