"""The front door `seamless.transformer`: the public names of the package `seamless_transformer`."""

from __future__ import annotations

try:
    from seamless_transformer import *  # noqa: F403
    from seamless_transformer import __all__ as __all__
except ModuleNotFoundError as exc:
    if exc.name != "seamless_transformer":
        raise
    raise ModuleNotFoundError(
        "seamless.transformer needs the package seamless-transformer: pip install seamless-transformer",
        name=exc.name,
    ) from None
