"""The exact form of `rhl-launch-service`: its own options, and the command line of each service it may start.

| checked | how |
|---|---|
| `--workdir`, data directory, database file | held against the policy; what runs gets the resolved path |
| `--status-file` | exactly the state file of `--key` in the launcher's own directory |
| `--conda-env` | a plain name, or a path that the conda cache lists |
| `--network-interface`, `--host` | addresses of this machine: the helpers connect there later |
| the program | one of four names; another whitelist (RHL_TOOLS_YAML) is not looked at |
| `MODULE::CLASS` of Dask | a class of Dask's own packages |

A job server and a Dask cluster run what they are sent: whoever may start one, and reach its port, runs code as
this account. Give such a key to nobody who may not do that.
"""

from __future__ import annotations

import os

from remote_http_launcher.keys import is_key
from remote_http_launcher.small_json import loads

from .addresses import check_host
from .options import check_number
from .paths import ResolvedPath, expanded_home
from .refusal import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .paths import ResolvedDirectory
    from .policy import Policy

__all__ = ("SERVICES", "launch_words")

JSON_SIZE_MAX = 64 * 1024
OWN_OPTIONS = (
    "--auth",
    "--conda-env",
    "--key",
    "--meta",
    "--network-interface",
    "--parameters",
    "--replace",
    "--wait",
    "--workdir",
)
DATABASE_NAME = "seamless.db"
DASK_PACKAGES = ("dask", "distributed")
CONDA_CACHE_SIZE_MAX = 1024 * 1024
CONDA_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-")

# service -> (flags, options of numbers with their count, what its other word is)
SERVICES: dict[str, tuple[frozenset[str], dict[str, int], str]] = {
    "hashserver": (
        frozenset(("--writable", "--no-writable")),
        {"--port-range": 2, "--port": 1, "--timeout": 1},
        "directory",
    ),
    "seamless-database": (
        frozenset(("--writable",)),
        {"--port-range": 2, "--port": 1, "--timeout": 1},
        "database",
    ),
    "seamless-jobserver": (frozenset(), {"--workers": 1, "--port-range": 2, "--port": 1, "--timeout": 1}, ""),
    "seamless-dask-wrapper": (frozenset(), {"--port-range": 2, "--port": 1, "--timeout": 1}, "class"),
}


class _Launch:
    """What has been understood so far of one command."""

    def __init__(
        self,
        policy: Policy,
        home: str,
        server_directory: str,
        conda_cache: str,
        addresses: Callable[[str], Sequence[str]] | None,
    ) -> None:
        self.addresses = addresses
        self.policy = policy
        self.home = home
        self.server_directory = server_directory
        self.conda_cache = conda_cache
        self.directories: list[ResolvedDirectory] = []
        self.key = ""
        self.workdir: ResolvedDirectory | None = None


def launch_words(
    words: Sequence[str],
    *,
    policy: Policy,
    home: str,
    server_directory: str,
    conda_cache: str,
    addresses: Callable[[str], Sequence[str]] | None = None,
) -> tuple[list[str], list[ResolvedDirectory]]:
    """Return the words to hand to the helper, and the directories to close afterwards. Raises Refused."""
    policy.require()
    launch = _Launch(policy, home, server_directory, conda_cache, addresses)
    try:
        before, after = _split(words)
        own = _own_options(launch, before)
        return own + (["--", *_service(launch, after)] if after is not None else []), launch.directories
    except BaseException:
        for directory in launch.directories:
            directory.close()
        raise


def _split(words: Sequence[str]) -> tuple[list[str], list[str] | None]:
    listed = list(words)
    if "--" not in listed:
        return listed, None
    at = listed.index("--")
    return listed[:at], listed[at + 1 :]


def _own_options(launch: _Launch, words: list[str]) -> list[str]:
    made: list[str] = []
    seen: set[str] = set()
    ahead = words[::-1]
    while ahead:
        option, equals, value = ahead.pop().partition("=")
        if option == "--version" and not equals and not made and not ahead:
            return [option]
        if option not in OWN_OPTIONS:
            raise Refused("rhl-launch-service has no such option here", about=option)
        if option in seen:
            raise Refused(f"rhl-launch-service {option} is given twice")
        seen.add(option)
        if not equals:
            if not ahead:
                what = "a path" if option == "--workdir" else "a value"
                raise Refused(f"rhl-launch-service {option} requires {what}")
            value = ahead.pop()
        made += [option, _own_value(launch, option, value)]
    return made


