"""Define steps, identify them, look them up, drive a graph of them, record what ran."""

from __future__ import annotations

from seamless_worker.errors import SeamlessStreamTransformationError

from .counters import StepCounters, step_counters
from .environment import Environment
from .parallel import parallel, parallel_async
from .transformation import Transformation
from .transformation_errors import TransformationError
from .transformation_list import TransformationIterableBase, TransformationList
from .transformer import delayed, direct

__all__ = (
    "Environment",
    "SeamlessStreamTransformationError",
    "StepCounters",
    "Transformation",
    "TransformationError",
    "TransformationIterableBase",
    "TransformationList",
    "delayed",
    "direct",
    "parallel",
    "parallel_async",
    "step_counters",
)
