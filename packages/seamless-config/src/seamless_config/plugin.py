"""What lower layers load through the entry point group `seamless.plugins`."""

from __future__ import annotations

__all__ = ("fill_configuration_port",)


def fill_configuration_port() -> None:
    """Give `seamless_transformer.parallel_steps` the settings it asks for."""
    from seamless_transformer.parallel_steps import set_configuration

    from .activation import set_stage
    from .select import get_nparallel

    set_configuration(get_nparallel, set_stage)
