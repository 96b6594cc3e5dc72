"""What is usually meant when YAML cannot be read: remedies for the parser's terse complaints."""

from __future__ import annotations

__all__ = ("yaml_hint",)

HINTS = (  # the parser's words, and what to do
    ("'-' indicator", "Begin each entry of the list with '- ', all of them in one column."),
    (
        "mapping values are not allowed",
        "Put a value that contains ': ' in quotes; or begin the entry with '- ' on a line of its own.",
    ),
    ("could not find expected ':'", "Write 'key: value', with a blank after the colon."),
    (
        "did not find expected key",
        "Indent the keys of one mapping equally, and close every quote and bracket.",
    ),
    ("',' or", "Separate the values with ', ' and close the bracket."),
    ("did not find expected node content", "Close every bracket, and write no comma before the first value."),
    ("unexpected end of stream", "Close the quote or the bracket that is open here."),
    ("anchor", "Define '&name' above the first '*name', each once."),
    ("unknown escape", "Use single quotes, in which a backslash is a backslash."),
    ("not allowed in YAML", "Remove the character."),
)


def yaml_hint(problem: str, line: str) -> str:
    """Return a remedy for what the parser says about a line, "" when there is none."""
    indentation = line[: len(line) - len(line.lstrip())]
    if (
        "\t" in indentation
        or "\t" in line.partition("- ")[0]
        or ("cannot start any token" in problem and "\t" in line)
    ):
        return "Indent with blanks; YAML allows no tabs there."
    if "cannot start any token" in problem:
        return "Put the value in quotes."
    for words, hint in HINTS:
        if words in problem:
            return hint
    return ""
