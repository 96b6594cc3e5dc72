"""The commands `seamless-config-check` and `seamless-config-init`."""

from __future__ import annotations

__all__ = ()
