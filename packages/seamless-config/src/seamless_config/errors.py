"""Errors of configuration: one class per cause, each with the place where it was written."""

from __future__ import annotations

from seamless.errors import SeamlessError

from .places import Place, printable

__all__ = (
    "ClusterUnknown",
    "ConfigurationError",
    "ConfigurationFileInvalid",
    "NotSupportedYet",
    "SelectionInvalid",
)


class ConfigurationError(SeamlessError, RuntimeError):
    """The configuration does not say what is needed, or says what cannot be.

    cause: what is wrong. place: where it was written, None when it was not written in a file. remedy: what to do.

    Remedy: the message names the setting and where to write it.
    """

    def __init__(self, cause: str, *, place: Place | None = None, remedy: str = "") -> None:
        super().__init__(cause)
        self.cause = printable(cause)  # it may repeat what stands in a file
        self.place = place
        self.remedy = printable(remedy)

    @property
    def file(self) -> str | None:
        """The file, None when it was not written in a file."""
        return None if self.place is None else self.place.file

    @property
    def line(self) -> int | None:
        """The line, counted from 1; None when the whole file is meant, or none."""
        return (self.place.line or None) if self.place is not None else None

    @property
    def column(self) -> int | None:
        """The column, counted from 1; None as `line`."""
        return (self.place.column or None) if self.place is not None else None

    def __str__(self) -> str:
        where = "" if self.place is None else f"{self.place}: "
        shown = "" if self.place is None else self.place.shown()
        lines = [f"{where}{self.cause}", shown, self.remedy]
        return (
            "\n".join(line for line in lines if line) if shown else " ".join(part for part in lines if part)
        )

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (type(self), self.cause, self.place, self.remedy)


class ConfigurationFileInvalid(ConfigurationError, ValueError):
    """A configuration file, or a cluster definition, cannot be used as it is written.

    Remedy: correct the line that the message shows; `seamless-config-check` checks the files without using them.
    """


class SelectionInvalid(ConfigurationError, ValueError):
    """A value that was to be selected cannot be: a wrong name, type or choice.

    Remedy: the message says what is expected.
    """


class NotSupportedYet(ConfigurationError):
    """The configuration is right, and this version cannot do what it asks for.

    Remedy: the message says what this version can do instead.
    """


class ClusterUnknown(ConfigurationError):
    """No cluster of that name is defined.

    Remedy: define it in ~/.seamless/clusters.yaml or with the command `clusters`, or correct its name.
    """


def _rebuilt(
    kind: type[ConfigurationError], cause: str, place: Place | None, remedy: str
) -> ConfigurationError:
    return kind(cause, place=place, remedy=remedy)
