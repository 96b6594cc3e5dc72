"""seamless-run from end to end, each in an empty cache; whether the command ran is counted by the command itself."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import pytest
import zstandard

ALPHA = hashlib.sha256(b"alpha\n").hexdigest()


@pytest.fixture
def alpha(shell):
    return shell.write("a.txt", "alpha\n")


# ---- the promise


def test_a_command_runs_once_and_is_found_afterwards(shell, runs):
    command = runs.counted("echo $((6 * 7))")
    first = shell.run("seamless-run", "-c", command)
    second = shell.run("seamless-run", "-c", command)
    assert (first.stdout, second.stdout) == (b"42\n", b"42\n")
    assert (first.returncode, second.returncode) == (0, 0)
    assert runs.n_runs == 1


@pytest.mark.invariant("I-107")
def test_another_input_content_runs_the_command_again(shell, runs, alpha):
    command = runs.counted("cat a.txt")
    arguments = ["seamless-run", "-i", "a.txt", "-c", command]
    shell.answer(*arguments)
    alpha.write_text("beta\n")
    assert shell.answer(*arguments) == b"beta\n"
    assert runs.n_runs == 2


def test_a_touched_input_is_the_same_input(shell, runs, alpha):
    arguments = ["seamless-run", "-i", "a.txt", "-c", runs.counted("cat a.txt")]
    shell.answer(*arguments)
    content = alpha.read_bytes()
    alpha.unlink()
    alpha.write_bytes(content)
    shell.answer(*arguments)
    assert runs.n_runs == 1


def test_a_hit_needs_neither_the_source_of_the_result_nor_numpy(shell, alpha):
    shell.answer("seamless-run", "cat", "a.txt")
    done = shell.run("seamless-run", "cat", "a.txt", environment={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.stdout == b"alpha\n"
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert "seamless_shell.run_command" in imported
    heavy = {
        "numpy",
        "asyncio",
        "subprocess",
        "yaml",
        "tqdm",
        "orjson",
        "pathlib",
        "dataclasses",
        "seamless.embedded",
    }
    assert not imported & heavy


@pytest.mark.invariant("I-108")
def test_a_failure_is_not_cached(shell, runs):
    arguments = ["seamless-run", "-c", runs.counted("exit 3")]
    assert [shell.run(*arguments).returncode for _ in range(2)] == [3, 3]
    assert runs.n_runs == 2


def test_a_cleared_cache_runs_the_command_again(shell, runs):
    arguments = ["seamless-run", "-c", runs.counted("echo x")]
    shell.answer(*arguments)
    shutil.rmtree(shell.cache)
    shell.answer(*arguments)
    assert runs.n_runs == 2


# ---- projects and stages


@pytest.mark.parametrize(
    "scope", [["--project", "p"], ["--project", "p:q"], ["--stage", "s"], ["--project", "p", "--stage", "s"]]
)
def test_each_scope_has_storage_of_its_own(shell, runs, scope):
    command = ["-c", runs.counted("echo x")]
    shell.answer("seamless-run", *command)
    shell.answer("seamless-run", *scope, *command)
    shell.answer("seamless-run", *scope, *command)
    assert runs.n_runs == 2


def test_a_project_lies_where_the_cache_layout_says(shell):
    shell.answer("seamless-run", "--project", "p:q", "--stage", "s:t", "echo", "x")
    assert (shell.cache / "p" / "q" / "STAGE-s" / "seamless.db").is_file()


@pytest.mark.parametrize("text", [":x", "a:", "", "a/b", "a--b", ".."])
@pytest.mark.provokes("ShellError")
def test_an_impossible_project_is_refused(shell, text):
    done = shell.run("seamless-run", "--project", text, "echo", "x")
    assert done.returncode == 1
    assert b"ERROR: " in done.stderr
    assert not shell.cache.exists()


def test_without_cache_or_project_file_nothing_runs(shell, runs):
    done = shell.run("seamless-run", "-c", runs.counted("echo x"), cache=False)
    assert done.returncode == 1
    assert b"No seamless.yaml or seamless.profile.yaml found in" in done.stderr
    assert runs.n_runs == 0


def test_a_project_file_without_a_cluster_warns_that_nothing_is_kept(shell):
    shell.write("seamless.yaml", "- project: p\n")
    done = shell.run("seamless-run", "-c", "echo x", cache=False)
    assert (done.returncode, done.stdout) == (0, b"x\n")
    assert b"seamless-run: warning: No cluster defined; running without persistence." in done.stderr
    assert shell.run("seamless-run", "-q", "-c", "echo x", cache=False).stderr == b""
    shell.write("seamless.yaml", "- persistent: false\n")
    assert shell.run("seamless-run", "-c", "echo x", cache=False).stderr == b""


def test_without_configuration_the_nearest_project_file_above_is_named(shell, runs):
    shell.write("seamless.yaml", "- project: p\n")
    (shell.folder / "deep" / "deeper").mkdir(parents=True)
    done = shell.run("seamless-run", "-c", runs.counted("echo x"), cache=False, cwd="deep/deeper")
    assert done.returncode == 1
    assert (
        f"hint:  {shell.folder}/seamless.yaml does not count here: cd {shell.folder}\n".encode()
        in done.stderr
    )
    assert runs.n_runs == 0


def test_a_project_file_that_asks_for_a_cluster_is_not_ignored(shell, runs):
    shell.write("seamless.profile.yaml", "- cluster: alps\n")
    done = shell.run("seamless-run", "-c", runs.counted("echo x"), cache=False)
    assert done.returncode == 1
    assert b"cluster: alps" in done.stderr
    assert runs.n_runs == 0


@pytest.mark.parametrize(("clients", "code"), [("{}", 0), ('{"buffer": [{"url": "http://127.0.0.1:1"}]}', 1)])
def test_a_list_of_services_that_cannot_be_used_is_not_ignored(shell, clients, code):
    done = shell.run(
        "seamless-run", "echo", "x", environment={"SEAMLESS_REMOTE_CLIENTS": clients}, cache=False
    )
    assert done.returncode == code
    assert (b"ForwardedClientsInvalid" in done.stderr) == bool(code)


def test_a_stage_block_counts_only_in_its_stage(shell):
    shell.write("seamless.profile.yaml", "- execution: process\n- stage far:\n  - execution: remote\n")
    assert shell.answer("seamless-run", "echo", "x", cache=False) == b"x\n"
    assert shell.run("seamless-run", "--stage", "far", "echo", "x", cache=False).returncode == 1


# ---- words and inputs


@pytest.mark.invariant("I-105")
def test_words_are_quoted_faithfully(shell):
    words = [
        "a b",
        "$HOME",
        "*",
        "'",
        '"',
        "\\",
        ";",
        "|",
        "\n",
        "é☃",
        "~",
        "{a,b}",
        "#",
        "-n",
        "`x`",
        "!",
        "&",
        "",
    ]
    printed = shell.answer("seamless-run", "-g1", "printf", "%s\\0", *words)
    assert printed == b"".join(word.encode() + b"\0" for word in words)


def test_a_file_with_a_blank_in_its_name_is_an_input(shell):
    shell.write("a b.txt", "s\n")
    assert shell.answer("seamless-run", "cat", "a b.txt") == b"s\n"


def test_an_input_redirect_brings_its_file(shell, alpha):
    assert shell.answer("seamless-run", "-c", "tr a-z A-Z < a.txt") == b"ALPHA\n"
    assert set(shell.files()) == {"a.txt"}


def test_an_input_redirect_of_a_loop_brings_its_file(shell, alpha):
    assert shell.answer("seamless-run", "-c", 'while read x; do echo "<$x>"; done < a.txt') == b"<alpha>\n"


def test_an_input_redirect_is_mapped_like_a_word(shell):
    shell.write("sub/a.txt", "alpha\n")
    assert shell.answer("seamless-run", "-ms", "-c", "cat - < sub/a.txt") == b"alpha\n"


def test_a_missing_input_redirect_is_named(shell):
    done = shell.run("seamless-run", "-c", "cat < nothing.txt")
    assert done.returncode == 1
    assert b"'nothing.txt'" in done.stderr


def test_a_here_document_is_no_result(shell):
    assert shell.answer("seamless-run", "-c", "cat <<EOF | tr a-z A-Z\nhi $((1+1))\nEOF\n") == b"HI 2\n"
    assert not shell.files()


def test_a_script_in_a_pipeline_is_made_executable(shell, alpha):
    shell.write("up.sh", "#!/bin/bash\ntr a-z A-Z\n")
    assert shell.answer("seamless-run", "-c", "cat a.txt | ./up.sh") == b"ALPHA\n"


def test_an_absolute_system_tool_is_a_value(shell, alpha):
    assert shell.answer("seamless-run", "/bin/cat", "a.txt") == b"alpha\n"


def test_a_device_is_no_input(shell, alpha):
    assert shell.answer("seamless-run", "cat", "a.txt", "/dev/null") == b"alpha\n"


def test_primary_chooses_the_command_whose_words_are_mapped(shell, alpha):
    shell.write("sub/b.txt", "beta\n")
    line = "echo a.txt; cat sub/b.txt"
    assert shell.answer("seamless-run", "--primary", "2", "-ms", "-c", line) == b"a.txt\nbeta\n"


def test_inputs_are_listed_in_a_file_relative_to_it(shell, alpha):
    shell.write("sub/list", "b.txt\n\n../a.txt\n")
    shell.write("sub/b.txt", "beta\n")
    assert (
        shell.answer("seamless-run", "-I", "sub/list", "-c", "cat sub/b.txt a.txt 2>&1") == b"beta\nalpha\n"
    )


def test_a_directory_reaches_the_command_whole(shell):
    shell.write("d/x", "1")
    shell.write("d/sub/y", "2")
    assert shell.answer("seamless-run", "-c", "find d -type f | sort") == b"d/sub/y\nd/x\n"


@pytest.mark.parametrize(
    ("name", "compressed", "command", "expected"),
    [
        ("a.txt.gz", gzip.compress(b"alpha\n"), ["zcat", "a.txt.gz"], b"alpha\n"),
        ("a.txt.zst", zstandard.compress(b"alpha\n"), ["head", "-c", "4", "a.txt.zst"], b"\x28\xb5\x2f\xfd"),
    ],
)
@pytest.mark.parametrize("cache", [True, False])
def test_a_compressed_input_arrives_compressed(shell, cache, name, compressed, command, expected):
    shell.write("seamless.profile.yaml", "- execution: process\n")
    shell.write(name, compressed)
    assert shell.answer("seamless-run", *command, cache=cache) == expected
    assert shell.files()[name] == compressed


def test_a_compressed_input_has_the_identity_of_its_content(shell, runs):
    shell.write("a.txt.gz", gzip.compress(b"alpha\n", 1))
    arguments = ["seamless-run", "-i", "a.txt.gz", "-c", runs.counted("zcat a.txt.gz")]
    shell.answer(*arguments)
    shell.write("a.txt.gz", gzip.compress(b"alpha\n", 9))
    assert shell.answer(*arguments) == b"alpha\n"
    assert runs.n_runs == 1


def test_a_directory_and_a_file_of_it_may_both_be_inputs(shell):
    shell.write("d/x.txt", "1\n")
    assert shell.answer("seamless-run", "-i", "d", "-c", "cat d/x.txt; ls d") == b"1\nx.txt\n"


# ---- sidecar files


def test_a_file_that_is_gone_is_found_by_its_sidecar(shell, alpha):
    shell.answer("seamless-run", "-c", "cat a.txt > b.txt")
    alpha.unlink()
    (shell.folder / "b.txt").unlink()
    assert shell.answer("seamless-run", "-c", "tr a-z A-Z < b.txt") == b"ALPHA\n"
    assert shell.answer("seamless-run", "cat", "b.txt") == b"alpha\n"


def test_a_directory_that_is_gone_is_found_by_its_sidecars(shell):
    shell.answer("seamless-run", "-cp", "d", "-c", "mkdir -p d/s; echo 1 > d/x; echo 2 > d/s/y")
    shutil.rmtree(shell.folder / "d")
    assert shell.answer("seamless-run", "-i", "d", "-c", "cat d/x d/s/y; true") == b"1\n2\n"


def test_a_file_that_differs_from_its_sidecar_is_refused(shell, alpha):
    shell.write("a.txt.CHECKSUM", "0" * 64 + "\n")
    done = shell.run("seamless-run", "cat", "a.txt")
    assert done.returncode == 1
    assert b"but the checksums are not the same" in done.stderr
    assert b"Argument #2 'a.txt'" in done.stderr


def test_a_sidecar_that_no_store_can_serve_is_named(shell):
    shell.write("a.txt.CHECKSUM", ALPHA + "\n")
    done = shell.run("seamless-run", "cat", "a.txt")
    assert done.returncode == 1
    assert f"seamless.CacheMissError: {ALPHA}".encode() in done.stderr


# ---- results


def test_bytes_are_bytes_on_standard_output(shell):
    command = r"printf '\n\n\xff\x00\n\n\n'"
    assert shell.answer("seamless-run", "-c", command) == b"\n\n\xff\x00\n\n\n"
    assert shell.answer("seamless-run", "-c", command) == b"\n\n\xff\x00\n\n\n"


def test_a_redirect_makes_a_file_and_its_sidecar(shell, runs):
    command = runs.counted("echo alpha > out.txt")
    shell.answer("seamless-run", "-c", command)
    expected = {"out.txt": b"alpha\n", "out.txt.CHECKSUM": f"{ALPHA}\n".encode()}
    assert shell.files() == expected
    (shell.folder / "out.txt").unlink()
    shell.write("out.txt.CHECKSUM", "")
    shell.answer("seamless-run", "-c", command)
    assert shell.files() == expected
    assert runs.n_runs == 1


def test_a_redirect_into_a_new_folder_works(shell, alpha):
    shell.answer("seamless-run", "-c", "cat a.txt > new/deep/out.txt")
    assert shell.files()["new/deep/out.txt"] == b"alpha\n"


def test_a_redirect_into_a_folder_that_the_command_makes_works(shell, alpha):
    shell.answer("seamless-run", "-c", "mkdir new; echo x > new/out.txt")
    assert shell.files()["new/out.txt"] == b"x\n"


def test_a_redirect_into_a_folder_that_is_an_input_keeps_the_identity(shell):
    shell.write("sub/in.txt", "x\n")
    shell.answer("seamless-run", "--dry", "-j", "job", "-c", "cat sub/in.txt > sub/out.txt")
    assert (
        shell.files()["job/command.txt"]
        == b"mkdir -p RESULT/sub\ncat sub/in.txt > sub/out.txt\nmv sub/out.txt RESULT/sub\n"
    )


def test_output_to_dev_null_is_no_result(shell):
    assert shell.answer("seamless-run", "-c", "echo x > /dev/null") == b""
    assert not shell.files()


def test_a_duplicated_descriptor_is_no_second_result(shell):
    shell.answer("seamless-run", "-c", "{ echo x; echo y >&2; } > out.txt 2>&1")
    assert shell.files()["out.txt"] == b"x\ny\n"


def test_a_result_name_with_a_blank_works(shell):
    shell.answer("seamless-run", "-c", "echo x > 'o x.txt'")
    assert shell.files()["o x.txt"] == b"x\n"


@pytest.mark.parametrize("command", ["echo x > $HOME/y", "echo x > $Y", "echo x > ../y", "echo x > a > b"])
def test_a_redirect_that_cannot_be_a_result_is_refused_before_it_runs(shell, runs, command):
    done = shell.run("seamless-run", "-c", runs.counted(command))
    assert done.returncode == 1
    assert b"ERROR: " in done.stderr
    assert runs.n_runs == 0


def test_a_capture_may_have_another_name_outside(shell):
    shell.answer("seamless-run", "-cp", "o:sub/local", "-cp", ":std.txt", "-c", "echo 1 > o; echo 2")
    files = shell.files()
    assert (files["sub/local"], files["std.txt"]) == (b"1\n", b"2\n")


def test_a_captured_directory_comes_with_its_index(shell):
    shell.answer("seamless-run", "-cp", "d/", "-c", "mkdir -p d/s; echo 1 > d/x; echo 2 > d/s/y")
    files = shell.files()
    assert (files["d/x"], files["d/s/y"]) == (b"1\n", b"2\n")
    index = json.loads(files["d.INDEX"])
    assert index == {name: hashlib.sha256(files[f"d/{name}"]).hexdigest() for name in ("s/y", "x")}
    assert files["d.CHECKSUM"].decode() == hashlib.sha256(files["d.INDEX"]).hexdigest() + "\n"


@pytest.mark.parametrize("cache", [True, False])
def test_a_file_may_be_input_and_result(shell, cache):
    shell.write("seamless.profile.yaml", "- execution: process\n")
    shell.write("a.txt", "2\n1\n")
    stored = shell.answer("seamless-run", "cat", "a.txt", cache=cache)
    shell.answer("seamless-run", "-cp", "a.txt", "sort", "-o", "a.txt", "a.txt", cache=cache)
    assert (stored, shell.files()["a.txt"]) == (b"2\n1\n", b"1\n2\n")
    shell.write("a.txt", "2\n1\n")
    (shell.folder / "a.txt.CHECKSUM").unlink()
    assert shell.answer("seamless-run", "cat", "a.txt", cache=cache) == b"2\n1\n"


def test_a_result_that_is_missing_fails_with_the_name(shell):
    done = shell.run("seamless-run", "-cp", "never", "-c", "echo x")
    assert done.returncode != 0
    assert b"never" in done.stderr
    assert not shell.files()


def test_existing_files_with_the_same_content_are_left(shell):
    shell.answer("seamless-run", "-c", "echo x > o.txt")
    before = (shell.folder / "o.txt").stat()
    shell.answer("seamless-run", "-c", "echo x > o.txt")
    shell.answer("seamless-run", "-c", "printf 'x\\n' > o.txt")
    after = (shell.folder / "o.txt").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_no_download_writes_the_sidecar_only(shell):
    shell.answer("seamless-run", "-nd", "-c", "echo alpha > out.txt")
    assert shell.files() == {"out.txt.CHECKSUM": f"{ALPHA}\n".encode()}


def test_scratch_keeps_no_content_and_fingertip_brings_it_back(shell, runs):
    command = runs.counted("echo alpha > out.txt")
    shell.answer("seamless-run", "--scratch", "-c", command)
    assert not shell.files()
    refused = shell.run("seamless-run", "-c", command)
    assert refused.returncode == 1
    assert b"--fingertip" in refused.stderr
    assert runs.n_runs == 1
    shell.answer("seamless-run", "--fingertip", "-c", command)
    assert shell.files()["out.txt"] == b"alpha\n"
    assert runs.n_runs == 2


# ---- what is said


def test_standard_error_of_a_successful_command_is_shown(shell):
    done = shell.run("seamless-run", "-c", "echo warn >&2; echo fine")
    assert (done.returncode, done.stdout) == (0, b"fine\n")
    assert done.stderr == b"warn\n"


def test_quiet_command_shows_its_standard_error_only_when_it_fails(shell):
    good = shell.run("seamless-run", "--quiet-command", "-c", "echo warn >&2; echo fine")
    assert (good.stdout, good.stderr) == (b"fine\n", b"")
    bad = shell.run("seamless-run", "--quiet-command", "-c", "echo why >&2; exit 4")
    assert bad.returncode == 4
    assert b"why" in bad.stderr


@pytest.mark.parametrize(
    ("command", "code"), [("exit 7", 7), ("nosuchcommand", 127), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
)
def test_the_exit_code_of_the_command_is_passed_on(shell, command, code):
    done = shell.run("seamless-run", "-c", command)
    assert done.returncode == code
    assert b"Error: Return code" in done.stderr


def test_verbose_says_hit_or_miss_with_checksums_and_place(shell):
    first = shell.run("seamless-run", "-v", "echo", "hi").stderr.decode()
    second = shell.run("seamless-run", "-v", "echo", "hi").stderr.decode()
    assert "miss: step 4ad251bcba741d0c10b72f20d2cd70e18575cc84d8cd19080a149ce24d18278e" in first
    assert "hit: step 4ad251bcba741d0c10b72f20d2cd70e18575cc84d8cd19080a149ce24d18278e" in second
    assert str(shell.cache) in second


def test_only_inputs_that_the_store_lacks_are_uploaded(shell, alpha):
    first = shell.run("seamless-run", "cat", "a.txt")
    second = shell.run("seamless-run", "wc", "a.txt")
    assert b"Upload 1 files, total 6.00 B" in first.stderr
    assert b"Upload" not in second.stderr


def test_a_docker_image_is_not_ignored_silently(shell):
    assert b"outside of containers" in shell.run("seamless-run", "--docker", "img:1", "echo", "x").stderr


def test_no_command_prints_the_usage(shell):
    done = shell.run("seamless-run")
    assert done.returncode == 1
    assert done.stdout.startswith(b"usage: seamless-run")


def test_help_and_version(shell):
    assert b"examples:" in shell.answer("seamless-run", "--help")
    assert shell.answer("seamless-run", "--version").startswith(b"seamless-run 2")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense", "echo"],
        ["-ms", "-mx", "echo"],
        ["-y", "-n", "echo"],
        ["-w", "d", "-W", "echo"],
        ["--primary", "x", "echo"],
        ["--stag", "s", "echo"],
    ],
)
def test_wrong_usage_exits_with_2(shell, arguments):
    done = shell.run("seamless-run", *arguments)
    assert done.returncode == 2
    assert b"usage:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-c", "cat a.txt |"], "syntax"),
        (["-c", "echo 'x"], "syntax"),
        (["-c", ""], "no command"),
        (["-c", "x", "y"], "single argument"),
        (["-w", "nodir", "echo"], "nodir"),
        (["-I", "nolist", "echo"], "nolist"),
        (["--primary", "3", "-c", "echo a; echo b"], "2 commands"),
        (["--primary", "0", "echo"], "counted from 1"),
        (["--metavar", "A=1", "--var", "A=2", "echo"], "'A'"),
        (["--var", "A=1", "--var", "A=2", "echo"], "different values"),
        (["--node", "n1", "echo"], "daskserver"),
        (["--force", "echo"], "seamless-probe"),
        (["--undo", "echo"], "Undo"),
        (["cat", "../x.txt"], "Argument #2"),
        (["ls", "."], "working directory itself"),
        (["-cp", "", "echo"], "--capture"),
        (["-cp", "/abs", "echo"], "/abs"),
        (["-cp", "../up", "echo"], "../up"),
    ],
)
def test_every_mistake_gets_a_message_and_no_traceback(shell, arguments, text):
    done = shell.run("seamless-run", *arguments)
    stderr = done.stderr.decode()
    assert done.returncode == 1
    assert "ERROR: " in stderr
    assert text in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("name", ["code", "RESULT", "__x"])
def test_an_input_with_a_reserved_name_is_refused(shell, name):
    shell.write(name, "x")
    done = shell.run("seamless-run", "-g2", "cat", name)
    assert done.returncode == 1
    assert name.encode() in done.stderr


def test_two_files_with_one_name_are_refused_under_strip(shell):
    shell.write("p/a.txt", "1")
    shell.write("q/a.txt", "2")
    done = shell.run("seamless-run", "-ms", "cat", "p/a.txt", "q/a.txt")
    assert done.returncode == 1
    assert b"Two different mappings for argument 'a.txt'" in done.stderr
    assert shell.answer("seamless-run", "-mx", "cat", "p/a.txt", "q/a.txt") == b"12"


# ---- variables


def test_a_variable_counts_and_a_metavariable_does_not(shell, runs):
    command = ["-c", runs.counted('echo "$X"')]
    assert shell.answer("seamless-run", "--var", "X=a b", *command) == b"a b\n"
    assert shell.answer("seamless-run", "--var", "X=c", *command) == b"c\n"
    assert runs.n_runs == 2
    assert shell.answer("seamless-run", "--metavar", "X=a", *command) == b"a\n"
    assert shell.answer("seamless-run", "--metavar", "X=c", *command) == b"a\n"
    assert runs.n_runs == 3


def test_a_prologue_runs_before_the_command(shell):
    assert shell.answer("seamless-run", "--prologue", "export Q=7", "-c", "echo $Q") == b"7\n"


# ---- dry runs


def test_dry_runs_nothing_and_keeps_nothing(shell, runs):
    done = shell.run("seamless-run", "--dry", "-c", runs.counted("echo x"))
    assert (done.returncode, done.stdout) == (0, b"")
    assert runs.n_runs == 0


def test_dry_with_upload_stores_what_the_step_needs(shell, alpha, runs):
    shell.answer(
        "seamless-run", "--dry", "--upload", "-j", "job", "-i", "a.txt", "-c", runs.counted("cat a.txt")
    )
    assert set(shell.files()) == {"a.txt", "job/transformation.json.CHECKSUM"}
    assert runs.n_runs == 0
    alpha.unlink()
    result = shell.answer("seamless-run-transformation", "job/transformation.json.CHECKSUM").decode().strip()
    assert result == ALPHA
    assert runs.n_runs == 1


def test_a_job_directory_is_never_overwritten(shell):
    shell.write("job/x", "mine")
    done = shell.run("seamless-run", "--dry", "-j", "job", "echo", "x")
    assert done.returncode == 1
    assert shell.files() == {"job/x": b"mine"}


def test_direct_print_travels_beside_the_identity(shell):
    plain = shell.answer("seamless-run", "--dry", "-j", "j1", "echo", "hi")
    direct = shell.answer("seamless-run", "--dry", "-j", "j2", "--direct-print", "--local", "echo", "hi")
    assert plain == direct
    assert json.loads(shell.files()["j2/dunder.json"]) == {"__meta__": {"__direct_print__": True}}


def test_the_example_in_the_shell_computes_each_step_once(shell):
    example = Path(__file__).parents[4] / "examples" / "shell_pipeline.sh"
    first, second = (shell.run("bash", str(example)) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout == second.stdout
    assert [first.stderr.count(b"miss: "), first.stderr.count(b"hit: ")] == [4, 0]
    assert [second.stderr.count(b"miss: "), second.stderr.count(b"hit: ")] == [0, 4]


# ---- flags that the other tests leave out


def test_large_uploads_are_confirmed(shell, runs):
    shell.write("a.txt", "1\n")
    limit = {"SEAMLESS_MAX_UPLOAD_FILES": "0"}
    arguments = ["-i", "a.txt", "-c", runs.counted("cat a.txt")]
    refused = [shell.run("seamless-run", *no, *arguments, environment=limit) for no in ([], ["-n"])]
    assert [done.returncode for done in refused] == [1, 1]
    assert all(b"Cannot confirm upload of 1 files, total 2.00 B. Exiting." in done.stderr for done in refused)
    assert runs.n_runs == 0
    assert shell.answer("seamless-run", "-y", *arguments, environment=limit) == b"1\n"


def test_large_downloads_are_confirmed(shell, runs):
    command = ["-c", runs.counted("echo 1 > o.txt")]
    refused = shell.run("seamless-run", *command, environment={"SEAMLESS_MAX_DOWNLOAD_SIZE": "1 B"})
    assert refused.returncode == 1
    assert b"Cannot confirm download of 1 files" in refused.stderr
    assert "o.txt" not in shell.files()
    shell.answer("seamless-run", "-y", *command, environment={"SEAMLESS_MAX_DOWNLOAD_SIZE": "1 B"})
    assert shell.files()["o.txt"] == b"1\n"
    assert runs.n_runs == 1


def test_a_conda_environment_is_activated_and_is_no_part_of_the_identity(shell, runs, tmp_path):
    script = tmp_path / "conda" / "etc" / "profile.d" / "conda.sh"
    script.parent.mkdir(parents=True)
    script.write_text('conda() { export ACTIVE="$1 $2"; }\n')
    command = ["-c", runs.counted("echo ${ACTIVE:-none}")]
    environment = {"CONDA_ROOT": str(tmp_path / "conda")}
    assert (
        shell.answer("seamless-run", "--conda", "env1", *command, environment=environment)
        == b"activate env1\n"
    )
    assert shell.answer("seamless-run", *command) == b"activate env1\n"
    assert runs.n_runs == 1


def test_quiet_says_nothing(shell):
    shell.write("a.txt", "1\n")
    assert shell.run("seamless-run", "-q", "cat", "a.txt").stderr == b""


def test_each_v_says_more(shell):
    said = [
        len(shell.run("seamless-run", *flags, "--dry", "echo").stderr) for flags in ([], ["-v"], ["-vvv"])
    ]
    assert said == sorted(said)
    assert said[0] == 0
    assert said[2] > said[1] > 0


def test_inputs_may_lie_anywhere_below_another_directory(shell):
    shell.write("../outer.txt", "o\n")
    assert shell.answer("seamless-run", "-w", "..", "cat", "../outer.txt") == b"o\n"
    assert shell.answer("seamless-run", "-W", "cat", "../outer.txt") == b"o\n"


def test_a_remote_job_directory_needs_another_machine(shell):
    done = shell.run("seamless-run", "--dry", "--write-remote-job", "d", "echo", "x")
    assert done.returncode == 1
    assert b"--write-remote-job" in done.stderr


def test_local_changes_nothing_where_steps_run_here_anyway(shell, runs):
    command = ["-c", runs.counted("echo x")]
    assert shell.answer("seamless-run", "--local", *command) == b"x\n"
    assert shell.answer("seamless-run", *command) == b"x\n"
    assert runs.n_runs == 1
