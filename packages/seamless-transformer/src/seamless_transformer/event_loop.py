"""Refuse to block a running event loop, in words that say what to do instead."""

from __future__ import annotations

import sys

__all__ = ("refuse_inside_event_loop", "running_loop_exists")


def running_loop_exists() -> bool:
    """Tell whether an event loop runs on this thread, without importing asyncio."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def refuse_inside_event_loop(blocking: str, instead: str) -> None:
    """Raise RuntimeError if an event loop runs on this thread (unless it was patched to allow nesting)."""
    if not running_loop_exists() or getattr(sys.modules["asyncio"], "_nest_patched", False):
        return  # nest_asyncio marks the module when it is applied
    if "IPython" in sys.modules and "ipykernel" in sys.modules:
        raise RuntimeError(f"'{blocking}' is not supported within Jupyter. Use '{instead}' instead.")
    name = blocking.removeprefix("tf.")
    raise RuntimeError(f"Cannot block on {name} from within the running event loop. Use '{instead}' instead.")
