"""The wheels install and import, alone and together, and cannot be mixed with another release."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.workspace import ROOT, distributions, normalized

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

OURS = {distribution.name: distribution for distribution in distributions()}
OUR_MODULES = sorted(name for distribution in distributions() for name in distribution.top_level)
REFERENCE_VERSION = "1.4.3"


@dataclass(frozen=True)
class Wheel:
    """What a built wheel says and holds."""

    path: Path
    metadata: Message
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.metadata["Name"])


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory, outer_environment: Mapping[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("wheels") / "wheelhouse"
    venv = Path(sys.executable).parent.parent
    _run(["make", "-C", str(ROOT), "wheels", f"WHEELHOUSE={folder}", f"VENV={venv}"], outer_environment)
    return folder


@pytest.fixture(scope="module")
def wheels(wheelhouse: Path) -> list[Wheel]:
    return [_read_wheel(path) for path in sorted(wheelhouse.glob("*.whl"))]


def test_every_distribution_has_a_wheel(wheels: list[Wheel]):
    assert sorted(wheel.name for wheel in wheels) == sorted(OURS)
    assert {wheel.metadata["Version"] for wheel in wheels} == {OURS["seamless-suite"].version}


def test_no_two_wheels_hold_the_same_file(wheels: list[Wheel]):
    files = [name for wheel in wheels for name in wheel.files]
    assert len(files) == len(set(files))


def test_wheels_hold_the_code_and_the_licence_and_no_tests(wheels: list[Wheel]):
    wrong = {wheel.name: _surprising(wheel) for wheel in wheels}
    assert {name: files for name, files in wrong.items() if files} == {}
    assert [wheel.name for wheel in wheels if not any(f.endswith("/LICENSE") for f in wheel.files)] == []


@pytest.mark.invariant("I-1")
def test_no_distribution_of_another_release_can_stand_beside_ours(wheels: list[Wheel]):
    requirements = [
        Requirement(text) for wheel in wheels for text in wheel.metadata.get_all("Requires-Dist") or ()
    ]
    ours = [requirement for requirement in requirements if normalized(requirement.name) in OURS]
    assert [str(r) for r in ours if r.specifier.contains(REFERENCE_VERSION, prereleases=True)] == []
    assert [str(r) for r in ours if not r.specifier.contains(OURS[r.name].version, prereleases=True)] == []
    assert {r.name for r in ours} == set(OURS) - {"seamless-suite"}


def test_suite_installs_into_an_empty_environment_and_every_module_imports(
    wheelhouse: Path, outer_environment: Mapping[str, str], tmp_path: Path
):
    python = _new_environment(tmp_path / "venv", wheelhouse, ["seamless-suite"], outer_environment)
    assert _importable(python, OUR_MODULES, outer_environment) == OUR_MODULES
    _run(["uv", "pip", "check", "--quiet", "--python", str(python)], outer_environment)


def test_launcher_installs_alone(wheelhouse: Path, outer_environment: Mapping[str, str], tmp_path: Path):
    python = _new_environment(tmp_path / "venv", wheelhouse, ["remote-http-launcher"], outer_environment)
    assert _importable(python, OUR_MODULES, outer_environment) == ["remote_http_launcher"]
    listed = _run(["uv", "pip", "freeze", "--python", str(python)], outer_environment).split()
    assert sorted(normalized(line.partition("==")[0].partition("@")[0].strip()) for line in listed) == [
        "pyyaml",
        "remote-http-launcher",
    ]


def _surprising(wheel: Wheel) -> list[str]:
    expected = (*(f"{name}/" for name in OURS[wheel.name].top_level), f"{wheel.path.name.split('-')[0]}-")
    return [name for name in wheel.files if not name.startswith(expected) or "/tests/" in name]


def _read_wheel(path: Path) -> Wheel:
    with zipfile.ZipFile(path) as archive:
        files = tuple(archive.namelist())
        text = archive.read(next(name for name in files if name.endswith(".dist-info/METADATA"))).decode()
    return Wheel(path, Parser().parsestr(text, headersonly=True), files)


def _new_environment(
    venv: Path, wheelhouse: Path, requirements: Iterable[str], environment: Mapping[str, str]
) -> Path:
    """Make an environment with these distributions: ours from the wheelhouse, others as constrained."""
    python = venv / "bin" / "python"
    constraints = ["--constraints", str(ROOT / "constraints.txt"), "--find-links", str(wheelhouse)]
    ours = [f"{name}=={OURS[name].version}" for name in requirements]
    _run(["uv", "venv", "--quiet", "--python", sys.executable, str(venv)], environment)
    _run(["uv", "pip", "install", "--quiet", "--python", str(python), *constraints, *ours], environment)
    return python


def _importable(python: Path, names: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Return those that the interpreter finds, after importing each; a failing import fails the test."""
    code = (
        "import importlib, importlib.util, sys\n"
        "found = [name for name in sys.argv[1:] if importlib.util.find_spec(name)]\n"
        "[importlib.import_module(name) for name in found]\n"
        "print(*found, sep='\\n')"
    )
    return _run([str(python), "-c", code, *names], environment).split()


def _run(argv: list[str], environment: Mapping[str, str]) -> str:
    scripts = str(Path(sys.executable).parent)
    clean = {name: value for name, value in environment.items() if not name.startswith(("PYTHON", "MAKE"))}
    clean.pop("MFLAGS", None)
    done = subprocess.run(
        argv,
        cwd="/",
        env=clean | {"PATH": f"{scripts}:{environment['PATH']}"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{argv} gave {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
