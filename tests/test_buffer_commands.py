"""seamless-resolve and seamless-fingertip: exact bytes, terminals, misses, recomputation, exit codes."""

from __future__ import annotations

import errno
import io
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from seamless import Buffer, Checksum
from seamless.embedded import open_embedded
from seamless_remote import buffer_command

COMMANDS = ("seamless-resolve", "seamless-fingertip")
BINARY = bytes(range(256)) * 40
ABSENT = "ab" * 32


@pytest.fixture(params=["services", "cache"])
def keeper(request, tmp_path):
    """A shell, and a function that stores a buffer where its commands look."""
    if request.param == "services":
        shell = request.getfixturevalue("shell")
        services = request.getfixturevalue("services")

        def store(content: bytes) -> str:
            checksum = Buffer(content).get_checksum().hex()
            path = services.buffers_path / checksum[:2] / checksum
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            return checksum

        return shell, store
    cache = tmp_path / "cache"
    shell = request.getfixturevalue("make_shell")({"SEAMLESS_CACHE": str(cache)})

    def store_embedded(content: bytes) -> str:
        active = open_embedded(cache)
        buffer = Buffer(content)
        active.buffers.put(buffer)
        active.close()
        return buffer.get_checksum().hex()

    return shell, store_embedded


def in_terminal(shell, *argv: str) -> tuple[int, bytes, bytes]:
    """Run the command with a terminal as standard output; return code, what it shows, and standard error."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        argv, cwd=shell.folder, env=shell.environment, stdout=follower, stderr=subprocess.PIPE
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError as exc:
            if exc.errno != errno.EIO:
                raise
            break
        if not piece:
            break
        shown += piece
    err = process.communicate(timeout=30)[1]
    os.close(leader)
    return process.returncode, shown, err


@pytest.mark.parametrize("command", COMMANDS)
def test_the_bytes_are_printed_exactly_or_written_into_a_file(keeper, command):
    shell, store = keeper
    for content in (BINARY, b"no final newline", b"two\n\n", b"x" * 100_000):
        checksum = store(content)
        assert shell.answer(command, checksum) == content
        assert shell.answer(command, checksum, "--output", "out") == b""
        assert (shell.folder / "out").read_bytes() == content
    assert [path.name for path in shell.folder.iterdir()] == ["out"]


@pytest.mark.invariant("I-174")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_large_buffer_passes_whole(keeper, command):
    shell, store = keeper
    content = os.urandom(1 << 20) * 40
    checksum = store(content)
    assert shell.answer(command, checksum) == content
    shell.answer(command, checksum, "--output", "out")
    assert (shell.folder / "out").read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"{}\n"])
def test_trivial_buffers_are_nowhere_and_known_all_the_same(keeper, content):
    shell, _ = keeper
    checksum = Buffer(content).get_checksum().hex()
    assert shell.answer("seamless-resolve", checksum) == content
    assert shell.answer("seamless-fingertip", checksum) == content


def test_a_file_may_stand_for_its_checksum(keeper):
    shell, store = keeper
    checksum = store(b"by name")
    (shell.folder / "x.CHECKSUM").write_text(f"# of x\n\n{checksum}\n")
    assert shell.answer("seamless-resolve", "x.CHECKSUM") == b"by name"
    assert shell.answer("seamless-resolve", "x") == b"by name"
    assert shell.answer("seamless-resolve", checksum.upper()) == b"by name"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_word_that_is_no_checksum_is_an_error_that_says_what_is_expected(keeper, command):
    shell, _ = keeper
    (shell.folder / "broken.CHECKSUM").write_text("not a checksum\n")
    for word in ("nonsense", "broken", "ab" * 31):
        done = shell.run(command, word)
        assert done.returncode == 1
        assert b"checksum" in done.stderr
        assert b"Traceback" not in done.stderr


def test_resolve_of_a_missing_buffer_says_where_it_looked_and_what_to_do(keeper):
    shell, _ = keeper
    done = shell.run("seamless-resolve", ABSENT, "--output", "out")
    assert (done.returncode, done.stdout) == (1, b"")
    err = done.stderr.decode()
    assert f"CacheMissError: {ABSENT}" in err
    assert f"seamless-fingertip {ABSENT}" in err
    assert "http://" in err or "cache/__TOPLEVEL__" in err
    assert list(shell.folder.iterdir()) == []


def test_fingertip_of_a_buffer_that_no_step_made_says_so(keeper):
    shell, _ = keeper
    done = shell.run("seamless-fingertip", ABSENT)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"no step is known that made it" in done.stderr


@pytest.mark.parametrize(
    ("command", "verb"), [("seamless-resolve", "resolve"), ("seamless-fingertip", "fingertip")]
)
def test_without_any_store_the_error_is_the_documented_one(make_shell, command, verb):
    done = make_shell({}).run(command, ABSENT)
    assert done.returncode == 1
    assert f"Cannot {verb} without a cluster defined" in done.stderr.decode()


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_usage_is_2_and_a_bad_scope_is_1(keeper, command):
    shell, _ = keeper
    assert shell.run(command).returncode == 2
    assert shell.run(command, "--no-such-option", ABSENT).returncode == 2
    done = shell.run(command, ABSENT, "--project", "a:")
    assert done.returncode == 1
    assert b"empty part" in done.stderr


def test_an_output_that_cannot_be_written_fails_before_the_transfer(keeper):
    shell, store = keeper
    checksum = store(b"x" * 50_000)
    (shell.folder / "folder").mkdir()
    for output in ("no/such/place", "folder"):
        done = shell.run("seamless-resolve", checksum, "--output", output)
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr
    assert [path.name for path in shell.folder.iterdir()] == ["folder"]


def test_the_former_file_stays_when_the_buffer_is_missing(keeper):
    shell, _ = keeper
    (shell.folder / "out").write_text("former")
    assert shell.run("seamless-resolve", ABSENT, "--output", "out").returncode == 1
    assert (shell.folder / "out").read_text() == "former"


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_service_that_is_gone_is_4_and_named(shell, services, command):
    services.hashserver.kill()
    done = shell.run(command, ABSENT)
    assert done.returncode == 4
    err = done.stderr.decode()
    assert services.hashserver.url in err
    assert "hint:" in err
    assert "Traceback" not in err


def test_bad_clients_are_an_error_and_not_ignored(make_shell):
    done = make_shell({"SEAMLESS_REMOTE_CLIENTS": "{"}).run("seamless-resolve", ABSENT)
    assert done.returncode == 1
    assert b"SEAMLESS_REMOTE_CLIENTS is no JSON" in done.stderr


def test_a_damaged_buffer_counts_as_missing(shell, services):
    checksum = Buffer(b"true content").get_checksum().hex()
    path = services.buffers_path / checksum[:2] / checksum
    path.parent.mkdir()
    path.write_bytes(b"FALSE content")
    done = shell.run("seamless-resolve", checksum)
    assert done.returncode == 1
    assert done.stdout == b""


# Terminals


def test_a_terminal_shows_text_as_it_is(keeper):
    shell, store = keeper
    checksum = store("größer\n\tand \x1b[1mbold\x1b[0m\n".encode())
    code, shown, _ = in_terminal(shell, "seamless-resolve", checksum)
    assert code == 0
    assert shown.decode().replace("\r\n", "\n") == "größer\n\tand \x1b[1mbold\x1b[0m\n"


@pytest.mark.parametrize("content", [BINARY, b"zero\0byte", b"\xff\xfe"])
def test_a_terminal_is_spared_what_is_no_text(keeper, content):
    shell, store = keeper
    code, shown, err = in_terminal(shell, "seamless-resolve", store(content))
    assert (code, shown) == (1, b"")
    assert b"--output FILE" in err


@pytest.mark.parametrize(
    ("content", "is_text"),
    [(b"", True), (b"a\n", True), ("é".encode(), True), (b"\xe9", False), (b"a\0", False)],
)
def test_what_counts_as_text(content, is_text):
    assert buffer_command._is_text(content) == is_text


def test_a_terminal_shows_how_far_a_slow_transfer_is(monkeypatch, tmp_path):
    from seamless_command import progress
    from seamless_command.messages import Messages

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    class SlowStore:
        def length(self, checksum):
            return 100

        def path(self, checksum):
            return None

        def download(self, checksum, path, advance):
            for _ in range(10):
                advance(10)
            Path(path).write_bytes(bytes(100))
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(progress, "DELAY_S", 0.0)
    checksum = Checksum(ABSENT)
    assert buffer_command.deliver(checksum, SlowStore(), str(tmp_path / "out"), Messages("test"))  # type: ignore[arg-type]
    assert ABSENT[:12] in shown.getvalue()
    assert "100" in shown.getvalue()


# Fingertips

SCRATCH = """
    from seamless.transformer import delayed
    step = delayed("print('loud'); result = 'number ' + str(a)")
    step.celltypes.a = "int"
    step.celltypes.result = "text"
    step.scratch = True
    print(step(a={a}).compute().hex())
