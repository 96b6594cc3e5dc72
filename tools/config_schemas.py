"""Write the JSON schemas of project files and cluster files into the package that reads these files.

`python -m tools.config_schemas`; a test compares the files with what the package builds.
"""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ("main", "text_of")


def text_of(kind: str) -> str:
    """Return the text of a schema file."""
    from seamless_config.schemas import build_schema

    return json.dumps(build_schema(kind), indent=2) + "\n"


def main() -> None:
    """Write all schemas."""
    from seamless_config.schemas import KINDS, schema_path

    for kind in KINDS:
        path = Path(schema_path(kind))
        path.parent.mkdir(exist_ok=True)
        path.write_text(text_of(kind), encoding="utf-8")


if __name__ == "__main__":
    main()
