"""Fill the generated pages when the documentation is built, so that they cannot go stale."""

from __future__ import annotations

from typing import Any

from tools.error_catalogue import as_markdown, catalogue

__all__ = ("on_page_markdown",)

ERROR_CATALOGUE = "<!-- error catalogue -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark in a page by what belongs there; called by mkdocs with more than we use."""
    if ERROR_CATALOGUE in markdown:
        return markdown.replace(ERROR_CATALOGUE, as_markdown(catalogue()))
    return markdown
