"""Conda environments on the target: found once, looked for again once; no word of a command is read by a shell."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
from remote_http_launcher import run
from remote_http_launcher.conda import activation, is_listed, read_conda_cache
from remote_http_launcher.helpers.cache_conda import main as cache_conda
from remote_http_launcher.helpers.conda_info import main as conda_info
from remote_http_launcher.launch_errors import CondaEnvironmentMissing, CondaUnavailable, StartFailed

HOOK = """\
conda() {
    case "$1" in
        activate)
            case "$2" in
                base) prefix=BASE ;;
                /*) prefix="$2" ;;
                *) prefix="BASE/envs/$2" ;;
            esac
            [ -d "$prefix/bin" ] || { echo "EnvironmentNameNotFound: $2" >&2; return 1; }
            export PATH="$prefix/bin:$PATH" CONDA_PREFIX="$prefix" ;;
        *) BASE/bin/conda "$@" ;;
    esac
}
"""
CONDA = """\
#!/bin/bash
echo "$@" >> BASE/calls
case "$1 $2" in
    "info --base") echo BASE ;;
    "env list")
        cd BASE/envs
        printf '{"envs": ["BASE"'
        for e in *; do printf ', "BASE/envs/%s"' "$e"; done
        echo ']}' ;;
    activate*) printf "\\nCondaError: Run 'conda init' before 'conda activate'\\n" >&2; exit 1 ;;
    *) exit 2 ;;
esac
"""


@pytest.fixture
def conda(world, tmp_path) -> Path:
    """A stand-in for a conda base with the environment `e1`, as `conda init` leaves it in ~/.bashrc."""
    base = tmp_path / "base"
    for folder in ("bin", "etc/profile.d", "envs/e1/bin"):
        (base / folder).mkdir(parents=True)
    (base / "etc/profile.d/conda.sh").write_text(HOOK.replace("BASE", str(base)))
    (base / "bin/conda").write_text(CONDA.replace("BASE", str(base)))
    (base / "bin/conda").chmod(stat.S_IRWXU)
    (world.programs / "svc-test").rename(base / "envs/e1/bin/svc-test")
    source = f'"{base}/etc/profile.d/conda.sh"'
    (world.home / ".bashrc").write_text(
        f"# >>> conda initialize >>>\nif [ -f {source} ]; then\n    . {source}\nfi\n# <<< conda initialize <<<\n"
    )
    (world.home / ".profile").write_text(f"PATH={base}/bin:$PATH\n")
    return base


def _calls(base: Path) -> int:
    """Return how often the list of environments was made."""
    path = base / "calls"
    return path.read_text().count("env list") if path.exists() else 0


@pytest.mark.invariant("I-207")
def test_service_runs_inside_the_environment_and_its_list_is_kept(world, conda):
    run(world.config(conda="e1"))
    assert f"CONDA_PREFIX={conda}/envs/e1" in Path(f"/proc/{world.starts()[0]}/environ").read_text()
    assert world.state()["pid"] == world.starts()[0]
    assert _calls(conda) == 1
    run(world.config(conda="e1", key="other"))
    assert _calls(conda) == 1
    assert read_conda_cache() == {
        "conda_source": f"{conda}/etc/profile.d/conda.sh",
        "conda_base": str(conda),
        "envs": [str(conda), f"{conda}/envs/e1"],
    }


def test_environment_can_be_named_by_its_path(world, conda):
    run(world.config(conda=f"{conda}/envs/e1"))
    assert f"CONDA_PREFIX={conda}/envs/e1" in Path(f"/proc/{world.starts()[0]}/environ").read_text()


@pytest.mark.invariant("I-207")
@pytest.mark.provokes("CondaEnvironmentMissing")
def test_environment_that_is_not_listed_is_looked_for_exactly_once_more(world, conda):
    cache_conda([])
    assert _calls(conda) == 1
    with pytest.raises(
        CondaEnvironmentMissing, match="not listed in the conda cache for LocalExecutor"
    ) as caught:
        run(world.config(conda="e2"))
    assert _calls(conda) == 2
    assert "e1" in (caught.value.hint or "")
    assert world.starts() == []


def test_environment_that_was_made_since_is_found(world, conda):
    cache_conda([])
    (conda / "envs/e2").symlink_to(conda / "envs/e1")
    run(world.config(conda="e2"))
    assert _calls(conda) == 2


@pytest.mark.provokes("CondaUnavailable")
def test_machine_without_conda_says_so(world):
    with pytest.raises(CondaUnavailable, match="Conda is not available on this machine"):
        run(world.config(conda="e1"))


def test_cache_that_promises_too_much_is_made_anew_once(world, conda):
    folder = world.home / ".remote-http-launcher"
    folder.mkdir()
    wrong = {"conda_source": None, "conda_base": str(conda), "envs": [f"{conda}/envs/e1"]}
    (folder / "conda-setup.json").write_text(json.dumps(wrong))
    run(world.config(conda="e1"))
    assert _calls(conda) == 1
    assert len(world.starts()) == 1


def test_service_that_fails_inside_its_environment_is_not_tried_again(world, conda):
    with pytest.raises(StartFailed):
        run(world.config("crash", conda="e1"))
    assert len(world.starts()) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"envs": [1]}', '{"envs": [], "conda_source": 3}'])
def test_malformed_cache_is_named_and_then_replaced(world, conda, capsys, content):
    folder = world.home / ".remote-http-launcher"
    folder.mkdir()
    (folder / "conda-setup.json").write_text(content)
    assert conda_info([]) == 1
    assert "malformed" in capsys.readouterr().err
    assert cache_conda([]) == 0
    assert conda_info([]) == 0
    assert (folder / "conda-setup.json").stat().st_mode & 0o077 == 0


def test_helpers_take_no_arguments(world, capsys):
    assert cache_conda(["x"]) == conda_info(["--x"]) == 1
    assert "x" in capsys.readouterr().err


@pytest.mark.invariant("I-208")
@pytest.mark.parametrize(
    "word", ["a b", "$(touch hit)", "`touch hit`", "; touch hit", "'", '"', "\\", "*", "&& touch hit"]
)
def test_no_word_of_the_command_means_anything_to_the_shell(tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conda.sh").write_text("conda() { printf '%s\\n' \"$2\"; }\n")
    words = activation(word, ["printf", "%s", word], {"conda_source": str(tmp_path / "conda.sh")})
    found = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)
    assert found.stdout == f"{word}\n{word}"
    assert not (tmp_path / "hit").exists()


def test_what_is_listed():
    setup = {"conda_source": None, "conda_base": "/b", "envs": ["/b", "/b/envs/e1/", "/x/e2"]}
    listed = ["base", "e1", "e2", "/b/envs/e1", "/x/e2/", "/b"]
    assert [name for name in listed if not is_listed(name, setup)] == []
    assert [name for name in ("e3", "1", "/b/envs", "/y", "nvs/e1") if is_listed(name, setup)] == []


def test_listed_path_below_the_home_is_expanded():
    home = os.environ["HOME"]
    assert is_listed("~/envs/a", {"envs": [f"{home}/envs/a"]})
