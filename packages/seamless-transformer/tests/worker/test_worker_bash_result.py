from __future__ import annotations

import numpy as np
import pytest
from seamless_worker import SeamlessStreamTransformationError


@pytest.mark.parametrize(
    ("printed", "celltype", "expected"),
    [
        ("1.50\\n", "mixed", b"1.5\n"),
        ("1.50\\n", "text", b"1.50\n"),
        ("1.50\\n", "str", b'"1.50\\n"\n'),
        ("1.50\\n", "yaml", b"1.50\n"),
        ('{"a": 1}', "text", b'{"a": 1}\n'),
        ('{"a": 1}', "plain", b'{\n  "a": 1\n}\n'),
        ("hello", "mixed", b'"hello"\n'),
        ("x = 1\\n", "python", b"x = 1\n"),
        ("5\\n", "int", b"5\n"),
        ("5\\n", "float", b"5.0\n"),
        ("true", "bool", b"true\n"),
        ("False\\n", "bool", b"false\n"),
        ("a\\r\\nb", "text", b"a\r\nb\n"),
        ("raw", "bytes", b"raw"),
        ("", "bytes", b""),
        ("", "text", b"\n"),
        ("", "str", b'""\n'),
        ("[1, 2]", "mixed", b"[\n  1,\n  2\n]\n"),
    ],
)
def test_content_of_result_file_by_celltype(bench, printed, celltype, expected):
    assert bench.bash(f"printf '{printed}' > RESULT", result=celltype) == expected


def test_bytes_that_are_no_text_are_a_uint8_array_under_mixed(bench):
    value = bench.value("printf '\\377\\001' > RESULT", language="bash")
    assert (value.dtype, value.tolist()) == (np.dtype("uint8"), [255, 1])


def test_npy_file_is_an_array(bench):
    array = np.arange(12.0).reshape(3, 4)
    outcome = bench.run("cp a RESULT", {"a": array}, language="bash")
    assert outcome.result.get_checksum().hex() == bench.put(array)


def test_content_that_only_begins_like_an_array_is_bytes(bench):
    value = bench.value("printf '\\223NUMPY broken' > RESULT", language="bash")
    assert value.tobytes() == b"\x93NUMPY broken"


def test_large_result_is_read_whole(bench):
    outcome = bench.run("head -c 5000000 /dev/zero > RESULT", language="bash", result="bytes")
    assert outcome.result.content == bytes(5_000_000)


def test_result_folder_is_a_dict_of_values(bench):
    code = "mkdir -p RESULT/s; echo 5 > RESULT/s/n; echo hi > RESULT/t"
    assert bench.value(code, language="bash") == {"s/n": 5, "t": "hi\n"}


@pytest.mark.parametrize("celltype", ["folder", "deepfolder"])
def test_result_folder_is_an_index_with_its_files_attached(bench, celltype):
    outcome = bench.run(
        "mkdir -p RESULT/s; printf 5 > RESULT/s/n; : > RESULT/empty", language="bash", result=celltype
    )
    contents = {buffer.get_checksum().hex(): buffer.content for buffer in outcome.attachments}
    index = outcome.result.get_value("plain")
    assert {name: contents[leaf] for name, leaf in index.items()} == {"s/n": b"5", "empty": b""}


def test_result_folder_as_deepcell(bench):
    outcome = bench.run("mkdir RESULT; echo 5 > RESULT/n", language="bash", result="deepcell")
    assert [buffer.content for buffer in outcome.attachments] == [b"5\n"]


def test_links_in_the_result_are_followed(bench):
    code = "echo x > a; mkdir RESULT d; echo y > d/f; ln -s ../a RESULT/a; ln -s ../d RESULT/d"
    assert bench.value(code, language="bash") == {"a": "x\n", "d/f": "y\n"}


def test_result_that_is_a_link_is_followed(bench):
    assert bench.bash("echo x > a; ln -s a RESULT") == b"x\n"


@pytest.mark.provokes("SeamlessStreamTransformationError")
@pytest.mark.parametrize(
    ("code", "celltype", "words"),
    [
        ("true", "bytes", "Result file/folder RESULT does not exist"),
        ("mkdir RESULT", "mixed", "Result folder RESULT is empty"),
        ("mkdir -p RESULT/a", "folder", "Result folder RESULT is empty"),
        ("mkdir RESULT; echo x > RESULT/a", "bytes", "RESULT is a folder"),
        ("echo x > RESULT", "folder", "make a directory RESULT"),
        (": > RESULT", "mixed", "RESULT is empty"),
        (": > RESULT", "int", "RESULT is empty"),
        ("mkdir RESULT; : > RESULT/a", "mixed", "RESULT/a is empty"),
        ("echo x > RESULT", "int", "'int'"),
        ("echo maybe > RESULT", "bool", "write true or false"),
        ("printf '\\377' > RESULT", "text", "no UTF-8 text"),
        ("ln -s nowhere RESULT", "bytes", "symbolic link"),
        ("mkfifo RESULT", "bytes", "neither a file nor a directory"),
        ("mkdir RESULT; mkfifo RESULT/p", "folder", "neither a file nor a directory"),
        ("mkdir RESULT; echo x > RESULT/x; ln -s . RESULT/again", "folder", "twice"),
    ],
)
def test_unusable_result_says_what_is_wrong(bench, temporary_directory, code, celltype, words):
    failure = bench.failure(code, language="bash", result=celltype)
    assert isinstance(failure.exception, SeamlessStreamTransformationError)
    assert words in str(failure)
    assert f"* Command\n{'*' * 49}\n{code}\n" in str(failure)
    assert list(temporary_directory.iterdir()) == []
