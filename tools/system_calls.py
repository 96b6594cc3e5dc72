"""Count the system calls that a piece of Python code makes, with strace.

Only what happens between two marks counts, so that start-up and imports stay out of it. Threads and child
processes count. Linux only, and only where strace may trace.
"""

from __future__ import annotations

import collections
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ("FILE_CALLS", "TracingUnavailable", "count_system_calls")

FILE_CALLS = frozenset(
    """
    access faccessat faccessat2 open openat openat2 close read pread64 readv preadv preadv2 write pwrite64 writev
    pwritev pwritev2 sendfile copy_file_range stat lstat fstat newfstatat statx statfs fstatfs lseek getdents64 getcwd
    mkdir mkdirat rmdir rename renameat renameat2 link linkat symlink symlinkat readlink readlinkat unlink unlinkat
    chmod fchmod fchmodat utimensat truncate ftruncate fallocate fcntl flock ioctl
    fsync fdatasync syncfs sync_file_range sync
    """.split()  # noqa: SIM905
)
"""What touches a file, a directory or an open descriptor."""

_BEGIN, _END = "/seamless-count-begins", "/seamless-count-ends"
_CALL = re.compile(r"^(?:\d+ +)?(?:<\.\.\. )?([a-z_0-9]+)\(")


class TracingUnavailable(RuntimeError):
    """strace is missing, or may not trace here.

    Remedy: apt-get install strace; in a container, allow ptrace.
    """


def count_system_calls(
    prepare: str,
    run: str,
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 30.0,
) -> dict[str, int]:
    """Run `prepare`, then `run`, in one fresh interpreter; return call -> number during `run`.

    folder: the working directory of the program; the trace is written there too.
    A call that never happened is not in the result. `files` is the sum of all calls in FILE_CALLS.
    """
    strace = shutil.which("strace")
    if strace is None:
        raise TracingUnavailable("strace is not on PATH (apt-get install strace)")
    trace = folder / "system-calls.trace"
    program = f"import os\n{prepare}\nos.access({_BEGIN!r}, 0)\n{run}\nos.access({_END!r}, 0)\n"
    probe = subprocess.run(
        [strace, "-o", os.devnull, "true"], capture_output=True, text=True, timeout=timeout_s
    )
    if probe.returncode != 0:
        raise TracingUnavailable(f"strace may not trace here: {probe.stderr.strip()}")
    subprocess.run(
        [strace, "-f", "-qq", "-o", str(trace), sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        timeout=timeout_s,
        check=True,
    )
    counts: collections.Counter[str] = collections.Counter()
    counting = False
    for line in trace.read_text(errors="replace").splitlines():
        if _BEGIN in line and "access" in line:
            counting = True
        elif _END in line and "access" in line:
            counting = False
        elif counting and (match := _CALL.match(line)):
            counts[match[1]] += 1
    return {**counts, "files": sum(counts[name] for name in FILE_CALLS)}
