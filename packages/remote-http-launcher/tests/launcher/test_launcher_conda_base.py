"""Launch through a conda base on another host: environments, a shell hook, and a `conda` that refuses without it.

The base is a stand-in that answers `conda activate`, `conda info --base` and `conda env list --json` as conda does, by
means of virtual environments; it solves and downloads nothing. Every run of its program is noted.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from remote_http_launcher import run
from remote_http_launcher.launch_errors import CondaEnvironmentMissing, CondaUnavailable

HOOK = r"""
export CONDA_EXE='BASE/bin/conda'
export CONDA_SHLVL="${CONDA_SHLVL:-0}"
__conda_strip() {
  [ -n "${CONDA_PREFIX:-}" ] || return 0
  local p=":$PATH:"
  p="${p/:$CONDA_PREFIX\/bin:/:}"; p="${p#:}"; PATH="${p%:}"
}
conda() {
  case "${1:-}" in
    activate)
      local name="${2:-base}" prefix
      prefix=$("$CONDA_EXE" __prefix "$name") || return 1
      __conda_strip
      export PATH="$prefix/bin:$PATH" CONDA_PREFIX="$prefix" CONDA_DEFAULT_ENV="$name"
      export CONDA_SHLVL=$((CONDA_SHLVL + 1)); hash -r ;;
    *) "$CONDA_EXE" "$@" ;;
  esac
}
"""
CONDA = r"""#!/usr/bin/env bash
base="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)"
echo "$*" >> "$base/calls"
case "${1:-}" in
  __prefix)
    case "$2" in
      base) echo "$base" ;;
      /*) [ -d "$2/bin" ] && echo "$2" ;;
      *) [ -d "$base/envs/$2/bin" ] && echo "$base/envs/$2" ;;
    esac || { printf '\nEnvironmentNameNotFound: Could not find conda environment: %s\n' "$2" >&2; exit 1; } ;;
  info) echo "$base" ;;
  env)
    "$base/bin/python" - "$base" <<'P'
import json, os, sys
base = sys.argv[1]
folder = os.path.join(base, "envs")
found = [os.path.join(folder, n) for n in sorted(os.listdir(folder)) if os.path.isdir(os.path.join(folder, n, "bin"))]
print(json.dumps({"envs": [base, *found]}, indent=2))
P
    ;;
  activate|deactivate)
    printf "\nCondaError: Run 'conda init' before 'conda %s'\n\n" "$1" >&2; exit 1 ;;
  *) echo "conda: '${1:-}' does not exist in this stand-in" >&2; exit 2 ;;
esac
"""


class Base:
    """The base on the host. folder: its place. environments: its `envs`."""

    def __init__(self, ssh_host, folder: Path) -> None:
        self.ssh_host = ssh_host
        self.folder = folder
        self.environments = folder / "envs"
        for name in ("bin", "etc/profile.d", "envs", "conda-meta"):
            (folder / name).mkdir(parents=True)
        (folder / "etc/profile.d/conda.sh").write_text(HOOK.replace("BASE", str(folder)))
        (folder / "bin/conda").write_text(CONDA)
        (folder / "bin/conda").chmod(stat.S_IRWXU)
        (folder / "bin/python").symlink_to(sys.executable)
        self.service = folder / "svc-test"
        (ssh_host.world.programs / "svc-test").rename(
            self.service
        )  # there is no other but that of environments

    def add(self, place: Path) -> Path:
        """Make a virtual environment that has the service."""
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=50)
        (place / "bin/svc-test").symlink_to(self.service)
        return place

    def init(self) -> None:
        """Do what `conda init bash` does."""
        source = f'"{self.folder}/etc/profile.d/conda.sh"'
        block = f"if [ -f {source} ]; then\n    . {source}\nfi\n"
        start, end = "# >>> conda initialize >>>\n", "# <<< conda initialize <<<\n"  # fmt: skip
        (self.ssh_host.home / ".bashrc").write_text(start + block + end)

    def listings(self) -> int:
        path = self.folder / "calls"
        return path.read_text().splitlines().count("env list --json") if path.exists() else 0


@pytest.fixture
def base(ssh_host) -> Base:
    """A base in the home of the host, where the PATH of ssh commands finds it; conda is not initialised."""
    return Base(ssh_host, ssh_host.home / "miniforge3")


def _variables(ssh_host) -> dict[str, str]:
    """Return the environment of the last service that was started."""
    text = Path(f"/proc/{ssh_host.world.starts()[-1]}/environ").read_text()
    return dict(entry.split("=", 1) for entry in text.split("\0") if entry)


def test_base_is_found_through_the_path_of_ssh_commands(ssh_host, base):
    place = base.add(base.environments / "e1")
    run(ssh_host.config(conda="e1"))
    found = _variables(ssh_host)
    assert (found["CONDA_PREFIX"], found["CONDA_DEFAULT_ENV"]) == (str(place), "e1")
    assert found["PATH"].split(":")[0] == f"{place}/bin"
    assert json.loads((ssh_host.home / ".remote-http-launcher/conda-setup.json").read_text()) == {
        "conda_source": f"{base.folder}/etc/profile.d/conda.sh",
        "conda_base": str(base.folder),
        "envs": [str(base.folder), str(place)],
    }
    assert ssh_host.state()["pid"] == ssh_host.world.starts()[-1]


def test_base_elsewhere_is_found_through_what_conda_init_wrote(ssh_host, tmp_path):
    base = Base(ssh_host, tmp_path / "opt" / "conda")
    place = base.add(base.environments / "e1")
    base.init()
    run(ssh_host.config(conda="e1"))
    assert _variables(ssh_host)["CONDA_PREFIX"] == str(place)


@pytest.mark.invariant("I-207")
def test_list_is_kept_and_an_environment_that_is_new_costs_one_more(ssh_host, base):
    base.add(base.environments / "e1")
    run(ssh_host.config(conda="e1"))
    assert base.listings() == 1
    run(ssh_host.config(conda="e1", key="second"))
    assert base.listings() == 1
    place = base.add(base.environments / "e2")
    run(ssh_host.config(conda="e2", key="third"))
    assert base.listings() == 2
    assert _variables(ssh_host)["CONDA_PREFIX"] == str(place)
    assert len(ssh_host.world.starts()) == 3


def test_environment_by_its_path_is_one_of_the_list(ssh_host, base):
    place = base.add(base.environments / "e1")
    run(ssh_host.config(conda=str(place)))
    assert _variables(ssh_host)["CONDA_PREFIX"] == str(place)


@pytest.mark.invariant("I-207")
@pytest.mark.parametrize("name", ["e2", "{home}/elsewhere/e1"])
def test_environment_that_is_missing_is_looked_for_once_and_nothing_is_started(ssh_host, base, name):
    base.add(base.environments / "e1")
    with pytest.raises(CondaEnvironmentMissing, match=r"conda cache for SSHExecutor\[tb-host\]") as caught:
        run(ssh_host.config(conda=name.format(home=ssh_host.home)))
    assert "e1" in (caught.value.hint or "")
    assert base.listings() == 1
    assert ssh_host.world.starts() == []


def test_environment_that_was_removed_since_is_told_by_the_last_words(ssh_host, base):
    place = base.add(base.environments / "e1")
    run(ssh_host.config(conda="e1"))
    os.rename(place, f"{place}-old")
    with pytest.raises(Exception, match="did not start") as caught:
        run(ssh_host.config(conda="e1", key="second"))
    assert "EnvironmentNameNotFound" in caught.value.log_tail
    assert len(ssh_host.world.starts()) == 1


def test_hook_that_is_broken_leaves_conda_unavailable(ssh_host, base):
    base.add(base.environments / "e1")
    (base.folder / "etc/profile.d/conda.sh").write_text("return 1\n")
    with pytest.raises(CondaUnavailable, match="no usable conda.sh was found"):
        run(ssh_host.config(conda="e1"))
    assert ssh_host.world.starts() == []
