"""Read a launch configuration from YAML or JSON; errors say in which line the wrong field stands."""

from __future__ import annotations

from .configuration import Configuration
from .launch_errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ("read_configuration",)

MAX_BYTES = 4 * 1024 * 1024


def read_configuration(path: str, overrides: Mapping[str, Any] | None = None) -> Configuration:
    """Return the checked configuration. overrides: fields that count instead of those of the file.

    Raises ConfigurationError with path, line and the line itself, or TemplateError.
    """
    import yaml

    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as exc:
        raise ConfigurationError(f"{path}: {exc.strerror}", hint=f"ls -l {path}", path=path) from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{path}: not UTF-8 ({exc.reason})", path=path) from exc
    if len(content) > MAX_BYTES:
        raise ConfigurationError(
            f"{path}: more than {MAX_BYTES // 1024**2} MiB",
            hint="a configuration is small: see the path",
            path=path,
        )
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        mapping = yaml.safe_load(text)
    except (
        yaml.YAMLError,
        RecursionError,
        ValueError,
    ) as exc:  # ValueError: a date that is none, a huge number
        mark = getattr(exc, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 0
        problem = getattr(exc, "problem", None) or str(exc)
        raise ConfigurationError(
            _located(path, line, text, f"no YAML: {problem}"), path=path, line=line
        ) from exc
    if not isinstance(mapping, dict):
        raise ConfigurationError(
            f"{path}: the configuration is a {type(mapping).__name__}, not a mapping.",
            hint="give at least the fields workdir, key and command",
            path=path,
        )
    lines = {key.value: key.start_mark.line + 1 for key, _ in node.value} if node is not None else {}
    try:
        return Configuration.from_mapping({**mapping, **(overrides or {})})
    except ConfigurationError as exc:
        line = lines.get(exc.field, 0)
        raise type(exc)(
            _located(path, line, text, exc.message), hint=exc.hint, field=exc.field, path=path, line=line
        ) from exc


def _located(path: str, line: int, text: str, message: str) -> str:
    if not line:
        return f"{path}: {message}"
    lines = text.splitlines()
    shown = lines[line - 1].strip() if line <= len(lines) else ""
    return f"{path}:{line}: {message}\n    {shown:.200}"
