"""What the guard says when it does not run a helper.

`str(refused)` is for the client and may quote what it sent; `refused.cause` is for the audit log, and holds
nothing of it.
"""

from __future__ import annotations

from remote_http_launcher.errors import LauncherError

__all__ = ("GuardMisconfigured", "Refused")


class Refused(LauncherError):
    """The guard does not run this command: the key is not allowed to, or it is no command of a helper.

    cause: the same without anything that the client sent. helper: which was asked for, if that is known.

    Remedy: read the reason; what is allowed stands in the options of rhl-guard in authorized_keys.
    """

    layer = "guard"

    def __init__(self, cause: str, *, about: str = "") -> None:
        self.cause = cause
        self.helper = ""
        super().__init__(f"{cause}: {_quoted(about)}" if about else cause)

    def of(self, helper: str) -> Refused:
        """Return it, with the helper that was asked for."""
        self.helper = helper
        return self


class GuardMisconfigured(LauncherError):
    """The options of rhl-guard in authorized_keys, or the file they name, are wrong; every command is refused.

    Remedy: correct the line of the key; `rhl-guard --print-authorized-keys-line` shows a valid one.
    """

    layer = "guard"


def _quoted(text: str) -> str:
    """Return the text as it can be shown on a terminal, short."""
    shown = ascii(text)
    return shown if len(shown) <= 200 else f"{shown[:200]}..."