def _own_value(launch: _Launch, option: str, value: str) -> str:
    if option == "--workdir":
        launch.workdir = launch.policy.working_directory(value, launch.home)
        launch.directories.append(launch.workdir)
        return launch.workdir
    if option == "--key":
        if not is_key(value) or value.startswith("-"):
            raise Refused("invalid key (only letters, digits, . _ - allowed)", about=value)
        launch.key = value
    elif option == "--conda-env":
        _check_conda(value, launch.conda_cache)
    elif option == "--wait":
        check_number(value)
    elif option == "--auth":
        _check_one_of(option, value, ("token", "group", "none"))
    elif option == "--replace":
        if not value.isascii() or not all(part.isdigit() for part in value.split(":")) or len(value) > 40:
            raise Refused("--replace takes PID:START", about=value)
    elif option == "--network-interface":
        check_host(value, launch.addresses)
    else:
        _check_object(option, value)
    return value


def _check_one_of(option: str, text: str, known: Sequence[str]) -> None:
    if text not in known:
        raise Refused(f"{option} takes one of {', '.join(known)}", about=text)


def _check_object(option: str, text: str) -> None:
    if len(text) > JSON_SIZE_MAX:
        raise Refused(f"{option} is longer than {JSON_SIZE_MAX} characters")
    try:
        found = loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused(f"{option} must be a JSON object")


def _check_conda(text: str, cache: str) -> None:
    if text and text[0] not in "-." and CONDA_CHARACTERS.issuperset(text):
        return
    if text.startswith("/"):
        try:
            with open(cache, encoding="utf-8") as file:
                known = loads(file.read(CONDA_CACHE_SIZE_MAX))
            if isinstance(known, dict) and text in (known.get("conda_base"), *(known.get("envs") or ())):
                return
        except (OSError, ValueError, TypeError):
            pass
    raise Refused("--conda-env takes a name, or a path that rhl-conda-info lists", about=text)


def _service(launch: _Launch, words: list[str]) -> list[str]:
    if not words:
        return []
    name = words[0]
    if name not in SERVICES:
        raise Refused("service binary is not whitelisted", about=name)
    flags, numbers, other = SERVICES[name]
    made = [name]
    seen: set[str] = set()
    ahead = words[:0:-1]
    while ahead:
        word = ahead.pop()
        if not word.startswith("-"):
            if not other or "" in seen:
                raise Refused(f"{name} takes no such word", about=word)
            seen.add("")
            made.append(_other_word(launch, other, word))
            continue
        option, equals, value = word.partition("=")
        if option in seen:
            raise Refused(f"{name} is given an option twice", about=option)
        seen.add(option)
        if option in flags and not equals:
            made.append(option)
            continue
        if option not in (*numbers, "--status-file", "--host", "--auth"):
            raise Refused(f"{name} may not be given this option", about=option)
        values = [value] if equals else [ahead.pop() for _ in range(min(numbers.get(option, 1), len(ahead)))]
        if len(values) != numbers.get(option, 1):
            raise Refused(f"{name} {option} lacks a value")
        made += [option, *(_service_value(launch, option, text) for text in values)]
    return made


def _service_value(launch: _Launch, option: str, text: str) -> str:
    if option == "--status-file":
        return _status_file(launch, text)
    if option == "--host":
        check_host(text, launch.addresses)
    elif option == "--auth":
        _check_one_of(option, text, ("token", "group"))  # nothing is served to the network without a token
    else:
        check_number(text)
    return text


def _status_file(launch: _Launch, text: str) -> str:
    """Return the state file of the key, if that is what the text names."""
    own = os.path.join(launch.server_directory, f"{launch.key}.json")
    expanded = expanded_home(text, launch.home)
    if not launch.key or os.path.normpath(expanded) != own or ".." in text.split("/"):
        raise Refused("--status-file must be the state file of --key", about=text)
    return own


def _other_word(launch: _Launch, other: str, word: str) -> str:
    if other == "class":
        return _dask_class(word)
    if other == "database":
        folder, _, name = word.rpartition("/")
        if name != DATABASE_NAME:
            raise Refused(f"the database file must be called {DATABASE_NAME}", about=word)
        directory = _data_directory(launch, folder or ".")
        return ResolvedPath(os.path.join(directory, name), os.path.join(directory.path, name))
    return _data_directory(launch, word)


def _data_directory(launch: _Launch, text: str) -> ResolvedPath:
    if not text.startswith(("/", "~")):
        if launch.workdir is None:
            raise Refused("a relative path of a service needs --workdir", about=text)
        if ".." in text.split("/"):
            raise Refused("path must not contain dot-prefixed segments", about=text)
        text = os.path.normpath(os.path.join(launch.workdir, text))
    directory = launch.policy.service_directory(text, launch.home)
    launch.directories.append(directory)
    return ResolvedPath(expanded_home(text, launch.home), directory.path)


def _dask_class(word: str) -> str:
    module, separator, name = word.partition("::")
    parts = module.split(".")
    known = parts[0] in DASK_PACKAGES or parts[0].startswith("dask_")
    if not (separator and known and name.isidentifier() and all(part.isidentifier() for part in parts)):
        raise Refused("the cluster class must be one of Dask's packages, as MODULE::CLASS", about=word)
    return word
