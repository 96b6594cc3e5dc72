"""Entity tags: a buffer never changes, so its checksum and form are its tag. Pure functions."""

from __future__ import annotations

from seamless_store.layout import Form

__all__ = ("etag_of", "is_current", "is_known_to_client")


def etag_of(checksum: str, form: Form | None) -> str:
    """Return the tag, with its quotes."""
    return f'"{checksum}-{form}"' if form else f'"{checksum}"'


def is_known_to_client(if_none_match: str, etag: str) -> bool:
    """Tell whether the client holds this form already (`If-None-Match`)."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or tags == ["*"]


def is_current(if_range: str | None, etag: str, last_modified: str) -> bool:
    """Tell whether a range belongs to the form that is there (`If-Range`); without the header it does."""
    return if_range is None or if_range.strip() in (etag, last_modified)
