"""What a step needs where it runs. Outside its identity.

The low-level form is a plain object with those of the members `which`, `conda`, `conda_environment`,
`powers` and `docker` that are set; its checksum stands as `__env__` beside the transformation.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .definition_errors import BadEnvironment

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("Environment",)


class _TextFile(Protocol):
    def read(self) -> str | bytes: ...


class Environment:
    """The requirements of a step: a conda environment, commands, capabilities, a container image.

    Setters check and copy what they are given; None clears (not for `set_conda`).
    """

    __slots__ = ("_conda", "_conda_environment", "_docker", "_powers", "_which", "version")

    def __init__(self) -> None:
        self._which: list[str] | None = None
        self._conda: dict[str, Any] | None = None
        self._conda_environment: str | None = None
        self._powers: dict[str, Any] | None = None
        self._docker: dict[str, Any] | None = None
        self.version = 0

    def copy(self) -> Environment:
        twin = Environment()
        for name in ("_which", "_conda", "_conda_environment", "_powers", "_docker"):
            setattr(twin, name, copy.deepcopy(getattr(self, name)))
        return twin

    def to_lowlevel(self) -> dict[str, Any] | None:
        """Return the low-level form, or None when nothing is set."""
        members = {
            "which": self._which,
            "conda": self._conda,
            "conda_environment": self._conda_environment,
            "powers": self._powers,
            "docker": self._docker,
        }
        return {name: copy.deepcopy(value) for name, value in members.items() if value is not None} or None

    # -- conda -------------------------------------------------------------------------------------------

    def set_conda(self, conda: str | Path | _TextFile) -> None:
        """Require a conda environment made from a description.

        conda: YAML text, the path of a YAML file, or an open file; a mapping with `dependencies`.
        """
        text, origin = _read_text(conda)
        import yaml

        try:
            description = yaml.safe_load(text)
        except yaml.YAMLError as exc:
            raise BadEnvironment(f"the conda description {origin} is not valid YAML: {exc}") from exc
        if not isinstance(description, dict):
            raise TypeError(
                f"a conda description must be a mapping with 'dependencies', not "
                f"{description!r:.80} ({origin}). "
                "If that is the name of a file, it does not exist; if it is the name of an environment, use "
                "set_conda_env."
            )
        if "dependencies" not in description:
            raise BadEnvironment(
                f"the conda description {origin} has no 'dependencies'; it has "
                f"{', '.join(map(str, description)) or 'no members'}."
            )
        self._conda = description
        self.version += 1

    def get_conda(self) -> dict[str, Any] | None:
        return copy.deepcopy(self._conda)

    def set_conda_env(self, name: str | None) -> None:
        """Require an existing conda environment, by name."""
        if name is not None and not isinstance(name, str):
            raise TypeError(f"the name of a conda environment must be a str or None, not {name!r:.80}")
        if name is not None and not name.strip():
            raise BadEnvironment("the name of a conda environment cannot be empty; None clears it")
        self._conda_environment = name
        self.version += 1

    def get_conda_env(self) -> str | None:
        return self._conda_environment

    # -- commands, capabilities, containers ----------------------------------------------------------------

    def set_which(self, which: Sequence[str] | None) -> None:
        """Require commands on the PATH."""
        if which is not None and (
            not isinstance(which, (list, tuple)) or not all(isinstance(name, str) for name in which)
        ):
            raise TypeError(f"the required commands must be a list of names or None, not {which!r:.80}")
        self._which = None if which is None else list(which)
        self.version += 1

    def get_which(self) -> list[str] | None:
        return copy.deepcopy(self._which)

    def set_powers(self, powers: Mapping[str, Any] | None) -> None:
        """Require capabilities of the machine."""
        self._powers = _mapping(powers, "powers")
        self.version += 1

    def get_powers(self) -> dict[str, Any] | None:
        return copy.deepcopy(self._powers)

    def set_docker(self, docker: Mapping[str, Any] | None) -> None:
        """Require a container image: a mapping with at least `name`."""
        docker = _mapping(docker, "docker")
        if docker is not None and "name" not in docker:
            raise BadEnvironment(
                f"docker must have a member 'name', the image; it has "
                f"{', '.join(map(str, docker)) or 'no members'}."
            )
        self._docker = docker
        self.version += 1

    def get_docker(self) -> dict[str, Any] | None:
        return copy.deepcopy(self._docker)

    def __repr__(self) -> str:
        return f"Environment({self.to_lowlevel() or {}})"


def _mapping(value: Mapping[str, Any] | None, what: str) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"{what} must be a dict or None, not {value!r:.80}")
    return copy.deepcopy(dict(value))


def _read_text(conda: str | Path | _TextFile) -> tuple[str, str]:
    """Return the text of a conda description, and what to call it in messages."""
    from pathlib import Path

    if isinstance(conda, Path):
        return conda.read_text(encoding="utf-8"), str(conda)
    if isinstance(conda, str):
        is_path = "\n" not in conda and 0 < len(conda) < 4096 and Path(conda).is_file()
        return _read_text(Path(conda)) if is_path else (conda, "text")
    read = getattr(conda, "read", None)
    if read is None:
        raise TypeError(
            f"a conda description must be YAML text, a path or an open file, not {conda!r:.80}. "
            "It cannot be cleared; make a new Environment."
        )
    content = read()
    text = content.decode("utf-8") if isinstance(content, bytes) else content
    return text, str(getattr(conda, "name", "file"))
