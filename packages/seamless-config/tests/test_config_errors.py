"""What people type by mistake: the message has file, line, a mark, and says what to type instead."""

from __future__ import annotations

import os
import textwrap

import pytest
import yaml
from seamless_config.configuration import read_configuration
from seamless_config.errors import ClusterUnknown, ConfigurationError, ConfigurationFileInvalid

HEAD = "x:\n  type: slurm\n  frontends: []\n  queues:\n    q:\n      cores: 1\n"


def message_of(folder, *, project="", profile="", clusters="", stage=None):
    """Return the message for these files; "" when they are fine."""
    home = folder / "home" / ".seamless"
    home.mkdir(parents=True)
    (folder / "seamless.yaml").write_text(textwrap.dedent(project))
    (folder / "seamless.profile.yaml").write_text(textwrap.dedent(profile))
    (home / "clusters.yaml").write_text(textwrap.dedent(clusters))
    try:
        read_configuration(folder, stage=stage)
    except ConfigurationError as exc:
        return str(exc)
    return ""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("- Project: a\n", 1, ["'Project' is no command", "Did you mean 'project'?"]),
        ("- execution: Process\n", 1, ["'process', 'spawn' or 'remote'", "Did you mean 'process'?"]),
        ("- persistent: 'true'\n", 1, ["must be true or false", "'persistent: true'"]),
        ("- record: 1\n", 1, ["must be true or false", "'record: true'"]),
        ("- nparallel: '8'\n", 1, ["positive whole number", "'nparallel: 8'"]),
        ("- nparallel: 2.0\n", 1, ["positive whole number", "'nparallel: 2'"]),
        ("- project: 12\n", 1, ["must be text, not 12", "'project: \"12\"'"]),
        ("- project: 1.10\n", 1, ["1.1 (which is how YAML reads 1.10)", "'project: \"1.10\"'"]),
        ("- project: on\n", 1, ["true (which is how YAML reads on)", "'project: \"on\"'"]),
        ("- project: 2026-01-02\n", 1, ["'2026-01-02', which YAML reads as a date", '"2026-01-02"']),
        ("project: a\n", 1, ["must hold a list of commands", "'- project: ...'"]),
        (
            "-project: a\n",
            1,
            ["must hold a list of commands", "Put a blank after the dash: '- project: ...'"],
        ),
        ("x:\n  frontends: []\n", 1, ["definitions of clusters", "clusters.yaml"]),
        ("- project: a\ncluster: b\n", 2, ["not valid YAML", "Begin each entry of the list with '- '"]),
        ("- project: a\n  cluster: b\n", 2, ["an entry holds one command", "on a line of its own"]),
        ("- project: a: b\n", 1, ["not valid YAML", "in quotes"]),
        ("- stage x:\n\t- project: a\n", 2, ["not valid YAML", "no tabs"]),
        ("- project: @a\n", 1, ["not valid YAML", "Put the value in quotes"]),
        ("- project: 'a\n", 1, ["not valid YAML", "Close the quote"]),
        ("- project:a\n", 1, ["'project:a' is no command", "'- project: a'"]),
        ("- - project: a\n", 1, ["an entry must be a command, not a list", "Remove one of the two dashes"]),
        ("-\n- project: a\n", 1, ["must be a command, not nothing", "Remove the dash"]),
        ("- stage prod\n", 1, ["'stage prod:'"]),
        ("- stage: prod\n", 1, ["needs the name of the stage", "'- stage prod:'"]),
        ("- substage gpu:\n  - queue: q\n", 1, ["no blocks of substages"]),
        ("- queue: q\n", 1, ["before a cluster is", "Write 'cluster' above 'queue'"]),
        ("- auth: group\n", 1, ["before a cluster is", "auth: {mycluster: group}"]),
        ("- auth: {a: groups}\n", 1, ["'token', 'group' or 'none'", "Did you mean 'group'?"]),
        ("- auth: {1: group}\n", 1, ["must be text, not 1", '"1"']),
        ("- remote: dask\n", 1, ["'daskserver' or 'jobserver'", "Did you mean 'daskserver'?"]),
        ("- project: a\n- project: a--b\n", 2, ["must not contain '--'"]),
        ("- inherit_from_parent: 3\n", 1, ["true or false, not 3"]),
        ("- project: a\n---\n- project: b\n", 2, ["second document"]),
        ("- {project: a, project: b}\n", 1, ["'project' is there twice; first in line 1"]),
        ("- project: !!python/name:os.system ''\n", 1, ["'!!python/name:os.system' is not allowed"]),
        ("- project: *a\n", 1, ["not valid YAML|has no anchor"]),
        ("- project: &a [*a]\n", 1, ["contains itself"]),
    ],
)
def test_mistake_in_a_project_file(folder, text, line, said):
    message = message_of(folder, project=text)
    assert message.startswith(f"{folder / 'seamless.yaml'}, line {line}, column ")
    assert "^" in message
    for words in said:
        assert any(alternative in message for alternative in words.split("|")), message


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("- x\n", 1, ["must be a mapping from names to definitions", "'NAME:'"]),
        ("x: null\n", 1, ["must be a mapping of fields, not nothing"]),
        ("x: {type: SLURM, frontends: []}\n", 1, ["'local', 'slurm' or 'oar'", "Did you mean 'slurm'?"]),
        ("x: {frontend: []}\n", 1, ["unknown field 'frontend'", "Did you mean 'frontends'?"]),
        ("x: {type: local}\n", 1, ["lacks the field 'frontends'"]),
        ("x: {frontends: [], workers: '4'}\n", 1, ["positive whole number", "'workers: 4'"]),
        ("x: {frontends: [], tunnel: 'yes'}\n", 1, ["true or false", "'tunnel: true'"]),
        ("x:\n  frontends:\n  - hostname: 10\n", 3, ["must be text", "'hostname: \"10\"'"]),
        ("5: {frontends: []}\n", 1, ["name of a cluster must be text, not 5", '"5"']),
        ("a/b: {frontends: []}\n", 1, ["must not contain '/'"]),
        (
            "local_cluster: y\nxy: {frontends: []}\n",
            1,
            ["names 'y', which is not defined", "Did you mean 'xy'?"],
        ),
        (
            HEAD + "      walltime: 1:00:00\n",
            7,
            ["3600 (which is how YAML reads 1:00:00)", "'walltime: \"1:00:00\"'"],
        ),
        (HEAD + "      memory: 8\n", 7, ["must be text that is not blank, not 8", "'memory: 8GB'"]),
        (HEAD + "      partition: on\n", 7, ["YAML reads on", "'partition: \"on\"'"]),
        (HEAD + "      project: 12\n", 7, ["not 12", "'project: \"12\"'"]),
        (HEAD + "      conda: 3.10\n", 7, ["YAML reads 3.10", "'conda: \"3.10\"'"]),
        (HEAD + "      target_duration: 600\n", 7, ["'target_duration: 600s'"]),
        (
            HEAD + "      job_extra_directives: --x\n",
            7,
            ["a list of texts", "'job_extra_directives: [\"--x\"]'"],
        ),
        (HEAD + "      job-cores: 2\n      job_cores: 2\n", 8, ["twice"]),
        (HEAD + "      gpus: 2\n", 7, ["unknown field 'gpus'", "Its fields are"]),
        (HEAD + "      extra_dask_config: {a: 2026-01-01}\n", 7, ["YAML reads as a date", '"2026-01-01"']),
        (HEAD + "      extra_dask_config: {a: .nan}\n", 7, ["which is no text, number or truth value"]),
        (HEAD + "      dask_resources: {1: 2}\n", 7, ["a key of 'dask_resources'", "must be text"]),
        (HEAD + "    on: {cores: 1}\n", 7, ["name of a queue", "YAML reads on", '"on"']),
        (HEAD + "    r: {TEMPLATE: Q}\n", 7, ["no earlier queue", "Did you mean 'q'?"]),
        (
            HEAD + "  default-queue: q\n",
            7,
            ["unknown field 'default-queue'", "Did you mean 'default_queue'?"],
        ),
    ],
)
def test_mistake_in_a_cluster_file(folder, text, line, said):
    message = message_of(folder, clusters=text)
    assert message.startswith(f"{folder / 'home/.seamless/clusters.yaml'}, line {line}, column ")
    assert "^" in message
    for words in said:
        assert words in message, message


