'''List every public exception: its cause, its remedy and the tests that provoke it.

An exception is documented where it is defined:

    class StoreFull(StoreError):
        """The file system that holds the store has no room left.

        Remedy: free some space, or `seamless-service-clear --dry-run` to see what can go.
        """

and provoked by a test that carries `@pytest.mark.provokes("StoreFull")`: the name, in quotes, since pytest
takes a mark with the bare class for a decorator of that class, and the test is gone. A class that is never
raised itself has a docstring that begins with `Base class`; one that never leaves our code has a name that
begins with `_`. `python -m tools.error_catalogue` prints the catalogue; the page docs/reference/errors.md is
made from it when the documentation is built.
'''

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.workspace import ROOT, SourceModule, exported_names, files_of_tests, modules, parse

__all__ = ("CatalogueEntry", "as_markdown", "catalogue", "main", "marks")

_ROOTS = {"ArithmeticError", "BaseException", "EOFError", "Exception", "LookupError", "OSError", "Warning"}


@dataclass(frozen=True)
class CatalogueEntry:
    """One public exception class."""

    name: str
    """Where it is defined: module and class."""
    bases: tuple[str, ...]
    cause: str
    """First paragraph of the docstring; empty when there is none."""
    remedy: str
    """What follows `Remedy:` in the docstring, to the end of that paragraph; empty when there is none."""
    tests: tuple[str, ...]
    """Tests that provoke it, as path::function."""

    @property
    def class_name(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def is_base(self) -> bool:
        """It is there to be caught, never raised: its docstring begins with `Base class`."""
        return self.cause.startswith("Base class")


def catalogue() -> list[CatalogueEntry]:
    """Return all public exceptions of our packages, sorted by name."""
    tests: dict[str, list[str]] = {}
    for test, argument in marks("provokes"):
        tests.setdefault(argument.rpartition(".")[2], []).append(test)
    return sorted(
        (_entry(module, node, tests) for module, node in _exception_classes()), key=lambda entry: entry.name
    )


def marks(name: str) -> Iterator[tuple[str, str]]:
    """Yield (test as path::function, argument) of every `@pytest.mark.<name>("argument")`.

    Raises ValueError for an argument that is no text in quotes.
    """
    for path in files_of_tests():
        for node in ast.walk(parse(path)):
            for decorator in getattr(node, "decorator_list", []):
                if (
                    not isinstance(decorator, ast.Call)
                    or ast.unparse(decorator.func) != f"pytest.mark.{name}"
                ):
                    continue
                for argument in decorator.args:
                    place = path.relative_to(ROOT).as_posix()
                    if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                        shown = ast.unparse(argument)
                        raise ValueError(
                            f"{place}, line {decorator.lineno}: the argument {shown} of the mark {name} is no text. "
                            f"Put it in quotes: pytest takes a mark with a bare class for a decorator of that class, "
                            "and the test below it never runs."
                        )
                    yield f"{place}::{getattr(node, 'name', '?')}", argument.value


def as_markdown(entries: list[CatalogueEntry]) -> str:
    """Return the body of the documentation page."""
    sections = []
    for entry in entries:
        package, _, _ = entry.name.partition(".")
        lines = [
            f"### {entry.class_name}",
            "",
            f"`{entry.name}` ({', '.join(f'`{b}`' for b in entry.bases)})",
            "",
        ]
        lines += [entry.cause or "Not described yet."]
        if not entry.is_base:
            lines += ["", f"**Remedy:** {entry.remedy or 'see the message.'}"]
        if entry.tests:
            lines += ["", "Provoked by " + ", ".join(f"`{test}`" for test in entry.tests) + "."]
        sections.append((package, "\n".join(lines)))
    page = []
    for package in sorted({package for package, _ in sections}):
        page += [f"## {package}", *(text for owner, text in sections if owner == package)]
    return "\n\n".join(page) + "\n"


def main() -> int:
    """Print the catalogue."""
    print(as_markdown(catalogue()), end="")
    return 0


def _exception_classes() -> Iterator[tuple[SourceModule, ast.ClassDef]]:
    """Yield the exceptions that a public module defines and exports, by name of their bases."""
    classes = [
        (module, node)
        for module in modules()
        for node in parse(module.path).body
        if isinstance(node, ast.ClassDef)
    ]
    known = set(_ROOTS)
    grown = True
    while grown:
        found = {node.name for _, node in classes if any(_is_exception(base, known) for base in _bases(node))}
        grown = not found <= known
        known |= found
    for module, node in classes:
        exported = exported_names(parse(module.path)) or ()
        if module.is_public and node.name in exported and any(_is_exception(b, known) for b in _bases(node)):
            yield module, node


def _is_exception(base: str, known: set[str]) -> bool:
    return base in known or base.endswith(("Error", "Exception", "Warning"))


def _bases(node: ast.ClassDef) -> tuple[str, ...]:
    return tuple(ast.unparse(base).rpartition(".")[2] for base in node.bases)


def _entry(module: SourceModule, node: ast.ClassDef, tests: dict[str, list[str]]) -> CatalogueEntry:
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(ast.get_docstring(node) or ""))
    remedies = [p.partition("Remedy:")[2] for p in paragraphs if re.search(r"(^|\n)Remedy:", p)]
    cause = paragraphs[0].partition("Remedy:")[0]
    return CatalogueEntry(
        name=f"{module.name}.{node.name}",
        bases=_bases(node),
        cause=" ".join(cause.split()),
        remedy=" ".join(remedies[0].split()) if remedies else "",
        tests=tuple(sorted(tests.get(node.name, ()))),
    )


if __name__ == "__main__":
    raise SystemExit(main())
