"""What is to be launched, where and how: the configuration, checked as a whole before anything is touched.

Pure: no file, clock, network or environment. Fields that are unknown are kept, for the templates to use.
"""

from __future__ import annotations

import re

from .keys import is_key
from .launch_errors import ConfigurationError
from .templates import evaluate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ("Configuration", "Handshake", "split_words")

LOG_LEVELS = ("minimal", "basic", "debug")
AUTH_MODES = ("token", "group", "none")
START_TIMEOUT_S = 60.0
MAX_START_TIMEOUT_S = 7 * 86400.0
_LOG_FIELDS = ("log_level", "log_file", "debug_log_file")
_WORKDIR = re.compile(r"[A-Za-z0-9@_./~-]+")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_QUOTED = re.compile(r"""[^!#-&(-\[\]-~ ]""")  # whatever shlex reads otherwise than str.split: 0.2 ms
_NOT_IN_URL = re.compile(r"[^!-~]|#")
_CONDA = re.compile(r"[A-Za-z0-9._@/+~-]+")


class Handshake:
    """The request that shows that the service answers. port_name: the member of the state that holds the port."""

    __slots__ = ("parameters", "path", "port_name")

    def __init__(self, path: str, parameters: Mapping[str, str], port_name: str | None = None) -> None:
        self.path = path
        self.parameters = dict(parameters)
        self.port_name = port_name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handshake) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash((self.path, self.port_name))

    def __repr__(self) -> str:
        return f"Handshake({self.path!r}, {self.parameters!r}, {self.port_name!r})"

    def _all(self) -> tuple[object, ...]:
        return self.path, self.parameters, self.port_name


class Configuration:
    """One launch configuration; make it with `from_mapping`. Treat it as frozen.

    Attributes: workdir, key, command_template, hostname, ssh_hostname, network_interface, tunnel, handshake, conda,
    file_parameters, meta, log_level, log_file, debug_log_file, start_timeout_s, auth, fields (what templates see).
    """

    workdir: str
    key: str
    command_template: str
    hostname: str | None
    ssh_hostname: str | None
    network_interface: str
    tunnel: bool
    handshake: Handshake | None
    conda: str | None
    file_parameters: dict[str, Any] | None
    meta: dict[str, Any] | None
    log_level: str
    log_file: str | None
    debug_log_file: str | None
    start_timeout_s: float
    auth: str
    fields: dict[str, Any]

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Configuration:
        """Return the checked configuration. Raises ConfigurationError with the name of the field, or TemplateError."""
        if not isinstance(mapping, dict):
            raise ConfigurationError(
                f"The configuration is a {type(mapping).__name__}, not a mapping.",
                hint="give at least the fields workdir, key and command",
            )
        found = cls()
        found.fields = {name: value for name, value in mapping.items() if name not in _LOG_FIELDS}
        found._read_logging(mapping)
        found._read_place(mapping)
        found._read_service(mapping)
        key_template = _text(mapping, "key")
        found.command_template = _text(mapping, "command")
        found.key = evaluate(key_template, found._namespace(), name="key")
        if not is_key(found.key):
            raise _wrong("key", "The key must be a plausible UNIX file name.", f"it is {found.key!r:.210}")
        return found

    @property
    def is_local(self) -> bool:
        """Whether the target is this machine."""
        return self.hostname is None

    def command(self, status_file: str) -> str:
        """Return the command line. Raises ConfigurationError, TemplateError."""
        more: dict[str, object] = {"key": self.key, "status_file": status_file}
        if self.meta is not None:
            more["meta"] = self.meta
        text = evaluate(self.command_template, {**self._namespace(), **more}, name="command")
        if not text.strip() or "\n" in text or "\r" in text or "\0" in text:
            raise _wrong("command", "The command must be one line that is not blank.", f"it is {text!r:.200}")
        return text

    def words(self, status_file: str) -> list[str]:
        """Return the words of the command line, split as a shell would, with nothing expanded."""
        text = self.command(status_file)
        try:
            words = split_words(text)
        except ValueError as exc:
            raise _wrong(
                "command", "The command cannot be split into words.", f"{exc}: {text!r:.200}"
            ) from exc
        if not words:
            raise _wrong("command", "The command must be one line that is not blank.", f"it is {text!r:.200}")
        return words

    def _namespace(self) -> dict[str, object]:
        named = {
            name: value
            for name, value in self.fields.items()
            if isinstance(name, str) and name.isidentifier()
        }
        return {**named, "config": self.fields}

    def _read_logging(self, mapping: Mapping[str, Any]) -> None:
        self.log_level = mapping.get("log_level", "basic")
        if self.log_level not in LOG_LEVELS:
            raise _wrong(
                "log_level",
                f"log_level must be one of: {', '.join(LOG_LEVELS)}.",
                f"it is {self.log_level!r:.80}",
            )
        self.log_file = _text_or_none(mapping, "log_file", "log_file must be a string when provided.")
        self.debug_log_file = _text_or_none(
            mapping, "debug_log_file", "debug_log_file must be a string when provided."
        )

    def _read_place(self, mapping: Mapping[str, Any]) -> None:
        self.workdir = _text(mapping, "workdir")
        if not _WORKDIR.fullmatch(self.workdir):
            raise _wrong(
                "workdir", "workdir must be a plausible UNIX directory name.", f"it is {self.workdir!r:.200}"
            )
        self.hostname = _host(mapping, "hostname", None)
        self.ssh_hostname = _host(mapping, "ssh_hostname", None) or self.hostname
        if "network_interface" in mapping and not isinstance(mapping["network_interface"], str):
            raise _wrong("network_interface", "network_interface must be a string.")
        self.network_interface = _host(mapping, "network_interface", "localhost") or ""
        tunnel = mapping.get("tunnel", False)
        if not isinstance(tunnel, bool):
            raise _wrong("tunnel", "tunnel must be a boolean when provided.", f"it is {tunnel!r:.80}")
        if tunnel and self.hostname is None:
            raise _wrong("tunnel", "tunnel needs hostname and ssh_hostname.")
        self.tunnel = tunnel

    def _read_service(self, mapping: Mapping[str, Any]) -> None:
        self.handshake = _handshake(mapping.get("handshake"))
        self.conda = _text_or_none(mapping, "conda", "The conda field, when present, must be a string.")
        if self.conda is not None and (not _CONDA.fullmatch(self.conda) or self.conda.startswith("-")):
            raise _wrong(
                "conda",
                "conda must be the name or the path of an environment.",
                f"it is {self.conda!r:.80}",
            )
        self.file_parameters = _json_mapping(mapping, "file_parameters")
        self.meta = _json_mapping(mapping, "meta")
        timeout_s = mapping.get("start_timeout", START_TIMEOUT_S)
        if isinstance(timeout_s, bool) or not isinstance(timeout_s, (int, float)):
            raise _wrong("start_timeout", "start_timeout must be a number of seconds.")
        if not 0 < timeout_s <= MAX_START_TIMEOUT_S:
            raise _wrong(
                "start_timeout", f"start_timeout must be above 0 and at most {MAX_START_TIMEOUT_S:g} s."
            )
        self.start_timeout_s = float(timeout_s)
        self.auth = mapping.get("auth", "token")
        if self.auth not in AUTH_MODES:
            raise _wrong("auth", f"auth must be one of: {', '.join(AUTH_MODES)}.", f"it is {self.auth!r:.80}")


