"""Run first_steps.py four times on one new cache, each time in a new process, and show what is computed.

python demo.py [--keep]
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = Path(__file__).with_name("first_steps.py")
RUNS = (
    ((), "A new cache: every step is computed."),
    ((), "Once more, in another process: nothing is computed."),
    (("--edit", "GPL-3"), "One licence changed: only its own steps and the comparison are computed."),
    ((), "Changed back: everything is found again."),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="See what is computed and what is found in the cache.")
    parser.add_argument("--keep", action="store_true", help="leave the cache where it is")
    keep = parser.parse_args().keep
    cache = Path(tempfile.mkdtemp(prefix="seamless-demo-"))
    try:
        for arguments, comment in RUNS:
            print(f"\n# {comment}")
            print(
                f"$ SEAMLESS_CACHE={cache} python {PROGRAM.name} {shlex.join(arguments)}".rstrip(), flush=True
            )
            subprocess.run(
                [sys.executable, PROGRAM, *arguments],
                env={**os.environ, "SEAMLESS_CACHE": str(cache)},
                check=True,
            )
        files = [path for path in cache.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        print(f"\nThe cache is {cache}: {len(files)} files, {size / 1000:.0f} kB.", end=" ")
        print("It stays there." if keep else "It is removed now; --keep leaves it.")
    except subprocess.CalledProcessError as exc:
        print(f"error: {PROGRAM.name} ended with exit code {exc.returncode}", file=sys.stderr)
        return 1
    finally:
        if not keep:
            shutil.rmtree(cache)
    return 0


if __name__ == "__main__":
    sys.exit(main())
