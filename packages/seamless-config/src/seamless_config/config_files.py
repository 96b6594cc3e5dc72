"""Read the configuration of this process anew."""

from __future__ import annotations

from . import select
from .configuration import read_configuration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ("load_config_files", "load_tools")


def load_config_files() -> None:
    """Read the files of the working directory, and make what they say current. Raises ConfigurationFileInvalid."""
    from .workdir import get_workdir

    now = select.current_configuration().selection
    select.replace_configuration(
        read_configuration(get_workdir(), stage=now.stage, substage=now.substage, before=now)
    )


def load_tools() -> dict[str, Any]:
    """Return the launch templates of the services, from the data file `tools.yaml` of this package."""
    from .launch_dictionaries import launch_templates

    return launch_templates()
