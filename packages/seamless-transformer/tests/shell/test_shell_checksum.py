"""seamless-checksum and its two sisters, as commands."""

from __future__ import annotations

import gzip
import hashlib
import os

import pytest

ALPHA = "b6a98d9ce9a2d9149288fa3df42d377c3e42737afdcdaf714e33c0a100b51060"


def test_standard_input_is_hashed_as_it_is(shell):
    content = os.urandom(3_000_000)
    done = shell.run("seamless-checksum", "-", stdin=content)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().strip() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("argv", [("seamless-checksum", "d"), ("seamless-checksum-file", "d")])
def test_directory_is_no_file(shell, argv):
    (shell.folder / "d").mkdir()
    done = shell.run(*argv)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"Error: [Errno 21] Is a directory: 'd'\n")


def test_damaged_compressed_file_is_named_with_the_remedy(shell):
    shell.write("a.gz", "not compressed")
    done = shell.run("seamless-checksum", "a.gz")
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: ")
    assert b"'a.gz'" in done.stderr
    assert b"\nhint:  " in done.stderr
    assert b"Traceback" not in done.stderr


def test_checksum_file_of_a_compressed_file_has_its_plain_name(shell):
    shell.write("a.txt.gz", gzip.compress(b"alpha\n"))
    shell.answer("seamless-checksum-file", "a.txt.gz")
    assert shell.files()["a.txt.CHECKSUM"].decode() == ALPHA + "\n"


def test_index_of_the_current_directory_lies_beside_it(shell):
    shell.write("d/x", "1")
    shell.answer("seamless-checksum-index", ".", cwd="d")
    assert sorted(shell.files()) == ["d.CHECKSUM", "d.INDEX", "d/x"]


def test_root_directory_has_no_index(shell):
    done = shell.run("seamless-checksum-index", "//")
    assert done.returncode == 1
    assert b"root directory" in done.stderr


def test_nothing_is_written_for_what_cannot_be_indexed(shell):
    shell.write("d/a", "1")
    shell.write("d/a.gz", gzip.compress(b"1"))
    done = shell.run("seamless-checksum-index", "d")
    assert done.returncode == 1
    assert b"'d/a'" in done.stderr
    assert b"'d/a.gz'" in done.stderr
    assert sorted(shell.files()) == ["d/a", "d/a.gz"]


COMMANDS = (
    "seamless-checksum",
    "seamless-checksum-file",
    "seamless-checksum-index",
    "seamless-download",
    "seamless-upload",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_purpose_examples_and_exit_codes(shell, command):
    text = shell.answer(command, "--help").decode()
    assert text.startswith(f"usage: {command} ")
    assert "\nexamples:\n" in text
    assert text.count(f"\n  {command} ") + text.count(f"| {command} ") >= 2
    assert "\nexit codes:\n" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_version_is_told(shell, command):
    assert shell.answer(command, "--version").decode().startswith(f"{command} 2.")


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_usage_is_code_2(shell, command):
    assert shell.run(command, "--no-such-option", "x").returncode == 2
