"""Define steps, identify them, look them up, drive a graph of them, record what ran.

The names are loaded when they are asked for: a command that only identifies a step needs few of them. No
submodule may have the name of one of them, since importing it would put the module in the place of the name.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from seamless_worker.errors import SeamlessStreamTransformationError

    from .counters import StepCounters, step_counters
    from .environment import Environment
    from .parallel_steps import parallel, parallel_async
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

_HOMES = {
    "Environment": ".environment",
    "SeamlessStreamTransformationError": "seamless_worker.errors",
    "StepCounters": ".counters",
    "Transformation": ".transformation",
    "TransformationError": ".transformation_errors",
    "TransformationIterableBase": ".transformation_list",
    "TransformationList": ".transformation_list",
    "delayed": ".transformer",
    "direct": ".transformer",
    "parallel": ".parallel_steps",
    "parallel_async": ".parallel_steps",
    "step_counters": ".counters",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value: object = getattr(importlib.import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
