"""Errors of configuration."""

from __future__ import annotations

from seamless.errors import SeamlessError

__all__ = ("ConfigurationError",)


class ConfigurationError(SeamlessError, RuntimeError):
    """The configuration does not say what is needed, or says what cannot be.

    Remedy: the message names the setting and where to write it.
    """
