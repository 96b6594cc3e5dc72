"""Run an interface file that is a program: `NAME.SEAMLESS.py ARGUMENTS` prints one JSON object.

It runs without a shell, without input, for at most a minute, and may print a megabyte.
"""

from __future__ import annotations

from collections.abc import Sequence

from seamless_command.errors import ShellError

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    from typing import Any

__all__ = ("run_interface_script",)

TIME_LIMIT_S = 60.0
OUTPUT_LIMIT_BYTES = 1024 * 1024
STDERR_SHOWN_BYTES = 4096
POLL_S = 0.1  # after its end, a child of the program may keep the pipes open


def run_interface_script(path: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run the program and return the object that it prints. Raises ShellError with what it wrote on standard error."""
    import json
    import sys

    output, errors, code = _run([sys.executable, path, *arguments], path)
    said = errors[-STDERR_SHOWN_BYTES:].decode(errors="replace").rstrip()
    behind = f"\nIt wrote on standard error:\n{said}" if said else "\nIt wrote nothing on standard error."
    shown = " ".join([sys.executable, path, *arguments])
    if code != 0:
        how = f"exited with code {code}" if code > 0 else f"was ended by signal {-code}"
        raise ShellError(f"interface file {path} {how}.{behind}", hint=f"try it: {shown}")
    try:
        content = json.loads(output.decode())
    except ValueError as exc:  # no JSON, or no UTF-8
        raise ShellError(
            f"interface file {path} did not print one JSON object: {exc}. It printed {_start(output)}.{behind}",
            hint=f"try it: {shown}",
        ) from None
    except RecursionError:
        raise ShellError(f"interface file {path} printed JSON that is nested too deeply.") from None
    if not isinstance(content, dict):
        raise ShellError(
            f"interface file {path} did not print a JSON object: {_start(output)}.{behind}",
            hint=f"try it: {shown}",
        )
    return content


def _start(output: bytes) -> str:
    text = output[:120].decode(errors="replace")
    return repr(text) + (" ..." if len(output) > 120 else "") if output else "nothing"


def _run(argv: list[str], path: str) -> tuple[bytes, bytes, int]:
    """Return standard output, standard error and exit code."""
    import os
    import selectors
    import signal
    import subprocess
    import time

    deadline_s = time.monotonic() + TIME_LIMIT_S
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True, bufsize=0
    )
    assert process.stdout is not None
    assert process.stderr is not None
    pieces: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    try:
        with selectors.DefaultSelector() as selector, process.stdout, process.stderr:
            selector.register(process.stdout, selectors.EVENT_READ, "stdout")
            selector.register(process.stderr, selectors.EVENT_READ, "stderr")
            while selector.get_map():
                ready = selector.select(POLL_S)
                for key, _ in ready:
                    piece = os.read(key.fd, 65536)
                    pieces[key.data] += piece
                    if not piece:
                        selector.unregister(key.fileobj)
                if not ready and process.poll() is not None:
                    break
                if max(map(len, pieces.values())) > OUTPUT_LIMIT_BYTES:
                    raise ShellError(
                        f"interface file {path} printed more than {OUTPUT_LIMIT_BYTES} bytes, which no interface needs."
                    )
                if time.monotonic() > deadline_s:
                    raise _too_slow(path)
            try:
                code = process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise _too_slow(path) from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # its own session: the program and its children
            process.wait()
    return bytes(pieces["stdout"]), bytes(pieces["stderr"]), code


def _too_slow(path: str) -> ShellError:
    return ShellError(f"interface file {path} ran for more than {TIME_LIMIT_S:g} s and was stopped.")
