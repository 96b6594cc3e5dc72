"""What lower layers load through the entry point group `seamless.plugins`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("check_project_files", "fill_configuration_port")


def check_project_files(files: Sequence[str], stage: str | None = None) -> None:
    """Raise ConfigurationError if the files of the current directory ask for more than results in memory."""
    import os

    from .configuration import read_configuration
    from .errors import ConfigurationError

    found = read_configuration(os.getcwd(), stage=stage)
    if found.selection.cluster or found.execution != "process" or found.persistent:
        asked = (
            f"cluster: {found.selection.cluster}"
            if found.selection.cluster
            else f"execution: {found.execution}"
        )
        raise ConfigurationError(
            f"{files[0]}: '{asked}' is not supported by this command yet.",
            remedy="Remove the command, or set SEAMLESS_CACHE=/path/to/cache.",
        )


def fill_configuration_port() -> None:
    """Give `seamless_transformer.parallel_steps` the settings it asks for."""
    from seamless_transformer.parallel_steps import set_configuration

    from . import get_nparallel, set_stage

    set_configuration(get_nparallel, set_stage)