"""


def compute(shell, code: str) -> str:
    import textwrap

    done = shell.run(sys.executable, "-c", textwrap.dedent(code))
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()[-1]


def test_a_scratch_result_is_computed_again_and_only_the_buffer_is_printed(keeper):
    shell, _ = keeper
    checksum = compute(shell, SCRATCH.format(a=7))
    assert shell.run("seamless-resolve", checksum).returncode == 1
    done = shell.run("seamless-fingertip", checksum)
    assert (done.returncode, done.stdout) == (0, b"number 7\n"), done.stderr
    assert b"running step" in done.stderr
    shell.answer("seamless-fingertip", checksum, "--output", "out")
    assert (shell.folder / "out").read_bytes() == b"number 7\n"
    assert shell.run("seamless-resolve", checksum).returncode == 1  # it was not stored


def test_what_a_command_prints_does_not_mix_with_the_buffer(keeper):
    shell, _ = keeper
    code = """
        from seamless.transformer import delayed
        step = delayed("echo loud; echo quiet > RESULT", language="bash")
        step.celltypes.result = "text"
        step.scratch = True
        print(step().compute().hex())
    """
    checksum = compute(shell, code)
    done = shell.run("seamless-fingertip", checksum)
    assert (done.returncode, done.stdout) == (0, b"quiet\n"), done.stderr


def test_missing_inputs_are_computed_too(keeper):
    shell, _ = keeper
    code = """
        from seamless.transformer import delayed
        inner = delayed("a * 1000")
        inner.celltypes.a = "str"
        inner.scratch = True
        outer = delayed("a + '!'")
        outer.celltypes.a = "mixed"
        outer.celltypes.result = "text"
        outer.scratch = True
        print(outer(a=inner(a="xy")).compute().hex())
    """
    checksum = compute(shell, code)
    assert shell.answer("seamless-fingertip", checksum).decode() == "xy" * 1000 + "!\n"


def test_what_was_tried_is_said_with_the_reasons(keeper, tmp_path):
    shell, _ = keeper
    code = """
        from seamless.transformer import delayed
        step = delayed("import os; result = 'a' if not os.path.exists({flag!r}) else {other}")
        step.celltypes.result = "text"
        step.scratch = True
        print(step().compute().hex())
    """
    flag = str(tmp_path / "flag")
    changed = compute(shell, code.format(flag=flag, other="'b'"))
    failing = compute(shell, code.format(flag=flag, other="1 / 0"))
    assert changed == failing
    Path(flag).touch()
    done = shell.run("seamless-fingertip", changed)
    assert (done.returncode, done.stdout) == (1, b"")
    err = done.stderr.decode()
    assert "it is not reproducible" in err
    assert "ZeroDivisionError" in err
    assert err.count("  step ") == 2


def test_the_next_candidate_is_tried_when_one_fails(keeper, tmp_path):
    shell, _ = keeper
    code = """
        from seamless.transformer import delayed
        import sys
        for text in ({first!r}, "result = 'the same'"):
            step = delayed(text)
            step.celltypes.result = "text"
            step.scratch = True
            checksum = step().compute()
        print(checksum.hex())
    """
    flag = str(tmp_path / "flag")
    checksum = compute(
        shell, code.format(first=f"import os; result = 'the same'; assert not os.path.exists({flag!r})")
    )
    Path(flag).touch()
    done = shell.run("seamless-fingertip", checksum, "--verbose")
    assert (done.returncode, done.stdout) == (0, b"the same\n"), done.stderr
    assert b"AssertionError" in done.stderr


@pytest.mark.slow
def test_an_interrupt_ends_the_command_with_130_and_writes_nothing(keeper, tmp_path):
    shell, _ = keeper
    flag = str(tmp_path / "flag")
    code = f"""
        from seamless.transformer import delayed
        code = "import os, time; os.path.exists({flag!r}) and (open({flag!r} + '2', 'w'), time.sleep(60)); "
        step = delayed(code + "result = 'slow'")
        step.celltypes.result = "text"
        step.scratch = True
        print(step().compute().hex())
    """
    checksum = compute(shell, code)
    Path(flag).touch()
    process = subprocess.Popen(
        ["seamless-fingertip", checksum, "--output", "out"],
        cwd=shell.folder,
        env=shell.environment,
        stderr=subprocess.PIPE,
    )
    deadline_s = time.monotonic() + 30
    while not Path(flag + "2").exists():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=30)[1]
    assert process.returncode == 130, err
    assert list(shell.folder.iterdir()) == []


# Start-up


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_and_exit_codes(make_shell, command):
    text = make_shell({}).answer(command, "--help").decode()
    assert "examples:" in text
    assert "exit codes:" in text
    assert make_shell({}).answer(command, "--version").startswith(command.encode())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_a_small_buffer_import_nothing_heavy(keeper, command):
    shell, store = keeper
    checksum = store(b"small")
    shell.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    heavy = {
        "numpy",
        "asyncio",
        "aiohttp",
        "http.client",
        "email",
        "ssl",
        "subprocess",
        "yaml",
        "tqdm",
        "orjson",
    }
    for arguments in (["--help"], [checksum]):
        done = shell.run(command, *arguments)
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
        assert f"seamless_remote.{command.removeprefix('seamless-')}_command" in imported
        assert not imported & heavy
