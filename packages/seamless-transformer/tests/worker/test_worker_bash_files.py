from __future__ import annotations

import numpy as np
import pytest
from seamless.errors import CacheMissError
from seamless_store.compressed import decompressed
from seamless_store.compressing import compressed
from seamless_worker.bash_files import InputFileError

SHOW = "[ -n \"${a+set}\" ] && printf '%s|' \"$a\" > RESULT || printf 'unset|' > RESULT; cat a >> RESULT"


@pytest.mark.parametrize(
    ("value", "celltype", "expected"),
    [
        (3, "int", b"3|3\n"),
        (True, "bool", b"True|True\n"),
        (1.5, "float", b"1.5|1.5\n"),
        ("x y", "str", b"x y|x y\n"),
        ("x y", "text", b"x y|x y\n"),
        ("x", "mixed", b"x|x\n"),
        (7, "plain", b"7|7\n"),
        ("a" * 1000, "str", b"a" * 1000 + b"|" + b"a" * 1000 + b"\n"),
        ("a" * 1001, "str", b"unset|" + b"a" * 1001 + b"\n"),
        ([1, "x"], "plain", b'unset|[1, "x"]'),
        ({"b": 1, "a": None}, "mixed", b'unset|{"a": null, "b": 1}'),
        (b"raw\0", "bytes", b"unset|raw\0"),
        (np.arange(3, dtype="uint8"), "binary", b"unset|\0\1\2"),
        (np.float64(2.5), "binary", b"2.5|2.5\n"),
    ],
)
def test_argument_is_a_file_and_a_scalar_also_a_variable(bench, value, celltype, expected):
    assert bench.bash(SHOW, {"a": value}, celltypes={"a": celltype}) == expected


def test_array_is_an_npy_file(bench):
    array = np.arange(6.0).reshape(2, 3)
    result = bench.run("cat a > RESULT", {"a": array}, language="bash", result="mixed")
    assert result.result.get_checksum().hex() == bench.put(array)


def test_name_with_a_dot_is_no_variable_and_may_have_directories(bench):
    code = "env | grep -c 'data.txt' > RESULT || true; cat sub/data.txt >> RESULT"
    assert bench.bash(code, {"sub/data.txt": "x"}) == b"0\nx\n"


def test_null_argument_is_neither_file_nor_variable(bench):
    assert bench.bash("ls > RESULT; echo ${a-none} >> RESULT", {"a": None}) == b"RESULT\nnone\n"


def test_renamed_argument_has_its_new_name(bench):
    assert bench.bash("cat b > RESULT", {"a": 3}, entries={"__as__": {"a": "b"}}) == b"3\n"


def test_code_is_no_file(bench):
    assert bench.bash("ls > RESULT") == b"RESULT\n"


@pytest.mark.invariant("I-77")
@pytest.mark.provokes("InputFileError")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../x", ".. is not allowed"),
        ("a/../../x", ".. is not allowed"),
        ("/etc/x", "absolute path"),
        ("a\0b", "NUL"),
        ("", "needs a name"),
        ("RESULT", "belongs to the result"),
        ("RESULT/a", "belongs to the result"),
    ],
)
def test_name_that_leads_elsewhere_is_refused(bench, name, words):
    failure = bench.failure("echo x > RESULT", {name: 1}, language="bash")
    assert words in str(failure)
    assert isinstance(failure.exception, InputFileError)


@pytest.mark.invariant("I-58")
@pytest.mark.parametrize("relative", ["../escape", "/etc/escape", "a/../../escape"])
def test_folder_that_leads_out_of_itself_is_refused(bench, relative, tmp_path):
    entries = {"d": ["folder", None, bench.put({relative: bench.put(b"x", "bytes")}, "plain")]}
    failure = bench.failure("echo x > RESULT", language="bash", entries=entries)
    assert isinstance(failure.exception, ValueError)
    assert not list(tmp_path.rglob("escape"))


@pytest.mark.invariant("I-77")
def test_nothing_is_written_through_a_link_to_a_stored_directory(bench, tmp_path):
    checksum, path = bench.store_file(b"x")
    path.unlink()
    path.mkdir()
    entries = {
        "d": ["folder", None, checksum],
        "d/inside": ["text", None, bench.put("x", "text")],
        "__format__": {"d": {"filesystem": {"mode": "directory"}}},
    }
    failure = bench.failure("echo x > RESULT", language="bash", entries=entries)
    assert "nothing can lie below it" in str(failure)
    assert list(path.iterdir()) == []


def test_file_and_directory_of_one_name_are_refused(bench):
    failure = bench.failure("echo x > RESULT", {"a": 1, "a/b": 2}, language="bash")
    assert "another input" in str(failure)


def test_two_arguments_of_one_name_are_refused(bench):
    failure = bench.failure(
        "echo x > RESULT", {"a": 1, "b": 2}, language="bash", entries={"__as__": {"b": "a"}}
    )
    assert "another input has the same name" in str(failure)


def test_container_with_arrays_is_refused_with_a_way_out(bench):
    failure = bench.failure("echo x > RESULT", {"a": {"x": np.arange(2)}}, language="bash")
    assert "argument 'a' is a container with arrays" in str(failure)


def test_folder_is_a_tree_of_real_files(bench):
    stored, _path = bench.store_file(b"stored")
    index = {"top": bench.put(b"t", "bytes"), "s/u/deep": stored}
    entries = {
        "d": ["mixed", None, bench.put(index, "plain")],
        "__format__": {
            "d": {"filesystem": {"mode": "directory", "optional": True}, "celltype": "deepfolder"}
        },
    }
    code = "find $d -type f | sort > RESULT; cat d/top d/s/u/deep >> RESULT"
    assert bench.bash(code, entries=entries) == b"d/s/u/deep\nd/top\ntstored"


