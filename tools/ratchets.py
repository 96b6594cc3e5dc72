"""Measure what may not grow by accident, and compare it with the committed numbers.

`python -m tools.ratchets` writes the present numbers into tests/ratchets.toml: to record a gain, or a
growth that is meant; the difference then shows in review. The numbers do not depend on the machine:
modules that an import brings, lines of a module, public names, exceptions that lack their remedy or test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tools.error_catalogue import catalogue
from tools.public_names import n_public_names
from tools.workspace import ROOT, find_module, modules, read_toml

__all__ = ("FILE", "N_LINES_MAX", "committed", "imported_modules", "main", "measured", "our_modules")

FILE = ROOT / "tests" / "ratchets.toml"
N_LINES_MAX = 400

HEADER = f"""\
# Numbers that may fall, and rise only on purpose: tests/test_ratchets.py. 'make generated' rewrites them.

# imports: modules that an import brings, ours and third-party; the standard library counts apart, since it
#   differs between versions of Python. 'never': modules that it must not bring.
# long_modules: modules of more than {N_LINES_MAX} lines, with their number of lines.
# public_names: names in __all__ of each top-level package.
# system_calls: what the Python code 'run' may call at most; 'prepare' runs before and does not count. 'files' is
#   the sum of all calls that touch files. A write-behind that waits 60 s makes one batch on any machine, fast or slow.
# errors: public exceptions whose docstring has no Remedy line, or that no test provokes.
"""


def committed() -> dict[str, Any]:
    return read_toml(FILE)


def measured(imports: list[str]) -> dict[str, Any]:
    """Return the present numbers, for these imports."""
    return {
        "imports": {name: n for name in imports if (n := _n_modules(name)) is not None},
        "long_modules": {
            module.relative_path: n_lines
            for module in modules()
            if (n_lines := len(module.path.read_text().splitlines())) > N_LINES_MAX
        },
        "public_names": n_public_names(),
        "errors": {
            "without_remedy": [e.name for e in catalogue() if not e.remedy and not e.is_base],
            "without_test": [e.name for e in catalogue() if not e.tests and not e.is_base],
        },
    }


def imported_modules(statement_target: str) -> list[str]:
    """Return the modules that `import statement_target` brings into a fresh interpreter."""
    code = (
        "import json, sys; before = set(sys.modules); "
        f"import {statement_target}; "
        "sys.stdout.write(json.dumps(sorted(set(sys.modules) - before)))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env=environment,
    )
    found: list[str] = json.loads(done.stdout)
    return found


def _n_modules(name: str) -> int | None:
    """Return how many modules, ours and third-party, the import brings; None where it cannot be measured."""
    if find_module(name) is None:
        return None
    try:
        return len(our_modules(imported_modules(name)))
    except subprocess.CalledProcessError as exc:
        print(f"warning: import {name} fails: {exc.stderr.strip()}", file=sys.stderr)
        return None


def our_modules(names: list[str]) -> list[str]:
    """Leave out the standard library."""
    return [name for name in names if name.partition(".")[0] not in sys.stdlib_module_names]


def main() -> int:
    """Write the present numbers."""
    old = committed()
    new = measured(list(old["imports"]))
    lines = [HEADER]
    for name, entry in old["imports"].items():
        never = ", ".join(json.dumps(module) for module in entry["never"])
        lines += [
            f"[imports.{json.dumps(name)}]",
            f"n_modules = {new['imports'].get(name, entry['n_modules'])}",
        ]
        lines += [f"n_standard_library_max = {entry['n_standard_library_max']}", f"never = [{never}]", ""]
    for name, entry in old.get("system_calls", {}).items():
        counts = ", ".join(f"{call} = {number}" for call, number in entry["at_most"].items())
        lines += [f"[system_calls.{json.dumps(name)}]", f"prepare = {json.dumps(entry['prepare'])}"]
        lines += [f"run = {json.dumps(entry['run'])}", f"at_most = {{ {counts} }}", ""]
    for table in ("long_modules", "public_names"):
        lines += [f"[{table}]", *(f"{json.dumps(key)} = {number}" for key, number in new[table].items()), ""]
    lines += ["[errors]"]
    for key, names in new["errors"].items():
        lines += [f"{key} = [", *(f"    {json.dumps(name)}," for name in names), "]"]
    FILE.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