def split_words(text: str) -> list[str]:
    """Return the words of a command line, split as a shell would, with nothing expanded. Raises ValueError."""
    if not _QUOTED.search(text):
        return text.split()
    import shlex

    return shlex.split(text)


def _wrong(field: str, rule: str, found: str = "") -> ConfigurationError:
    return ConfigurationError(
        f"{rule} ({found})" if found else rule,
        hint=f"correct the field {field!r} of the launch configuration",
        field=field,
    )


def _text(mapping: Mapping[str, Any], field: str) -> str:
    value = mapping.get(field)
    if not isinstance(value, str):
        raise _wrong(field, f"{field} must be provided and be a string.")
    return value


def _text_or_none(mapping: Mapping[str, Any], field: str, rule: str) -> str | None:
    value = mapping.get(field)
    if value is not None and not isinstance(value, str):
        raise _wrong(field, rule, f"it is {value!r:.80}")
    return value


def _host(mapping: Mapping[str, Any], field: str, default: str | None) -> str | None:
    value = mapping.get(field, default)
    if value is None:
        return default
    if not isinstance(value, str) or not _is_host(value):
        raise _wrong(field, f"{field} must be an HTTP hostname or IP address.", f"it is {value!r:.100}")
    return value


def _is_host(text: str) -> bool:
    name = text.removesuffix(".")
    if len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split(".")):
        return True  # so is an IPv4 address
    import ipaddress

    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text


def _json_mapping(mapping: Mapping[str, Any], field: str) -> dict[str, Any] | None:
    value = mapping.get(field)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _wrong(field, f"{field} must be a mapping when provided.")
    import json

    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise _wrong(field, f"{field} must be representable as JSON.", str(exc)) from exc
    return value


def _handshake(value: Any) -> Handshake | None:  # whatever the configuration holds
    if value is None:
        return None
    if isinstance(value, str):
        value = {"path": value}
    if not isinstance(value, dict):
        raise _wrong("handshake", "handshake must be a string path or a mapping with path and parameters.")
    path = value.get("path", "")
    if not isinstance(path, str):
        raise _wrong("handshake", "handshake.path must be a string.")
    if _NOT_IN_URL.search(path):
        raise _wrong(
            "handshake",
            "handshake.path must be printable ASCII without blanks and '#'.",
            f"it is {path!r:.80}",
        )
    port_name = value.get("port_name")
    if port_name is not None and not isinstance(port_name, str):
        raise _wrong("handshake", "handshake.port_name must be a string.")
    parameters = value.get("parameters")
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, dict) or not all(
        isinstance(name, str) and isinstance(part, (str, int, float, bool))
        for name, part in parameters.items()
    ):
        raise _wrong("handshake", "handshake parameters must map strings to simple values.")
    return Handshake(path, {name: str(part) for name, part in parameters.items()}, port_name)
