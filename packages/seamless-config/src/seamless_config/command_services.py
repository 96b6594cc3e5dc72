"""The project files as commands use them: those of the current directory, with `--project` and `--stage` on top."""

from __future__ import annotations

import os

from seamless_command.scope import ProjectConfiguration

from .activation_plan import check_execution, plan_storage
from .configuration import read_configuration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from seamless_command.scope import Services

    from .configuration import Configuration

__all__ = ("read_project",)

OPTION = "--project"


def read_project(
    project: str | None, subproject: str | None, stage: str | None, substage: str | None
) -> ProjectConfiguration:
    """Read the files of the current directory. project: instead of what the files say, with its subproject or none.

    Raises ConfigurationError.
    """
    found = read_configuration(os.getcwd(), stage=stage, substage=substage)
    if project is not None:
        found = found.with_project(project, subproject, OPTION)
    return _Project(found)


class _Project(ProjectConfiguration):
    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._plan = plan_storage(configuration)
        self._services: Services | None = None
        self.warnings: Sequence[str] = (*self._plan.warnings, *configuration.hints)

    @property
    def services(self) -> Services | None:
        if self._services is None and self._plan.services:
            from seamless_remote.command_services import CommandServices

            from .service_activation import use_services

            plan = self._plan

            class ClusterServices(CommandServices):
                """The services of the selected cluster, launched when they are first asked."""

                full_records = bool(plan.configuration.selection.record)

                def use_clients(self) -> None:
                    use_services(plan)

            self._services = ClusterServices()
        return self._services

    def check_execution(self) -> Sequence[str]:
        return check_execution(self._configuration)