def test_empty_folder_is_an_empty_directory(bench):
    entries = {"d": ["deepfolder", None, bench.put({}, "plain")]}
    assert bench.bash("ls -A d > RESULT", entries=entries) == b""


def test_deepcell_is_its_index(bench):
    leaf = bench.put(5)
    entries = {"c": ["deepcell", None, bench.put({"x": leaf}, "plain")]}
    assert bench.bash("cat c > RESULT", entries=entries) == f'{{"x": "{leaf}"}}'.encode()


def test_filesystem_argument_is_a_link_to_the_stored_file(bench):
    checksum, path = bench.store_file(b"stored")
    entries = {"a.dat": ["bytes", None, checksum], "__format__": {"a.dat": {"filesystem": {"mode": "file"}}}}
    code = "readlink a.dat > RESULT; cat a.dat >> RESULT; env | grep '^a.dat=' >> RESULT || true"
    answer = bench.bash(code, entries=entries).decode()
    assert answer.startswith(f"{path}\nstored")


def test_filesystem_argument_has_its_path_as_variable(bench):
    checksum, path = bench.store_file(b"stored")
    entries = {"a": ["bytes", None, checksum], "__format__": {"a": {"filesystem": {"mode": "file"}}}}
    assert bench.bash("echo $a > RESULT", entries=entries).decode() == f"{path}\n"


def test_filesystem_argument_without_file_is_written_if_optional(bench):
    entries = {
        "a": ["bytes", None, bench.put(b"content", "bytes")],
        "__format__": {"a": {"filesystem": {"mode": "file", "optional": True}}},
    }
    assert bench.bash("cat a > RESULT", entries=entries) == b"content"


def test_filesystem_argument_without_file_is_a_cache_miss_if_not_optional(bench):
    entries = {
        "a": ["bytes", None, bench.put(b"content", "bytes")],
        "__format__": {"a": {"filesystem": {"mode": "file"}}},
    }
    with pytest.raises(CacheMissError, match="'a' must be a file"):
        bench.bash("cat a > RESULT", entries=entries)


def test_metavariable_is_a_variable_of_its_own(bench):
    assert bench.bash('export N="${META__N}"; echo $N > RESULT', {"META__N": "4"}) == b"4\n"


def _file_pin(checksum, name, **filesystem):
    mode = {"mode": "file", "optional": True, **filesystem}
    return {name: ["bytes", None, checksum], "__format__": {name: {"filesystem": mode}}}


@pytest.mark.parametrize("stored", [False, True], ids=["buffer", "file"])
@pytest.mark.parametrize(("name", "tool"), [("sub/a.txt.gz", "gzip"), ("a.zst", "zstd")])
def test_a_file_with_a_compressed_name_is_compressed_whatever_serves_its_content(bench, name, tool, stored):
    content = b"a line\n" * 300_000
    checksum = bench.store_file(content)[0] if stored else bench.put(content, "bytes")
    result = bench.bash(f"test ! -L {name}; cat {name} > RESULT", entries=_file_pin(checksum, name))
    form = {"gzip": "gz", "zstd": "zst"}[tool]
    assert len(result) < len(content) / 100
    assert b"".join(decompressed(form, [result], name="test")) == content


def test_a_compressed_file_has_the_same_bytes_from_buffer_and_store(bench):
    content = bytes(range(256)) * 9000
    from_buffer = bench.bash("cat a.gz > RESULT", entries=_file_pin(bench.put(content, "bytes"), "a.gz"))
    from_store = bench.bash("cat a.gz > RESULT", entries=_file_pin(bench.store_file(content)[0], "a.gz"))
    assert from_buffer == from_store == b"".join(compressed("gz", [content], size_bytes=len(content)))


def test_an_empty_file_is_compressed_too(bench):
    checksum = bench.put(b"", "bytes")
    code = "gzip -d < e.gz | wc -c > RESULT"
    assert bench.bash(code, entries=_file_pin(checksum, "e.gz")) == b"0\n"


def test_a_compressed_name_without_such_a_format_is_raw(bench):
    assert bench.bash("cat a.gz > RESULT", {"a.gz": b"raw"}, celltypes={"a.gz": "bytes"}) == b"raw"
    entries = {
        "d.gz": ["mixed", None, bench.put({"f.gz": bench.put(b"leaf", "bytes")}, "plain")],
        "__format__": {"d.gz": {"filesystem": {"mode": "directory"}, "celltype": "deepfolder"}},
    }
    assert bench.bash("cat d.gz/f.gz > RESULT", entries=entries) == b"leaf"


def test_a_compressed_file_that_must_be_stored_and_is_not_is_missing(bench):
    entries = _file_pin(bench.put(b"x", "bytes"), "a.gz", optional=False)
    with pytest.raises(CacheMissError, match="must be a file"):
        bench.bash("cat a.gz > RESULT", entries=entries)


def test_other_stored_files_stay_links_to_the_store(bench):
    checksum, path = bench.store_file(b"content")
    assert bench.bash("readlink a > RESULT", entries=_file_pin(checksum, "a")).decode().strip() == str(path)


def test_an_unhashed_pin_is_a_variable(bench):
    entries = {"META__N": ["str", None, bench.put("seven words", "str")]}
    code = 'export N="${META__N}"; echo "$N" > RESULT'
    assert bench.bash(code, entries=entries) == b"seven words\n"
