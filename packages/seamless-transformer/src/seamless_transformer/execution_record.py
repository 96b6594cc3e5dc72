"""The minimal execution record: what one successful run cost (written once, never part of identity)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seamless.step import ResourceUsage

__all__ = ("minimal_record",)


@lru_cache(maxsize=1)
def _version() -> str:
    from importlib.metadata import version

    return version("seamless-transformer")


def minimal_record(
    tf_checksum_hex: str,
    result_checksum_hex: str,
    usage: ResourceUsage,
    *,
    execution: str,
    remote: str | None,
) -> dict[str, Any]:
    """Return the record body, keys in the documented order. Times in seconds, memory in bytes."""
    return {
        "schema_version": 1,
        "tf_checksum": tf_checksum_hex,
        "result_checksum": result_checksum_hex,
        "seamless_version": _version(),
        "execution_mode": execution,
        "remote_target": remote,
        "wall_time_seconds": round(usage.wall_s, 6),
        "cpu_time_user_seconds": round(usage.cpu_user_s, 6),
        "cpu_time_system_seconds": round(usage.cpu_system_s, 6),
        "memory_peak_bytes": usage.memory_peak_bytes,
        "gpu_memory_peak_bytes": usage.gpu_memory_peak_bytes,
    }
