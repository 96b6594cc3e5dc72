"""What enters the identity of a shell step, and what does not: contracts/seamless-run.md as properties."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import zstandard
from hypothesis import assume, given
from hypothesis import strategies as st
from seamless_shell.prepare import PreparedStep, prepare_step
from seamless_shell.run_options import parse_run_options

LETTERS = "abcXYZ019_-+,=@% éß☃'\"$&;|<>()*?[]{}!#\\`\t\n"
NAMES = st.text("abcxyz019_- é☃'$&()", min_size=1, max_size=8).map(lambda text: f"x{text}.txt")
CONTENTS = st.binary(max_size=40)
VALUES = st.text(LETTERS, min_size=1, max_size=8)  # no dot, no slash: never taken for a file
VARIABLES = st.text("ABC_xyz09", min_size=1, max_size=5).map(lambda text: f"V{text}")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@contextlib.contextmanager
def directory(files: Mapping[str, bytes]) -> Iterator[Path]:
    """Enter a new directory with these files, and leave it again."""
    former = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        for path, content in files.items():
            file = Path(name, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(former)


def prepare(*argv: str) -> PreparedStep:
    return prepare_step(
        parse_run_options(argv), wait_for_future=lambda path: None, say=lambda level, text: None
    )


def identity(*argv: str, files: Mapping[str, bytes] | None = None) -> str:
    """Return the identity of a command line in a new directory with these files."""
    with directory(files or {}):
        return prepare(*argv).digest.hex()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def plain(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False).encode() + b"\n"


# ---- the formula, computed anew


def documented_identity(
    code: str,
    files: Mapping[str, bytes],
    *,
    directories: Mapping[str, Mapping[str, bytes]] | None = None,
    variables: Mapping[str, str] | None = None,
    output: str = "bytes",
) -> str:
    text: dict[str, object] = {"__language__": "bash", "__output__": ["result", output, None]}
    text["code"] = ["text", None, sha256(code.encode())]
    formats: dict[str, object] = {}
    for name, content in files.items():
        formats[name] = {"filesystem": {"mode": "file", "optional": True}}
        text[name] = ["bytes", None, sha256(content)]
    for name, tree in (directories or {}).items():
        formats[name] = {"celltype": "deepfolder", "filesystem": {"mode": "directory", "optional": True}}
        text[name] = ["mixed", None, sha256(plain({path: sha256(content) for path, content in tree.items()}))]
    for name, value in (variables or {}).items():
        text[name] = ["str", None, sha256(plain(value))]
    text.update({"__format__": formats} if formats else {})
    return sha256(plain(text))


@given(
    files=st.dictionaries(NAMES, CONTENTS, max_size=4),
    values=st.lists(VALUES, max_size=3),
    variables=st.dictionaries(VARIABLES, TEXTS, max_size=2),
    metavariables=st.dictionaries(VARIABLES.map(lambda name: f"M{name}"), TEXTS, max_size=2),
    data=st.data(),
)
def test_identity_of_words_is_the_documented_formula(files, values, variables, metavariables, data):
    words = data.draw(st.permutations([*files, *values]))
    options = [each for name, value in variables.items() for each in ("--var", f"{name}={value}")]
    options += [each for name, value in metavariables.items() for each in ("--metavar", f"{name}={value}")]
    exports = "".join(f'export {name}="${{META__{name}}}"\n' for name in sorted(metavariables))
    command = " ".join(["cat", *map(shlex.quote, words)])
    assert identity(*options, "cat", *words, files=files) == documented_identity(
        f"{exports}(\n{command}\n) > RESULT\n", files, variables=variables
    )


@given(
    tree=st.dictionaries(st.sampled_from(["x", "y.txt", "s/z", "s/t/w", ".h"]), CONTENTS, min_size=1),
    files=st.dictionaries(NAMES, CONTENTS, max_size=2),
    redirect=st.sampled_from(["out.txt", "o2"]),
    captures=st.lists(st.sampled_from(["c1", "sub/c2", "sub/deep/c3", "other/c4"]), unique=True, max_size=3),
)
def test_identity_with_targets_is_the_documented_formula(tree, files, redirect, captures):
    command = f"ls d {' '.join(map(shlex.quote, files))} > {redirect}"
    targets = [*captures, redirect]
    folders = dict.fromkeys(f"RESULT/{os.path.dirname(target)}" for target in targets)
    moves = "".join(f"mv {target} RESULT/{os.path.dirname(target)}\n" for target in targets)
    code = f"mkdir -p {' '.join(folders)}\n{command}\n{moves}"
    options = [each for capture in captures for each in ("-cp", capture)]
    inside = {f"d/{path}": content for path, content in tree.items()}
    assert identity(*options, "-c", command, files={**files, **inside}) == documented_identity(
        code, files, directories={"d": tree}, output="deepfolder"
    )


@given(content=CONTENTS, arguments=st.lists(VALUES, max_size=2))
def test_identity_of_a_program_of_the_directory_is_the_documented_formula(content, arguments):
    words = "".join(f" {shlex.quote(argument)}" for argument in arguments)
    assert identity("./run.sh", *arguments, files={"run.sh": content}) == documented_identity(
        f"export PATH=./:$PATH\nchmod +x 'run.sh'\n(\nrun.sh{words}\n) > RESULT\n", {"run.sh": content}
    )


# ---- what changes it


@given(one=CONTENTS, other=CONTENTS)
def test_content_of_an_input_counts(one, other):
    assume(one != other)
    assert identity("cat", "a.txt", files={"a.txt": one}) != identity("cat", "a.txt", files={"a.txt": other})


@given(one=CONTENTS, other=CONTENTS)
def test_content_of_a_file_in_a_directory_counts(one, other):
    assume(one != other)
    assert identity("ls", "d", files={"d/x": one}) != identity("ls", "d", files={"d/x": other})


@given(one=NAMES, other=NAMES, content=CONTENTS)
def test_name_of_an_input_counts_where_the_command_text_is_the_same(one, other, content):
    assume(one != other)
    identities = [identity("-g1", "-i", name, "-c", "cat *", files={name: content}) for name in (one, other)]
    assert identities[0] != identities[1]


@given(one=st.lists(VALUES, max_size=3), other=st.lists(VALUES, max_size=3))
def test_words_of_the_command_count(one, other):
    assume(one != other)
    assert identity("echo", *one) != identity("echo", *other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("echo a", "echo  a"),
        ("echo a", "echo a;"),
        ("echo a", "echo a # why"),
        ("echo a", "echo 'a'"),
        ("echo a; echo b", "echo a && echo b"),
    ],
)
def test_every_character_of_the_command_text_counts(one, other):
    assert identity("-c", one) != identity("-c", other)


@given(name=VARIABLES, one=TEXTS, other=TEXTS)
def test_value_of_a_variable_counts(name, one, other):
    assume(one != other)
    command = ("-c", f"echo ${name}")
    assert identity("--var", f"{name}={one}", *command) != identity("--var", f"{name}={other}", *command)


@given(one=VARIABLES, other=VARIABLES, value=TEXTS)
def test_name_of_a_variable_counts(one, other, value):
    assume(one != other)
    identities = {identity(*option, "echo", "hi") for option in ((), ("--var", f"{one}={value}"))}
    identities.add(identity("--var", f"{other}={value}", "echo", "hi"))
    identities.add(identity("--metavar", f"{one}={value}", "echo", "hi"))
    identities.add(identity("--metavar", f"{other}={value}", "echo", "hi"))
    assert len(identities) == 5


def test_targets_and_prologues_count_and_so_does_the_order_of_targets():
    options = [
        [],
        ["-cp", "a"],
        ["-cp", "b"],
        ["-cp", "sub/a"],
        ["-cp", "a", "-cp", "b"],
        ["-cp", "b", "-cp", "a"],
        ["-cp", ":a"],
        ["--prologue", "set -f"],
    ]
    assert len({identity(*each, "-c", "true") for each in options}) == len(options)


def test_an_extra_input_counts():
    files = {"a.txt": b"a", "b.txt": b"b"}
    assert identity("-i", "b.txt", "cat", "a.txt", files=files) != identity("cat", "a.txt", files=files)


def test_a_file_and_a_directory_of_one_name_differ():
    assert identity("-g2", "ls", "d", files={"d": b""}) != identity("ls", "d", files={"d/x": b""})


# ---- what does not change it


@given(
    one=st.sampled_from(["", "p/", "p/q/", "x y/"]),
    other=st.sampled_from(["r/", "../r/", "é/"]),
    content=CONTENTS,
)
@pytest.mark.parametrize("mapping", ["-ms", "-mx"])
def test_outer_directory_does_not_count_where_it_is_not_mapped(mapping, one, other, content):
    identities = []
    for folder in (one, other):
        with directory({f"in/{folder}a.txt": content, "in/here": b""}) as root:
            os.chdir(root / "in")
            identities.append(prepare(mapping, "cat", f"{folder}a.txt").digest)
    assert identities[0] == identities[1]


@given(name=NAMES, content=CONTENTS)
def test_another_spelling_of_a_path_is_the_same_input(name, content):
    spellings = (name, f"./{name}", f"sub/../{name}", f".//{name}")
    files = {name: content, "sub/x": b""}
    assert len({identity("cat", spelling, files=files) for spelling in spellings}) == 1


@given(content=CONTENTS)
def test_working_directory_and_argtyping_directory_do_not_count_by_themselves(content):
    with directory({"a.txt": content, "in/x": b""}) as root:
        above = prepare("cat", "a.txt").digest
        os.chdir(root / "in")
        assert prepare("-w", "..", "cat", "../a.txt").digest == above


@given(name=VARIABLES, one=TEXTS, other=TEXTS)
def test_value_of_a_metavariable_does_not_count(name, one, other):
    command = ("-c", f"echo ${name}")
    assert identity("--metavar", f"{name}={one}", *command) == identity(
        "--metavar", f"{name}={other}", *command
    )


@pytest.mark.parametrize(
    "options",
    [
        ["--conda", "bio"],
        ["--docker", "img:1"],
        ["--conda", "bio", "--docker", "img:1"],
        ["--direct-print"],
        ["--local"],
        ["--fingertip"],
        ["-v"],
        ["-q"],
        ["-y"],
    ],
)
def test_how_and_where_it_runs_does_not_count(options):
    assert identity(*options, "echo", "hi") == identity("echo", "hi")


@pytest.mark.parametrize("options", [["-nd"], ["--scratch"]])
def test_what_becomes_of_the_result_does_not_count(options):
    assert identity(*options, "-c", "echo > o") == identity("-c", "echo > o")


@given(mode=st.sampled_from([0o400, 0o644, 0o755, 0o777]), time_s=st.integers(0, 2_000_000_000))
def test_mode_and_time_of_a_file_do_not_count(mode, time_s):
    with directory({"a.txt": b"alpha\n"}) as root:
        before = prepare("cat", "a.txt").digest
        (root / "a.txt").chmod(mode)
        os.utime(root / "a.txt", (time_s, time_s))
        assert prepare("cat", "a.txt").digest == before


@given(names=st.lists(NAMES, min_size=2, max_size=4, unique=True), data=st.data())
def test_order_of_extra_inputs_does_not_count(names, data):
    files = {name: name.encode() for name in names}
    orders = (names, data.draw(st.permutations(names)))
    identities = [
        identity(*[each for name in order for each in ("-i", name)], "echo", "hi", files=files)
        for order in orders
    ]
    assert identities[0] == identities[1]


def _gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _zstandard(content: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(content)


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", _gzipped), (".zst", _zstandard)])
@given(content=CONTENTS)
def test_compression_of_an_input_counts_in_the_pin_name_only(
    suffix: str, compress: Callable[[bytes], bytes], content: bytes
):
    with directory({"a.txt": content, f"a.txt{suffix}": compress(content)}):
        plain_step = prepare("cat", "a.txt").transformation
        packed_step = prepare("cat", f"a.txt{suffix}").transformation
    assert packed_step[f"a.txt{suffix}"] == plain_step["a.txt"]
    assert packed_step["__format__"][f"a.txt{suffix}"] == plain_step["__format__"]["a.txt"]
    assert packed_step["code"] != plain_step["code"]


@given(content=CONTENTS, levels=st.lists(st.integers(0, 9), min_size=2, max_size=2))
def test_how_well_an_input_is_compressed_does_not_count(content, levels):
    identities = {
        identity("zcat", "a.gz", files={"a.gz": gzip.compress(content, level, mtime=level)})
        for level in levels
    }
    assert len(identities) == 1


@given(tree=st.dictionaries(st.sampled_from(["x", "y.txt", "s/z"]), CONTENTS, min_size=1))
def test_compression_within_a_directory_does_not_count(tree):
    packed = {f"d/{path}.gz": gzip.compress(content) for path, content in tree.items()}
    unpacked = {f"d/{path}": content for path, content in tree.items()}
    assert identity("ls", "d", files=packed) == identity("ls", "d", files=unpacked)


def test_a_checksum_file_stands_for_the_file():
    content = b"alpha\n"
    sidecar = {"a.txt.CHECKSUM": f"# what cat reads\n\n{sha256(content)}\n".encode()}
    known = identity("cat", "a.txt", files={"a.txt": content})
    assert identity("cat", "a.txt", files=sidecar) == known
    assert identity("cat", "a.txt", files={"a.txt": content, **sidecar}) == known


def test_words_and_the_same_command_line_are_one_step():
    files = {"a b.txt": b"alpha\n"}
    assert identity("cat", "a b.txt", files=files) == identity("-c", "cat 'a b.txt'", files=files)
