"""What a check of the configuration found."""

from __future__ import annotations

from seamless_config.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from seamless_config.configuration import Configuration
    from seamless_config.places import Place

__all__ = ("MAX_PROBLEMS", "Report", "write_lines")

MAX_PROBLEMS = 100  # of each kind


class Report:
    """What was found. errors prevent use, warnings do not.

    files: those that were read. configuration: None when there are errors in the files. services: what would be
    launched: service, key, host (None: this machine) and directory.
    Of errors and of warnings, MAX_PROBLEMS each are kept; is_full: there were more errors, and the search ended.
    """

    __slots__ = (
        "_said",
        "configuration",
        "directory",
        "errors",
        "files",
        "services",
        "stage",
        "substage",
        "warnings",
    )

    def __init__(self, directory: str, stage: str | None = None, substage: str | None = None) -> None:
        self.directory = directory
        self.stage = stage
        self.substage = substage
        self.files: list[str] = []
        self.errors: list[ConfigurationError] = []
        self.warnings: list[ConfigurationError] = []
        self.services: list[dict[str, Any]] = []
        self.configuration: Configuration | None = None
        self._said: set[str] = set()

    @property
    def is_full(self) -> bool:
        return len(self.errors) >= MAX_PROBLEMS

    def error(self, problem: ConfigurationError) -> None:
        """Add an error, once."""
        self._add(self.errors, problem)

    def warn(
        self, problem: ConfigurationError | str, *, place: Place | None = None, remedy: str = ""
    ) -> None:
        """Add a warning, once."""
        if not isinstance(problem, ConfigurationError):
            problem = ConfigurationError(problem, place=place, remedy=remedy)
        self._add(self.warnings, problem)

    def _add(self, problems: list[ConfigurationError], problem: ConfigurationError) -> None:
        text = str(problem)
        if text not in self._said and len(problems) < MAX_PROBLEMS:
            self._said.add(text)
            problems.append(problem)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        from seamless_config.effective_settings import effective_settings

        settings = [] if self.configuration is None else effective_settings(self.configuration)
        return {
            "ok": not self.errors,
            "directory": self.directory,
            "stage": self.stage,
            "substage": self.substage,
            "files": self.files,
            "clusters": [] if self.configuration is None else sorted(self.configuration.clusters),
            "settings": {item.name: {"value": item.value, "origin": str(item.origin)} for item in settings},
            "services": self.services,
            "errors": [_as_json(problem) for problem in self.errors],
            "warnings": [_as_json(problem) for problem in self.warnings],
        }


def _as_json(problem: ConfigurationError) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.cause,
        "remedy": problem.remedy or None,
    }


def write_lines(lines: Iterable[str]) -> None:
    """Print lines on standard output, whatever its encoding: what it cannot show is escaped."""
    import sys

    text = "".join(f"{line}\n" for line in lines)
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
