"""Why a service is not launched or reached: one class for each cause."""

from __future__ import annotations

from .errors import LauncherError

__all__ = (
    "CondaEnvironmentMissing",
    "CondaUnavailable",
    "ConfigurationError",
    "FilesUnusable",
    "HelperFailed",
    "LaunchRefused",
    "ReuseRefused",
    "ServiceElsewhere",
    "ServiceNotReachable",
    "StartFailed",
    "StartInterrupted",
    "StartTimedOut",
    "StrangerOnPort",
    "TemplateError",
    "TunnelFailed",
)


class ConfigurationError(LauncherError):
    """A field of the launch configuration is missing or wrong.

    field: its name, "" for the configuration as a whole. path, line: where it stands, None and 0 if it is from no file.

    Remedy: correct the field; the reference page of remote-http-launcher has the table of them.
    """

    layer = "configuration"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        field: str = "",
        path: str | None = None,
        line: int = 0,
    ) -> None:
        super().__init__(message, hint=hint)
        self.field = field
        self.path = path
        self.line = line


class TemplateError(ConfigurationError):
    """A template of the configuration holds something that templates cannot say, or a name that is unknown.

    Remedy: use names, text, conditions and the listed methods of text only; `{{` and `}}` stand for braces.
    """


class FilesUnusable(LauncherError):
    """A file or directory of the launcher on this machine cannot be made, read or written.

    Remedy: free space or rights where the message says, or set REMOTE_HTTP_LAUNCHER_DIR to another directory.
    """

    layer = "file system"

    @classmethod
    def of(cls, key: str, exc: OSError) -> FilesUnusable:
        """Return the error for a launch of `key` that came upon `exc`."""
        from .directories import BASE_VARIABLE, base_directory

        return cls(
            f"{key!r} cannot be launched from here: {exc.strerror or exc}: {exc.filename or 'unknown file'}",
            hint=f"ls -ld {exc.filename or base_directory()}; {BASE_VARIABLE} names another directory",
            key=key,
        )


class LaunchRefused(LauncherError):
    """The helper on the target does not start this: the program is not one it knows, or a path is not allowed.

    Remedy: see the message; more programs can be allowed on the target with RHL_TOOLS_YAML.
    """

    layer = "launch"


class CondaUnavailable(LauncherError):
    """Conda is not there on the target, cannot activate, or nothing is known of it yet.

    Remedy: run `conda init bash` on the target, then `rhl-cache-conda`.
    """

    layer = "conda"


class CondaEnvironmentMissing(LauncherError):
    """The target's conda has no environment of this name, also after its list was made anew.

    Remedy: create the environment on the target, or correct the field `conda`.
    """

    layer = "conda"


class StartFailed(LauncherError):
    """The service was started and ended, or said that it cannot start.

    log_tail: its last words.

    Remedy: correct what the last words name; `rhl-logs KEY` has all of the log.
    """

    layer = "service"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        host: str | None = None,
        key: str | None = None,
        log_tail: str = "",
    ) -> None:
        shown = f"{message}\nLast lines of its log:\n{log_tail.rstrip()}" if log_tail.strip() else message
        super().__init__(shown, hint=hint, host=host, key=key)
        self.log_tail = log_tail


class StartTimedOut(StartFailed):
    """The service did not say within `start_timeout` that it runs; it was stopped.

    Remedy: raise `start_timeout` in the configuration, or see in the log what it waits for.
    """


class StartInterrupted(StartFailed):
    """The start was interrupted, by its user or by another client that waited for the same service; it was stopped.

    Remedy: launch again.
    """


class HelperFailed(LauncherError):
    """A helper on the target failed, or gave an answer that cannot be understood.

    exit_code, stderr: how it ended.

    Remedy: run the command that the message names by hand; have the same version on both machines.
    """

    layer = "helper"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        host: str | None = None,
        exit_code: int = 1,
        stderr: str = "",
    ) -> None:
        super().__init__(message, hint=hint, host=host)
        self.exit_code = exit_code
        self.stderr = stderr


class ReuseRefused(LauncherError):
    """A service with this key runs, but with another directory or mode than asked for.

    field: what differs. running, wanted: its value there, and in the configuration.

    Remedy: stop the running one (`rhl-stop KEY`), or use another key.
    """

    layer = "reuse"

    def __init__(
        self, message: str, *, hint: str, host: str | None, key: str, field: str, running: str, wanted: str
    ) -> None:
        super().__init__(message, hint=hint, host=host, key=key)
        self.field = field
        self.running = running
        self.wanted = wanted


class ServiceElsewhere(LauncherError):
    """The state is of another machine that shares this home, and whether the service lives cannot be told from here.

    Remedy: ask that machine (`ssh HOST rhl-ps`); when nothing runs there, `rhl-rm KEY --server`.
    """

    layer = "state"


class StrangerOnPort(LauncherError):
    """Another program than the service listens on the service's port.

    Remedy: `rhl-stop KEY` and launch again: the service takes another port.
    """

    layer = "identity"


class ServiceNotReachable(LauncherError):
    """The service runs, but this machine cannot connect to it.

    Remedy: set `network_interface` to an address that clients reach, or `tunnel: true`.
    """

    layer = "network"


class TunnelFailed(LauncherError):
    """The tunnel to the SSH host did not come up.

    Remedy: see what ssh says in the message; the host must allow TCP forwarding.
    """

    layer = "tunnel"