def test_mark_stands_below_the_value_also_in_a_long_line(folder):
    text = "- clusters: {x: {frontends: [" + "{hostname: h}, " * 30 + "{hostname: [1]}]}}\n"
    message = message_of(folder, profile=text).splitlines()
    assert message[1][message[2].index("^") :].startswith("[1]}]}}")
    assert len(message[1]) < 120


def test_control_characters_of_a_file_never_reach_the_terminal(folder):
    message = message_of(folder, project="- project: \x1b[2Ja\n")
    assert "\x1b" not in message
    assert "U+001B is not allowed" in message


@pytest.mark.provokes("ClusterUnknown")
def test_selected_cluster_that_is_not_defined_names_the_line_that_selects_it(folder):
    message_of(folder, project="- project: p\n- cluster: Alps\n", clusters="alps: {frontends: []}\n")
    with pytest.raises(
        ClusterUnknown, match=r"(?s)seamless\.yaml, line 2, column 12: .*Did you mean 'alps'\?"
    ):
        read_configuration(folder).cluster()


def test_block_that_can_never_count_gives_a_hint(folder):
    (folder / "seamless.yaml").write_text("- stage prod:gpu:\n  - project: a\n")
    (hint,) = read_configuration(folder, stage="prod").hints
    assert "line 1" in hint
    assert "no blocks of substages: write 'stage prod:'" in hint


