"""Conda on the target: where it is, which environments it has, and how a command runs inside one.

What was found is kept in `conda-setup.json`: `{"conda_source": PATH|null, "conda_base": PATH, "envs": [PATH...]}`.
conda_source is a `conda.sh` to source first; null: a login shell can activate by itself.

Every run of a shell is bounded in time, and gets paths and names as quoted words only.
"""

from __future__ import annotations

import json
import os
import re

from .directories import conda_cache_path
from .launch_errors import CondaUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = (
    "activation",
    "find_conda",
    "is_listed",
    "parse_setup",
    "read_conda_cache",
    "refresh_conda_cache",
)

SHELL_TIMEOUT_S = 60.0  # one run of a login shell with conda, on a slow shared file system
MAX_CACHE_BYTES = 4 * 1024 * 1024
_BLOCK = re.compile(r"# >{3} conda initialize >{3}(.*?)# <{3} conda initialize <{3}", re.DOTALL)
_SOURCE = re.compile(r"""["']([^"'\n]+/etc/profile\.d/conda\.sh)["']""")


def activation(environment: str, words: Sequence[str], setup: dict[str, Any]) -> list[str]:
    """Return the words that run `words` inside the environment: a login shell that replaces itself by the command."""
    import shlex

    environment = os.path.expanduser(environment)
    source = setup.get("conda_source")
    script = f"source {shlex.quote(source)} && " if isinstance(source, str) else ""
    script += f"conda activate {shlex.quote(environment)} && exec {shlex.join(words)}"
    return ["bash", "-lc", script]


def is_listed(environment: str, setup: dict[str, Any]) -> bool:
    """Tell whether the environment, a name or a path, is one of those in the cache; `~` is the home of its machine."""
    paths = [path.rstrip("/") for path in setup["envs"]]
    if environment.startswith("/"):
        return environment.rstrip("/") in paths
    if environment == "base":
        return True
    return any(path.endswith(f"/{environment.removeprefix('~/').rstrip('/')}") for path in paths)


def read_conda_cache() -> dict[str, Any]:
    """Return what the cache file holds. Raises CondaUnavailable: absent, malformed."""
    path = conda_cache_path()
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_CACHE_BYTES)
    except FileNotFoundError:
        raise CondaUnavailable(f"cache file not found: {path}", hint="rhl-cache-conda") from None
    except OSError as exc:
        raise CondaUnavailable(f"cannot read {path}: {exc.strerror}", hint=f"ls -l {path}") from exc
    return parse_setup(text, str(path))


def parse_setup(text: bytes | str, where: str) -> dict[str, Any]:
    """Return the set-up that the text holds. Raises CondaUnavailable."""
    try:
        setup = json.loads(text)
    except (ValueError, RecursionError):
        setup = None
    if (
        not isinstance(setup, dict)
        or not isinstance(setup.get("envs"), list)
        or not all(isinstance(path, str) for path in setup["envs"])
        or not isinstance(setup.get("conda_source"), (str, type(None)))
    ):
        raise CondaUnavailable(f"malformed cache file: {where}", hint="rhl-cache-conda")
    return setup


def find_conda() -> dict[str, Any]:
    """Find out how to activate, and what there is. Raises CondaUnavailable.

    Tried in this order: a login shell as it is; the `conda.sh` of the block that `conda init` wrote into `~/.bashrc`;
    the one below `conda info --base`, of the login shell's conda and of that on the PATH of this process, which a login
    shell may have set anew.
    """
    if _activates(None):
        return _setup(None)
    tried: set[str | None] = set()
    for find in (_source_of_bashrc, _source_of_login_shell, _source_of_path):
        source = find()
        if source and source not in tried and _activates(source):
            return _setup(source)
        tried.add(source)
    raise CondaUnavailable(
        "conda activate is not initialized and no usable conda.sh was found",
        hint="run `conda init bash` on the target, then rhl-cache-conda",
    )


def refresh_conda_cache() -> str:
    """Find conda again and replace the cache file; return its path. Raises CondaUnavailable."""
    setup = find_conda()
    path = str(conda_cache_path())
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.urandom(8).hex()}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(setup, file, indent=2)
        os.replace(temporary, path)
    except OSError as exc:
        raise CondaUnavailable(f"cannot write {path}: {exc.strerror}", hint=f"ls -ld {folder}") from exc
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return path


def _setup(source: str | None) -> dict[str, Any]:
    base = _output(source, "conda info --base")
    environments = _output(source, "conda env list --json")
    try:
        envs = json.loads(environments or "")["envs"]
    except (ValueError, KeyError, TypeError, RecursionError):
        envs = None
    if not base or not isinstance(envs, list):
        raise CondaUnavailable(
            "conda can activate, but does not say where its base is or which environments it has",
            hint="try `conda info --base` and `conda env list --json` in a login shell on the target",
        )
    return {
        "conda_source": source,
        "conda_base": base.strip(),
        "envs": [path for path in envs if isinstance(path, str)],
    }


def _activates(source: str | None) -> bool:
    return _output(source, "conda activate base") is not None


def _output(source: str | None, command: str) -> str | None:
    """Return what the command prints in a login shell; None if it fails."""
    import shlex

    return _printed(["bash", "-lc", f"source {shlex.quote(source)} && {command}" if source else command])


def _printed(words: list[str]) -> str | None:
    import subprocess

    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=SHELL_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def _source_of_bashrc() -> str | None:
    try:
        with open(os.path.expanduser("~/.bashrc"), encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_CACHE_BYTES)
    except OSError:
        return None
    block = _BLOCK.search(text)
    found = _SOURCE.search(block[1]) if block else None
    return found[1] if found else None


def _source_of_login_shell() -> str | None:
    return _source_of_base(_output(None, "conda info --base"))


def _source_of_path() -> str | None:
    return _source_of_base(_printed(["conda", "info", "--base"]))


def _source_of_base(base: str | None) -> str | None:
    return f"{base.strip()}/etc/profile.d/conda.sh" if base and base.strip() else None
