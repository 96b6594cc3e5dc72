"""The rule for names of clusters, projects, stages: they become parts of keys and of paths."""

from __future__ import annotations

__all__ = ("name_problem",)

MAX_LENGTH = 100


def name_problem(what: str, name: str) -> str:
    """Return what is wrong with a name, "" if nothing is. what: "project", "subproject" (may hold `/`), ...

    >>> name_problem("project", "a--b")
    "the project 'a--b' must not contain '--'"
    """
    shown = f"the {what} {name!r:.120}"
    if not name:
        return f"the {what} is empty"
    if len(name) > MAX_LENGTH:
        return f"{shown} is longer than {MAX_LENGTH} characters"
    for forbidden in ("--", "STAGE-"):
        if forbidden in name:
            return f"{shown} must not contain {forbidden!r}"
    if "/" in name and what != "subproject":
        return f"{shown} must not contain '/'"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return f"{shown} has the part {part!r}, which is no name of a directory"
        if part.startswith("."):
            return f"{shown} must not begin with '.'"
        for character in part:
            if not (character.isascii() and (character.isalnum() or character in "_.- ")):
                return f"{shown} must not contain {character!r}"
    if name[0] in " -" or name[-1] == " ":
        return f"{shown} must not begin with a blank or '-', nor end with a blank"
    return ""