@pytest.mark.parametrize(
    "name", ["seamless.yaml", "home/.seamless/clusters.yaml", "home/.seamless/clusters/a.yaml"]
)
def test_what_is_no_file_is_named(folder, name):
    (folder / name).mkdir(parents=True)
    with pytest.raises(
        ConfigurationFileInvalid, match=f"{name}: this is a directory, where a YAML file is expected"
    ):
        read_configuration(folder)


def test_link_to_nothing_is_named(folder):
    (folder / "seamless.profile.yaml").symlink_to("elsewhere.yaml")
    with pytest.raises(ConfigurationFileInvalid, match=r"leads to 'elsewhere\.yaml', which does not exist"):
        read_configuration(folder)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path)])
def test_pipe_and_circle_of_links_are_refused_at_once(folder, make):
    make(folder / "seamless.yaml")
    with pytest.raises(ConfigurationFileInvalid, match=r"seamless\.yaml: "):
        read_configuration(folder)


def test_walltime_that_begins_with_a_nought_is_text_in_yaml(folder):
    assert message_of(folder, clusters=HEAD + "      walltime: 01:00:00\n") == ""


def test_file_that_the_system_will_not_read_is_named(folder):
    (folder / "seamless.yaml").symlink_to("/proc/self/mem")
    with pytest.raises(
        ConfigurationFileInvalid, match=r"seamless\.yaml: the file cannot be read: Input/output error"
    ):
        read_configuration(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
@pytest.mark.parametrize("name", ["seamless.yaml", "home/.seamless"])
def test_what_may_not_be_read_is_named(folder, name):
    message_of(folder, project="- project: a\n")
    (folder / name).chmod(0)
    try:
        with pytest.raises(ConfigurationFileInvalid, match=f"{name}.*Permission denied.*ls -ld"):
            read_configuration(folder)
    finally:
        (folder / name).chmod(0o700)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"- project: \xff\n", "line 1, column 1: the file is not UTF-8 text (byte 11)"),
        (b"- project: a\n" * 400_000, "larger than 4 MiB"),
        ("- project: a\n".encode("utf-16"), "not UTF-8 text"),
    ],
)
def test_file_that_is_no_text_is_refused(folder, content, said):
    (folder / "seamless.yaml").write_bytes(content)
    with pytest.raises(ConfigurationFileInvalid) as caught:
        read_configuration(folder)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "content", ["\ufeff- project: a\r\n- cluster: b\r\n", "%YAML 1.2\n---\n- project: a\n...\n"]
)
def test_mark_of_order_line_ends_and_directives_are_fine(folder, content):
    (folder / "seamless.yaml").write_bytes(content.encode())
    assert read_configuration(folder).selection.project == "a"


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n", "---\n...\n", "\ufeff"])
def test_file_without_content_asks_for_nothing(folder, content):
    (folder / "seamless.yaml").write_text(content)
    (folder / "home/.seamless").mkdir(parents=True)
    (folder / "home/.seamless/clusters.yaml").write_text(content)
    assert read_configuration(folder).selection.project is None


@pytest.mark.parametrize(
    "text", ["- a: [\n", "\t- a\n", "- project: \x0b", "- [" * 60, "- *a", "a: b: c", "- !x y", "- é\x07"]
)
def test_without_libyaml_errors_have_their_line_too(folder, monkeypatch, text):
    monkeypatch.delattr(yaml, "CSafeLoader")
    message = message_of(folder, project=text)
    assert message.startswith(f"{folder / 'seamless.yaml'}, line 1, column ")


def test_without_libyaml_a_file_is_read_the_same(folder, monkeypatch):
    (folder / "seamless.yaml").write_text("- project: &a p\n- auth: {c: group}\n- stage x:\n  - queue: *a\n")
    found = read_configuration(folder).selection
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert read_configuration(folder).selection == found
