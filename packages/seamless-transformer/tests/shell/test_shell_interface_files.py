"""Interface files: what they give, how the two forms join, what is refused and how it is said."""

from __future__ import annotations

import json
import os
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from seamless import Buffer
from seamless_command.errors import ShellError
from seamless_shell import interface_script
from seamless_shell.canonical_commands import CanonicalCommand
from seamless_shell.input_mapping import InputMapping, map_inputs
from seamless_shell.input_words import Argument, explicit_input
from seamless_shell.interface_files import Interface, read_interface


def quiet(level: int, text: str) -> None:
    pass


class Tool:
    """A tool `tool.sh` in a directory of its own, which is the current one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("tool.sh", "#!/bin/bash\n")

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def yaml(self, text: str, name: str = "tool.sh.SEAMLESS.yaml") -> None:
        self.write(name, text)

    def program(self, members: object, name: str = "tool.SEAMLESS.py") -> None:
        self.write(name, f"print({json.dumps(json.dumps(members))})\n")

    def read(self, *words: str | None, index: int = 0) -> Interface:
        found = read_interface(words or ("./tool.sh",), index, quiet)
        assert found is not None
        return found

    def canonical(self, *words: str | None) -> CanonicalCommand | None:
        return self.read("./tool.sh", *words).canonical_of(("./tool.sh", *words))

    def refusal(self, *words: str) -> str:
        with pytest.raises(ShellError) as caught:
            self.read("./tool.sh", *words).canonical_of(("./tool.sh", *words))
        return str(caught.value)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    monkeypatch.chdir(tmp_path)
    return Tool(tmp_path)


def mapping_of(*paths: str, mode: str = "literal") -> InputMapping:
    return map_inputs([], [explicit_input(path, path) for path in paths], mode, str(Path.cwd()))


# ---- which files are read


def test_without_a_file_there_is_no_interface(tool: Tool):
    assert read_interface(["./tool.sh"], 0, quiet) is None


@pytest.mark.parametrize("name", ["tool.sh.SEAMLESS.yaml", "tool.SEAMLESS.yaml"])
def test_yaml_lies_beside_the_word_or_its_stem(tool: Tool, name: str):
    tool.yaml("results: [out.txt]", name)
    assert tool.read().results == {"out.txt": "out.txt"}


def test_yaml_beside_the_whole_word_comes_before_that_of_the_stem(tool: Tool):
    tool.yaml("results: [whole]", "tool.sh.SEAMLESS.yaml")
    tool.yaml("results: [stem]", "tool.SEAMLESS.yaml")
    assert tool.read().results == {"whole": "whole"}


@pytest.mark.parametrize("name", ["tool.sh.SEAMLESS.py", "tool.SEAMLESS.py"])
def test_program_lies_beside_the_stem_or_the_word(tool: Tool, name: str):
    tool.program({"results": ["out.txt"]}, name)
    assert tool.read().results == {"out.txt": "out.txt"}


def test_program_beside_the_stem_comes_before_that_of_the_word(tool: Tool):
    tool.program({"results": ["stem"]}, "tool.SEAMLESS.py")
    tool.program({"results": ["whole"]}, "tool.sh.SEAMLESS.py")
    assert tool.read().results == {"stem": "stem"}


def test_the_tool_may_be_a_later_word(tool: Tool):
    tool.write("sub/script.py", "")
    tool.write("sub/ref.dat", "r")
    tool.yaml("files: [./ref.dat]", "sub/script.py.SEAMLESS.yaml")
    assert tool.read("python", "sub/script.py", index=1).extra_inputs([]) == [("sub/ref.dat", "file")]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "files:\nresults: []\n"])
def test_empty_files_and_members_say_nothing(tool: Tool, text: str):
    tool.yaml(text)
    found = tool.read("./tool.sh", "a")
    assert (found.types, found.results, found.extra_inputs([]), found.shim, found.is_complete) == (
        {},
        {},
        [],
        None,
        False,
    )


def test_what_is_read_is_said_at_level_one(tool: Tool):
    tool.yaml("")
    tool.program({})
    said: list[tuple[int, str]] = []
    read_interface(["./tool.sh", "a b"], 0, lambda level, text: said.append((level, text)))
    assert said == [
        (1, "interface file ./tool.sh.SEAMLESS.yaml"),
        (1, "interface file ./tool.SEAMLESS.py, run with the arguments ['a b']"),
    ]


# ---- types of words


def test_words_get_the_types_of_all_members(tool: Tool):
    tool.yaml(
        """\
        argtypes:
          "@order": [tool.sh, a]
          a: file
          b: {type: directory}
        files: [c]
        directories: [d]
        values: [e.txt, 5, 0.50, yes]
        """
    )
    words = ("./tool.sh", "a", "b", "c", "d", "e.txt", "5", "0.50", "yes", "other")
    assert tool.read(*words).types == {
        "a": "file",
        "b": "directory",
        "c": "file",
        "d": "directory",
        "e.txt": "value",
        "5": "value",
        "0.50": "value",
        "yes": "value",
    }


def test_a_word_is_known_by_another_spelling_of_its_path(tool: Tool):
    tool.yaml("files: [tool.sh, ./x, sub/y]")
    words = ("./tool.sh", "x", "sub/../sub/y")
    types = tool.read(*words).types
    assert [types.get(word) for word in words] == ["file"] * 3


def test_dot_paths_are_relative_to_the_tool(tool: Tool):
    tool.yaml("files: [./x, y]", "sub/tool.sh.SEAMLESS.yaml")
    types = tool.read("sub/tool.sh", "sub/x", "x", "y").types
    assert [types.get(word) for word in ("sub/x", "x", "y")] == ["file", None, "file"]


def test_a_word_that_is_spelt_as_listed_is_meant_whatever_the_directory_of_the_tool(tool: Tool):
    tool.yaml("values: [./x]", "sub/tool.sh.SEAMLESS.yaml")
    assert tool.read("sub/tool.sh", "./x").types == {"./x": "value"}


def test_words_that_are_not_known_before_they_are_expanded_have_no_type(tool: Tool):
    tool.program({"argtypes": {"a": "file"}})
    assert tool.read("./tool.sh", None, "", "a").types == {"a": "file"}


# ---- inputs beside the words


def test_files_that_are_no_words_are_extra_inputs(tool: Tool):
    for name in ("sub/ref.dat", "here.dat", "sub/data/x", "listed.txt"):
        tool.write(name, "x")
    tool.yaml(
        """\
        argtypes: {listed.txt: file, unlisted: value}
        files: [./ref.dat, here.dat]
        directories: [./data]
        """,
        "sub/tool.sh.SEAMLESS.yaml",
    )
    assert tool.read("sub/tool.sh").extra_inputs([]) == [
        ("listed.txt", "file"),
        ("sub/ref.dat", "file"),
        ("here.dat", "file"),
        ("sub/data", "directory"),
    ]


def test_what_is_an_argument_is_no_extra_input(tool: Tool):
    for name in ("a.txt", "b.txt", "c.txt"):
        tool.write(name, "x")
    tool.yaml("files: [./a.txt, sub/../b.txt, c.txt]")
    arguments = [
        Argument(2, None, explicit_input(path, path), is_command=False)  # type: ignore[arg-type]
        for path in ("a.txt", "./b.txt")
    ]
    assert tool.read("./tool.sh", "a.txt", "./b.txt").extra_inputs(arguments) == [("c.txt", "file")]


def test_an_extra_input_may_be_a_checksum_only(tool: Tool):
    tool.write("big.dat.CHECKSUM", "0" * 64)
    tool.yaml("files: [big.dat]")
    assert tool.read().extra_inputs([]) == [("big.dat", "file")]


@pytest.mark.provokes("ShellError")
@pytest.mark.parametrize(("member", "name"), [("files", "gone.dat"), ("files", "sub"), ("directories", "f")])
def test_an_extra_input_that_is_not_there_is_named_with_its_file(tool: Tool, member: str, name: str):
    tool.write("sub/x", "")
    tool.write("f", "")
    tool.yaml(f"{member}: [{name}]")
    with pytest.raises(ShellError, match=rf"^interface file \./tool\.sh\.SEAMLESS\.yaml: .*{name}") as caught:
        tool.read().extra_inputs([])
    assert str(tool.folder / name) in str(caught.value)
    assert "./" in str(caught.value.hint)


# ---- results, environment, shim


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("results: [a, sub/b]", {"a": "a", "sub/b": "sub/b"}),
        ("results: {a: x, sub/b: }", {"a": "x", "sub/b": "sub/b"}),
    ],
)
def test_results_are_a_list_or_names_with_names_outside(tool: Tool, text: str, expected: dict[str, str]):
    tool.yaml(text)
    assert tool.read().results == expected


def test_environment_names_conda_and_docker(tool: Tool):
    tool.yaml("environment: {conda_environment: bio, docker_image: img:1}")
    found = tool.read()
    assert (found.conda_environment, found.docker_image) == ("bio", "img:1")


def test_no_environment_is_none(tool: Tool):
    tool.yaml("files: []")
    assert (tool.read().conda_environment, tool.read().docker_image) == (None, None)


def test_shim_is_relative_to_the_tool(tool: Tool):
    tool.write("sub/shim.sh", "")
    tool.yaml("shim: ./shim.sh", "sub/tool.sh.SEAMLESS.yaml")
    assert tool.read("sub/tool.sh").shim == "sub/shim.sh"


@pytest.mark.provokes("ShellError")
def test_a_shim_that_is_not_there_is_refused(tool: Tool):
    tool.yaml("files: []\nshim: ./gone.sh")
    assert (
        tool.refusal() == "interface file ./tool.sh.SEAMLESS.yaml, line 2: shim: there is no file 'gone.sh'"
    )


# ---- the program


def test_program_gets_the_words_after_the_tool_and_no_input(tool: Tool):
    tool.write(
        "tool.SEAMLESS.py",
        """\
        import json, os, sys
        words = [word or "empty" for word in sys.argv[1:]]
        print(json.dumps({"results": [*words, repr(sys.stdin.read()), os.getcwd()]}))
        """,
    )
    words = ("bash", "./tool.sh", "a b", "$(touch x); `touch y`", None, "-v")
    printed = list(tool.read(*words, index=1).results)
    assert printed == ["a b", "$(touch x); `touch y`", "empty", "-v", "''", str(tool.folder)]


def test_with_a_program_nothing_after_the_tool_is_guessed(tool: Tool):
    tool.program({"argtypes": {"a.txt": "file"}})
    found = tool.read("bash", "./tool.sh", "a.txt", "b.txt", "-x", index=1)
    assert found.is_complete
    assert found.types == {"a.txt": "file", "b.txt": "value", "-x": "value"}


def test_members_of_the_program_win_over_those_of_the_yaml(tool: Tool):
    for name in ("s1.sh", "s2.sh", "ref.dat", "b"):
        tool.write(name, "x")
    tool.yaml(
        """\
        argtypes: {a: file, b: file}
        files: [ref.dat]
        results: [one]
        environment: {conda_environment: old, docker_image: img}
        shim: s1.sh
        """
    )
    tool.program(
        {
            "argtypes": {"a": "value"},
            "results": ["two"],
            "environment": {"conda_environment": "new"},
            "shim": "./s2.sh",
        }
    )
    found = tool.read("./tool.sh", "a", "b")
    assert found.types == {"a": "value", "b": "file", "ref.dat": "file"}
    assert found.extra_inputs([]) == [("b", "file"), ("ref.dat", "file")]
    assert found.results == {"two": "two"}
    assert (found.conda_environment, found.docker_image, found.shim) == ("new", "img", "s2.sh")


def test_members_that_the_program_leaves_out_or_null_are_those_of_the_yaml(tool: Tool):
    tool.yaml("results: [one]\ncanonical: [{command: tool.sh}]")
    tool.program({"results": None})
    found = tool.read("./tool.sh")
    assert found.results == {"one": "one"}
    assert found.canonical_of(["./tool.sh"]) is not None


@pytest.mark.provokes("ShellError")
def test_a_failing_program_shows_its_standard_error(tool: Tool):
    tool.write("tool.SEAMLESS.py", "import sys; print('{}'); sys.exit('no such mode: fast')\n")
    message = tool.refusal("fast")
    assert message.startswith("interface file ./tool.SEAMLESS.py exited with code 1.\n")
    assert message.endswith("\nno such mode: fast")


def test_a_program_that_is_killed_is_told_apart(tool: Tool):
    tool.write("tool.SEAMLESS.py", "import os; os.kill(os.getpid(), 9)\n")
    assert tool.refusal().startswith("interface file ./tool.SEAMLESS.py was ended by signal 9.")


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("pass", "did not print one JSON object: .* It printed nothing"),
        ("print('{} {}')", r"did not print one JSON object: Extra data.* It printed '\{\} \{\}\\n'"),
        ("print([1])", r"did not print a JSON object: '\[1\]"),
        ("import os; os.write(1, b'\\xff')", "did not print one JSON object: .*utf-8"),
        ("print('[' * 100_000)", "nested too deeply"),
        ("print('x' * 500)", r"It printed 'x{120}' \.\.\."),
    ],
)
def test_a_program_that_prints_anything_else_is_refused(tool: Tool, statement: str, expected: str):
    tool.write("tool.SEAMLESS.py", f"import sys; sys.stderr.write('hint')\n{statement}\n")
    with pytest.raises(ShellError, match=expected):
        tool.read()


def test_a_program_that_does_not_end_is_stopped_with_its_children(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[[Callable[[], object]], None]
):
    monkeypatch.setattr(interface_script, "TIME_LIMIT_S", 1.0)
    tool.write(
        "tool.SEAMLESS.py",
        """\
        import pathlib, subprocess
        child = subprocess.Popen(["sleep", "50"])
        pathlib.Path("child").write_text(str(child.pid))
        child.wait()
        """,
    )
    assert tool.refusal() == "interface file ./tool.SEAMLESS.py ran for more than 1 s and was stopped."
    child = Path("/proc") / (tool.folder / "child").read_text()
    wait_until(lambda: not child.exists() or " Z " in (child / "stat").read_text())


def test_a_program_that_closes_its_pipes_and_goes_on_is_stopped(tool: Tool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interface_script, "TIME_LIMIT_S", 0.5)
    tool.write("tool.SEAMLESS.py", "import os, time; os.close(1); os.close(2); time.sleep(50)\n")
    assert "ran for more than 0.5 s" in tool.refusal()


def test_a_child_that_keeps_the_pipes_open_is_not_waited_for(tool: Tool):
    tool.write(
        "tool.SEAMLESS.py",
        """\
        import subprocess
        print('{"results": ["a"]}')
        child = subprocess.Popen(["sleep", "20"])
        open("child", "w").write(str(child.pid))
        """,
    )
    started_s = time.monotonic()
    try:
        assert tool.read().results == {"a": "a"}
        assert time.monotonic() - started_s < 10
    finally:
        os.kill(int((tool.folder / "child").read_text()), 9)


def test_a_program_that_prints_without_end_is_stopped(tool: Tool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interface_script, "OUTPUT_LIMIT_BYTES", 100_000)
    tool.write("tool.SEAMLESS.py", "while True: print('x' * 1000)\n")
    assert "printed more than 100000 bytes" in tool.refusal()


# ---- what is refused


REFUSED = [
    (
        "argtyps: {}",
        "line 1: argtyps: there is no such member (did you mean 'argtypes'?); expected argtypes,",
    ),
    ("files: []\n\nfoo: 1", "line 3: foo: there is no such member; expected argtypes, files,"),
    ("[a]", "expected members such as 'argtypes' and 'results', not ['a']"),
    ("text", "expected members such as 'argtypes' and 'results', not 'text'"),
    ("argtypes: [a]", "line 1: argtypes: expected members, each 'name: value', not ['a']"),
    (
        "argtypes:\n  a: flie",
        "line 2: argtypes.a: expected a type, one of value, file, directory, not 'flie' (did you mean 'file'?)",
    ),
    ("argtypes:\n  a: {typ: file}", "line 2: argtypes.a.typ: there is no such member (did you mean 'type'?)"),
    ("argtypes:\n  a: {}", "line 2: argtypes.a: expected a type, one of value, file, directory, not None"),
    ('argtypes:\n  "@order": a', "line 2: argtypes.@order: expected a list, not 'a'"),
    ('argtypes:\n  "@oder": [a]', "line 2: argtypes.@oder: of the entries that begin with '@' there is only"),
    ("argtypes: {a: value}\nfiles:\n- b\n- a", "line 4: files[1]: 'a' is both a value and a file; keep one"),
    ("files: a.txt", "line 1: files: expected a list, not 'a.txt'"),
    ("values:\n- [a]", "line 2: values[0]: expected text, not ['a']"),
    (
        "results: out.txt",
        "line 1: results: expected a list of names, or {name where it runs: name here}, not",
    ),
    ("results:\n  a: [b]", "line 2: results.a: expected text, not ['b']"),
    ("environment: bio", "line 1: environment: expected members, each 'name: value', not 'bio'"),
    (
        "environment:\n  conda: bio",
        "line 2: environment.conda: there is no such member; expected conda_environment, docker_image",
    ),
    ("environment:\n  docker_image: ", "line 2: environment.docker_image: expected text, not ''"),
    ("shim: [a]", "line 1: shim: expected text, not ['a']"),
    ("canonical: tool.sh", "line 1: canonical: expected a list of commands"),
    ("canonical:\n- tool.sh", "line 2: canonical[0]: expected members"),
    ("canonical:\n- variables: []", "line 2: canonical[0]: the member 'command' is missing"),
    (
        "canonical:\n- command: a\n  excutable: b",
        "line 3: canonical[0].excutable: there is no such member (did",
    ),
    ("canonical:\n- command: a\n  variables: N", "line 3: canonical[0].variables: expected a list of {name:"),
    ("canonical:\n- command: a\n  variables: [N]", "line 3: canonical[0].variables[0]: expected members"),
    ("canonical:\n- command: a\n  variables: [{}]", "line 3: canonical[0].variables[0].name: expected text"),
    ("canonical: [{command: a, variables: [{name: 1N}]}]", "variables[0].name: expected a name [A-Za-z_]"),
    ("canonical: [{command: a, variables: [{name: META__N}]}]", "does not begin with META__, not 'META__N'"),
    (
        "canonical: [{command: a, variables: [{name: N, celltype: integer}]}]",
        "variables[0].celltype: expected one of str, text, int, float, bool, plain, not 'integer' (did you mean",
    ),
    (
        "canonical: [{command: a, variables: [{name: N}, {name: N}]}]",
        "variables[1].name: the variable 'N' is",
    ),
    (
        "canonical: [{command: a, executable: {}}, {command: b, executable: {x: y}}]",
        "[1].executable: expected",
    ),
    ("a: [", "is no YAML: "),
    ("a: \tb\n\tc: d", "is no YAML: "),
]


@pytest.mark.provokes("ShellError")
@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_a_wrong_member_is_refused_with_its_place(tool: Tool, text: str, expected: str):
    tool.yaml(text)
    message = tool.refusal()
    assert message.startswith("interface file ./tool.sh.SEAMLESS.yaml")
    assert expected in message


def test_members_of_a_program_are_refused_without_a_line(tool: Tool):
    tool.program({"values": [5]})
    assert tool.refusal() == "interface file ./tool.SEAMLESS.py: values[0]: expected text, not 5"


def test_yaml_is_utf_8(tool: Tool):
    (tool.folder / "tool.sh.SEAMLESS.yaml").write_bytes(b"files: [\xff]\n")
    assert tool.refusal() == "interface file ./tool.sh.SEAMLESS.yaml is no UTF-8 text: byte 8 is 0xff"


def test_yaml_makes_no_objects(tool: Tool):
    tool.yaml("files: !!python/object/apply:os.system ['touch made']")
    tool.write("touch made", "")
    assert tool.read().extra_inputs([]) == [("touch made", "file")]
    assert not (tool.folder / "made").exists()


def test_names_outside_ascii_are_names(tool: Tool):
    tool.yaml("files: [é☃.txt]")
    assert tool.read("./tool.sh", "é☃.txt").types == {"é☃.txt": "file"}


# ---- canonical commands


def test_words_of_a_canonical_command_are_variables(tool: Tool):
    tool.yaml(
        """\
        canonical:
        - command: tool.sh $N --name "${NAME}"
          variables: [{name: N, celltype: int}, {name: NAME, celltype: str}]
        """
    )
    found = tool.canonical("5", "--name", "Ada L")
    assert found is not None
    assert found.code(mapping_of("tool.sh")) == 'tool.sh $N --name "${NAME}"'
    assert found.pins() == [("N", "int", b"5\n"), ("NAME", "str", b'"Ada L"\n')]


@pytest.mark.parametrize(
    "words",
    [(), ("5",), ("5", "--name"), ("5", "--nam", "x"), ("5", "--name", "x", "y"), (None, "--name", "x")],
)
def test_other_words_do_not_match(tool: Tool, words: tuple[str | None, ...]):
    tool.yaml("canonical: [{command: tool.sh $N --name $X, variables: [{name: N}, {name: X}]}]")
    assert tool.canonical(*words) is None


def test_without_canonical_commands_none_matches(tool: Tool):
    tool.yaml("files: []")
    assert tool.canonical() is None


def test_the_first_canonical_command_that_matches_counts(tool: Tool):
    tool.yaml(
        """\
        canonical:
        - command: tool.sh list
        - {command: tool.sh $X, variables: [{name: X}]}
        - {command: tool.sh $Y, variables: [{name: Y}]}
        """
    )
    texts = [found.text for found in (tool.canonical("list"), tool.canonical("5")) if found]
    assert texts == ["tool.sh list", "tool.sh $X"]


@pytest.mark.parametrize(("words", "matches"), [(("5", "5"), True), (("5", "6"), False)])
def test_all_occurrences_of_a_variable_agree(tool: Tool, words: tuple[str, str], matches: bool):
    tool.yaml("canonical: [{command: tool.sh $N $N, variables: [{name: N, celltype: int}]}]")
    assert (tool.canonical(*words) is not None) is matches


def test_files_match_by_path_and_values_by_text(tool: Tool):
    tool.write("a.txt", "x")
    tool.yaml("canonical: [{command: ./tool.sh ./a.txt ./b}]")
    assert tool.canonical("sub/../a.txt", "./b") is None  # no directory sub: not a path of this machine
    assert tool.canonical("a.txt", "./b") is not None
    assert tool.canonical("a.txt", "b") is None
    assert tool.canonical("", "./b") is None


def test_code_names_inputs_as_the_command_sees_them(tool: Tool):
    tool.write("a b.txt", "x")
    tool.yaml("canonical: [{command: \"tool.sh 'a b.txt'  $N\", variables: [{name: N}]}]")
    found = tool.canonical("a b.txt", "5")
    assert found is not None
    assert found.code(mapping_of("a b.txt", "tool.sh", mode="extension")) == "file2.sh file1.txt  $N"
    assert found.code(mapping_of("a b.txt", "tool.sh")) == "tool.sh 'a b.txt'  $N"
    assert found.code(mapping_of()) == "tool.sh 'a b.txt'  $N"


def test_a_name_that_looks_like_an_option_stays_a_path(tool: Tool):
    tool.write("sub/-a.txt", "x")
    tool.yaml("canonical: [{command: tool.sh sub/-a.txt}]")
    found = tool.canonical("sub/-a.txt")
    assert found is not None
    assert found.code(mapping_of("sub/-a.txt", mode="strip")) == "tool.sh ./-a.txt"


def test_a_variable_that_is_an_input_has_the_name_that_the_command_sees(tool: Tool):
    tool.write("sub/a.txt", "x")
    tool.yaml("canonical: [{command: tool.sh $F, variables: [{name: F}]}]")
    found = tool.canonical("sub/a.txt")
    assert found is not None
    assert found.pins(mapping_of("sub/a.txt", mode="strip")) == [("F", "str", b'"a.txt"\n')]
    assert found.pins() == [("F", "str", b'"sub/a.txt"\n')]


@pytest.mark.parametrize(
    ("celltype", "word", "expected"),
    [
        ("str", "5", b'"5"\n'),
        ("text", "é\n", b"\xc3\xa9\n"),
        ("int", "-007", b"-7\n"),
        ("float", "5", b"5.0\n"),
        ("float", "1e22", b"1e+22\n"),
        ("bool", "False", b"false\n"),
        ("bool", "1", b"true\n"),
        ("plain", '{"b": 1, "a": [true]}', b'{\n  "a": [\n    true\n  ],\n  "b": 1\n}\n'),
    ],
)
def test_a_word_is_read_as_its_celltype(tool: Tool, celltype: str, word: str, expected: bytes):
    tool.yaml(f"canonical: [{{command: tool.sh $N, variables: [{{name: N, celltype: {celltype}}}]}}]")
    found = tool.canonical(word)
    assert found is not None
    assert found.pins() == [("N", celltype, expected)]
    assert Buffer(Buffer(expected).get_value(celltype), celltype).content == expected


@pytest.mark.provokes("ShellError")
@pytest.mark.parametrize(
    ("celltype", "word"),
    [
        ("int", "hello"),
        ("int", "5.0"),
        ("int", "1_000"),
        ("int", " 5"),
        ("int", "٥"),
        ("int", "99999999999999999999999"),
        ("float", "nan"),
        ("float", "1e999"),
        ("bool", "yes"),
        ("plain", "{"),
        ("plain", "[NaN]"),
        ("str", "\udcff"),
        ("text", "\udcff"),
    ],
)
def test_a_word_that_is_no_such_value_is_refused(tool: Tool, celltype: str, word: str):
    tool.yaml(f"canonical: [{{command: tool.sh $N, variables: [{{name: N, celltype: {celltype}}}]}}]")
    found = tool.canonical(word)
    assert found is not None
    with pytest.raises(ShellError, match=f"cannot be the variable 'N' .* of celltype '{celltype}'") as caught:
        found.pins()
    assert "./tool.sh.SEAMLESS.yaml" in str(caught.value.hint)


@pytest.mark.provokes("ShellError")
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("tool.sh $N", r"line 2: canonical\[0\]\.command: \$N in 'tool\.sh \$N' is none of its variables"),
        ("tool.sh pre${X}", "is none of its variables"),
        ("tool.sh", "the variable 'X' is no word of 'tool.sh'; expected \\$X"),
        ("tool.sh '$X'", "the variable 'X' is no word of"),
        ("tool.sh $X; ls", "expected one command and its words"),
        ("tool.sh $X | wc", "expected one command and its words"),
        ("tool.sh $X > out", "expected one command and its words"),
        ("A=1 tool.sh $X", "expected one command and its words"),
        ("( tool.sh $X )", "expected one command and its words"),
        ("tool.sh $X &", "expected one command and its words"),
        ("tool.sh $X |", "is no command: "),
    ],
)
def test_an_impossible_canonical_command_is_refused_even_when_another_matches(
    tool: Tool, command: str, expected: str
):
    tool.yaml(
        f"""\
        canonical:
        - {json.dumps({"command": command, "variables": [{"name": "X"}]})}
        - command: tool.sh
        """
    )
    with pytest.raises(ShellError, match=expected):
        tool.canonical()


def test_executables_and_dummy_command_are_handed_on(tool: Tool):
    tool.write("sub/tool.sh", "")
    tool.yaml(
        """\
        canonical:
        - command: ./tool.sh a
          executable: helper.sh
        - command: ./tool.sh b
          executable: [./one.sh, bin/two.sh]
          dummy_command: tool.sh a.txt
        """,
        "sub/tool.sh.SEAMLESS.yaml",
    )
    first, second = (tool.read("sub/tool.sh").canonical_of(["sub/tool.sh", word]) for word in "ab")
    assert first is not None
    assert second is not None
    assert (first.executables, first.dummy_command) == ([str(tool.folder / "helper.sh")], None)
    assert second.executables == [str(tool.folder / "sub/one.sh"), str(tool.folder / "bin/two.sh")]
    assert second.dummy_command == "tool.sh a.txt"


def test_a_canonical_command_names_the_tool_by_its_path(tool: Tool):
    tool.write("sub/tool.sh", "")
    tool.yaml("canonical: [{command: tool.sh}]", "sub/tool.sh.SEAMLESS.yaml")
    assert (
        tool.read("sub/tool.sh").canonical_of(["sub/tool.sh"]) is None
    )  # `tool.sh` is that of the current directory


# ---- with seamless-run


@pytest.fixture
def printing_tool(shell):
    """A tool that prints its words and the content of a file that no word names."""
    shell.write("tool.sh", '#!/bin/bash\necho "$@"\ncat ref.dat\n').chmod(0o755)
    shell.write("ref.dat", "ref\n")
    canonical = "canonical: [{command: tool.sh $N, variables: [{name: N, celltype: int}]}]\n"
    shell.write("tool.sh.SEAMLESS.yaml", f"files: [./ref.dat]\n{canonical}")
    return shell


def test_spellings_of_a_canonical_command_run_once(printing_tool):
    first = printing_tool.run("seamless-run", "-v", "./tool.sh", "5")
    second = printing_tool.run("seamless-run", "-v", "./tool.sh", "05")
    assert (first.stdout, second.stdout) == (b"5\nref\n", b"5\nref\n")
    assert b"miss: step" in first.stderr
    assert b"hit: step" in second.stderr


def test_another_content_of_a_listed_file_is_another_step(printing_tool):
    printing_tool.answer("seamless-run", "./tool.sh", "5")
    printing_tool.write("ref.dat", "changed\n")
    assert printing_tool.answer("seamless-run", "./tool.sh", "5") == b"5\nchanged\n"


def test_the_identity_of_a_canonical_command_is_that_of_the_reference(shell):
    shell.write("tool.sh", '#!/bin/bash\necho "$@"; cat "$1" 2>/dev/null; cat ref.dat 2>/dev/null\n').chmod(
        0o755
    )
    shell.write(
        "tool.sh.SEAMLESS.yaml", "canonical: [{command: tool.sh $N, variables: [{name: N, celltype: int}]}]"
    )
    answer = shell.answer("seamless-run", "--dry", "-j", "job", "./tool.sh", "5")
    assert answer == b"b409826d62b439823ba9b610cb530f39456b1b98af2207b3ca5e59f9e947e88d\n"


def test_results_and_environment_of_the_interface_are_taken(shell):
    shell.write("tool.sh", "#!/bin/bash\necho made > server.txt\n").chmod(0o755)
    shell.write(
        "tool.sh.SEAMLESS.yaml", "results: {server.txt: here.txt}\nenvironment: {docker_image: img:1}"
    )
    shell.answer("seamless-run", "--dry", "-j", "job", "./tool.sh")
    assert json.loads(shell.files()["job/env.json"]) == {"docker": {"name": "img:1"}}
    shell.answer("seamless-run", "./tool.sh")
    assert shell.files()["here.txt"] == b"made\n"


def test_a_program_decides_what_the_words_are(shell):
    shell.write("tool.sh", '#!/bin/bash\necho "$1" "$2"; ls *.*\n').chmod(0o755)
    shell.write("a.txt", "a")
    shell.write("b.txt", "b")
    shell.write(
        "tool.SEAMLESS.py",
        'import json, sys\nprint(json.dumps({"files": sys.argv[1:2]}))\n',
    )
    assert shell.answer("seamless-run", "./tool.sh", "a.txt", "b.txt") == b"a.txt b.txt\na.txt\ntool.sh\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [("./tool.sh 5; echo more", b"5\nref\nmore\n"), ("./tool.sh 5 > /dev/null", b"")],
)
def test_a_line_with_more_than_the_canonical_command_runs_as_it_is(printing_tool, line, expected):
    assert printing_tool.answer("seamless-run", "-c", line) == expected


def test_a_pipeline_of_the_tool_runs_as_it_is(printing_tool):
    assert printing_tool.answer("seamless-run", "-c", "./tool.sh 5 | tr 5 6") == b"6\nref\n"
