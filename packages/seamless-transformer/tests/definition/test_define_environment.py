from __future__ import annotations

import io

import pytest
from seamless_transformer.definition_errors import BadEnvironment
from seamless_transformer.environment import Environment

YAML = "name: demo\ndependencies:\n  - python=3.11\n  - numpy\n"
PARSED = {"name": "demo", "dependencies": ["python=3.11", "numpy"]}


def test_empty_environment_has_no_low_level_form():
    assert Environment().to_lowlevel() is None


def test_low_level_form_has_the_members_that_are_set():
    environment = Environment()
    environment.set_conda(YAML)
    environment.set_conda_env("demo")
    environment.set_which(["ls", "gcc"])
    environment.set_powers({"gpu": True})
    environment.set_docker({"name": "ubuntu:24.04"})

    assert environment.to_lowlevel() == {
        "which": ["ls", "gcc"],
        "conda": PARSED,
        "conda_environment": "demo",
        "powers": {"gpu": True},
        "docker": {"name": "ubuntu:24.04"},
    }


@pytest.mark.parametrize("origin", ["text", "path as text", "path", "text file", "binary file"])
def test_conda_description_from_anywhere(origin, tmp_path):
    path = tmp_path / "environment.yml"
    path.write_text(YAML, encoding="utf-8")
    sources = {
        "text": YAML,
        "path as text": str(path),
        "path": path,
        "text file": io.StringIO(YAML),
        "binary file": io.BytesIO(YAML.encode()),
    }
    environment = Environment()
    environment.set_conda(sources[origin])

    assert environment.get_conda() == PARSED


@pytest.mark.provokes("BadEnvironment")
@pytest.mark.parametrize(
    ("description", "error", "message"),
    [
        ("just-a-name", TypeError, "must be a mapping with 'dependencies'.*does not exist.*set_conda_env"),
        ("- a\n- b\n", TypeError, "must be a mapping"),
        ("", TypeError, "must be a mapping"),
        ("name: demo\n", BadEnvironment, "has no 'dependencies'; it has name"),
        ("a: [1\n", BadEnvironment, "not valid YAML"),
        (None, TypeError, "cannot be cleared"),
        (3, TypeError, "YAML text, a path or an open file"),
    ],
)
def test_bad_conda_description_is_refused(description, error, message):
    environment = Environment()

    with pytest.raises(error, match=f"(?s){message}"):
        environment.set_conda(description)
    assert environment.get_conda() is None


@pytest.mark.parametrize(
    ("setter", "value", "error"),
    [
        ("set_conda_env", 3, TypeError),
        ("set_conda_env", " ", BadEnvironment),
        ("set_which", "ls", TypeError),
        ("set_which", [1], TypeError),
        ("set_powers", ["gpu"], TypeError),
        ("set_docker", "ubuntu", TypeError),
        ("set_docker", {"image": "ubuntu"}, BadEnvironment),
    ],
)
def test_bad_value_is_refused_and_changes_nothing(setter, value, error):
    environment = Environment()

    with pytest.raises(error):
        getattr(environment, setter)(value)
    assert environment.to_lowlevel() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("conda_env", "demo"), ("which", ["ls"]), ("powers", {"gpu": 1}), ("docker", {"name": "x"})],
)
def test_none_clears(name, value):
    environment = Environment()
    getattr(environment, f"set_{name}")(value)
    assert getattr(environment, f"get_{name}")() == value

    getattr(environment, f"set_{name}")(None)

    assert getattr(environment, f"get_{name}")() is None
    assert environment.to_lowlevel() is None


def test_what_was_given_may_change_afterwards():
    names = ["ls"]
    environment = Environment()
    environment.set_which(names)
    names.append("rm")
    environment.get_which().append("rm")

    assert environment.get_which() == ["ls"]


def test_copy_is_independent():
    environment = Environment()
    environment.set_which(["ls"])
    twin = environment.copy()
    twin.set_which(None)

    assert environment.to_lowlevel() == {"which": ["ls"]}


def test_version_grows_with_each_change():
    environment = Environment()
    before = environment.version
    environment.set_which(["ls"])

    assert environment.version > before
