"""Assemble the changelog from its fragments: changelog/<slug>.<kind>.md, one change each.

A fragment is one to three sentences for users. `python -m tools.changelog` prints the section of the coming
release.
"""

from __future__ import annotations

import re
from pathlib import Path

from tools.workspace import ROOT, distributions

__all__ = ("FOLDER", "KINDS", "assemble", "complaints", "main")

FOLDER = ROOT / "changelog"
KINDS = ("added", "changed", "fixed", "removed", "security")
N_CHARACTERS_MAX = 600


def complaints(path: Path) -> list[str]:
    """Return what is wrong with the form of a fragment."""
    found = []
    if not re.fullmatch(rf"[a-z0-9]+(-[a-z0-9]+)*\.({'|'.join(KINDS)})\.md", path.name):
        found.append(f"{path.name} is not <slug>.<kind>.md with a kind of {', '.join(KINDS)}")
    text = path.read_text().strip()
    if not text:
        found.append(f"{path.name} is empty")
    elif len(text) > N_CHARACTERS_MAX:
        found.append(
            f"{path.name} has {len(text)} characters, at most {N_CHARACTERS_MAX}: details belong in docs/"
        )
    if text.startswith(("#", "-", "*")):
        found.append(f"{path.name} starts with {text[0]!r}: write plain sentences, the bullet is added")
    if text and not text.endswith((".", "`", "```")):
        found.append(f"{path.name} does not end with a full stop")
    return found


def assemble(folder: Path = FOLDER, *, version: str) -> str:
    """Return the section of `version`, by kind and then by name of the fragment."""
    lines = [f"## {version}"]
    for kind in KINDS:
        fragments = sorted(folder.glob(f"*.{kind}.md"))
        if fragments:
            lines += ["", f"### {kind.capitalize()}", ""]
            lines += ["- " + fragment.read_text().strip().replace("\n", "\n  ") for fragment in fragments]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the changelog of the coming release."""
    print(assemble(version=distributions()[0].version), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
