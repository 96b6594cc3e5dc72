"""Let the commands of the shell reach services: seamless-remote, which talks to them, is loaded when it is needed."""

from __future__ import annotations

from seamless_command.scope import provide_services

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from seamless_command.scope import Services

__all__ = ("use_services",)


def use_services() -> None:
    """Let scopes find the services of SEAMLESS_REMOTE_CLIENTS."""
    provide_services(_connect)


def _connect() -> Services:
    try:
        from seamless_remote.command_services import CommandServices
    except ModuleNotFoundError as exc:
        if exc.name != "seamless_remote":
            raise
        from seamless_command.errors import ShellError

        raise ShellError(
            "SEAMLESS_REMOTE_CLIENTS names services, but the package that talks to them is not installed.",
            hint="pip install seamless-remote",
        ) from None
    return CommandServices()
